"""Alerts under any values, silences, clocks and restarts."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from harness.alerting.alert_log import append_events, keep_states, recover
from harness.alerts import States, step
from harness.records.alert_record import AlertAction, AlertEvent, Episode, NoData, Reading, Rule, utc_text
from harness.rundir import RunDir

T0 = 1_795_000_000.0
VALUES = st.sampled_from([None, float("nan"), 0.5, 0.9, 1.0, 2.0, 2.0, 3.0])
MOVES = st.one_of(st.just(1.0), st.just(5.0), st.floats(-30, 90))
STEPS = st.lists(st.tuples(MOVES, VALUES, VALUES, st.booleans()), min_size=1, max_size=40)  # the last: killed after it
RULES = st.builds(
    Rule,
    name=st.just("slow"),
    metric=st.just("ttft.p95"),
    above=st.just(1.0),
    resolve_at=st.one_of(st.none(), st.floats(0, 1)),
    for_s=st.sampled_from([0.0, 1.0, 20.0]),
    resolve_after_s=st.sampled_from([0.0, 1.0, 20.0]),
    no_data=st.sampled_from(["keep", "resolve", "fire"]),
)
SILENCES = st.lists(
    st.builds(
        lambda until_s, target: AlertAction(
            at_utc=utc_text(T0), by="p", kind="silence", target=target, until_utc=utc_text(T0 + until_s)
        ),
        st.floats(-100, 2000),
        st.sampled_from([None, "a", "b"]),
    ),
    max_size=2,
)
Played = list[tuple[float, float | None, float | None, bool]]


def _readings(at_s: float, first: float | None, second: float | None) -> list[Reading]:
    """Of two targets; None: the target says nothing at all."""
    return [
        Reading(wall_s=at_s, target=target, workload="w", values={"ttft.p95": value})
        for target, value in (("a", first), ("b", second))
        if value is not None
    ]


def _moments(steps: Played) -> list[tuple[float, list[Reading]]]:
    at_s = T0
    found = []
    for moved_s, first, second, _ in steps:
        at_s += moved_s
        found.append((at_s, _readings(at_s, first, second)))
    return found


def _play(rule: Rule, steps: Played, actions: list[AlertAction]) -> list[AlertEvent]:
    states: States = {}
    events: list[AlertEvent] = []
    for at_s, readings in _moments(steps):
        states, new = step([rule], states, readings, actions, at_s)
        events += new
    return events


@given(RULES, STEPS, SILENCES)
def test_episodes_are_told_in_order_and_once(rule: Rule, steps: Played, actions: list[AlertAction]) -> None:
    events = _play(rule, steps, actions)
    for target in ("a", "b"):
        mine = [event for event in events if event.target == target]
        told = [event for event in mine if event.fired and not event.silenced and event.state != "pending"]
        states = [event.state for event in told]
        assert states == (["firing", "resolved"] * len(told))[: len(told)], "one firing, then its end, and again"
        for firing, end in zip(told[::2], told[1::2], strict=False):
            assert firing.id == end.id, "silence or not: what was told is ended"
        order = list(dict.fromkeys(event.id for event in mine))
        assert [key for key, _ in _runs(mine)] == order, "an episode is over before the next, and keeps its id"
        for _, episode in _runs(mine):
            assert _is_episode([event.state for event in episode]), [event.state for event in episode]
            assert len({(event.since_utc, event.since_wall_s) for event in episode}) == 1
    unique = {(event.id, event.state, event.silenced) for event in events}
    assert len(unique) == len(events)


def _runs(events: list[AlertEvent]) -> list[tuple[str, list[AlertEvent]]]:
    found: list[tuple[str, list[AlertEvent]]] = []
    for event in events:
        if not found or found[-1][0] != event.id:
            found.append((event.id, []))
        found[-1][1].append(event)
    return found


def _is_episode(states: list[str]) -> bool:
    names = "".join(state[0] for state in states)
    return names in {"p", "pf", "pff", "pr", "pfr", "pffr", "f", "ff", "fr", "ffr"}


@given(RULES, STEPS, SILENCES)
def test_a_restart_between_any_steps_is_none(rule: Rule, steps: Played, actions: list[AlertAction]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run_dir = RunDir(Path(folder))
        states: States = {}
        events: list[AlertEvent] = []
        for (at_s, readings), (*_, killed) in zip(_moments(steps), steps, strict=True):
            states, new = step([rule], states, readings, actions, at_s)
            if new:
                append_events(run_dir.alerts, new)
            keep_states(run_dir, states)
            states = recover(run_dir) if killed else states
            events += new
    assert events == _play(rule, steps, actions)


@given(RULES, STEPS, SILENCES)
def test_a_kill_after_the_events_and_before_the_states_doubles_nothing(
    rule: Rule, steps: Played, actions: list[AlertAction]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run_dir = RunDir(Path(folder))
        states: States = {}
        events: list[AlertEvent] = []
        for (at_s, readings), (*_, killed) in zip(_moments(steps), steps, strict=True):
            states, new = step([rule], states, readings, actions, at_s)
            if new:
                append_events(run_dir.alerts, new)
            events += new
            if killed:
                before = states
                states = recover(run_dir)
                assert _told(states) == _told(before), "what was told is known, and nothing else"
            else:
                keep_states(run_dir, states)
    unique = {(event.id, event.state, event.silenced) for event in events}
    assert len(unique) == len(events)


def _told(states: dict[str, Episode]) -> dict[str, tuple[str, str, bool, bool]]:
    return {key: (each.id, each.state, each.fired, each.told) for key, each in states.items()}


@given(st.lists(st.binary(max_size=60), max_size=6), st.sampled_from(["keep", "fire"]))
def test_torn_and_foreign_lines_are_passed_over(lines: list[bytes], policy: NoData) -> None:
    rule = Rule(name="slow", metric="ttft.p95", above=1.0, for_s=0, no_data=policy)
    good = _play(rule, [(0, 2.0, 2.0, False)], [])
    with tempfile.TemporaryDirectory() as folder:
        run_dir = RunDir(Path(folder))
        run_dir.alerts.write_bytes(b"\n".join(lines))
        append_events(run_dir.alerts, good)
        with run_dir.alerts.open("ab") as file:
            file.write(msgspec.json.encode(good[0])[:-9])
        assert _told(recover(run_dir)).keys() == {"slow/a/w", "slow/b/w"}
        append_events(run_dir.alerts, good[:1])
        assert len(run_dir.alerts.read_bytes().splitlines()) >= 4
