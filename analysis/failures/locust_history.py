"""Outages from the history of Locust's CSV alone: rows of seconds with counts since the start.

Locust books a request when it ends, by the whole second, and the order within a second is lost. So what a second booked
is put back to when it was sent: successes by their mean response time; failures by theirs, or, where the CSV tells none
(timeouts without any response), by the silence before the first of them. A second is then down when at least half
of what was sent in it failed; the share that failed in the seconds at its edges says where in them an outage began and
ended. What follows is the rule for attempts: k failures open an outage, and k successes close it.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.failures.outages import Seen, spans
from analysis.quantiles import Floats
from analysis.reading.gaps import Flags
from analysis.summary import Outage
from harness.plan import OutageRule

REQUESTS, FAILURES, AVERAGE = "Total Request Count", "Total Failure Count", "Total Average Response Time"
_UNASKED_S = 10.0
_MOST_POINTS = 2_000_000  # requests that are placed one by one; where there are more, some of each step stand for all
_LONG_SILENCE = 3.0  # times the usual time between two seconds in which a request ended
Counts = npt.NDArray[np.int64]


def rule_text(rule: OutageRule) -> str:
    """The rule in words."""
    return (
        "by the second: a second is down when at least half of the requests sent in it failed (any failure: the CSV "
        f"does not say whose); an outage begins with {rule.k} failures in such seconds and ends with {rule.k} "
        f"successes in others; degraded: replies that took over {rule.slow_factor:g} times "
        f"{'the median' if rule.baseline_s is None else f'{rule.baseline_s:g} s'}"
    )


@dataclass(frozen=True)
class Steps:
    """What was booked from one row of the history to the next. Times in seconds after the first row of all; `taken_s`:
    the sum of their response times (NaN: not told)."""

    begin_s: Floats
    end_s: Floats
    ok: Counts
    failed: Counts
    taken_s: Floats

    @property
    def any(self) -> Flags:
        """In which any request ended."""
        return np.asarray(self.ok + self.failed > 0)


def steps_of(history: pd.DataFrame, first_s: float) -> Steps | None:
    """The steps of one entry's rows, in seconds after the timestamp `first_s`; None with fewer than two rows."""
    if len(history) < 2:
        return None
    grouped = history.groupby("Timestamp")
    totals = grouped[[REQUESTS, FAILURES]].max().cummax()
    if len(totals) < 2:
        return None
    at_s = totals.index.to_numpy(dtype=np.float64) - first_s
    requests, failures = (totals[name].to_numpy(dtype=np.float64) for name in (REQUESTS, FAILURES))
    average = grouped[AVERAGE].last().to_numpy(dtype=np.float64) if AVERAGE in history else np.full(len(at_s), np.nan)
    if not np.isnan(average).all() and np.array_equal(average, np.round(average), equal_nan=True):
        average = np.full(len(at_s), np.nan)  # rounded to milliseconds: of no use where many are summed
    sent, failed = _steps(requests), _steps(failures)
    return Steps(
        begin_s=np.concatenate([[at_s[0] - 1.0], at_s[:-1]]),
        end_s=at_s,
        ok=(sent - np.minimum(failed, sent)).astype(np.int64),
        failed=np.minimum(failed, sent).astype(np.int64),
        taken_s=_steps(average * requests) / 1000,
    )


def resolution_s(steps: Steps) -> float:
    """The usual time between two rows that tell something new: a second, or three where Locust ran on many workers."""
    pauses_s = np.diff(steps.end_s[steps.any])
    return max(1.0, float(np.median(pauses_s))) if len(pauses_s) else 1.0


def _steps(totals: Floats) -> Floats:
    return np.diff(totals, prepend=0.0)


