"""Plotly figures of runs and comparisons for notebooks, on a light ground of their own."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from analysis.api import Run
from analysis.showing.charts import COLOURS, colours_of, distribution, label, over_time, styled
from analysis.showing.charts_capacity import throughput_latency
from harness.errors import UsageFault

_VERDICTS = {"better": COLOURS[2], "worse": COLOURS[4], "no difference": COLOURS[7], "not comparable": COLOURS[7]}


def latencies(run: Run, metric: str = "ttft_s") -> go.Figure:
    """The cumulative distribution of `ttft_s`, `itl_s` or `e2e_s`, a line for each target. Raises UsageFault where it
    was not measured."""
    if metric not in _DISTRIBUTIONS:
        raise UsageFault(f"metric: {metric!r}: no distribution is drawn of it", f"one of {', '.join(_DISTRIBUTIONS)}")
    if run.samples is None:
        raise UsageFault(f"{run.path}: no samples: Locust's CSV has no single requests", "name a run directory")
    return _shown(distribution(run.summary, run.samples, metric), f"{run.path}: {metric}: not measured")


_DISTRIBUTIONS = ("ttft_s", "itl_s", "e2e_s")


def timeline(run: Run) -> go.Figure:
    """E2E of requests at the time they started, failures as crosses. Raises UsageFault where nothing was sent."""
    found = None if run.samples is None else over_time(run.summary, run.samples)
    return _shown(found, f"{run.path}: no single requests to draw")


def load_curve(run: Run, field: str = "ttft_s") -> go.Figure:
    """Throughput against a latency (`ttft_s`, `e2e_s`), a point for each load. Raises UsageFault where there was but
    one load."""
    found = throughput_latency(run.summary, run.summary.sweeps, field)
    several = found is not None and any(len(line.x) > 1 for line in found.data)
    return _shown(found if several else None, f"{run.path}: no several loads to draw")


def metric_bars(run: Run, metric: str, targets: Sequence[str] = ()) -> go.Figure:
    """A number of `run.results` for each target (or those named), workload and stage, with its 95 % interval where it
    has one. Raises UsageFault where there is no such number."""
    frame, colours = run.results, colours_of(run.summary)
    if metric not in frame or not pd.api.types.is_numeric_dtype(frame[metric]):
        raise UsageFault(f"metric: {metric!r}: no such number in the results", "a column of run.results")
    figure = go.Figure()
    for target in targets or dict.fromkeys(frame["target"].astype(str)):
        if target not in colours:
            raise UsageFault(f"targets: {target!r}: no such target", f"there are: {', '.join(colours)}")
        rows = frame[frame["target"] == target]
        where = [label(f"{each} {stage}") for each, stage in zip(rows["workload"], rows["stage_label"], strict=True)]
        bars = {"name": label(target), "marker": {"color": colours[target]}, "error_y": _ends(rows, metric)}
        figure.add_bar(x=where, y=rows[metric], **bars)
    return _shown(styled(figure, "", label(metric)), "")


def _ends(rows: pd.DataFrame, metric: str) -> dict[str, object] | None:
    low, high = f"{metric}.low", f"{metric}.high"
    if low not in rows or high not in rows:
        return None
    up, down = rows[high] - rows[metric], rows[metric] - rows[low]
    return {"type": "data", "symmetric": False, "array": up.tolist(), "arrayminus": down.tolist()}


_OF_PAIR = ("a", "b", "metric", "workload", "stage")
_PAIR = "{} / {}: {}, {} {}"


def differences(compared: pd.DataFrame) -> go.Figure:
    """What `compare` gave: each ratio with its 95 % interval, on a logarithmic axis. Right of 1, a is the higher."""
    figure = go.Figure()
    known = compared.dropna(subset=["ratio"]) if len(compared) else compared
    for verdict in dict.fromkeys(known["verdict"].astype(str)):
        rows = known[known["verdict"] == verdict]
        names = [label(_PAIR.format(*each)) for each in rows[list(_OF_PAIR)].itertuples(index=False)]
        colour = _VERDICTS.get(verdict, COLOURS[7])
        figure.add_scatter(
            x=rows["ratio"],
            y=names,
            name=label(f"a is {verdict}" if verdict in ("better", "worse") else verdict),
            mode="markers",
            marker={"color": colour, "size": 9},
            error_x=None if (ends := _ends(rows, "ratio")) is None else ends | {"color": colour},
        )
    figure.add_vline(x=1, line={"width": 1, "dash": "dot"})
    styled(figure, "a / b (log scale)", "")
    figure.update_xaxes(type="log")
    figure.update_layout(height=120 + 26 * len(known))
    return _shown(figure, "")


def _shown(figure: go.Figure | None, missing: str) -> go.Figure:
    """With a ground of its own, since a notebook may be dark or light."""
    if figure is None:
        raise UsageFault(missing, "see run.findings and run.results for what there is")
    figure.update_layout(paper_bgcolor="white", plot_bgcolor="white", font={"color": "#333"})
    return figure
