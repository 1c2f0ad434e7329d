"""Alerts as people read them: one row an episode, from the events that were recorded and what was done about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from harness.records.alert_record import AlertAction, AlertEvent, Episode, Phase, Severity
from harness.records.monitor_record import AlertState


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One episode. `lasted_s` is from its first bad value to its end, or until now; `value` the one last recorded.
    `told`: sinks were told of it. `fired` false: it was pending and went away, or still is."""

    id: str
    rule: str
    severity: Severity
    target: str
    workload: str
    state: Phase
    since_utc: str
    fired_utc: str | None
    resolved_utc: str | None
    lasted_s: float
    value: float | None
    threshold: float
    summary: str
    fired: bool
    told: bool
    since_wall_s: float
    acknowledged_by: str | None = None
    acknowledged_utc: str | None = None
    comment: str = ""


def list_alerts(events: Iterable[AlertEvent], actions: Sequence[AlertAction], now_wall_s: float) -> list[Alert]:
    """Every episode that began: what is firing first, then what is pending, then what is over; the newest first.

    Of an episode that is over, `summary` and `value` are those with which it fired, since its end is good news.
    """
    found: dict[str, Alert] = {}
    for event in events:
        before = found.get(event.id)
        found[event.id] = _begun(event, now_wall_s) if before is None else _gone_on(before, event, now_wall_s)
    for action in actions:
        if action.kind == "acknowledge" and action.id in found:
            said = {"acknowledged_by": action.by, "acknowledged_utc": action.at_utc, "comment": action.comment}
            found[action.id] = msgspec.structs.replace(found[action.id], **said)
    order = ("firing", "pending", "resolved")
    return sorted(found.values(), key=lambda each: (order.index(each.state), -each.since_wall_s))


def _begun(event: AlertEvent, now_wall_s: float) -> Alert:
    firing = event.state == "firing"
    return Alert(
        id=event.id,
        rule=event.rule,
        severity=event.severity,
        target=event.target,
        workload=event.workload,
        state=event.state,
        since_utc=event.since_utc,
        since_wall_s=event.since_wall_s,
        fired_utc=event.at_utc if firing else None,
        resolved_utc=event.at_utc if event.state == "resolved" else None,
        lasted_s=_lasted_s(event, now_wall_s),
        value=event.value,
        threshold=event.threshold,
        summary=event.summary,
        fired=event.fired,
        told=firing and not event.silenced,
    )


def _gone_on(before: Alert, event: AlertEvent, now_wall_s: float) -> Alert:
    firing = event.state == "firing"
    after = msgspec.structs.replace(
        before,
        state=event.state,
        severity=event.severity,
        fired=before.fired or event.fired,
        told=before.told or (firing and not event.silenced),
        fired_utc=before.fired_utc or (event.at_utc if firing else None),
        resolved_utc=event.at_utc if event.state == "resolved" else None,
        lasted_s=_lasted_s(event, now_wall_s),
    )
    return msgspec.structs.replace(after, value=event.value, summary=event.summary) if firing else after


def _lasted_s(event: AlertEvent, now_wall_s: float) -> float:
    end_s = event.at_wall_s if event.state == "resolved" else now_wall_s
    return round(max(0.0, end_s - event.since_wall_s), 3)


def span_text(span_s: float) -> str:
    """How long an episode lasted."""
    for unit, size_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if span_s >= 2 * size_s:
            return f"{span_s / size_s:.1f} {unit}"
    return f"{span_s:.1f} s"


def alert_state(episode: Episode) -> AlertState:
    """An episode that is pending or firing, for `monitor.json`."""
    return AlertState(
        id=episode.id,
        rule=episode.rule,
        severity=episode.severity,
        target=episode.target,
        workload=episode.workload,
        state="firing" if episode.state == "firing" else "pending",
        since_utc=episode.since_utc,
        value=episode.value,
        threshold=episode.threshold,
        summary=episode.summary,
        silenced=episode.silenced,
        acknowledged_by=episode.acknowledged_by,
    )
