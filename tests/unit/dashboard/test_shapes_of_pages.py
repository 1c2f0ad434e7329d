"""What few runs, many targets and nothing at all make of the pages: no axis of nothing, and what matters first."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from analysis.showing.charts_history import history_figure
from analysis.wording import NOT_SHOWN
from benchmarks.synthetic_history import Planned, write_runs
from dashboard.live_charts import no_figure
from dashboard.page_history import _names
from dashboard.page_run import _told
from dashboard.runs import Runs


def test_the_axis_of_a_single_run_is_a_day(tmp_path: Path) -> None:
    for _ in write_runs(tmp_path, Planned("chat", 1, targets=2), 1):
        pass
    figure = history_figure(Runs(tmp_path).trends(metrics=["ttft_s.p50"]).series)
    first, last = (datetime.fromisoformat(each) for each in figure.layout.xaxis.range)
    assert (last - first).total_seconds() == 86_400
    assert first < datetime.fromisoformat(figure.data[-1].x[0]) < last


def test_a_chart_of_nothing_has_no_axes() -> None:
    layout = no_figure()["layout"]
    assert not layout["xaxis"]["visible"] and not layout["yaxis"]["visible"]


def test_of_many_sentences_those_that_tell_apart_come_first() -> None:
    lines = [f"{NOT_SHOWN} between a and {n}." for n in range(20)] + ["a beats z."]
    title, *shown, more = _told("chat, 2 users", lines).children
    assert title.children == "chat, 2 users" and shown[0].children == "a beats z."
    assert more.children[0].children == f"{len(lines) - len(shown)} more"
    assert len(more.children) - 1 + len(shown) == len(lines)
    assert _told("chat", lines[:2]).children[-1] is None


def test_of_many_targets_some_are_named_and_the_rest_counted() -> None:
    assert _names(("a", "b")) == "a, b"
    assert _names(tuple("abcdefghi")) == "a, b, c, d, e, f and 3 more"
