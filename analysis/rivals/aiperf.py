"""aiperf: `profile_export_aiperf.json`, and beside it `profile_export.jsonl` with every request (0.13 was seen)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from analysis.rivals.told import Beside, Told, at, count, given, known, number, stated, text
from harness.errors import UNREADABLE

_NAMES = {name: name for name in ("p50", "p90", "p95", "p99", "max")} | {"mean": "avg"}
_MS = 1e-3
_METRICS = {
    "ttft_s": "time_to_first_token",
    "itl_s": "inter_chunk_latency",
    "tpot_s": "inter_token_latency",
    "e2e_s": "request_latency",
}
_NOTES = (
    (
        "aiperf's inter_token_latency is the mean of each request, its inter_chunk_latency each gap",
        "here the first is TPOT and the second ITL",
    ),
)


def is_one(document: object) -> bool:
    """Whether a JSON document is a summary of aiperf."""
    return at(document, "aiperf_version") is not None and at(document, "input_config") is not None


def read(document: object, beside: Beside) -> list[Told]:
    """What it says."""
    phase = at(document, "input_config", "phases", -1)
    ok, failed = count(at(document, "request_count", "avg")), count(at(document, "error_request_count", "avg"))
    values = _requests(beside("profile_export.jsonl"))
    said = {ours: stated(at(document, theirs), _NAMES, _n(document, theirs), _MS) for ours, theirs in _METRICS.items()}
    duration = number(at(document, "benchmark_duration", "avg"))
    total_in = number(at(document, "total_isl", "avg"))
    return [
        Told(
            tool="aiperf",
            version=text(at(document, "aiperf_version")),
            model=text(at(document, "input_config", "models", "items", 0, "name")) or "unknown",
            attempted=ok + failed,
            failed=failed,
            load=given(
                {
                    "concurrency": at(phase, "concurrency"),
                    "rate_rps": at(phase, "rate") or at(phase, "request_rate"),
                }
            ),
            request=given(
                {
                    "input_tokens": at(document, "input_config", "datasets", 0, "prompts", "isl", "mean"),
                    "output_tokens": at(document, "input_config", "datasets", 0, "prompts", "osl", "mean"),
                    "stream": at(document, "input_config", "endpoint", "streaming"),
                }
            ),
            errors=_errors(at(document, "error_summary")),
            duration_s=duration,
            goodput_rps=number(at(document, "goodput", "avg")),
            output_tokens_per_s=number(at(document, "output_token_throughput", "avg")),
            input_tokens_per_s=total_in / duration if total_in is not None and duration else None,
            values_s=values if len(values.get("e2e_s", ())) == ok else {},
            said=said,
            notes=_NOTES,
        )
    ]


def _n(document: object, name: str) -> int:
    return count(at(document, name, "count")) or count(at(document, "request_count", "avg"))


def _requests(lines: bytes | None) -> dict[str, Any]:
    """The times of good requests, one by one."""
    if lines is None:
        return {}
    try:
        records = [msgspec.json.decode(line) for line in lines.splitlines() if line.strip()]
    except UNREADABLE:
        return {}
    good = [each for each in records if at(each, "error") is None and not at(each, "metadata", "was_cancelled")]
    own = [each for each in good if at(each, "metadata", "benchmark_phase") in (None, "profiling")]
    found = {}
    for ours, theirs in _METRICS.items():
        told = [at(each, "metrics", theirs, "value") for each in own]
        found[ours] = known((gap for each in told for gap in (each if isinstance(each, list) else [each])), _MS)
    return found


def _errors(summary: object) -> dict[str, int]:
    found: Counter[str] = Counter()
    for each in summary if isinstance(summary, list) else []:
        details = at(each, "error_details")
        said = text(at(details, "message")) or text(at(details, "type")) or "error"
        code = at(details, "code")
        found[said if code is None else f"{said} (HTTP {code})"] += count(at(each, "count"))
    return dict(found)
