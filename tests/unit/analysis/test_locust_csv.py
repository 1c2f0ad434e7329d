"""Plain Locust CSV -> a summary: what it tells, and nothing that it does not."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from analysis.locust_csv import class_of_text, summarise_csv
from analysis.report import render
from analysis.summary import Reliability, Summary

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
    (outage,) = found.outages
    assert outage.start_s == pytest.approx(2.1)
    assert (outage.end_s, outage.failures) == (5, 19)
    assert found.availability.value == pytest.approx(4.1 / 7)
    assert found.mttr_s.value == pytest.approx(2.9)
    assert found.mtbf_s.value == pytest.approx(4.1)
    assert found.resolution_s == 1
    assert "by the second" in found.rule


def _history(folder: Path, booked: list[tuple[int, int, float]], *, errors: str = "") -> Reliability:
    """Of rows of (requests, failures, sum of response times in ms) that were booked second by second."""
    header = f"{HISTORY},Total Average Response Time"
    totals = list(itertools.accumulate(booked, lambda a, b: (a[0] + b[0], a[1] + b[1], a[2] + b[2])))
    rows = [f"{1000 + k},2,GET,/a,1.0,0.0,5,{n},{bad},{ms / max(1, n):.9f}" for k, (n, bad, ms) in enumerate(totals)]
    n, bad, _ = totals[-1]
    (folder / "x_stats.csv").write_text(f"{STATS}\nGET,/a,{n},{bad},5,6.0,40,8.57\n")
    (folder / "x_stats_history.csv").write_text("\n".join([header, *rows]) + "\n")
    (folder / "x_failures.csv").write_text(f"Method,Name,Error,Occurrences\nGET,/a,{errors or 'E'},{bad}\n")
    (result,) = summarise_csv(folder / "x").results
    assert result.reliability is not None
    return result.reliability


UP, IDLE = (10, 0, 2000.0), (0, 0, 0.0)


def test_failures_that_took_long_began_when_they_were_sent(tmp_path: Path) -> None:
    """An outage from 10 to 20 s, each request of which times out after 8 s: booked from 18 to 28 s, some among the
    successes that came after it."""
    late = [(10, 10, 80_000.0)] * 2 + [(20, 10, 82_000.0)] * 8
    found = _history(tmp_path, [UP] * 10 + [IDLE] * 8 + late + [UP] * 20)
    (outage,) = found.outages
    assert outage.start_s == pytest.approx(9.5, abs=1)
    assert outage.end_s == pytest.approx(19.5, abs=1)


def test_a_silence_before_failures_without_a_time_belongs_to_them(tmp_path: Path) -> None:
    """The same where Locust was told no response time: its average stays where it was."""
    late = [(10, 10, 2000.0)] * 2 + [(20, 10, 4000.0)] * 8
    found = _history(tmp_path, [UP] * 10 + [IDLE] * 8 + late + [UP] * 20)
    (outage,) = found.outages
    assert outage.start_s == pytest.approx(9.5, abs=1)
    assert outage.end_s == pytest.approx(19.5, abs=1)


def test_a_time_in_which_nothing_was_asked_is_not_watched(tmp_path: Path) -> None:
    found = _history(tmp_path, [UP] * 10 + [IDLE] * 60 + [UP] * 10)
    assert found.watched == ((0, 9), (69, 79))
    assert (found.watched_s, found.outages) == (19, ())


def test_refusals_for_too_high_a_rate_are_no_outage(tmp_path: Path) -> None:
    bad = [(10, 10, 10.0)] * 5
    found = _history(tmp_path, [UP] * 10 + bad + [UP] * 10, errors="HTTPError('429 Client Error: for url: /a')")
    assert (found.outages, found.provider_failures, len(found.throttled)) == ((), 0, 1)


def test_seconds_that_took_long_are_degraded(tmp_path: Path) -> None:
    found = _history(tmp_path, [UP] * 20 + [(10, 0, 9000.0)] * 4 + [UP] * 20)
    (span,) = found.degraded
    assert span.start_s == pytest.approx(18.1)
    assert span.end_s == pytest.approx(22.8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("overloaded (HTTP 503)", "server"),
        ("rate_limit (HTTP 429)", "throttled"),
        ("read_timeout", "transport"),
        ("HTTPError('404 Client Error: Not Found for url: /a')", "client"),
        ("CatchResponseError('bad status 500')", "server"),
        ("ConnectionRefusedError(111, 'Connection refused')", "transport"),
        ("ReadTimeout(ReadTimeoutError('Read timed out. (read timeout=5)'))", "transport"),
        ("AssertionError('no choices')", "unknown"),
    ],
)
def test_an_error_is_classed_by_what_it_says(text: str, expected: str) -> None:
    assert class_of_text(text) == expected


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
    assert "available 58.6 % of 7 s" in note.saw


@pytest.mark.parametrize("row", ["1000,2", "N/A,2,GET,/a,1,0,5,N/A,N/A", ""])
def test_a_cut_history_is_no_reason_to_stop(tmp_path: Path, row: str) -> None:
    (result,) = _read(tmp_path, ["/a"], [row]).results
    assert result.attempted == 60


def test_the_report_of_plain_csv_shows_what_is_known(tmp_path: Path) -> None:
    page = render([(_read(tmp_path, ["/a"], _of("/a", "GET")), None)])
    assert "Available" in page
    assert "58.57 %" in page
    assert "failures included" in page
