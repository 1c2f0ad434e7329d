"""Alerts as a pure state machine: rules, states and readings in; new states and events out.

Spans are added up from step to step and not taken from dates, so that a clock that jumps neither fires nor resolves
anything. An episode keeps its id from its first bad value to its end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from harness.records.alert_record import (
    WINDOW,
    AlertAction,
    AlertEvent,
    Episode,
    Reading,
    Rule,
    episode_id,
    place_key,
    utc_text,
)

LONGEST_STEP_S = 15.0

States = dict[str, Episode]
Verdict = Literal["good", "between", "bad", "unknown"]
_replace = msgspec.structs.replace
_PLACE_IN_TEXT = re.compile(r"\{(\w+)\}")
_GRAVITY = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class _Now:
    """What holds for all rules of one step."""

    wall_s: float
    longest_step_s: float
    silences: Sequence[AlertAction]
    acknowledged: Mapping[str, AlertAction]


def step(
    rules: Sequence[Rule],
    states: Mapping[str, Episode],
    readings: Sequence[Reading],
    actions: Sequence[AlertAction],
    now_wall_s: float,
    *,
    longest_step_s: float = LONGEST_STEP_S,
) -> tuple[States, list[AlertEvent]]:
    """One step of every rule: the new states (by `place_key`) and what changed, in a steady order.

    Between two steps at most `longest_step_s` count, whatever the clock says. A state whose rule is gone is resolved.
    """
    acknowledged = {each.id: each for each in actions if each.kind == "acknowledge" and each.id}
    now = _Now(now_wall_s, longest_step_s, silences_in_force(actions, now_wall_s), acknowledged)
    found = {(each.target, each.workload): each for each in readings}
    after: States = {}
    events: list[AlertEvent] = []
    for rule in rules:
        for target, workload in _places(rule, found, states):
            key = place_key(rule.name, target, workload)
            episode, told = _judged(rule, states.get(key), (target, workload), found.get((target, workload)), now)
            if episode is not None:
                after[key] = episode
            events += told
    for key, before in states.items():
        if key not in after:
            after[key], told = _ended(before, now_wall_s, "the rule is gone")
            events += told
    return after, events


def finish(states: Mapping[str, Episode], now_wall_s: float, why: str) -> tuple[States, list[AlertEvent]]:
    """End every episode, because what it is about has ended; `why` becomes the summary."""
    after: States = {}
    events: list[AlertEvent] = []
    for key, before in states.items():
        after[key], told = _ended(before, now_wall_s, why)
        events += told
    return after, events


def fold(states: Mapping[str, Episode], events: Iterable[AlertEvent]) -> States:
    """The states after events that were recorded, so that none is made again."""
    after = dict(states)
    for event in events:
        key = place_key(event.rule, event.target, event.workload)
        before = after.get(key)
        kept = before if before is not None and before.id == event.id else None
        after[key] = _folded(kept, event)
    return after


def _folded(before: Episode | None, event: AlertEvent) -> Episode:
    names = ("id", "rule", "severity", "target", "workload", "state", "since_wall_s", "since_utc", "value", "threshold")
    told = event.state == "firing" and not event.silenced
    return Episode(
        **{name: getattr(event, name) for name in names},
        summary=event.summary,
        fired=event.fired,
        silenced=event.silenced,
        told=told or (before is not None and before.told),
        changed_wall_s=event.at_wall_s,
        seen_wall_s=event.at_wall_s,
        acknowledged_by=before.acknowledged_by if before else None,
        acknowledged_utc=before.acknowledged_utc if before else None,
        comment=before.comment if before else "",
    )


def current(states: Mapping[str, Episode]) -> list[Episode]:
    """What is firing, then what is pending; within both the gravest and oldest first."""
    open_ones = [each for each in states.values() if each.state != "resolved"]
    return sorted(open_ones, key=lambda each: (each.state != "firing", _GRAVITY[each.severity], each.since_wall_s))


def silences_in_force(actions: Sequence[AlertAction], now_wall_s: float) -> list[AlertAction]:
    """The silences that hold now: neither over nor ended by hand."""
    found: list[AlertAction] = []
    for action in actions:
        if action.kind == "silence" and _until_s(action) > now_wall_s:
            found.append(action)
        elif action.kind == "unsilence":
            asked = (action.id, action.rule, action.target)
            found = [] if not any(asked) else [each for each in found if (each.id, each.rule, each.target) != asked]
    return found


def _until_s(action: AlertAction) -> float:
    """When a silence ends. One without an end, or with one that is no date, never began."""
    try:
        return datetime.fromisoformat(action.until_utc or "").timestamp()
    except (ValueError, OverflowError, OSError):
        return -math.inf


def _is_silenced(episode: Episode, silences: Sequence[AlertAction]) -> bool:
    return any(
        (each.id is None or each.id == episode.id)
        and (each.rule is None or fnmatchcase(episode.rule, each.rule))
        and (each.target is None or fnmatchcase(episode.target, each.target))
        for each in silences
    )


def _places(
    rule: Rule, found: Mapping[tuple[str, str], Reading], states: Mapping[str, Episode]
) -> Iterator[tuple[str, str]]:
    """The targets and workloads that a rule is about: those that are read now, and those that it knows."""
    known = dict.fromkeys((each.target, each.workload) for each in states.values() if each.rule == rule.name)
    for place in dict.fromkeys([*found, *known]):
        fits_target = rule.target is None or fnmatchcase(place[0], rule.target)
        fits = fits_target and (rule.workload is None or fnmatchcase(place[1], rule.workload))
        if fits and (place in known or _concerns(rule, found[place])):
            yield place


def _concerns(rule: Rule, reading: Reading) -> bool:
    """Whether a rule is about what a reading is of: it has the metric, or it is of a target and no data is bad news."""
    if any(name.partition("@")[0] == rule.metric.partition("@")[0] for name in reading.values):
        return True
    return rule.no_data == "fire" and not reading.target.startswith("(") and "sink_failing_s" not in reading.values


def _value(rule: Rule, reading: Reading | None) -> float | None:
    """The rule's metric, or None: no data."""
    if reading is None:
        return None
    metric, _, window = rule.metric.partition("@")
    attempted = reading.values.get(f"attempted@{window or WINDOW}")
    if rule.min_requests and attempted is not None and attempted < rule.min_requests:
        return None
    names = (f"{metric}@{window or WINDOW}", *([metric] if window in ("", WINDOW) else []))
    value = next((reading.values[name] for name in names if name in reading.values), None)
    return None if value is None or math.isnan(value) else value