def seen_in(steps: Steps, rule: OutageRule, *, refused: bool = False) -> list[Seen]:
    """The outages of one entry, in each part of the history in which it was asked. `refused`: all of its failures were
    refusals for too high a rate, so that what would be an outage is a time of throttling."""
    means_s = _means_s(steps)
    usual_s = float(np.nanmedian(means_s)) if not np.isnan(means_s).all() else 0.0
    slow_s = rule.slow_factor * (rule.baseline_s or usual_s)
    found = []
    for part in _parts(steps):
        begin_s, end_s = max(0.0, float(part.begin_s[0])), float(part.end_s[-1])
        down, degraded = _down(part, rule, usual_s), _degraded(part, _means_s(part), slow_s, rule.k)
        held = tuple(msgspec.structs.replace(outage, kind="throttled") for outage in down)
        found.append(Seen(begin_s, end_s, () if refused else down, degraded, held if refused else ()))
    return found


def _parts(steps: Steps) -> list[Steps]:
    """The history without what lies before the first and after the last request, in parts between which nothing was
    asked: a long silence that ends in successes. One that ends in failures is a provider that did not answer."""
    places = np.flatnonzero(steps.any)
    if len(places) == 0:
        return []
    pauses_s = np.diff(steps.end_s[places])
    least_s = max(_UNASKED_S, 10 * float(np.median(pauses_s))) if len(pauses_s) else _UNASKED_S
    breaks = np.flatnonzero((pauses_s > least_s) & (steps.failed[places[1:]] == 0))
    firsts, lasts = [0, *(breaks + 1)], [*breaks, len(places) - 1]
    return [_cut(steps, int(places[i]), int(places[k]) + 1) for i, k in zip(firsts, lasts, strict=True)]


def _cut(steps: Steps, begin: int, end: int) -> Steps:
    own = slice(begin, end)
    return Steps(steps.begin_s[own], steps.end_s[own], steps.ok[own], steps.failed[own], steps.taken_s[own])


def _means_s(steps: Steps) -> Floats:
    """The mean response time of each step that booked successes alone; NaN of the others."""
    clean = (steps.failed == 0) & (steps.ok > 0)
    return np.where(clean, np.maximum(steps.taken_s, 0.0) / np.maximum(steps.ok, 1), np.nan)


def _down(steps: Steps, rule: OutageRule, usual_s: float) -> tuple[Outage, ...]:
    delays_s = _delays_s(steps, usual_s)
    ok = _by_second(steps, steps.ok, np.full(len(steps.ok), usual_s))
    failed = _by_second(steps, steps.failed, delays_s)
    seconds = np.flatnonzero(ok + failed)
    bad = (failed[seconds] > 0) & (failed[seconds] >= ok[seconds])
    enough = np.minimum(np.where(bad, failed[seconds], ok[seconds]), rule.k)  # of one second, more decide nothing
    of_entry = np.repeat(np.arange(len(seconds)), enough)
    found = []
    for begin, end in spans(bad[of_entry], rule.k):
        first = of_entry[begin]
        last = len(seconds) if end is None else of_entry[end]
        end_s = None if end is None else _end_s(int(seconds[last]), ok, failed)
        found.append(
            Outage(
                start_s=_begin_s(int(seconds[first]), ok, failed),
                end_s=end_s,
                failures=int(failed[seconds[first:last]].sum()),
                began_before=bool(first == 0),
            )
        )
    return tuple(found)


