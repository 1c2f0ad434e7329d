"""The history of runs as one self-contained HTML page: claims first, charts, a table, methods last. Needs no network.

Names from plans and providers are hostile text: Jinja2 escapes them, figures are embedded as in the report of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jinja2
import plotly.offline

from analysis.histories import wording_history
from analysis.histories.history_metrics import METRICS
from analysis.records.history_record import Series, Trends
from analysis.report import embeddable
from analysis.showing.charts_history import history_figure
from harness.rundir import write_out

MOST_FIGURES = 60
_HEADLINES = {metric.path for metric in METRICS if metric.headline}
_PAGE = jinja2.Environment(
    loader=jinja2.PackageLoader("analysis"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


def write_page(found: Trends, out: Path, *, every: bool) -> None:
    """Write the page of a history, whole or not at all. `every`: charts of all series it holds, else of the headline
    metrics that are not past; 60 charts at most. Raises OSError."""
    write_out(out, render_history(found, every=every).encode())


def render_history(found: Trends, *, every: bool = False) -> str:
    """The page as text."""
    shown = [each for each in found.series if every or (each.current and each.metric in _HEADLINES)]
    groups = _groups(shown)
    figures = {f"history-{number}": embeddable(history_figure(group)) for number, group in enumerate(groups)}
    return _PAGE.get_template("history.html").render(
        found=found,
        claims=wording_history.claims(found.series),
        groups=[(f"history-{number}", _title(group), group) for number, group in enumerate(groups)],
        left_out=len({_place(each) for each in shown}) - len(groups),
        shown=shown,
        figures=figures,
        plotly=plotly.offline.get_plotlyjs(),
        said=wording_history,
    )


def _place(series: Series) -> tuple[object, ...]:
    return series.plan, series.workload, series.stage, series.stage_label, series.metric


def _groups(series: Sequence[Series]) -> list[list[Series]]:
    """The targets of one load and metric together; those with a claim first."""
    found: dict[tuple[object, ...], list[Series]] = {}
    for each in series:
        found.setdefault(_place(each), []).append(each)
    groups = sorted(found.values(), key=lambda group: not wording_history.claims(group))
    return groups[:MOST_FIGURES]


def _title(group: Sequence[Series]) -> str:
    first = group[0]
    place = ", ".join(part for part in (first.plan, first.workload, first.stage_label) if part)
    return f"{wording_history.name_of(first.metric)}: {place}"
