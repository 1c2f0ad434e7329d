"""Plotly figures of quality: accuracy against latency and against cost, with the Pareto front, and under load."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import plotly.graph_objects as go

from analysis.showing.charts import colours_of, label, styled
from analysis.summary import Result, Summary
from analysis.wording import place

Figure = tuple[str, str, go.Figure | None]


def quality_figures(summary: Summary) -> list[Figure]:
    """Titles, notes and figures; those that compare only where something was graded."""
    graded = [
        result for result in summary.results if result.quality is not None and result.quality.accuracy is not None
    ]
    front = "95 % intervals; the line joins those that no other beats in both."
    return [
        ("Accuracy and latency", f"Up and left is better. {front}", against(summary, graded, _latency_s, "E2E p50, s")),
        (
            "Accuracy and cost",
            f"Up and left is better. {front}",
            against(summary, graded, _usd, "USD per 1k good requests"),
        ),
        ("Accuracy and load", "Each stage of a target; 95 % intervals.", by_load(summary, graded)),
    ]


def _latency_s(result: Result) -> float | None:
    return result.e2e_s.p50 if result.e2e_s is not None else None


def _usd(result: Result) -> float | None:
    return result.cost.usd_per_1k_good if result.cost is not None else None


def against(
    summary: Summary, graded: Sequence[Result], measure: Callable[[Result], float | None], title: str
) -> go.Figure | None:
    """Accuracy of each load against a measure of which less is better."""
    points = [(value, result) for result in graded if (value := measure(result)) is not None]
    if not points:
        return None
    figure, colours = go.Figure(), colours_of(summary)
    best = sorted((x, _accuracy(result)) for x, result in points if not _beaten(x, result, points))
    if len(best) > 1:
        x, y = zip(*best, strict=True)
        dotted = {"color": "rgba(128,128,128,0.7)", "dash": "dot"}
        figure.add_scatter(x=x, y=y, mode="lines", line=dotted, name="Pareto front", hoverinfo="skip")
    for x_value, result in points:
        up, down = _ends(result)
        figure.add_scatter(
            x=[x_value],
            y=[_accuracy(result)],
            error_y={"type": "data", "symmetric": False, "array": [up], "arrayminus": [down]},
            mode="markers",
            marker={"color": colours[result.target], "size": 10},
            name=label(f"{result.target}, {place(result)}"),
        )
    figure = styled(figure, title, "accuracy, %")
    return figure.update_xaxes(rangemode="tozero")


def by_load(summary: Summary, graded: Sequence[Result]) -> go.Figure | None:
    """Accuracy against the mean in flight, a line for each target and workload with several stages."""
    figure, colours = go.Figure(), colours_of(summary)
    for key in dict.fromkeys((result.target, result.workload) for result in graded):
        mine = sorted(
            (result.in_flight_mean or 0.0, index)
            for index, result in enumerate(graded)
            if (result.target, result.workload) == key
        )
        if len(mine) < 2:
            continue
        own = [graded[index] for _, index in mine]
        up, down = zip(*(_ends(result) for result in own), strict=True)
        figure.add_scatter(
            x=[n for n, _ in mine],
            y=[_accuracy(result) for result in own],
            error_y={"type": "data", "symmetric": False, "array": up, "arrayminus": down},
            mode="lines+markers",
            marker={"color": colours[key[0]]},
            name=label(", ".join(part for part in key if part)),
        )
    return styled(figure, "requests in flight", "accuracy, %") if figure.data else None


def _accuracy(result: Result) -> float:
    found = result.quality.accuracy if result.quality is not None else None
    return 100 * (found.value or 0.0) if found is not None else 0.0


def _ends(result: Result) -> tuple[float, float]:
    """How far the interval reaches, up and down."""
    found = result.quality.accuracy if result.quality is not None else None
    ends = found.ci95 if found is not None else None
    value = _accuracy(result)
    low, high = (value if ends is None or end is None else 100 * end for end in (ends or (None, None)))
    return high - value, value - low


def _beaten(x: float, result: Result, points: Sequence[tuple[float, Result]]) -> bool:
    """Whether another is at least as good in both, and better in one."""
    y = _accuracy(result)
    return any(
        (x_other <= x and _accuracy(other) >= y) and (x_other < x or _accuracy(other) > y) for x_other, other in points
    )
