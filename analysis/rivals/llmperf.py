"""llmperf: `..._summary.json`, and beside it `..._individual_responses.json` with every request (2023-08-31)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from analysis.rivals.told import Beside, Told, at, count, given, known, number, stated, text, tpot_s, utc_of
from harness.errors import UNREADABLE

_STATISTICS = {
    "mean": "mean",
    "max": "max",
    **{name: f"quantiles_{name}" for name in ("p50", "p90", "p95", "p99")},
}
_METRICS = {"ttft_s": "ttft_s", "e2e_s": "end_to_end_latency_s"}
_NOTES = (
    (
        "llmperf's inter_token_latency_s is E2E / output tokens, by a tokenizer of its own",
        "the wait for the first token is in it: it is neither ITL nor TPOT, and is left out",
    ),
    (
        "llmperf stamps a chunk after its JSON was parsed, and reads a stream that breaks off as a good one",
        "its TTFT is a little too high, and cut replies are among its successes",
    ),
)


def is_one(document: object) -> bool:
    """Whether a JSON document is a summary of llmperf."""
    return at(document, "results_num_requests_started") is not None and at(document, "model") is not None


def read(document: object, beside: Beside) -> list[Told]:
    """What it says."""
    failed, started = count(at(document, "results_number_errors")), count(at(document, "results_num_requests_started"))
    ok = count(at(document, "results_num_completed_requests"))
    requests = _requests(document, beside)
    good = [each for each in requests if at(each, "error_code") is None]
    said = {ours: _stated(document, theirs, ok) for ours, theirs in _METRICS.items()}
    per_min = number(at(document, "results_num_completed_requests_per_min"))
    stamp = number(at(document, "timestamp"))
    return [
        Told(
            tool="llmperf",
            version=text(at(document, "version")),
            model=text(at(document, "model")) or "unknown",
            attempted=max(started, ok + failed),
            failed=failed,
            load=given({"concurrency": at(document, "num_concurrent_requests")}),
            request=given(
                {
                    "input_tokens": at(document, "mean_input_tokens"),
                    "output_tokens": at(document, "mean_output_tokens"),
                }
            ),
            errors=dict(Counter(f"HTTP {at(each, 'error_code')}" for each in requests if each not in good)),
            duration_s=60 * ok / per_min if per_min else None,
            output_tokens_per_s=number(at(document, "results_mean_output_throughput_token_per_s")),
            values_s=_values(good) if ok and len(good) == ok else {},
            said=said,
            notes=_NOTES,
            started_utc=None if stamp is None else utc_of(stamp),
        )
    ]


def _requests(document: object, beside: Beside) -> list[Any]:
    name = (text(at(document, "name")) or "").removesuffix("_summary")
    content = beside(f"{name}_individual_responses.json") if name else None
    try:
        found = None if content is None else msgspec.json.decode(content)
    except UNREADABLE:
        return []
    return found if isinstance(found, list) else []


def _values(good: list[Any]) -> dict[str, Any]:
    ttft, e2e = ([at(each, field) for each in good] for field in _METRICS.values())
    tokens = [at(each, "number_output_tokens") for each in good]
    return {"ttft_s": known(ttft), "e2e_s": known(e2e), "tpot_s": tpot_s(e2e, ttft, tokens)}


def _stated(document: object, name: str, n: int) -> Any:
    flat = {ours: at(document, f"results_{name}_{theirs}") for ours, theirs in _STATISTICS.items()}
    return stated(flat, {ours: ours for ours in flat}, n)
