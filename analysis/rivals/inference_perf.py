"""inference-perf: `summary_lifecycle_metrics.json`, or that of one stage; statistics alone (0.7 was seen)."""

from __future__ import annotations

from analysis.rivals.told import Beside, Told, at, count, given, number, stated

_NAMES = {"mean": "mean", "p50": "median", "p90": "p90", "p95": "p95", "p99": "p99", "max": "max"}
_METRICS = {
    "ttft_s": "time_to_first_token",
    "itl_s": "inter_token_latency",
    "tpot_s": "time_per_output_token",
    "e2e_s": "request_latency",
}
_NOTES = (
    (
        "inference-perf's file has statistics alone, and names no model",
        "quantiles are by its own definition, and repeats cannot be told from requests",
    ),
)


def is_one(document: object) -> bool:
    """Whether a JSON document is a summary of inference-perf."""
    return at(document, "load_summary") is not None and at(document, "successes", "latency") is not None


def read(document: object, beside: Beside) -> list[Told]:  # noqa: ARG001
    """What it says."""
    good = at(document, "successes")
    ok, failed = count(at(good, "count")), count(at(document, "failures", "count"))
    tokens = number(at(good, "output_tokens", "total")) or 0.0
    latency = at(good, "latency")
    said = {
        ours: stated(at(latency, theirs), _NAMES, max(0, int(tokens) - ok) if ours == "itl_s" else ok)
        for ours, theirs in _METRICS.items()
    }
    rates = at(good, "throughput")
    return [
        Told(
            tool="inference-perf",
            model="unknown",
            attempted=ok + failed,
            failed=failed,
            load=given(
                {
                    "concurrency": at(document, "load_summary", "concurrency"),
                    "rate_rps": at(document, "load_summary", "requested_rate"),
                }
            ),
            request=given(
                {
                    "input_tokens": number(at(good, "prompt_tokens", "mean")),
                    "output_tokens": number(at(good, "output_tokens", "mean")),
                }
            ),
            errors=_errors(at(document, "failures", "by_label")),
            duration_s=number(at(document, "benchmark_time_seconds")),
            output_tokens_per_s=number(at(rates, "output_tokens_per_sec")),
            input_tokens_per_s=number(at(rates, "input_tokens_per_sec")),
            said=said,
            notes=_NOTES,
        )
    ]


def _errors(by_label: object) -> dict[str, int]:
    return {str(name): count(n) for name, n in by_label.items()} if isinstance(by_label, dict) else {}
