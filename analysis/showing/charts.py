"""Plotly figures of a run. Colours are Okabe and Ito's, which colour-blind people tell apart; one for each target.

Names from a plan or a provider are neutralised, since plotly renders some HTML in labels.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from analysis.quantiles import Floats
from analysis.reading.gaps import Whole
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


def styled(figure: go.Figure, x: str, y: str) -> go.Figure:
    """The figure with the look that all have, and titles of its axes."""
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#7a828c"},
        margin={"l": 48, "r": 12, "t": 8, "b": 48},
        height=360,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
    )
    soft = "rgba(128,128,128,0.35)"
    grid = {"gridcolor": "rgba(128,128,128,0.2)", "zerolinecolor": soft, "tickcolor": soft, "automargin": True}
    figure.update_xaxes(title=x, **grid)
    figure.update_yaxes(title=y, **grid)
    return figure


def distribution(summary: Summary, samples: Samples, metric: str) -> go.Figure | None:
    """The cumulative distribution of `ttft_s`, `itl_s` or `e2e_s`, a line for each target and workload. Gaps are those
    of at most 2000 requests of each, evenly chosen."""
    figure = go.Figure()
    colours = colours_of(summary)
    good = samples.table["outcome"] == "ok"
    workloads = list(dict.fromkeys(result.workload for result in summary.results))
    for target, workload in dict.fromkeys((result.target, result.workload) for result in summary.results):
        mine = good & (samples.table["target"] == target) & (samples.table["workload"] == workload)
        values = _values(samples, np.flatnonzero(mine.to_numpy()), metric)
        if len(values):
            share = np.linspace(0, 1, min(_POINTS, len(values)))
            line = {"color": colours[target], "width": 2, "dash": _DASHES[workloads.index(workload) % len(_DASHES)]}
            name = label(target if len(workloads) == 1 else f"{target} {workload}")
            x = np.maximum(np.quantile(values, share) * 1000, _LEAST_MS)
            figure.add_scatter(x=short(x), y=short(share * 100), name=name, mode="lines", line=line)
    if not figure.data:
        return None
    styled(figure, "ms (log scale)", "% at most")
    _log_axis(figure)
    return figure


def _log_axis(figure: go.Figure) -> None:
    """A logarithmic axis over what lies between the first and the last per cent of any line, with plain ticks."""
    low = min(line.x[len(line.x) // 100] for line in figure.data) * 0.9
    high = max(line.x[-1 - len(line.x) // 200] for line in figure.data) * 1.1
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = _STEPS[0] if high / low < 5 else _STEPS[1] if high / low < 1000 else _STEPS[2]
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    text = [f"{tick:g}" for tick in ticks]
    figure.update_xaxes(type="log", range=[math.log10(low), math.log10(high)], tickvals=ticks, ticktext=text)


_STEPS: tuple[tuple[float, ...], ...] = ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 5), (1,))
_DASHES = ("solid", "dash", "dot", "dashdot")
_LEAST_MS = 1e-3  # a logarithmic axis has no zero; below, no clock here tells times apart
_MOST_REQUESTS = 2000


def short(values: Floats) -> list[float]:
    """Numbers with five digits, which is more than a plot shows."""
    return [float(f"{value:.5g}") for value in values]


def _values(samples: Samples, rows: Whole, metric: str) -> Floats:
    if metric == "itl_s":
        chosen = np.zeros(len(samples.table), dtype=bool)
        chosen[rows[:: max(1, len(rows) // _MOST_REQUESTS)]] = True
        return np.concatenate([np.empty(0), *samples.gaps.of_rows(chosen)]) / 1e9
    last = "end_ns" if metric == "e2e_s" else "first_event_ns"
    found = (samples.column(last, rows) - samples.column("start_ns", rows)) / 1e9
    return found[~np.isnan(found)]


def over_time(summary: Summary, samples: Samples) -> go.Figure | None:
    """E2E of at most 1500 requests of each target at the time they started, with failures as crosses; repeats are
    shaded bands. None where nothing was sent."""
    sent = ~np.isnan(samples.column("start_ns"))
    if not sent.any():
        return None
    figure = go.Figure()
    origin = float(np.nanmin(samples.on_axis("start_ns")))
    good = (samples.table["outcome"] == "ok").to_numpy()
    for target, colour in colours_of(summary).items():
        mine = sent & (samples.table["target"] == target).to_numpy()
        for mask, symbol, name in ((mine & good, "circle", target), (mine & ~good, "x", f"{target} failed")):
            rows = np.flatnonzero(mask)
            rows = rows[:: max(1, math.ceil(len(rows) / _MARKS))]
            if len(rows):
                start = samples.on_axis("start_ns", rows)
                y = (samples.on_axis("end_ns", rows) - start) / 1e6
                marker = {"color": colour, "size": 4 if symbol == "circle" else 8, "symbol": symbol}
                x = short((start - origin) / 1e9)
                figure.add_scatter(x=x, y=short(y), name=label(name), mode="markers", marker=marker)
    _shade_repeats(figure, samples, origin)
    return styled(figure, "s since the first request", "E2E in ms")


_MARKS = 1500


def _shade_repeats(figure: go.Figure, samples: Samples, origin: float) -> None:
    repeat = samples.table["repeat"].to_numpy()
    for number in np.unique(repeat):
        rows = np.flatnonzero(repeat == number)
        start, end = samples.on_axis("start_ns", rows), samples.on_axis("end_ns", rows)
        if not np.isnan(start).all():
            x0, x1 = (float(np.nanmin(start)) - origin) / 1e9, (float(end.max()) - origin) / 1e9
            shade = {"fillcolor": "rgba(128,128,128,0.08)", "line_width": 0, "annotation_text": f"repeat {number}"}
            figure.add_vrect(x0=x0, x1=x1, annotation_position="top left", **shade)


def throughput(results: Sequence[Result], colours: dict[str, str]) -> go.Figure:
    """Completed requests/s of each result, a group for each workload and stage."""
    figure = go.Figure()
    for target, colour in colours.items():
        rows = [result for result in results if result.target == target]
        x, y = [label(place(result) or target) for result in rows], [result.completed_rps for result in rows]
        figure.add_bar(x=x, y=y, name=label(target), marker_color=colour)
    return styled(figure, "", "completed requests/s")


def recoveries(results: Sequence[Result], colours: dict[str, str]) -> go.Figure | None:
    """Recovery times, a group for each scenario, a bar for each target that recovered in every repeat; None without
    any."""
    figure = go.Figure()
    for target, colour in colours.items():
        found = [each.recovery for each in results if each.target == target and each.recovery]
        times = {
            each.scenario: [at for at in each.times_s if at is not None] for each in found if each.worst_s is not None
        }
        if times:
            y = [sum(own) / len(own) for own in times.values()]
            figure.add_bar(x=[label(each) for each in times], y=y, name=label(target), marker_color=colour)
    return styled(figure, "", "recovery in s") if figure.data else None


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
    return styled(figure, "", "failed requests")


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
    return styled(go.Figure(heat), "", "")


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
    styled(figure, "", "")
    grid = "rgba(128,128,128,0.25)"
    lines = {"gridcolor": grid, "linecolor": grid, "tickcolor": grid}
    radial = {"range": [0, 100], **lines}
    figure.update_layout(polar={"bgcolor": "rgba(0,0,0,0)", "radialaxis": radial, "angularaxis": lines})
    return figure
