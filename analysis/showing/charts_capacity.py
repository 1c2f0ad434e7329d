"""Plotly figures of sweeps: throughput against latency, the fitted law, degradation, batches, lengths of prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from analysis.records.capacity_record import Sweep
from analysis.samples import Samples
from analysis.showing.charts import colours_of, label, short, styled
from analysis.showing.charts_search import search_figure
from analysis.summary import Dist, Repeat, Result, Summary
from analysis.wording import NAMES, number, place

Figure = tuple[str, str, go.Figure | None]
_MARKS = 800
_STAR = {"size": 15, "symbol": "star", "line": {"width": 1, "color": "#888"}}
_DEGRADATION = {**NAMES, "tpot_s.p50": "TPOT p50", "per_user_tokens_per_s": "tokens/s per user"}


def capacity_figures(summary: Summary, samples: Samples | None) -> list[Figure]:
    """Titles, notes and figures; those of a sweep only where a target has several loads."""
    found: list[Figure] = []
    if summary.search is not None:
        note = "The part of the requests within the SLO at each step, with its 95 % interval; green: the capacity."
        found.append(("Attainment and load", note, search_figure(summary.search)))
    for workload in dict.fromkeys(sweep.workload for sweep in summary.sweeps):
        sweeps = [each for each in summary.sweeps if each.workload == workload and len(points_of(summary, each)) > 1]
        if not sweeps:
            continue
        law = "The law X(N) with its 95 % band; a mark each repeat; hollow: not in the fit; star: the knee."
        curve = "95th percentile at each load, N in flight beside it; dotted: the SLO; star: the load nearest the knee."
        for field, name in (("ttft_s", "Throughput and TTFT"), ("e2e_s", "Throughput and E2E")):
            found.append((name, f"{workload}. {curve}", throughput_latency(summary, sweeps, field)))
        found.append(("Throughput and load", f"{workload}. {law}", usl_curve(summary, sweeps)))
        note = f"{workload}. Each metric over the same at the lowest load; 1 is unchanged."
        found.append(("Degradation under load", note, degradation(summary, sweeps)))
    batches = [result for result in summary.results if result.batch is not None and result.batch.efficiency is not None]
    found.append(
        (
            "Batch efficiency",
            "Items/s at b over b x items/s at 1; 100 % is perfect. Items: texts, documents, or prompts of a job.",
            batch_efficiency(batches),
        )
    )
    if samples is not None:
        note = "A mark a request, at the lowest load; hollow: with prompt tokens from the cache."
        found.append(("TTFT by prompt length", note, by_prompt(summary, samples)))
    return found


def points_of(summary: Summary, sweep: Sweep) -> list[Result]:
    """The results of a sweep in order of load."""
    mine = [
        each
        for each in summary.results
        if (each.target, each.workload) == (sweep.target, sweep.workload) and each.in_flight_mean
    ]
    return sorted(mine, key=lambda each: each.in_flight_mean or 0.0)


def throughput_latency(summary: Summary, sweeps: Sequence[Sweep], field: str) -> go.Figure | None:
    """p95 of a latency against completed requests/s, a line for each target through its loads."""
    figure, colours = go.Figure(), colours_of(summary)
    for sweep in sweeps:
        points = [(each, dist.p95) for each in points_of(summary, sweep) if (dist := _dist(each, field)) and dist.p95]
        if not points:
            continue
        x, y = [each.completed_rps or 0.0 for each, _ in points], [1000 * value for _, value in points]
        text = [f"{each.in_flight_mean:.3g}" for each, _ in points]
        line = {"color": colours[sweep.target], "width": 2}
        more = {"text": text, "textposition": "top center", "mode": "lines+markers+text", "textfont": {"size": 10}}
        figure.add_scatter(x=x, y=y, name=label(sweep.target), line=line, **more)
        _star(figure, sweep, [each.in_flight_mean or 0.0 for each, _ in points], x, y, colours[sweep.target])
    if not figure.data:
        return None
    limit = summary.slo.get(field)
    if limit is not None:
        figure.add_hline(y=1000 * limit, line={"dash": "dot", "color": "#D55E00"}, annotation_text=f"SLO {limit:g} s")
    styled(figure, "completed requests/s", f"{field[:-2].upper()} p95 in ms (log scale)")
    figure.update_yaxes(type="log")
    return figure


def _star(
    figure: go.Figure, sweep: Sweep, loads: Sequence[float], x: Sequence[float], y: Sequence[float], colour: str
) -> None:
    """A star on the load nearest the knee."""
    knee = sweep.usl.n_star and sweep.usl.n_star.value
    if knee:
        at = min(range(len(loads)), key=lambda k: abs(math.log(loads[k] / knee)))
        figure.add_scatter(
            x=[x[at]], y=[y[at]], mode="markers", showlegend=False, marker={"color": colour, **_STAR}, hovertext="knee"
        )


def _dist(result: Result, field: str) -> Dist | None:
    found: Dist | None = getattr(result, field)
    return found


def usl_curve(summary: Summary, sweeps: Sequence[Sweep]) -> go.Figure:
    """Requests/s against the mean in flight: every repeat, and the fitted law with its band."""
    figure, colours = go.Figure(), colours_of(summary)
    for sweep in sweeps:
        colour = colours[sweep.target]
        for fitted, symbol in ((True, "circle"), (False, "circle-open")):
            points = [each for each in points_of(summary, sweep) if (each.stage not in sweep.left_out) == fitted]
            pairs = [_place(one) for each in points for one in each.repeat_values]
            if pairs:
                x, y = zip(*pairs, strict=True)
                marker = {"color": colour, "size": 7, "symbol": symbol}
                figure.add_scatter(x=x, y=y, mode="markers", name=label(sweep.target), marker=marker, showlegend=fitted)
        if sweep.band:
            _band(figure, sweep, colour)
    return styled(figure, "mean in flight, N", "completed requests/s")


def _place(repeat: Repeat) -> tuple[float | None, float | None]:
    return repeat.values.get("in_flight_mean"), repeat.values.get("throughput_rps")


def _band(figure: go.Figure, sweep: Sweep, colour: str) -> None:
    x = [each.in_flight for each in sweep.band]
    outline = [each.high_rps for each in sweep.band] + [each.low_rps for each in reversed(sweep.band)]
    quiet: dict[str, Any] = {"showlegend": False, "hoverinfo": "skip", "mode": "lines"}
    figure.add_scatter(x=x + x[::-1], y=outline, fill="toself", fillcolor=colour, opacity=0.18, line_width=0, **quiet)
    figure.add_scatter(x=x, y=[each.rps for each in sweep.band], line={"color": colour, "width": 2}, **quiet)
    usl = sweep.usl
    if usl.n_star and usl.max_rps and usl.n_star.value:
        note = f"N* = {usl.n_star.value:.3g}"
        marker = {"color": colour, **_STAR}
        top = [usl.max_rps.value]
        more: dict[str, Any] = {"mode": "markers+text", "text": [note], "textposition": "top center"}
        figure.add_scatter(x=[usl.n_star.value], y=top, marker=marker, showlegend=False, **more)


def degradation(summary: Summary, sweeps: Sequence[Sweep]) -> go.Figure | None:
    """Ratios to the lowest load as a heat map: red is worse, with the ratios printed."""
    rows = [
        (each, each.scaling.degradation)
        for sweep in sweeps
        for each in points_of(summary, sweep)
        if each.scaling is not None and each.scaling.degradation
    ]
    metrics = [name for name in _DEGRADATION if any(name in ratios for _, ratios in rows)]
    if not metrics:
        return None
    values = [[ratios[name].value if name in ratios else None for name in metrics] for _, ratios in rows]
    worse = [[_worse(name, value) for name, value in zip(metrics, row, strict=True)] for row in values]
    text = [["" if value is None else f"x{number(value)}" for value in row] for row in values]
    names = [label(f"{each.target}, {each.in_flight_mean:.3g} in flight") for each, _ in rows]
    heat = go.Heatmap(
        z=worse,
        x=[_DEGRADATION[name] for name in metrics],
        y=names,
        text=text,
        texttemplate="%{text}",
        colorscale=[[0, "#56B4E9"], [0.5, "#F4F4F4"], [1, "#D55E00"]],
        textfont={"color": "#222"},
        zmid=0,
        zmin=-2,
        zmax=2,
        showscale=False,
    )
    figure = styled(go.Figure(heat), "", "")
    figure.update_yaxes(autorange="reversed")
    return figure.update_layout(height=max(240, 120 + 26 * len(rows)))


def _worse(metric: str, ratio: float | None) -> float | None:
    """How often it has doubled for the worse."""
    if ratio is None or ratio <= 0:
        return None
    return -math.log2(ratio) if metric == "per_user_tokens_per_s" else math.log2(ratio)


def batch_efficiency(results: Sequence[Result]) -> go.Figure | None:
    """Efficiency by size of batch, a line for each target and load."""
    figure = go.Figure()
    for key in dict.fromkeys((each.target, each.stage_label) for each in results):
        mine = [each.batch for each in results if each.batch and (each.target, each.stage_label) == key]
        mine.sort(key=lambda batch: batch.size)
        name = label(", ".join(part for part in key if part))
        y = [100 * (batch.efficiency or 0.0) for batch in mine]
        figure.add_scatter(x=[batch.size for batch in mine], y=y, name=name, mode="lines+markers")
    if not figure.data:
        return None
    styled(figure, "batch size (log scale)", "% of perfect")
    figure.update_xaxes(type="log")
    return figure.update_yaxes(rangemode="tozero")


def by_prompt(summary: Summary, samples: Samples) -> go.Figure | None:
    """TTFT against prompt tokens of at most 800 good requests of each target, at the lowest load of each workload."""
    figure, colours = go.Figure(), colours_of(summary)
    table = samples.table
    good = (table["outcome"] == "ok").to_numpy()
    for sweep in summary.sweeps:
        points = points_of(summary, sweep)
        if not points:
            continue
        mine = good & (table["target"] == sweep.target).to_numpy() & (table["workload"] == sweep.workload).to_numpy()
        rows = np.flatnonzero(mine & (table["stage"].to_numpy() == points[0].stage))
        rows = rows[:: max(1, math.ceil(len(rows) / _MARKS))]
        _prompt_marks(figure, label(f"{sweep.target}, {place(points[0])}"), samples, rows, colours[sweep.target])
    return styled(figure, "prompt tokens", "TTFT in ms") if figure.data else None


def _prompt_marks(
    figure: go.Figure, name: str, samples: Samples, rows: np.typing.NDArray[np.int64], colour: str
) -> None:
    x = samples.column("input_tokens", rows)
    y = (samples.column("first_event_ns", rows) - samples.column("start_ns", rows)) / 1e6
    hit = np.nan_to_num(samples.column("cached_tokens", rows)) > 0
    for flags, symbol in ((~hit, "circle"), (hit, "circle-open")):
        chosen = flags & ~np.isnan(x) & ~np.isnan(y)
        if chosen.any() and np.ptp(x[~np.isnan(x)]) > 0:
            marker = {"color": colour, "size": 5, "symbol": symbol}
            shown = bool(symbol == "circle" or not (~hit).any())
            figure.add_scatter(
                x=short(x[chosen]), y=short(y[chosen]), mode="markers", name=name, marker=marker, showlegend=shown
            )
