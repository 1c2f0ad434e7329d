"""What is followed over many runs: the metrics by name, and which way of each is the better one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageFault

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Metric:
    """A figure of a result by its path in summary.json. `share`: a part of one, whose changes are differences; changes
    of all others are ratios. `headline`: shown where not all are."""

    path: str
    better: Better
    share: bool = False
    headline: bool = False


DISTRIBUTIONS = {
    "ttft_s": ("p50", "p95", "p99"),
    "ttfo_s": ("p50",),
    "itl_s": ("p50", "p95", "p99"),
    "tpot_s": ("p50", "p95"),
    "e2e_s": ("p50", "p95", "p99"),
    "response_s": ("p50", "p95", "p99"),
    "network_s": ("p50",),
}
SIZES = ("input_tokens", "output_tokens")
RATES = ("achieved_rps", "completed_rps", "goodput_rps", "output_tokens_per_s", "input_tokens_per_s")
ESTIMATES = ("success_ratio", "availability", "mtbf_s", "mttr_s")
COSTS = ("usd_per_request", "usd_per_1k_good", "usd_per_1m_output_tokens")
_HEADLINES = (
    "ttft_s.p50",
    "ttft_s.p95",
    "e2e_s.p50",
    "completed_rps",
    "output_tokens_per_s",
    "reliability.success_ratio",
)
_HIGHER = ("completed_rps", "goodput_rps", "output_tokens_per_s", "input_tokens_per_s")


def _metric(path: str, better: Better, *, share: bool = False) -> Metric:
    return Metric(path, better, share, headline=path in _HEADLINES)


METRICS: tuple[Metric, ...] = (
    *(_metric(f"{name}.{part}", "lower") for name, parts in DISTRIBUTIONS.items() for part in parts),
    *(_metric(f"{name}.mean", "neither") for name in SIZES),
    *(_metric(name, "higher" if name in _HIGHER else "neither") for name in RATES),
    _metric("in_flight_mean", "neither"),
    _metric("reliability.success_ratio", "higher", share=True),
    _metric("reliability.availability", "higher", share=True),
    _metric("reliability.mtbf_s", "higher"),
    _metric("reliability.mttr_s", "lower"),
    Metric("quality.accuracy", "higher", share=True, headline=True),
    *(Metric(f"cost.{name}", "lower", headline=name == "usd_per_request") for name in COSTS),
)
PLACES = {metric.path: place for place, metric in enumerate(METRICS)}


def metrics_named(name: str) -> tuple[Metric, ...]:
    """The metrics that a user's word means: a path, or its end or beginning (`ttft`, `ttft.p95`, `success_ratio`);
    none where the word fits none."""
    found = tuple(metric for metric in METRICS if _fits(metric.path, name))
    exact = tuple(metric for metric in found if metric.path == name)
    return exact or found


def paths_named(names: Sequence[str], place: str) -> list[str]:
    """The paths of all metrics that some words mean. Raises UsageFault for a word that means none; `place` is where it
    stood."""
    found: list[str] = []
    for name in names:
        fitting = [metric.path for metric in metrics_named(name)]
        if not fitting:
            known = ", ".join(metric.path for metric in METRICS)
            raise UsageFault(f"{place}: {name[:60]!r}: no such metric", f"metrics: {known}")
        found += fitting
    return list(dict.fromkeys(found))


def _fits(path: str, name: str) -> bool:
    plain = path.replace("_s.", ".")
    return any(
        name == each or each.startswith(f"{name}.") or each.endswith(f".{name}") for each in (path, plain)
    ) or path in (f"{name}_rps", f"{name}_per_s", f"{name}_s")
