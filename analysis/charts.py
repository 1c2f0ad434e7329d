"""Plotly figures of a run. Colours are Okabe and Ito's, which colour-blind people tell apart; one for each target.

Names from a plan or a provider are neutralised, since plotly renders some HTML in labels.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.quantiles import Floats
from analysis.samples import Samples
from analysis.summary import Result, Summary
from analysis.wording import place

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6D31", "#666666")
_POINTS = 400


def colours_of(summary: Summary) -> dict[str, str]:
    """The colour of each target, the same in every figure."""
    names = list(dict.fromkeys(result.target for result in summary.results))
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


def label(text: object) -> str:
    """Text that is safe in a plotly label."""
    return html.escape(str(text), quote=False)


def _styled(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#7a828c"},
        margin={"l": 60, "r": 16, "t": 16, "b": 56},
        height=340,
        legend={"orientation": "h", "y": 1.12},
        hovermode="closest",
    )
    grid = {"gridcolor": "rgba(128,128,128,0.2)", "zerolinecolor": "rgba(128,128,128,0.35)", "automargin": True}
    figure.update_xaxes(title=x, **grid)
    figure.update_yaxes(title=y, **grid)
    return figure


def distribution(summary: Summary, samples: Samples, metric: str) -> go.Figure | None:
    """The cumulative distribution of `ttft_s`, `itl_s` or `e2e_s`, a line for each target and workload."""
    figure = go.Figure()
    colours = colours_of(summary)
    table = samples.table[samples.table["outcome"] == "ok"]
    seen: set[tuple[str, str]] = set()
    for result in summary.results:
        key = (result.target, result.workload or "")
        rows = table[(table["target"] == key[0]) & (table["workload"] == key[1])]
        values = _values(rows, metric)
        if key in seen or len(values) == 0:
            continue
        seen.add(key)
        share = np.linspace(0, 1, min(_POINTS, len(values)))
        name = label(" ".join(key))
        line = {"color": colours[result.target], "width": 2}
        figure.add_scatter(x=np.quantile(values, share) * 1000, y=share * 100, name=name, mode="lines", line=line)
    if not seen:
        return None
    _styled(figure, "ms (log scale)", "% of requests or gaps at most")
    figure.update_xaxes(type="log")
    return figure


def _values(rows: pd.DataFrame, metric: str) -> Floats:
    events = [np.asarray(each, dtype=float) for each in rows["event_ns"]]
    start = np.asarray(rows["start_ns"].astype(float).to_numpy(), dtype=float)
    if metric == "e2e_s":
        return np.asarray((rows["end_ns"].astype(float).to_numpy() - start) / 1e9, dtype=float)
    if metric == "itl_s":
        gaps = [np.diff(each) for each in events]
        return np.asarray(np.concatenate(gaps) / 1e9 if gaps else np.empty(0), dtype=float)
    first = np.array([each[0] if len(each) else np.nan for each in events], dtype=float)
    found = (first - start) / 1e9
    return np.asarray(found[~np.isnan(found)], dtype=float)


def over_time(summary: Summary, samples: Samples) -> go.Figure:
    """Each request's E2E at the time it started, with failures as crosses; repeats are shaded bands."""
    figure = go.Figure()
    table = samples.table
    origin = float(table["start_abs_ns"].min())
    for target, colour in colours_of(summary).items():
        rows = table[table["target"] == target]
        rows = rows.iloc[:: max(1, len(rows) // 1500)]
        good = rows["outcome"] == "ok"
        for mask, symbol, name in ((good, "circle", target), (~good, "x", f"{target} failed")):
            here = rows[mask]
            if len(here):
                x = (here["start_abs_ns"].astype(float) - origin) / 1e9
                y = (here["end_ns"] - here["start_ns"]).astype(float) / 1e6
                marker = {"color": colour, "size": 4 if symbol == "circle" else 8, "symbol": symbol}
                figure.add_scatter(x=x, y=y, name=label(name), mode="markers", marker=marker)
    for repeat in sorted(int(each) for each in table["repeat"].unique()):
        rows = table[table["repeat"] == repeat]
        x0, x1 = ((float(value) - origin) / 1e9 for value in (rows["start_abs_ns"].min(), rows["end_abs_ns"].max()))
        shade = {"fillcolor": "rgba(128,128,128,0.08)", "line_width": 0, "annotation_text": f"repeat {repeat}"}
        figure.add_vrect(x0=x0, x1=x1, annotation_position="top left", **shade)
    return _styled(figure, "s since the first request", "E2E in ms")


def throughput(results: Sequence[Result], colours: dict[str, str]) -> go.Figure:
    """Completed requests/s of each result, a group for each workload and stage."""
    figure = go.Figure()
    for target, colour in colours.items():
        rows = [result for result in results if result.target == target]
        x, y = [label(place(result)) for result in rows], [result.completed_rps for result in rows]
        figure.add_bar(x=x, y=y, name=label(target), marker_color=colour)
    return _styled(figure, "", "completed requests/s")


def errors(results: Sequence[Result]) -> go.Figure | None:
    """Errors by class, stacked, a bar for each target; None without any."""
    classes = sorted({name for result in results for name in result.error_classes})
    if not classes:
        return None
    figure = go.Figure()
    targets = list(dict.fromkeys(result.target for result in results))
    for index, name in enumerate(classes):
        counts = [sum(r.error_classes.get(name, 0) for r in results if r.target == target) for target in targets]
        figure.add_bar(x=[label(t) for t in targets], y=counts, name=name, marker_color=COLOURS[index % len(COLOURS)])
    figure.update_layout(barmode="stack")
    return _styled(figure, "", "failed requests")


SCORES = {
    "TTFT": ("ttft_s", "lower"),
    "ITL": ("itl_s", "lower"),
    "E2E": ("e2e_s", "lower"),
    "throughput": ("completed_rps", "higher"),
    "tokens/s": ("output_tokens_per_s", "higher"),
}


def scores(results: Sequence[Result]) -> dict[str, dict[str, float | None]]:
    """By target and category: 100 x best / own for what should be low (p50), 100 x own / best for what should be high.
    100 is the best of these results; None: not measured."""
    table: dict[str, dict[str, float | None]] = {result.target: {} for result in results}
    for name, (field, better) in SCORES.items():
        values = {result.target: _figure_of(result, field) for result in results}
        known = [value for value in values.values() if value]
        best = (min(known) if better == "lower" else max(known)) if known else None
        for target, value in values.items():
            ratio = None if not value or not best else best / value if better == "lower" else value / best
            table[target][name] = None if ratio is None else 100 * ratio
    return table


def _figure_of(result: Result, field: str) -> float | None:
    value: Any = getattr(result, field)
    return value if value is None or isinstance(value, float) else value.p50


def heatmap(results: Sequence[Result]) -> go.Figure:
    """The scores as a heat map with their values printed."""
    table = scores(results)
    z = [[row.get(name) for name in SCORES] for row in table.values()]
    text = [["" if value is None else f"{value:.0f}" for value in row] for row in z]
    names = [label(target) for target in table]
    heat = go.Heatmap(
        z=z, x=list(SCORES), y=names, text=text, texttemplate="%{text}", colorscale="Cividis", zmin=0, zmax=100
    )
    return _styled(go.Figure(heat), "", "")


def radar(results: Sequence[Result], colours: dict[str, str]) -> go.Figure:
    """The scores as a radar."""
    figure = go.Figure()
    names = list(SCORES)
    for target, row in scores(results).items():
        r = [row.get(name) for name in names]
        figure.add_scatterpolar(
            r=[*r, r[0]],
            theta=[*names, names[0]],
            name=label(target),
            line_color=colours[target],
            fill="toself",
            opacity=0.5,
        )
    _styled(figure, "", "")
    grid = "rgba(128,128,128,0.25)"
    radial = {"range": [0, 100], "gridcolor": grid}
    figure.update_layout(polar={"bgcolor": "rgba(0,0,0,0)", "radialaxis": radial, "angularaxis": {"gridcolor": grid}})
    return figure
