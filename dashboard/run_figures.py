"""The figures of a run's page, part by part: titles, notes and figures (None: there is nothing to draw)."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go

from analysis.samples import Samples
from analysis.showing import charts
from analysis.showing.charts_capacity import capacity_figures
from analysis.showing.charts_quality import quality_figures
from analysis.showing.outage_charts import survival_curves, timeline
from analysis.summary import Summary

Figure = tuple[str, str, go.Figure | None]


def of_requests(summary: Summary, samples: Samples) -> list[Figure]:
    """What single requests tell."""
    every = "Cumulative; all repeats, good requests, warm-up included."
    return [
        ("Time to first token", every, charts.distribution(summary, samples, "ttft_s")),
        ("Inter-token latency", "Gaps between content events.", charts.distribution(summary, samples, "itl_s")),
        ("End-to-end latency", every, charts.distribution(summary, samples, "e2e_s")),
        ("Over time", "A mark a request; failures crossed; repeats shaded.", charts.over_time(summary, samples)),
    ]


def of_throughput(summary: Summary) -> list[Figure]:
    """Rates and errors."""
    results, colours = summary.results, charts.colours_of(summary)
    return [
        ("Requests/s", "Ended ok; mean over the repeats.", charts.throughput(results, colours)),
        ("Errors by class", "", charts.errors(results)),
    ]


def of_reliability(summary: Summary) -> list[Figure]:
    """Outages and recoveries."""
    return [
        ("Up, degraded, throttled, down", "What is worse is drawn thicker.", timeline(summary.providers)),
        ("How long it stayed up", "Kaplan and Meier, 95 % bounds.", survival_curves(summary)),
        ("Recovery", "Mean of the repeats.", charts.recoveries(summary.results, charts.colours_of(summary))),
    ]


OF_PARTS: dict[str, Callable[[Summary], list[Figure]]] = {
    "throughput": of_throughput,
    "scaling": lambda summary: capacity_figures(summary, None),
    "reliability": of_reliability,
    "quality": quality_figures,
}
