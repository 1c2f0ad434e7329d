"""guidellm: its `kind=json` output, one or several benchmarks with every request in it (0.8 was seen)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from analysis.rivals.told import Beside, Told, at, count, given, known, number, stated, text, utc_of

_NAMES = {"mean": "mean", "p50": "median", "max": "max"}
_METRICS = {
    "ttft_s": ("time_to_first_token_ms", 1e-3),
    "tpot_s": ("inter_token_latency_ms", 1e-3),
    "e2e_s": ("request_latency", 1.0),
}
_NOTES = (
    (
        "guidellm's inter_token_latency_ms is the mean of each request",
        "here that is TPOT; single gaps between events, and so ITL, are not in its file",
    ),
    (
        "guidellm's time_per_output_token_ms is E2E / output tokens",
        "the wait for the first token is in it: it is not TPOT, and is left out",
    ),
)


def is_one(document: object) -> bool:
    """Whether a JSON document is an output of guidellm."""
    metrics = at(document, "benchmarks", 0, "metrics")
    return at(metrics, "request_totals") is not None and at(metrics, "time_to_first_token_ms") is not None


def read(document: object, beside: Beside) -> list[Told]:  # noqa: ARG001
    """What it says: one load for each of its benchmarks."""
    return [_of_benchmark(each, document) for each in at(document, "benchmarks")]


def _of_benchmark(benchmark: object, document: object) -> Told:
    metrics, config = at(benchmark, "metrics"), at(benchmark, "config")
    totals, good = at(metrics, "request_totals"), at(benchmark, "requests", "successful")
    good = good if isinstance(good, list) else []
    ok = count(at(totals, "successful"))
    strategy = at(config, "strategy")
    rate = at(strategy, "rate")
    streams = at(strategy, "streams") or at(strategy, "max_concurrency")
    begin_s = number(at(benchmark, "start_time"))
    said = {name: _stated(metrics, field, scale, ok) for name, (field, scale) in _METRICS.items()}
    return Told(
        tool="guidellm",
        version=text(at(document, "metadata", "guidellm_version")),
        model=text(at(config, "backend", "model")) or "unknown",
        attempted=count(at(totals, "total")),
        failed=count(at(totals, "errored")),
        cancelled=count(at(totals, "incomplete")),
        load=given({"concurrency": streams if rate is None else None, "rate_rps": rate}),
        request=given(
            {
                "input_tokens": _mean(metrics, "prompt_token_count"),
                "output_tokens": at(config, "backend", "max_tokens") or _mean(metrics, "output_token_count"),
                "stream": at(config, "backend", "stream"),
            }
        ),
        errors=_errors(at(benchmark, "requests", "errored")),
        duration_s=number(at(benchmark, "duration")),
        output_tokens_per_s=_mean(metrics, "output_tokens_per_second"),
        input_tokens_per_s=_mean(metrics, "prompt_tokens_per_second"),
        in_flight_mean=_mean(metrics, "request_concurrency"),
        values_s=_values(good) if len(good) == ok else {},
        said=said,
        notes=_NOTES,
        started_utc=None if begin_s is None else utc_of(begin_s),
    )


def _values(good: list[Any]) -> dict[str, Any]:
    return {name: known((at(each, field) for each in good), scale) for name, (field, scale) in _METRICS.items()}


def _mean(metrics: object, name: str) -> float | None:
    return number(at(metrics, name, "successful", "mean"))


def _stated(metrics: object, name: str, scale: float, ok: int) -> Any:
    of_good = at(metrics, name, "successful")
    percentiles = at(of_good, "percentiles")
    own = {quantile: at(percentiles, quantile) for quantile in ("p90", "p95", "p99")}
    flat = {**of_good, **own} if isinstance(of_good, dict) else {}
    return stated(flat, _NAMES | {quantile: quantile for quantile in own}, ok, scale)


def _errors(errored: object) -> dict[str, int]:
    told = [text(at(each, "info", "error")) or "error" for each in (errored if isinstance(errored, list) else [])]
    return dict(Counter(told))
