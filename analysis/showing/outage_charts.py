"""Figures of outages: a timeline with one row for each provider, and the survival curves of up-times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.failures.timeline import STATES, extent, spans
from analysis.showing.charts import colours_of, label, styled
from analysis.summary import Provider, Reliability, Summary
from analysis.wording import seconds

_LOOK = {"up": ("#009E73", 6), "degraded": ("#E69F00", 12), "throttled": ("#56B4E9", 12), "down": ("#D55E00", 20)}
_UNITS = ((10_800.0, 3600.0, "h"), (600.0, 60.0, "min"), (0.0, 1.0, "s"))
_POINTS = 100


def timeline(providers: Sequence[Provider]) -> go.Figure | None:
    """When each provider was up, degraded, throttled and down. None where nothing was watched."""
    begin_s, end_s = extent(providers)
    if end_s <= begin_s:
        return None
    unit_s, unit = next((size, name) for least, size, name in _UNITS if end_s - begin_s >= least)
    figure = go.Figure()
    for state in STATES:
        x: list[float | None] = []
        y: list[str | None] = []
        text: list[str | None] = []
        for provider in providers:
            for start_s, until_s in spans(provider.reliability, state):
                x += [start_s / unit_s, until_s / unit_s, None]
                y += [label(provider.target), label(provider.target), None]
                text += [f"{state} for {seconds(until_s - start_s)}"] * 2 + [None]
        if x:
            _add_state(figure, state, x, y, text)
    styled(figure, f"{unit} since the run began", "")
    figure.update_xaxes(range=[begin_s / unit_s, end_s / unit_s])
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    figure.update_layout(height=120 + 44 * len(providers))
    return figure


def _add_state(
    figure: go.Figure, state: str, x: list[float | None], y: list[str | None], text: list[str | None]
) -> None:
    """A thick line for each span; what is worse is thicker, and a mark keeps a short one from vanishing."""
    colour, width = _LOOK[state]
    marker = {"symbol": "line-ns", "size": width / 2, "line": {"width": 2, "color": colour}}
    figure.add_scatter(
        x=x,
        y=y,
        text=text,
        name=state,
        mode="lines" if state == "up" else "lines+markers",
        line={"color": colour, "width": width},
        marker=marker,
        hovertemplate="%{y}: %{text}<br>at %{x:.1f}<extra></extra>",
    )


def survival_curves(summary: Summary) -> go.Figure | None:
    """The share of up-times that last longer, with its bounds, and beside it what exponential up-times of the same MTBF
    would do. None where no provider failed often enough."""
    figure, colours = go.Figure(), colours_of(summary)
    for provider in summary.providers:
        if provider.reliability.survival is not None:
            _add_survival(figure, label(provider.target), provider.reliability, colours[provider.target])
    if not figure.data:
        return None
    styled(figure, "s since it came up", "% still up")
    figure.update_yaxes(range=[0, 103])
    return figure


def _add_survival(figure: go.Figure, name: str, found: Reliability, colour: str) -> None:
    curve = found.survival
    assert curve is not None
    time_s = [0.0, *curve.time_s]
    share = [100.0, *(100 * value for value in curve.share)]
    low, high = ([100.0, *(_percent(value) for value in bound)] for bound in (curve.low, curve.high))
    band = {"mode": "lines", "line": {"width": 0, "shape": "hv"}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=time_s, y=high, **band)
    figure.add_scatter(x=time_s, y=low, fill="tonexty", fillcolor=_faint(colour), **band)
    figure.add_scatter(x=time_s, y=share, name=name, mode="lines", line={"color": colour, "width": 2, "shape": "hv"})
    if found.mtbf_s.value:
        at_s = [time_s[-1] * place / _POINTS for place in range(_POINTS + 1)]
        y = [100 * math.exp(-each / found.mtbf_s.value) for each in at_s]
        line = {"color": colour, "width": 1, "dash": "dot"}
        figure.add_scatter(x=at_s, y=y, name=f"{name}, if exponential", mode="lines", line=line)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.12)"
