"""How often a provider failed: success ratio (Wilson), outages, MTBF and MTTR with censoring.

An outage begins at the first of K consecutive provider failures (server, transport, stream) and ends at the first of K
successes. MTBF = up-time / failures, the last, unfinished up-time counted; its interval is that of a time-terminated
test under exponential gaps: [2T / chi2(0.975; 2r + 2), 2T / chi2(0.025; 2r)], and for r = 0 the lower bound T / 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from scipy import stats

from analysis.summary import Estimate, Outage, Reliability
from harness.errors import PROVIDER_FAILURES

K = 3
RULE = f"an outage begins at the first of {K} consecutive provider failures and ends at the first of {K} successes"


def wilson(successes: int, n: int) -> Estimate:
    """A ratio with its 95 % Wilson score interval."""
    if n == 0:
        return Estimate(value=None)
    found = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return Estimate(value=successes / n, ci95=(float(found.low), float(found.high)))


def mtbf(up_s: float, failures: int) -> Estimate:
    """Mean time between failures from total up-time; no failure: only a lower bound."""
    if up_s <= 0:
        return Estimate(value=None)
    if failures == 0:
        return Estimate(value=None, ci95=(up_s / 3.0, None))
    low = 2 * up_s / float(stats.chi2.ppf(0.975, 2 * failures + 2))
    high = 2 * up_s / float(stats.chi2.ppf(0.025, 2 * failures))
    return Estimate(value=up_s / failures, ci95=(low, high))


def outages(ended_s: Sequence[float], failed: Sequence[bool], k: int = K) -> tuple[Outage, ...]:
    """The outages in a sequence of attempts ordered by their end (seconds), by the rule above."""
    found: list[Outage] = []
    down_since: float | None = None
    failures = 0
    run: list[float] = []  # ends of the present run of results that contradict the state
    for at_s, bad in zip(ended_s, failed, strict=True):
        failures += bad and down_since is not None
        run = [*run, at_s] if bad == (down_since is None) else []
        if len(run) < k:
            continue
        if down_since is None:
            down_since, failures = run[0], len(run)
        else:
            found.append(Outage(start_s=down_since, end_s=run[0], failures=failures))
            down_since = None
        run = []
    if down_since is not None:
        found.append(Outage(start_s=down_since, end_s=None, failures=failures))
    return tuple(found)


def reliability_of(rows: pd.DataFrame, spans_s: Sequence[tuple[float, float]], origin_ns: float) -> Reliability:
    """Of the attempts of a cell. `spans_s`: the windows during which it was watched, in seconds since `origin_ns`.
    Throttling, client and content errors are not the provider's failures; attempts cut by us count for nothing."""
    counted = rows[~rows["outcome"].isin(["cancelled", "dropped"])].sort_values("end_abs_ns")
    bad = counted["error_class"].isin([each.value for each in PROVIDER_FAILURES])
    ended = ((counted["end_abs_ns"] - origin_ns) / 1e9).astype(float)
    found: list[Outage] = []
    down_s = watched_s = 0.0
    for begin_s, end_s in spans_s:
        inside = (ended >= begin_s) & (ended <= end_s)
        here = outages(list(ended[inside]), list(bad[inside]))
        down_s += sum((outage.end_s if outage.end_s is not None else end_s) - outage.start_s for outage in here)
        watched_s += end_s - begin_s
        found += here
    repaired = [outage.end_s - outage.start_s for outage in found if outage.end_s is not None]
    up_s = watched_s - down_s
    n = len(counted)
    return Reliability(
        rule=RULE,
        resolution_s=watched_s / n if n else None,
        success_ratio=wilson(int((counted["outcome"] == "ok").sum()), n),
        availability=Estimate(value=up_s / watched_s if watched_s > 0 else None),
        mtbf_s=mtbf(up_s, len(found)),
        mttr_s=Estimate(value=down_s / len(repaired) if repaired else None),
        provider_failures=int(bad.sum()),
        failures_per_1k=1000 * int(bad.sum()) / n if n else None,
        outages=tuple(found),
        longest_outage_s=max(repaired, default=None),
    )
