"""One number of one target against those of the others, for the drill-down of the comparison matrix. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import plotly.graph_objects as go

from analysis.deciding.entrants import Contest, Entrant
from analysis.records.comparison_record import Comparison
from analysis.records.record import Estimate
from analysis.showing.charts import colours_of, label, styled
from analysis.summary import Summary
from analysis.wording import metric_name

_SWAPPED = {"better": "worse", "worse": "better"}
_ROW = 46


def against_others(summary: Summary, contest: Contest, target: str, metric: str) -> list[Comparison]:
    """The comparisons of a target on a metric under one load, each told from its side."""
    found = [
        each
        for each in summary.comparisons
        if (each.workload, each.stage) == (contest.workload, contest.stage) and each.metric in (metric, "all")
    ]
    return [each if each.a == target else turned(each) for each in found if target in (each.a, each.b)]


def turned(found: Comparison) -> Comparison:
    """The same comparison with its sides changed."""
    return msgspec.structs.replace(
        found,
        a=found.b,
        b=found.a,
        a_run=found.b_run,
        b_run=found.a_run,
        a_value=found.b_value,
        b_value=found.a_value,
        ratio=_inverse(found.ratio),
        difference=None if found.difference is None else _negative(found.difference),
        effect_size=None if found.effect_size is None else -found.effect_size,
        verdict=_SWAPPED.get(found.verdict, found.verdict),
    )


def _inverse(found: Estimate) -> Estimate:
    low, high = found.ci95 or (None, None)
    ends = None if found.ci95 is None else (_reciprocal(high), _reciprocal(low))
    return Estimate(value=_reciprocal(found.value), ci95=ends)


def _reciprocal(value: float | None) -> float | None:
    return 1 / value if value else None


def _negative(found: Estimate) -> Estimate:
    low, high = found.ci95 or (None, None)
    ends = None if found.ci95 is None else (_minus(high), _minus(low))
    return Estimate(value=_minus(found.value), ci95=ends)


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def repeats_figure(summary: Summary, contest: Contest, metric: str) -> go.Figure | None:
    """The values of the repeats of each target as marks, and what is quoted with its interval; None: no repeats."""
    factor, unit = unit_of(metric)
    colours = colours_of(summary)
    figure = go.Figure()
    for entrant in contest.entrants:
        own = [(each.repeat, each.values.get(metric)) for each in entrant.result.repeat_values]
        known = [(repeat, value) for repeat, value in own if value is not None]
        if known:
            figure.add_scatter(
                x=[value * factor for _, value in known],
                y=[label(entrant.name)] * len(known),
                text=[f"repeat {repeat}" for repeat, _ in known],
                mode="markers",
                marker={"color": colours[entrant.target], "size": 9, "opacity": 0.55},
                hovertemplate="%{text}: %{x:.4g}<extra></extra>",
                showlegend=False,
            )
            _quoted(figure, entrant, metric, factor)
    if not figure.data:
        return None
    styled(figure, f"{metric_name(metric)}{f', {unit}' if unit else ''}", "")
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return figure.update_layout(height=90 + _ROW * len(contest.entrants))


def _quoted(figure: go.Figure, entrant: Entrant, metric: str, factor: float) -> None:
    quote = entrant.quote(metric)
    if quote is None:
        return
    low, high = quote.ci95 or (None, None)
    reach = None
    if low is not None and high is not None:
        up, down = (max(0.0, each) * factor for each in (high - quote.value, quote.value - low))
        reach = {"type": "data", "symmetric": False, "array": [up], "arrayminus": [down], "thickness": 2, "width": 6}
    figure.add_scatter(
        x=[quote.value * factor],
        y=[label(entrant.name)],
        error_x=reach,
        mode="markers",
        marker={"symbol": "diamond", "size": 11, "color": "#7a828c"},
        hovertemplate="quoted: %{x:.4g}<extra></extra>",
        showlegend=False,
    )


def unit_of(metric: str) -> tuple[float, str]:
    """What values of a metric are multiplied by in a figure, and the unit that they then have."""
    if metric.partition(".")[0].endswith("_s") and "." in metric:
        return 1000.0, "ms"
    if metric in ("success_ratio", "availability") or metric.startswith("quality."):
        return 100.0, "%"
    return 1.0, ""


def metrics_of(entrants: Sequence[Entrant], paths: Sequence[str]) -> list[str]:
    """The metrics that at least one of them has."""
    return [path for path in paths if any(each.quote(path) is not None for each in entrants)]