def _by_second(steps: Steps, counts: Counts, earlier_s: Floats) -> Counts:
    """How many were sent in each second: what a step booked, spread evenly over it, and so much earlier."""
    points = counts if counts.sum() <= _MOST_POINTS else np.minimum(counts, max(1, _MOST_POINTS // len(counts)))
    which = np.repeat(np.arange(len(counts)), points)
    number = np.arange(len(which)) - np.repeat(np.cumsum(points) - points, points)
    share = (number + 0.5) / points[which]
    at_s = steps.begin_s[which] + share * (steps.end_s - steps.begin_s)[which] - earlier_s[which]
    first, last = max(0, int(steps.begin_s[0])), int(steps.end_s[-1])
    seconds = np.clip(np.floor(at_s), first, last).astype(np.int64)
    if points is counts:
        return np.bincount(seconds, minlength=last + 1)
    weights = (counts / np.maximum(points, 1))[which]
    return np.rint(np.bincount(seconds, weights, minlength=last + 1)).astype(np.int64)


def _share(second: int, some: Counts, others: Counts) -> float:
    """The share that some have of what was sent in a second; 0 where nothing was."""
    n = int(some[second] + others[second]) if second >= 0 else 0
    return float(some[second]) / n if n else 0.0


def _begin_s(second: int, ok: Counts, failed: Counts) -> float:
    """When an outage whose first second is down began, if what failed in its first seconds was sent last."""
    share = _share(second, failed, ok)
    before = _share(second - 1, failed, ok) if share == 1.0 else 0.0
    return max(0.0, second + 1 - share - before)


def _end_s(second: int, ok: Counts, failed: Counts) -> float:
    """When an outage ended, whose first second after it is up."""
    share = _share(second, failed, ok)
    return second + share if share > 0 else second - _share(second - 1, ok, failed)


def _delays_s(steps: Steps, usual_s: float) -> Floats:
    """How long before it was booked each step's failures were sent: the same in a stretch of steps that all have
    failures, or book nothing."""
    delays = np.zeros(len(steps.ok))
    places = np.flatnonzero(steps.any)
    for begin, end in _stretches(steps.failed[places] > 0):
        own = places[begin:end]
        silence_s = _silence_s(steps, places, begin)
        known_s = _failures_took_s(steps, own, usual_s)
        delays[own] = np.clip(max(known_s, silence_s + usual_s if silence_s > 0 else 0.0), 0.0, steps.end_s[own])
    return delays


def _stretches(flags: Flags) -> list[tuple[int, int]]:
    """Begin and end of each run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return list(zip(map(int, edges[0::2]), map(int, edges[1::2]), strict=True))


def _silence_s(steps: Steps, places: npt.NDArray[np.int64], begin: int) -> float:
    """How long nothing had ended when the first failures of a stretch were booked, beyond what is usual; else 0."""
    if begin == 0:
        return 0.0
    pauses_s = np.diff(steps.end_s[places])
    usual_s, pause_s = float(np.median(pauses_s)), float(pauses_s[begin - 1])
    return pause_s - usual_s if pause_s > _LONG_SILENCE * usual_s else 0.0


def _failures_took_s(steps: Steps, own: npt.NDArray[np.int64], usual_s: float) -> float:
    """The mean response time of the failures of some steps, from those that booked nothing else where there are any. 0
    where it is not told: requests without a response leave Locust's average where it was."""
    pure = own[steps.ok[own] == 0]
    chosen = pure if len(pure) else own
    failures = int(steps.failed[chosen].sum())
    taken_s = float(steps.taken_s[chosen].sum()) - float(steps.ok[chosen].sum()) * usual_s
    if np.isnan(taken_s) or (len(pure) and _unmoved(steps, pure)):
        return 0.0
    return max(0.0, taken_s / failures)


def _unmoved(steps: Steps, pure: npt.NDArray[np.int64]) -> bool:
    """Whether steps that booked failures alone left the average of all where it was."""
    before = pure[0]
    requests, taken_s = steps.ok + steps.failed, steps.taken_s
    average_s = float(taken_s[:before].sum()) / max(1, int(requests[:before].sum()))
    own_s = float(taken_s[pure].sum()) / int(requests[pure].sum())
    return bool(np.isclose(own_s, average_s, rtol=1e-6))


def _degraded(steps: Steps, means_s: Floats, slow_s: float, k: int) -> tuple[Outage, ...]:
    """Times in which steps of successes alone took too long, k replies or more."""
    if slow_s <= 0:
        return ()
    places = np.flatnonzero(~np.isnan(means_s))
    slow = means_s[places] > slow_s
    of_entry = np.repeat(np.arange(len(places)), np.minimum(steps.ok[places], k))
    sent_s = np.maximum(0.0, steps.begin_s - np.nan_to_num(means_s))
    return tuple(
        Outage(
            kind="degraded",
            start_s=float(sent_s[places[of_entry[begin]]]),
            end_s=None if end is None else float(sent_s[places[of_entry[end]]]),
            failures=int(steps.ok[places[of_entry[begin] : None if end is None else of_entry[end]]].sum()),
            began_before=bool(of_entry[begin] == 0),
        )
        for begin, end in spans(slow[of_entry], k)
    )