def _verdict(rule: Rule, value: float | None) -> Verdict:
    if value is None:
        policies: dict[str, Verdict] = {"keep": "unknown", "resolve": "good", "fire": "bad"}
        return policies[rule.no_data]
    limit, sign = (rule.above, 1) if rule.above is not None else (rule.below, -1)
    assert limit is not None, "the file is checked: one of the two is there"
    if sign * value > sign * limit:
        return "bad"
    return "good" if rule.resolve_at is None or sign * value <= sign * rule.resolve_at else "between"


def _judged(
    rule: Rule, before: Episode | None, place: tuple[str, str], reading: Reading | None, now: _Now
) -> tuple[Episode | None, list[AlertEvent]]:
    """One rule at one place: its state, and the events of this step."""
    value = _value(rule, reading)
    verdict = _verdict(rule, value)
    if before is None or before.state == "resolved":
        if verdict != "bad":
            return before, []
        after = _begun(rule, before, place, value, now)
    else:
        after = _gone_on(rule, before, verdict, value, now)
    return _told(before, after, now)


def _begun(rule: Rule, before: Episode | None, place: tuple[str, str], value: float | None, now: _Now) -> Episode:
    """A new episode. Its start lies after that of the last one, so that its id is new whatever the clock says."""
    since_s = round(now.wall_s if before is None else max(now.wall_s, before.since_wall_s + 0.001), 3)
    return Episode(
        id=episode_id(rule.name, *place, since_s),
        rule=rule.name,
        severity=rule.severity,
        target=place[0],
        workload=place[1],
        state="pending" if rule.for_s > 0 else "firing",
        since_wall_s=since_s,
        since_utc=utc_text(since_s),
        changed_wall_s=now.wall_s,
        seen_wall_s=now.wall_s,
        value=value,
        threshold=_limit(rule),
        summary=_summary(rule, place, value),
        fired=rule.for_s <= 0,
    )


