"""Plotly figure of a search for a capacity: what kept the SLO at each load that was tried, and the answer."""

from __future__ import annotations

import plotly.graph_objects as go

from analysis.records.capacity_record import CapacitySearch
from analysis.reliability import wilson
from analysis.showing.charts import styled


def search_figure(found: CapacitySearch) -> go.Figure | None:
    """The part of the requests within the SLO at each step of the search, with Wilson's 95 % interval, and the
    capacity with its own."""
    steps = [step for step in found.steps if step.judged]
    if not steps:
        return None
    figure = go.Figure()
    for phase, symbol in (("growth", "circle-open"), ("refinement", "circle")):
        mine = [step for step in steps if step.phase == phase]
        shares = [wilson(step.within, step.judged) for step in mine]
        y = [100 * (each.value or 0.0) for each in shares]
        ends = [each.ci95 or (each.value, each.value) for each in shares]
        up = [100 * (high or 0.0) - at for (_, high), at in zip(ends, y, strict=True)]
        down = [at - 100 * (low or 0.0) for (low, _), at in zip(ends, y, strict=True)]
        figure.add_scatter(
            x=[step.load for step in mine],
            y=y,
            mode="markers",
            name=phase,
            marker={"symbol": symbol, "size": 9, "color": "#0072B2"},
            error_y={"array": up, "arrayminus": down, "thickness": 1, "color": "#888"},
            text=[f"{step.within} of {step.judged}" for step in mine],
        )
    figure.add_hline(y=100 * found.question.wanted, line={"dash": "dot", "color": "#D55E00"}, annotation_text="wanted")
    answer = found.answer
    if answer is not None and answer.capacity is not None:
        figure.add_vline(x=answer.capacity, line={"color": "#009E73"}, annotation_text=f"{answer.capacity:.3g}")
        if answer.low is not None and answer.high is not None:
            figure.add_vrect(x0=answer.low, x1=answer.high, fillcolor="#009E73", opacity=0.15, line_width=0)
    styled(figure, "users" if found.question.unit == "concurrency" else "arrivals/s", "% of requests within the SLO")
    return figure.update_yaxes(range=[0, 102])
