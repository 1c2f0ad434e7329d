"""What a digest is made of: its span of time, and what was found in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

from analysis.digests.digest_figures import Row
from harness.alerting.alert_list import Alert
from harness.records.monitor_record import Picture

Kind = Literal["daily", "weekly"]


@dataclass(frozen=True)
class Span:
    """A local day or week: its name (2026-11-27, 2026-W48), its days, and its begin and end on the wall clock."""

    kind: Kind
    name: str
    first: date
    last: date
    zone: tzinfo | None
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Digest:
    """What the page of a span is made of. `seen_s`: up to when there can be anything, if the span is not over."""

    run: str
    span: Span
    rows: list[Row]
    alerts: list[Alert]
    usd: float | None
    picture: Picture | None
    seen_s: float


def span_of(kind: Kind, day: date, timezone: str | None = None) -> Span:
    """The day, or the week (Monday to Sunday) that it lies in. `timezone` None: that of this machine. A day on which
    clocks change has 23 or 25 hours."""
    zone = ZoneInfo(timezone) if timezone else None
    first = day if kind == "daily" else day - timedelta(days=day.weekday())
    last = first if kind == "daily" else first + timedelta(days=6)
    begin_s, end_s = _midnight_s(first, zone), _midnight_s(last + timedelta(days=1), zone)
    week = first.isocalendar()
    name = first.isoformat() if kind == "daily" else f"{week.year}-W{week.week:02d}"
    return Span(kind, name, first, last, zone, begin_s, end_s)


def _midnight_s(day: date, zone: tzinfo | None) -> float:
    return datetime.combine(day, time(), zone).timestamp()


def before(span: Span) -> Span:
    """The day or week before it."""
    timezone = span.zone.key if isinstance(span.zone, ZoneInfo) else None
    return span_of(span.kind, span.first - timedelta(days=1), timezone)


def today(now_s: float, timezone: str | None = None) -> date:
    """The local day of a moment."""
    return datetime.fromtimestamp(now_s, UTC).astimezone(ZoneInfo(timezone) if timezone else None).date()
