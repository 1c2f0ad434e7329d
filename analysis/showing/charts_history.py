"""Plotly figures of a history: a metric over time, its changes, the runs that are invalid, and the week ahead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import plotly.graph_objects as go

from analysis.histories.wording_history import change, name_of
from analysis.records.history_record import Series
from analysis.showing.charts import COLOURS, label, styled

MOST_RUNS = 800
_MS_BELOW = 1.0


def history_figure(series: Sequence[Series], most: int = MOST_RUNS) -> go.Figure:
    """One metric of the targets of one load over time: a line for each with the intervals of its runs (at most `most`,
    evenly chosen), a dotted line where its level changed, a cross for each invalid run, the forecast as a band."""
    figure = go.Figure()
    factor, unit = _unit(series)
    for number, each in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        _runs(figure, each, colour, factor, most)
        _invalid(figure, each, colour, factor)
        _changes(figure, each, colour)
        _week(figure, each, colour, factor)
    styled(figure, "", unit)
    figure.update_xaxes(type="date")
    times = {utc for each in series for utc in (*each.points.utc, *each.forecast.utc)}
    if len(times) == 1:  # a day around it, not the milliseconds
        figure.update_xaxes(range=_around(times.pop()))
    values = {value * factor for each in series for value in each.points.value}
    if len(values) == 1:
        figure.update_yaxes(range=sorted(value * share for value in values for share in (0.9, 1.1)))
    return figure


def _around(utc: str) -> list[str]:
    at = datetime.fromisoformat(utc)
    return [(at + timedelta(hours=hours)).isoformat() for hours in (-12, 12)]


def _unit(series: Sequence[Series]) -> tuple[float, str]:
    """What values are multiplied by, and the unit that they then have."""
    metric = series[0].metric
    if "_s." in metric or (metric.endswith("_s") and "per" not in metric):
        largest = max((value for each in series for value in each.points.value), default=0.0)
        return (1000.0, "ms") if largest < _MS_BELOW else (1.0, "s")
    if metric.startswith(("reliability.", "quality.")):
        return 100.0, "%"
    return 1.0, name_of(metric)


def _runs(figure: go.Figure, series: Series, colour: str, factor: float, most: int) -> None:
    points = series.points
    every = [at for at, good in enumerate(points.valid) if good]
    rows = every[:: -max(1, math.ceil(len(every) / most))][::-1]  # the latest is among them
    times = [points.utc[at] for at in rows]
    known = [at for at in rows if points.low[at] is not None and points.high[at] is not None]
    if known:
        there = [points.utc[at] for at in known]
        ends = ([points.low[at] for at in known], [points.high[at] for at in known])
        _band(figure, (there, ends[0], ends[1]), colour, factor, series.target)
    figure.add_scatter(
        x=times,
        y=[_short(points.value[at] * factor) for at in rows],
        name=label(series.target),
        legendgroup=label(series.target),
        mode="lines+markers",
        line={"color": colour, "width": 1},
        marker={"size": 4},
        text=[label(points.run[at]) for at in rows],
        hovertemplate="%{y} on %{x}<br>%{text}",
    )


def _band(
    figure: go.Figure,
    columns: tuple[Sequence[str], Sequence[float | None], Sequence[float | None]],
    colour: str,
    factor: float,
    target: str,
    opacity: float = 0.15,
) -> None:
    times, low, high = columns
    edges = [*high, *reversed(low)]
    figure.add_scatter(
        x=[*times, *reversed(times)],
        y=[None if value is None else _short(value * factor) for value in edges],
        fill="toself",
        fillcolor=colour,
        opacity=opacity,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        legendgroup=label(target),
    )


def _invalid(figure: go.Figure, series: Series, colour: str, factor: float) -> None:
    points = series.points
    rows = [at for at, good in enumerate(points.valid) if not good]
    if rows:
        figure.add_scatter(
            x=[points.utc[at] for at in rows],
            y=[_short(points.value[at] * factor) for at in rows],
            name=label(f"{series.target}, invalid"),
            mode="markers",
            marker={"symbol": "x-thin", "size": 9, "line": {"width": 2, "color": colour}},
            text=[label(points.run[at]) for at in rows],
            hovertemplate="invalid: %{y} on %{x}<br>%{text}",
        )


def _changes(figure: go.Figure, series: Series, colour: str) -> None:
    first = series.points.utc[0] if series.points.utc else ""
    for step in series.changes:
        if step.utc < first:
            continue
        figure.add_shape(
            type="line", x0=step.utc, x1=step.utc, y0=0, y1=1, yref="paper",
            line={"color": colour, "width": 1.5, "dash": "dot"},
        )  # fmt: skip
        text = change(series, step.change.value)
        figure.add_annotation(
            x=step.utc, y=1, yref="paper", text=label(text), showarrow=False, xanchor="left", yanchor="top",
            font={"color": colour, "size": 12},
        )  # fmt: skip


def _week(figure: go.Figure, series: Series, colour: str, factor: float) -> None:
    week = series.forecast
    if not week.expected:
        return
    _band(figure, (week.utc, week.low, week.high), colour, factor, series.target, opacity=0.25)
    figure.add_scatter(
        x=list(week.utc),
        y=[_short(value * factor) for value in week.expected],
        name=label(f"{series.target}, week ahead"),
        legendgroup=label(series.target),
        showlegend=False,
        mode="lines",
        line={"color": colour, "width": 2, "dash": "dash"},
        hovertemplate="expected: %{y} on %{x}",
    )


def _short(value: float) -> float:
    return float(f"{value:.5g}")
