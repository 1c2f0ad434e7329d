"""genai-bench: the JSON file of one scenario and load, with every request in it (0.0.5 was seen)."""

from __future__ import annotations

from typing import Any

import msgspec

from analysis.rivals.told import Beside, Told, at, count, given, known, number, stated, text
from harness.errors import UNREADABLE

_NAMES = {name: name for name in ("mean", "p50", "p90", "p95", "p99", "max")}
_METRICS = {"ttft_s": "ttft", "tpot_s": "tpot", "e2e_s": "e2e_latency"}
_NOTES = (
    (
        "genai-bench's tpot is (E2E - TTFT) / (output tokens - 1) of each request",
        "that is TPOT here too; single gaps between events, and so ITL, are not in its file",
    ),
)


def is_one(document: object) -> bool:
    """Whether a JSON document is a result of genai-bench."""
    return at(document, "aggregated_metrics", "stats", "ttft") is not None and isinstance(
        at(document, "individual_request_metrics"), list
    )


def read(document: object, beside: Beside) -> list[Told]:
    """What it says."""
    whole = at(document, "aggregated_metrics")
    requests = at(document, "individual_request_metrics")
    good = [each for each in requests if at(each, "error_code") is None]
    about = _about(beside("experiment_metadata.json"))
    scale = 1e-3 if at(document, "_time_unit") == "ms" else 1.0
    ok = count(at(whole, "num_completed_requests"))
    rate = number(at(whole, "request_rate")) if at(whole, "iteration_type") == "request_rate" else None
    said = {ours: stated(at(whole, "stats", theirs), _NAMES, ok, scale) for ours, theirs in _METRICS.items()}
    return [
        Told(
            tool="genai-bench",
            version=text(at(about, "benchmark_version")),
            model=text(at(about, "model")) or text(at(about, "server_model")) or "unknown",
            attempted=count(at(whole, "num_requests")),
            failed=count(at(whole, "num_error_requests")),
            load=given({"concurrency": at(whole, "num_concurrency") if rate is None else None, "rate_rps": rate}),
            request=given({"scenario": text(at(whole, "scenario")), "batch": at(whole, "batch_size")}),
            errors=_errors(at(whole, "error_codes_frequency")),
            duration_s=number(at(whole, "run_duration")),
            output_tokens_per_s=number(at(whole, "mean_output_throughput_tokens_per_s")),
            input_tokens_per_s=number(at(whole, "mean_input_throughput_tokens_per_s")),
            values_s=_values(good, scale) if len(good) == ok else {},
            said=said,
            notes=_NOTES,
        )
    ]


def _about(metadata: bytes | None) -> object:
    try:
        return None if metadata is None else msgspec.json.decode(metadata)
    except UNREADABLE:
        return None


def _values(good: list[Any], scale: float) -> dict[str, Any]:
    return {ours: known((at(each, theirs) for each in good), scale) for ours, theirs in _METRICS.items()}


def _errors(codes: object) -> dict[str, int]:
    return {f"HTTP {code}": count(n) for code, n in codes.items()} if isinstance(codes, dict) else {}