def _gone_on(rule: Rule, before: Episode, verdict: Verdict, value: float | None, now: _Now) -> Episode:
    """A pending or firing episode, one step later."""
    passed_s = min(max(now.wall_s - before.seen_wall_s, 0.0), now.longest_step_s)
    after = _replace(before, seen_wall_s=now.wall_s, severity=rule.severity, threshold=_limit(rule))
    if verdict == "unknown":
        return after
    if value is not None:
        after = _replace(after, value=value)
    if verdict == "bad":  # the words of an end are those of its last bad value
        after = _replace(after, summary=_summary(rule, (before.target, before.workload), value))
    if before.state == "pending":
        if verdict != "bad":
            return _replace(after, state="resolved", changed_wall_s=now.wall_s)
        after = _replace(after, bad_s=before.bad_s + passed_s)
        fires = after.bad_s >= rule.for_s
        return _replace(after, state="firing", fired=True, changed_wall_s=now.wall_s) if fires else after
    if verdict != "good":
        return _replace(after, good_s=None)
    after = _replace(after, good_s=0.0 if before.good_s is None else before.good_s + passed_s)
    over = (after.good_s or 0.0) >= rule.resolve_after_s
    return _replace(after, state="resolved", changed_wall_s=now.wall_s) if over else after


def _told(before: Episode | None, after: Episode, now: _Now) -> tuple[Episode, list[AlertEvent]]:
    """What a step tells: a change of state, or that a silence is over in which the episode began to fire."""
    said = now.acknowledged.get(after.id)
    if said is not None:
        after = _replace(after, acknowledged_by=said.by, acknowledged_utc=said.at_utc, comment=said.comment)
    silenced = _is_silenced(after, now.silences)
    changed = before is None or before.id != after.id or before.state != after.state
    if after.state == "firing":
        late = not after.told and not silenced
        after = _replace(after, silenced=silenced, told=after.told or late)
        return after, [_event(after, now.wall_s, silenced=silenced)] if changed or late else []
    if after.state == "resolved":
        after = _replace(after, silenced=silenced)
        return after, [_event(after, now.wall_s, silenced=not after.told)]
    after = _replace(after, silenced=silenced)
    return after, [_event(after, now.wall_s, silenced=silenced)] if changed else []


def _ended(before: Episode, now_wall_s: float, why: str) -> tuple[Episode, list[AlertEvent]]:
    if before.state == "resolved":
        return before, []
    after = _replace(before, state="resolved", summary=why, changed_wall_s=now_wall_s, seen_wall_s=now_wall_s)
    return after, [_event(after, now_wall_s, silenced=not after.told)]


def _event(episode: Episode, now_wall_s: float, *, silenced: bool) -> AlertEvent:
    return AlertEvent(
        id=episode.id,
        rule=episode.rule,
        severity=episode.severity,
        target=episode.target,
        workload=episode.workload,
        state=episode.state,
        at_wall_s=now_wall_s,
        at_utc=utc_text(now_wall_s),
        since_utc=episode.since_utc,
        since_wall_s=episode.since_wall_s,
        value=episode.value,
        threshold=episode.threshold,
        summary=episode.summary,
        fired=episode.fired,
        silenced=silenced,
    )


def _limit(rule: Rule) -> float:
    limit = rule.above if rule.above is not None else rule.below
    assert limit is not None
    return limit


def _summary(rule: Rule, place: tuple[str, str], value: float | None) -> str:
    """The rule's words with its places filled in; never evaluated as a format, since targets name themselves."""
    side = "above" if rule.above is not None else "below"
    words = rule.summary or f"{{metric}} is {{value}}, {side} {{threshold}}"
    filled = {
        "rule": rule.name,
        "metric": rule.metric,
        "target": place[0],
        "workload": place[1],
        "value": "unknown" if value is None else f"{value:.4g}",
        "threshold": f"{_limit(rule):g}",
    }
    return _PLACE_IN_TEXT.sub(lambda match: filled.get(match[1], match[0]), words)
