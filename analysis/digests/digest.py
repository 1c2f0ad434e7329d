"""Daily and weekly summaries: one self-contained HTML page of a day or week of a run directory, and a few words of it.

Names are hostile text: Jinja2 escapes them, and the page runs no script.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import jinja2

from analysis.digests import wording_digest
from analysis.digests.digest_charts import chart
from analysis.digests.digest_figures import Row, row_of
from analysis.digests.digest_hours import hours_of
from analysis.digests.digest_record import Digest, Span, before
from harness.alerting.alert_list import Alert, list_alerts, span_text
from harness.alerting.alert_log import events_after, read_actions
from harness.errors import UsageFault
from harness.plan import Plan, Slo
from harness.records.alert_record import AlertConfig
from harness.records.monitor_record import Picture, read_picture
from harness.rundir import RunDir, write_out

_PAGE = jinja2.Environment(
    loader=jinja2.PackageLoader("analysis"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


def digest_of(run_dir: RunDir, plan: Plan | None, config: AlertConfig, span: Span, now_s: float) -> Digest:
    """What a run directory knows of a span. Raises UsageFault where its journals cannot be read."""
    earlier = before(span)
    now, then = (hours_of(run_dir, plan, each.begin_s, each.end_s) for each in (span, earlier))
    slo, target = slo_of(plan, config), config.sla.latency_target
    rows = [row_of(place, now[place], then.get(place, []), slo, target) for place in sorted(now)]
    costs = [row.whole.usd for row in rows if row.whole.usd is not None]
    return Digest(
        run=RunDir(run_dir.root.resolve()).name,
        span=span,
        rows=rows,
        alerts=_alerts_in(run_dir, span, now_s),
        usd=sum(costs) if costs else None,
        picture=_picture(run_dir),
        seen_s=min(now_s, span.end_s),
    )


def _picture(run_dir: RunDir) -> Picture | None:
    """What the monitor saw last, where that can be read: a page is not worth less without it."""
    try:
        return read_picture(run_dir.monitor)
    except UsageFault:
        return None


def slo_of(plan: Plan | None, config: AlertConfig) -> Slo:
    """The limits that are promised: those of the key `sla`, else of the plan's `slo`."""
    own = plan.slo if plan else Slo()
    names = ("ttft_s", "tpot_s", "e2e_s", "availability")
    return Slo(**{name: _first(getattr(config.sla, name), getattr(own, name)) for name in names})


def _first(value: float | None, other: float | None) -> float | None:
    return other if value is None else value


def _alerts_in(run_dir: RunDir, span: Span, now_s: float) -> list[Alert]:
    """Those that fired and were not over before the span, oldest first; as they stood at its end."""
    until_s = min(span.end_s, now_s)
    events = (event for _, event in events_after(run_dir.alerts, 0) if event.at_wall_s < span.end_s)
    found = [each for each in list_alerts(events, read_actions(run_dir.alert_actions), until_s) if each.fired]
    inside = [each for each in found if each.since_wall_s + each.lasted_s >= span.begin_s]
    return sorted(inside, key=lambda each: each.since_wall_s)


def render(digest: Digest) -> str:
    """The page as text."""
    charts = [(row, _latency_of(row), chart(row.hours, _latency_of(row), _ticks(digest.span))) for row in digest.rows]
    return _PAGE.get_template("digest.html").render(
        digest=digest, charts=charts, said=wording_digest, span_text=span_text
    )


def _latency_of(row: Row) -> str:
    return "ttft" if "ttft" in row.whole.spreads else "e2e"


def _ticks(span: Span) -> Sequence[str]:
    if span.kind == "daily":
        return ("0:00", "6:00", "12:00", "18:00", "24:00")
    days = [span.first + timedelta(days=number) for number in range(8)]
    return [f"{day:%a} {day.day}." if number < 7 else "" for number, day in enumerate(days)]


def write_digest(digest: Digest, out: Path) -> None:
    """Write the page, whole or not at all. Raises OSError."""
    write_out(out, render(digest).encode())
