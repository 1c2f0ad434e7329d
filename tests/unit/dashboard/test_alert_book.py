"""The alerts page's book: what the monitor's own files say, and actions that its state machine obeys."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dashboard.alert_book import act, read_book, runs_with_alerts
from harness.alerting.alert_log import append_events, keep_states, read_actions, recover
from harness.alerts import step
from harness.errors import UsageFault
from harness.records.alert_record import Reading, Rule
from harness.rundir import RunDir

RULES = (
    Rule(name="errors", metric="error_ratio", above=0.05, for_s=0, severity="critical"),
    Rule(name="slow", metric="ttft.p95", above=1.0, for_s=600),
)
RUN = "chat/20260301T090000Z-a1b2"


def _reading(wall_s: float, *, bad: bool = True) -> Reading:
    values = {"error_ratio@1m": 0.5, "ttft.p95@1m": 3.0} if bad else {"error_ratio@1m": 0.0, "ttft.p95@1m": 0.2}
    return Reading(wall_s=wall_s, target="<b>x</b>", workload="talk", values=values)


def _raise_alerts(root: Path, run: str = RUN) -> tuple[RunDir, float]:
    """A run directory with one alert firing and one pending, as a monitor leaves it."""
    run_dir = RunDir(root / run)
    run_dir.root.mkdir(parents=True)
    now_s = time.time()
    states, events = step(RULES, {}, [_reading(now_s - 2)], [], now_s - 2)
    append_events(run_dir.alerts, events)
    keep_states(run_dir, states)
    return run_dir, now_s


def test_what_is_firing_comes_before_what_is_pending(tmp_path: Path) -> None:
    _raise_alerts(tmp_path)
    assert runs_with_alerts(tmp_path) == [RUN]
    book = read_book(tmp_path, [RUN])
    assert [(each.episode.rule, each.episode.state) for each in book.now] == [("errors", "firing"), ("slow", "pending")]
    assert {event.rule for _, event in book.past} == {"errors", "slow"}
    assert book.silences == ()


def test_an_acknowledgement_and_a_silence_are_what_the_monitor_reads(tmp_path: Path) -> None:
    run_dir, now_s = _raise_alerts(tmp_path)
    firing = read_book(tmp_path, [RUN]).now[0].episode
    act(tmp_path, RUN, "acknowledge", "ann", episode=firing.id, comment="  on\nit ")
    act(tmp_path, RUN, "silence", "ann", rule="errors", for_s=3600)
    actions = read_actions(run_dir.alert_actions)
    assert actions[0].comment == "on it"
    states, _ = step(RULES, recover(run_dir), [_reading(now_s)], actions, now_s)
    (errors,) = (each for each in states.values() if each.rule == "errors")
    assert (errors.id, errors.silenced, errors.acknowledged_by) == (firing.id, True, "ann")
    (silence,) = read_book(tmp_path, [RUN]).silences
    assert (silence.action.rule, silence.action.by) == ("errors", "ann")
    assert read_book(tmp_path, [RUN], now_s + 3700).silences == ()
    act(tmp_path, RUN, "unsilence", "ann", rule="errors")
    assert read_book(tmp_path, [RUN]).silences == ()


def test_only_runs_that_have_alerts_take_actions(tmp_path: Path) -> None:
    _raise_alerts(tmp_path)
    (tmp_path / "chat" / "20260301T100000Z-0000").mkdir()
    for run in ("chat/20260301T100000Z-0000", "../elsewhere", ""):
        with pytest.raises(UsageFault, match="has no alerts"):
            act(tmp_path, run, "acknowledge", "ann", episode="x")
    with pytest.raises(UsageFault, match="from a minute to 30 days"):
        act(tmp_path, RUN, "silence", "ann", rule="errors", for_s=1e9)


def test_a_link_to_elsewhere_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    _raise_alerts(outside)
    root = tmp_path / "runs"
    root.mkdir()
    (root / "chat").symlink_to(outside / "chat")
    assert runs_with_alerts(root) == []
