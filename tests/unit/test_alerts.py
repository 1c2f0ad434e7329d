"""The state machine of alerts: when it fires, when it is over, and what a silence, a gap or a clock changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from harness.alerts import States, current, finish, step
from harness.records.alert_record import AlertAction, AlertEvent, Reading, Rule, utc_text

T0 = 1_795_000_000.0
SLOW = Rule(name="slow", metric="ttft.p95@1m", above=1.0, resolve_at=0.8, for_s=3, resolve_after_s=2)


def _reading(at_s: float, value: float | None, **more: float) -> Reading:
    values = dict(more) if value is None else {"ttft.p95@1m": value, **more}
    return Reading(wall_s=at_s, target="acme", workload="chat", values=values)


def _play(
    rule: Rule, values: Sequence[float | None], actions: Sequence[AlertAction] = (), **options: Any
) -> tuple[States, list[AlertEvent]]:
    """One value a second."""
    states: States = {}
    events: list[AlertEvent] = []
    for second, value in enumerate(values):
        states, new = step([rule], states, [_reading(T0 + second, value)], actions, T0 + second, **options)
        events += new
    return states, events


def _told(events: Sequence[AlertEvent]) -> list[tuple[str, float]]:
    return [(event.state, event.at_wall_s - T0) for event in events]


def test_it_fires_after_for_s_and_is_over_after_resolve_after_s_on_the_right_side() -> None:
    states, events = _play(SLOW, [0.5, 2, 2, 2, 2, 2, 0.9, 0.5, 0.5, 0.5, 0.5])
    assert _told(events) == [("pending", 1), ("firing", 4), ("resolved", 9)]
    assert len({event.id for event in events}) == 1
    assert [event.value for event in events] == [2, 2, 0.5]
    assert {event.summary for event in events} == {"ttft.p95@1m is 2, above 1"}, "the words of what was wrong"
    assert events[0].since_utc == events[2].since_utc == utc_text(T0 + 1)
    assert current(states) == []


def test_one_good_value_ends_a_pending_one_and_nobody_is_told() -> None:
    _, events = _play(SLOW, [2, 2, 0.9, 2, 2])
    assert _told(events) == [("pending", 0), ("resolved", 2), ("pending", 3)]
    assert not any(event.fired for event in events)
    assert events[0].id != events[2].id


def test_between_the_two_limits_it_goes_on_firing() -> None:
    _, events = _play(SLOW, [2] * 4 + [0.9, 0.7, 0.9, 0.7, 0.9, 0.7])
    assert _told(events)[-1] == ("firing", 3)


def test_a_limit_below_is_the_mirror_of_one_above() -> None:
    rule = Rule(name="few", metric="ttft.p95", below=1.0, resolve_at=1.5, for_s=0, resolve_after_s=0)
    _, events = _play(rule, [1.0, 0.9, 1.2, 1.5])
    assert _told(events) == [("firing", 1), ("resolved", 3)]


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("keep", [("pending", 0), ("firing", 7)]),
        ("resolve", [("pending", 0), ("resolved", 2), ("pending", 6)]),
        ("fire", [("pending", 0), ("firing", 3)]),
    ],
)
def test_no_data_does_as_the_rule_says(policy: Any, told: list[tuple[str, float]]) -> None:
    rule = Rule(name="slow", metric="ttft.p95@1m", above=1.0, for_s=3, no_data=policy)
    assert _told(_play(rule, [2, 2, None, float("nan"), None, None, 2, 2])[1])[: len(told)] == told


def test_no_data_of_a_target_that_never_had_any_can_fire_but_not_for_a_sink() -> None:
    rule = Rule(name="slow", metric="ttft.p95", above=1.0, for_s=0, no_data="fire")
    readings = [
        Reading(wall_s=T0, target="acme", workload="chat", values={"silence_s": 9.0}),
        Reading(wall_s=T0, target="webhook", workload="", values={"sink_failing_s": 0.0}),
        Reading(wall_s=T0, target="(run)", workload="(all)", values={"validity": 0.0}),
    ]
    assert [event.target for event in step([rule], {}, readings, [], T0)[1]] == ["acme"]


def test_too_few_requests_are_no_data() -> None:
    rule = Rule(name="failing", metric="error_ratio@10s", above=0.5, for_s=0, min_requests=5)
    few, enough = (
        Reading(wall_s=T0, target="a", workload="b", values={"error_ratio@10s": 1.0, "attempted@10s": n})
        for n in (4, 5)
    )
    assert step([rule], {}, [few], [], T0)[1] == []
    assert len(step([rule], {}, [enough], [], T0)[1]) == 1


def test_a_clock_that_jumps_neither_fires_nor_resolves() -> None:
    rule = Rule(name="slow", metric="ttft.p95", above=1.0, for_s=60, resolve_after_s=60)
    states, _ = step([rule], {}, [_reading(T0, 2)], [], T0)
    for at_s in (T0 + 1, T0 + 86_400, T0 + 2, T0 - 86_400, T0 - 86_399):
        states, events = step([rule], states, [_reading(at_s, 2)], [], at_s)
        assert events == []
    assert next(iter(states.values())).bad_s == pytest.approx(1 + 15 + 0 + 0 + 1)


def test_two_episodes_never_share_an_id_even_when_the_clock_stands_still() -> None:
    rule = Rule(name="slow", metric="ttft.p95", above=1.0, for_s=0, resolve_after_s=0)
    states: States = {}
    ids = []
    for value in (2.0, 0.5) * 5:
        states, events = step([rule], states, [_reading(T0, value)], [], T0)
        ids += [event.id for event in events if event.state == "firing"]
    assert len(set(ids)) == len(ids) == 5


def _silence(until_s: float, **more: Any) -> AlertAction:
    return AlertAction(at_utc=utc_text(T0), by="ann", kind="silence", until_utc=utc_text(T0 + until_s), **more)


def test_a_silence_that_ends_while_it_fires_is_told_then_and_its_end_is_told() -> None:
    _, events = _play(SLOW, [2] * 8 + [0.5] * 4, [_silence(6, rule="sl*", target="ac*")])
    assert [(event.state, event.silenced, event.at_wall_s - T0) for event in events] == [
        ("pending", True, 0),
        ("firing", True, 3),
        ("firing", False, 6),
        ("resolved", False, 10),
    ]


def test_what_was_told_before_a_silence_is_ended_in_it() -> None:
    states: States = {}
    events: list[AlertEvent] = []
    for second, value in enumerate([2.0] * 5 + [0.5] * 5):
        actions = [_silence(100)] if second >= 5 else []
        states, new = step([SLOW], states, [_reading(T0 + second, value)], actions, T0 + second)
        events += new
    assert [(event.state, event.silenced) for event in events][1:] == [("firing", False), ("resolved", False)]


def test_what_fires_and_ends_in_a_silence_is_told_to_nobody() -> None:
    _, events = _play(SLOW, [2] * 5 + [0.5] * 4, [_silence(100)])
    assert events and all(event.silenced for event in events)


def test_a_silence_may_be_for_other_targets_be_ended_by_hand_or_have_no_end() -> None:
    other = _silence(100, target="zeta")
    ended = [_silence(100, rule="slow"), AlertAction(at_utc=utc_text(T0), by="ann", kind="unsilence", rule="slow")]
    endless = AlertAction(at_utc=utc_text(T0), by="ann", kind="silence", until_utc="never")
    for actions in ([other], ended, [endless]):
        assert not any(event.silenced for event in _play(SLOW, [2] * 5, actions)[1])


def test_an_acknowledgement_is_kept_with_its_episode_alone() -> None:
    states, events = _play(SLOW, [2] * 5)
    said = AlertAction(at_utc=utc_text(T0 + 5), by="ann", kind="acknowledge", id=events[0].id, comment="on it")
    states, new = step([SLOW], states, [_reading(T0 + 5, 2)], [said], T0 + 5)
    assert new == [] and [each.acknowledged_by for each in current(states)] == ["ann"]
    for second in range(6, 20):
        value = 0.5 if second < 10 else 2.0
        states, new = step([SLOW], states, [_reading(T0 + second, value)], [said], T0 + second)
    assert [each.acknowledged_by for each in current(states)] == [None]


def test_a_rule_or_a_run_that_is_gone_ends_its_episodes() -> None:
    states, _ = _play(SLOW, [2] * 5)
    after, events = step([], states, [_reading(T0 + 5, 2)], [], T0 + 5)
    assert [event.summary for event in events] == ["the rule is gone"] and current(after) == []
    after, events = finish(states, T0 + 5, "the run has ended")
    assert [(event.state, event.summary) for event in events] == [("resolved", "the run has ended")]
    assert finish(after, T0 + 6, "again")[1] == []


def test_a_hostile_target_name_is_text_in_the_id_and_in_the_summary() -> None:
    rule = Rule(name="slow", metric="ttft.p95", above=1, for_s=0, summary="{target} {value} {target.__class__}")
    reading = Reading(wall_s=T0, target="{value}/../ü\n", workload="", values={"ttft.p95": 2.0})
    (event,) = step([rule], {}, [reading], [], T0)[1]
    assert event.id.isascii() and event.id.count("/") == 3 and "\n" not in event.id
    assert event.summary == "{value}/../ü\n 2 {target.__class__}"
