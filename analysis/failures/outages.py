"""Outages: when a provider was down, degraded or throttled, told from what became of each attempt.

Attempts are taken in the order in which they were sent, and count at the moment they were sent: one that times out
after a minute began to fail at its start, and what succeeds was accepted at its start. Only successes and provider
failures tell whether a provider is up; throttled attempts, errors of the client and of the content are passed over.

One kind of outage cannot be told from starts alone. A server that dies takes with it the replies that were under way,
which were sent while it was up. They stop together, while requests that are refused one by one fail one after another;
where several that were sent apart stopped at one moment, the outage begins at that moment, even where what was sent
after them had come well before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.quantiles import Floats
from analysis.reading.gaps import Flags
from analysis.summary import Outage
from harness.plan import OutageRule

Span = tuple[int, int | None]


@dataclass(frozen=True)
class Attempts:
    """The attempts that were sent in one watch, in the order in which they were sent. Times in seconds.

    `stopped_s`: when a failed attempt was last known to get on (its end; after a timeout the last byte before it).
    `slow`: a reply that took too long; false of all that is no reply.
    """

    start_s: Floats
    stopped_s: Floats
    ok: Flags
    failed: Flags
    throttled: Flags
    slow: Flags


@dataclass(frozen=True)
class Watch:
    """A span of time, in seconds, during which a provider was looked at without a break, and what was sent in it."""

    begin_s: float
    end_s: float
    attempts: Attempts


@dataclass(frozen=True)
class Seen:
    """The outages of one watch, each kind in the order of time."""

    begin_s: float
    end_s: float
    down: tuple[Outage, ...]
    degraded: tuple[Outage, ...] = ()
    throttled: tuple[Outage, ...] = ()


def rule_text(rule: OutageRule) -> str:
    """The rule in words."""
    text = f"down: from the first of {rule.k} consecutive provider failures"
    if rule.failure_ratio is not None:
        text += f", or when {100 * rule.failure_ratio:g} % of the attempts of {rule.window_s:g} s failed,"
    text += f" to the first of {rule.k} successes"
    baseline = "the median" if rule.baseline_s is None else f"{rule.baseline_s:g} s"
    text += f"; degraded: {rule.k} consecutive replies that took over {rule.slow_factor:g} times {baseline}"
    return text + f"; throttled: refusals less than {rule.window_s:g} s apart"


def seen(watch: Watch, rule: OutageRule) -> Seen:
    """What the rule makes of a watch."""
    return Seen(watch.begin_s, watch.end_s, _down(watch, rule), _degraded(watch, rule), _throttled(watch, rule))


def spans(bad: Flags, k: int, hot: Flags | None = None) -> list[Span]:
    """The outages in a sequence: the place of the first of k bad ones, and of the first of k good ones after it (None:
    none came). `hot` marks places at which an outage begins, or goes on, whatever the rule of k says."""
    place = np.arange(len(bad))
    changed = np.concatenate([[True], bad[1:] != bad[:-1]])[: len(bad)]
    first = np.maximum.accumulate(np.where(changed, place, 0)) if len(bad) else place
    long = place - first + 1 >= k
    opens, closes = bad & long, ~bad & long
    if hot is not None:
        opens, closes = opens | hot, closes & ~hot
    told = np.flatnonzero(opens | closes)
    turns = told[np.diff(opens[told].astype(np.int8), prepend=0) != 0]
    begins, ends = turns[0::2], [int(first[turn]) for turn in turns[1::2]]
    heads = [int(first[turn]) if bad[turn] and long[turn] else int(turn) for turn in begins]
    return list(zip(heads, [*ends, None], strict=False))


def _down(watch: Watch, rule: OutageRule) -> tuple[Outage, ...]:
    every = watch.attempts
    tells = every.ok | every.failed
    start_s, stopped_s, bad = every.start_s[tells], every.stopped_s[tells], every.failed[tells]
    gap_s = float(np.median(np.diff(every.start_s))) if len(every.start_s) > 1 else 0.0
    while True:
        found = _outages((start_s, stopped_s, bad), gap_s, rule)
        late = [own for outage, own in found if outage.end_s is not None and outage.end_s < outage.start_s]
        if not late:
            return tuple(outage for outage, _ in found)
        # What was sent later came well before these were cut off: they tell of the moment at which they stopped.
        moved = np.concatenate(late)
        start_s = start_s.copy()
        start_s[moved] = stopped_s[moved]
        order = np.argsort(start_s, kind="stable")
        start_s, stopped_s, bad = start_s[order], stopped_s[order], bad[order]


def _outages(
    columns: tuple[Floats, Floats, Flags], gap_s: float, rule: OutageRule
) -> list[tuple[Outage, npt.NDArray[np.intp]]]:
    """Every outage with the places of its failures, of attempts that tell: when they count, when they stopped, and
    whether they failed."""
    start_s, stopped_s, bad = columns
    ratio = rule.failure_ratio
    hot = None if ratio is None else _hot(start_s, bad, rule.k, ratio, rule.window_s)
    found = []
    after = 0
    for turn, end in spans(bad, rule.k, hot):
        begin = turn
        if ratio is not None:
            earliest = int(np.searchsorted(start_s, start_s[turn] - rule.window_s))
            begin = _change(bad, max(after, earliest), turn, ratio)
        own = np.flatnonzero(bad[begin:end]) + begin
        after = len(bad) if end is None else end
        if len(own):
            end_s = None if end is None else float(start_s[end])
            begin_s = _begin_s(start_s[own], stopped_s[own], gap_s)
            outage = Outage(start_s=begin_s, end_s=end_s, failures=len(own), began_before=bool(own[0] == 0))
            found.append((outage, own))
    return found


def _hot(start_s: Floats, bad: Flags, k: int, ratio: float, window_s: float) -> Flags:
    """At which attempts the share of failures among those of the last `window_s` has reached the ratio, by k or more
    failures."""
    place = np.arange(len(bad)) + 1
    earliest = np.searchsorted(start_s, start_s - window_s, side="right")
    before = np.concatenate([[0], np.cumsum(bad)])
    failures = before[place] - before[earliest]
    return np.asarray((failures >= k) & (failures >= ratio * (place - earliest)), dtype=bool)


def _change(bad: Flags, earliest: int, latest: int, ratio: float) -> int:
    """Where the share of failures rose: after the lowest point of the cumulative sum of what lies above half the ratio
    (Page, Biometrika 41, 1954)."""
    climbed = np.cumsum(bad[earliest : latest + 1] - ratio / 2)
    return earliest + int(np.argmin(np.concatenate([[0.0], climbed[:-1]])))


def _begin_s(start_s: Floats, stopped_s: Floats, gap_s: float) -> float:
    """When an outage with these failures began: when the first was sent; but when they stopped, if two or more that
    were sent further apart than a gap stopped together, before any later one was sent: not each after its own while."""
    first_s = float(stopped_s.min())
    cut = start_s < first_s
    if cut.any():
        sent_s, ended_s = start_s[cut], stopped_s[cut]
        sent_apart_s, ended_apart_s = float(np.ptp(sent_s)), float(np.ptp(ended_s))
        if sent_apart_s > gap_s and ended_apart_s <= min(gap_s, sent_apart_s / 2):
            return first_s
    return float(start_s[0])


def _degraded(watch: Watch, rule: OutageRule) -> tuple[Outage, ...]:
    ok = watch.attempts.ok
    start_s, slow = watch.attempts.start_s[ok], watch.attempts.slow[ok]
    return tuple(
        Outage(
            kind="degraded",
            start_s=float(start_s[begin]),
            end_s=None if end is None else float(start_s[end]),
            failures=int(slow[begin:end].sum()),
            began_before=begin == 0,
        )
        for begin, end in spans(slow, rule.k)
    )


def _throttled(watch: Watch, rule: OutageRule) -> tuple[Outage, ...]:
    """Refusals come in between replies, as the provider's bucket refills: they are one span while they are near one
    another. It ends when the next attempt is sent that is not refused."""
    start_s, refused = watch.attempts.start_s, watch.attempts.throttled
    at = np.flatnonzero(refused)
    if len(at) == 0:
        return ()
    parts: Sequence[npt.NDArray[np.int64]] = np.split(at, np.flatnonzero(np.diff(start_s[at]) >= rule.window_s) + 1)
    return tuple(
        Outage(
            kind="throttled",
            start_s=float(start_s[part[0]]),
            end_s=float(start_s[part[-1] + 1]) if part[-1] + 1 < len(start_s) else None,
            failures=len(part),
            began_before=bool(part[0] == 0),
        )
        for part in parts
    )
