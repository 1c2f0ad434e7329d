"""Plain Locust CSV -> a summary: what it tells, and nothing that it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.locust_csv import summarise_csv
from analysis.report import render
from analysis.summary import Summary

STATS = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Max Response Time,Requests/s"
HISTORY = "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,Total Request Count,Total Failure Count"
TOTALS = [(0, 0), (10, 0), (20, 0), (30, 9), (40, 19), (40, 19), (50, 19), (60, 20)]


def _read(folder: Path, entries: list[str], history: list[str]) -> Summary:
    rows = [f"GET,{name},60,20,5,6.0,40,8.57" for name in entries]
    (folder / "x_stats.csv").write_text("\n".join([STATS, *rows, ",Aggregated,60,20,5,6.0,40,8.57"]) + "\n")
    if history:
        (folder / "x_stats_history.csv").write_text("\n".join([HISTORY, *history]) + "\n")
    return summarise_csv(folder / "x")


def _of(name: str, kind: str) -> list[str]:
    return [f"{1000 + k},2,{kind},{name},1.0,0.0,5,{total},{bad}" for k, (total, bad) in enumerate(TOTALS)]


@pytest.mark.parametrize(("name", "kind"), [("/a", "GET"), ("Aggregated", "")])
def test_outages_come_from_the_history_by_the_second(tmp_path: Path, name: str, kind: str) -> None:
    """Two seconds of failures, then one without any request (nothing is known of it), then successes again."""
    (result,) = _read(tmp_path, ["/a"], _of(name, kind)).results
    found = result.reliability
    assert found is not None
    assert [(outage.start_s, outage.end_s, outage.failures) for outage in found.outages] == [(2, 5, 19)]
    assert found.availability.value == pytest.approx(4 / 7)
    assert (found.mttr_s.value, found.mtbf_s.value, found.resolution_s) == (3, 4, 1)
    assert "1 s" in found.rule


def test_without_a_history_there_is_no_availability(tmp_path: Path) -> None:
    (result,) = _read(tmp_path, ["/a"], []).results
    assert result.reliability is not None
    assert result.reliability.availability.value is None
    assert result.reliability.success_ratio.value == pytest.approx(2 / 3)
    assert result.window_s == pytest.approx(60 / 8.57)


def test_a_history_of_all_together_says_nothing_of_one_name(tmp_path: Path) -> None:
    summary = _read(tmp_path, ["/a", "/b"], [each.replace(",60,20", ",120,40") for each in _of("Aggregated", "")])
    assert [result.reliability.availability.value for result in summary.results if result.reliability] == [None, None]
    (note,) = [finding for finding in summary.validity.findings if finding.code == "history-of-all"]
    assert "available 57.1 % of 7 s" in note.saw


@pytest.mark.parametrize("row", ["1000,2", "N/A,2,GET,/a,1,0,5,N/A,N/A", ""])
def test_a_cut_history_is_no_reason_to_stop(tmp_path: Path, row: str) -> None:
    (result,) = _read(tmp_path, ["/a"], [row]).results
    assert result.attempted == 60


def test_the_report_of_plain_csv_shows_what_is_known(tmp_path: Path) -> None:
    page = render([(_read(tmp_path, ["/a"], _of("/a", "GET")), None)])
    assert "Availability" in page
    assert "57.14 %" in page
    assert "failures included" in page
