"""How a digest is worded: its claims, its numbers, and the few words that a webhook gets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from analysis.digests.digest_figures import Change, Kept, Row
from analysis.digests.digest_record import Digest, Span
from harness.alerting.alert_list import Alert

NOTHING = "—"
_NAMES = {"ttft": "TTFT", "tpot": "TPOT", "e2e": "E2E", "availability": "availability"}
_MOST_IN_WORDS = 8


def metric(path: str) -> str:
    """`ttft.p95` as people call it."""
    name, _, at = path.partition(".")
    return f"{_NAMES[name]} {at}".strip()


def seconds(value: float | None) -> str:
    """A latency; — where there are too few values."""
    if value is None:
        return NOTHING
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def share(value: float | None) -> str:
    """A share in percent, with as many digits as tell it from all."""
    if value is None:
        return NOTHING
    if 0.99 < value < 1:
        return f"{min(value, 0.99999):.3%}"
    return f"{value:.4g}" if value > 1 else f"{value:.2%}"


def usd(value: float | None) -> str:
    """USD."""
    return NOTHING if value is None else f"{value:,.4f}" if value < 1 else f"{value:,.2f}"


def moment(utc: str | None, span: Span) -> str:
    """A moment by the clock of the span's time zone."""
    if utc is None:
        return NOTHING
    return f"{datetime.fromisoformat(utc).astimezone(span.zone):%Y-%m-%d %H:%M:%S}"


def period(span: Span) -> str:
    """The span's name, and its days where it has several."""
    return span.name if span.kind == "daily" else f"{span.name}, {span.first} to {span.last}"


def zone(span: Span) -> str:
    """The time zone's name."""
    return str(span.zone) if span.zone is not None else datetime.fromtimestamp(span.begin_s).astimezone().tzname() or ""


def moved(change: Change) -> str:
    """By how much, with the interval where there is one."""
    if change.metric == "availability":
        text = f"{change.by * 100:+.3f} points"
        ends = None if change.ci95 is None else [f"{end * 100:+.3f}" for end in change.ci95]
    else:
        text = f"{change.by:+.1%}"
        ends = None if change.ci95 is None else [f"{end:+.1%}" for end in change.ci95]
    return text if ends is None else f"{text} [{ends[0]}, {ends[1]}]"


def verdict(change: Change) -> str:
    """What may be said of a change."""
    if change.ci95 is None:
        return "too few hours to tell"
    return ("worse" if change.worse else "better") if change.clear else "no difference shown"


def place(row: Row | Alert) -> str:
    """Target and workload."""
    return " ".join(part for part in (row.target, row.workload) if part)


def claims(digest: Digest) -> list[str]:
    """The page's first lines: one a target, the worst first."""
    rows = sorted(digest.rows, key=lambda row: (row.availability is None, row.availability or 0.0))
    return [_claim(row) for row in rows]


def _claim(row: Row) -> str:
    parts = [f"{share(row.availability)} available" if row.availability is not None else "availability unknown"]
    for name in ("ttft.p95", "e2e.p95"):
        if row.latencies[name] is not None:
            parts.append(f"{metric(name)} {seconds(row.latencies[name])}{_beside(row, name)}")
            break
    parts += [f"promise of {each.objective} broken" for each in row.kept if each.budget_used > 1]
    return f"{place(row)}: {', '.join(parts)}; {row.whole.counted:,} requests"


def _beside(row: Row, name: str) -> str:
    found = next((each for each in row.changes if each.metric == name and each.clear), None)
    return "" if found is None else f" ({found.by:+.0%})"


def kept(each: Kept) -> str:
    """Whether an objective was kept, and how much of its budget is used."""
    used = f"{each.budget_used:.0%} of the failures that it allows" if each.budget_used < 100 else "far more failures"
    return f"{'kept' if each.budget_used <= 1 else 'broken'}: {used}"


def few_words(digest: Digest) -> str:
    """What a webhook is told."""
    lines: Sequence[str] = claims(digest)
    more = f"; and {len(lines) - _MOST_IN_WORDS} more" if len(lines) > _MOST_IN_WORDS else ""
    grave = sum(each.severity == "critical" for each in digest.alerts)
    told = f"{len(digest.alerts)} alerts, {grave} of them critical" if digest.alerts else "no alert"
    cost = "" if digest.usd is None else f", {usd(digest.usd)} USD"
    head = f"{digest.span.kind} {digest.span.name} of {digest.run}: {told}{cost}"
    return f"{head}. {'; '.join(lines[:_MOST_IN_WORDS]) or 'Nothing was measured'}{more}."
