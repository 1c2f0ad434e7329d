"""Plotly figures of a ranking: the scores of each target as bars, and the matrix of targets and metrics."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from analysis.deciding.ranking_record import Ranking
from analysis.ranking import MATRIX
from analysis.records.record import Estimate
from analysis.showing.charts import COLOURS, label, styled
from analysis.wording import metric_name, metric_value

_HIGH = ("_rps", "_per_s", "success_ratio", "availability", "quality.")
_ROW = 26


def ranking_figures(found: Ranking) -> list[tuple[str, str, go.Figure | None]]:
    """Titles, notes and figures of a ranking that has places."""
    bars = "0 to 100, best first; 95 % intervals. The best of a category has 100; the total is their weighted product."
    heat = "Shade: how far behind the best of each metric, on a logarithmic scale; the numbers are those measured."
    return [("Scores by category", bars, score_bars(found)), ("Targets and metrics", heat, matrix(found))]


def score_bars(found: Ranking) -> go.Figure:
    """A group of bars for each target, the best first: its total, then its categories."""
    figure = go.Figure()
    names = [label(place.target) for place in found.places]
    series = {"total": [place.total for place in found.places]}
    for place in found.places:
        for score in place.scores:
            series.setdefault(score.category, []).append(score.score)
    colours = {"total": "#444b54"} | dict(zip(list(series)[1:], COLOURS, strict=False))
    for name, scores in series.items():
        up, down = zip(*(_reach(each) for each in scores), strict=True)
        error = {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1, "width": 2}
        y = [each.value for each in scores]
        figure.add_bar(x=names, y=y, error_y=error, name=name, marker_color=colours[name])
    return styled(figure, "", "score").update_yaxes(range=[0, 105])


def _reach(found: Estimate) -> tuple[float, float]:
    """How far the interval reaches up and down from the value."""
    low, high = found.ci95 or (None, None)
    value = found.value or 0.0
    return max(0.0, (high or value) - value), max(0.0, value - (value if low is None else low))


def matrix(found: Ranking) -> go.Figure:
    """A row for each metric and a column for each target, the best first, with the numbers in the cells."""
    paths = [path for path in MATRIX if any(path in place.numbers for place in found.places)][::-1]
    z, text = [], []
    for path in paths:
        values = [place.numbers[path].value if path in place.numbers else None for place in found.places]
        z.append(behind(path, values))
        text.append([metric_value(path, value) for value in values])
    heat = go.Heatmap(
        z=z,
        x=[label(place.target) for place in found.places],
        y=[metric_name(path) for path in paths],
        text=text,
        texttemplate="%{text}",
        colorscale="Cividis",
        zmin=0,
        zmax=1,
        showscale=False,
        hovertemplate="%{x}, %{y}: %{text}<extra></extra>",
    )
    figure = styled(go.Figure(heat), "", "")
    return figure.update_layout(height=120 + _ROW * len(paths)).update_xaxes(side="top", title="", type="category")


def behind(path: str, values: list[float | None]) -> list[float | None]:
    """1 for the best of a row, 0 for what is ten times behind it; shares by what they lack, and one more in 100."""
    high = any(part in path for part in _HIGH)
    share = path in ("success_ratio", "availability") or path.startswith("quality.")
    burdens = [
        None
        if value is None or (value <= 0 and not share)
        else 1 + 100 * (1 - value)
        if share
        else 1 / value
        if high
        else value
        for value in values
    ]
    best = min((each for each in burdens if each is not None), default=None)
    return [None if each is None or best is None else max(0.0, 1 - math.log10(each / best)) for each in burdens]
