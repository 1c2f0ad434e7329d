"""How often a provider failed, for how long, and how sure that is. Definitions and sources: docs/reliability.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from analysis.failures.lifetimes import availability, exponential, lifetimes, mean_time, survival, trend
from analysis.failures.outages import Attempts, Seen, Watch, rule_text, seen
from analysis.metrics import Window, injected
from analysis.quantiles import Floats
from analysis.reading.gaps import Whole
from analysis.summary import Estimate, Outage, Reliability
from harness.errors import PROVIDER_FAILURES
from harness.plan import OutageRule

UNKNOWN = "unknown"  # the class of a failure of which plain CSV does not say whose it was: taken for the provider's
_NOT_COUNTED = ("cancelled", "dropped")


def wilson(successes: int, n: int) -> Estimate:
    """A ratio with its 95 % Wilson score interval."""
    if n == 0:
        return Estimate(value=None)
    found = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return Estimate(value=successes / n, ci95=(float(found.low), float(found.high)))


@dataclass(frozen=True)
class Counts:
    """The attempts of some watches: all but those that we cut off or never sent; those that ended ok; and those that
    failed, by the class of their error."""

    counted: int = 0
    ok: int = 0
    by_class: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.counted + other.counted, self.ok + other.ok, self.by_class + other.by_class)

    @property
    def provider_failures(self) -> int:
        """Those at which the provider was at fault."""
        return sum(self.by_class[name] for name in (*(each.value for each in PROVIDER_FAILURES), UNKNOWN))


def counts_of(windows: Sequence[Window]) -> Counts:
    """What became of the attempts of some windows."""
    by_class: Counter[str] = Counter()
    counted = ok = 0
    for window in windows:
        rows = _counted(window)
        counted += len(rows)
        ok += int(window.is_(rows, "outcome", "ok").sum())
        by_class.update(str(each) for each in window.samples.table["error_class"].iloc[rows].dropna())
    return Counts(counted, ok, by_class)


def _counted(window: Window) -> Whole:
    """The attempts that tell of the provider: neither ended by this program nor made to fail on purpose."""
    rows = window.inside[~window.is_(window.inside, "outcome", *_NOT_COUNTED)]
    return rows[~injected(window.samples, rows)]


def watches_of(windows: Sequence[Window], rule: OutageRule, origin_ns: float) -> list[Watch]:
    """The windows of one cell as watches, in seconds since `origin_ns`. What is slow is judged by the cell's own
    baseline: the median latency of its replies, unless the rule names one."""
    latencies = [_latency_s(window, window.good) for window in windows]
    pooled = np.concatenate(latencies) if latencies else np.empty(0)
    baseline_s = rule.baseline_s or (float(np.median(pooled)) if len(pooled) else np.inf)
    return [_watch_of(window, rule.slow_factor * baseline_s, origin_ns) for window in windows]


def _latency_s(window: Window, rows: Whole) -> Floats:
    """TTFT of what was streamed, else E2E."""
    start, first = window.samples.column("start_ns", rows), window.samples.column("first_event_ns", rows)
    return (np.where(np.isnan(first), window.samples.column("end_ns", rows), first) - start) / 1e9


def _watch_of(window: Window, slow_s: float, origin_ns: float) -> Watch:
    samples = window.samples
    rows = _counted(window)
    rows = rows[samples.on_axis("start_ns", rows) <= window.end_ns]
    rows = rows[np.argsort(samples.on_axis("start_ns", rows), kind="stable")]
    ok = window.is_(rows, "outcome", "ok")
    attempts = Attempts(
        start_s=(samples.on_axis("start_ns", rows) - origin_ns) / 1e9,
        stopped_s=(_stopped_ns(window, rows) - origin_ns) / 1e9,
        ok=ok,
        failed=window.is_(rows, "error_class", *(each.value for each in PROVIDER_FAILURES)),
        throttled=window.is_(rows, "outcome", "throttled"),
        slow=ok & (_latency_s(window, rows) > slow_s),
    )
    return Watch((window.begin_ns - origin_ns) / 1e9, (window.end_ns - origin_ns) / 1e9, attempts)


def _stopped_ns(window: Window, rows: Whole) -> Floats:
    """When each attempt was last known to get on: its end; after a timeout its last event, its headers or its start."""
    samples = window.samples
    known = samples.on_axis("start_ns", rows)
    for name in ("headers_ns", "last_event_ns"):
        later = samples.on_axis(name, rows)
        known = np.where(np.isnan(later), known, later)
    return np.where(window.is_(rows, "outcome", "timed_out"), known, samples.on_axis("end_ns", rows))


def reliability_of(watches: Sequence[Watch], counts: Counts, rule: OutageRule) -> Reliability:
    """Of the attempts of some watches, each looked at by itself."""
    found = [seen(watch, rule) for watch in sorted(watches, key=lambda watch: watch.begin_s)]
    watched_s = sum(each.end_s - each.begin_s for each in found)
    resolution_s = watched_s / counts.counted if counts.counted else None
    return put_together(found, counts, rule_text(rule), resolution_s)


def put_together(found: Sequence[Seen], counts: Counts, rule: str, resolution_s: float | None) -> Reliability:
    """The figures of what was seen in all watches, in the order of time."""
    up, down = lifetimes(found)
    n, outages = counts.counted, tuple(outage for each in found for outage in each.down)
    degraded = tuple(outage for each in found for outage in each.degraded)
    degraded_s = sum(_length_s(outage, each.end_s) for each in found for outage in each.degraded)
    return Reliability(
        rule=rule,
        resolution_s=resolution_s,
        success_ratio=wilson(counts.ok, n),
        availability=availability(up, down),
        mtbf_s=mean_time(up.total_s, up.events),
        mttr_s=mean_time(down.total_s, down.events),
        provider_failures=counts.provider_failures,
        failures_per_1k=1000 * counts.provider_failures / n if n else None,
        outages=outages,
        longest_outage_s=max((_length_s(outage, each.end_s) for each in found for outage in each.down), default=None),
        degraded=degraded,
        throttled=tuple(outage for each in found for outage in each.throttled),
        watched=tuple((each.begin_s, each.end_s) for each in found),
        watched_s=up.total_s + down.total_s,
        up_s=up.total_s,
        down_s=down.total_s,
        degraded_s=degraded_s,
        failures=up.events,
        repairs=down.events,
        error_ratio={name: wilson(count, n) for name, count in sorted(counts.by_class.items()) if count},
        exponential=exponential(up),
        trend=trend(up),
        repairs_exponential=exponential(down),
        survival=survival(up),
    )


def _length_s(outage: Outage, watch_end_s: float) -> float:
    return (watch_end_s if outage.end_s is None else outage.end_s) - outage.start_s
