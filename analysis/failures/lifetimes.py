"""Up-times and repairs: means with intervals, tests of what these assume, and Kaplan and Meier's curve.

Failures are taken as a Poisson process in up-time, and repairs as one in down-time. Their rates are what observation
for a given time tells, however many events it held: the mean is time / events, and its interval holds for any number
of events, none included. Sources: docs/reliability.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.failures.outages import Seen
from analysis.quantiles import Floats
from analysis.summary import Estimate, Fit, Survival

ENOUGH = 8  # failures, for a test of their distribution and a curve
_DRAWS = 1999
_SEED = 0
_NO_EVENT = 3.0  # -ln 0.05, rounded as everybody rounds it: the one-sided bound of no event


@dataclass(frozen=True)
class Lifetimes:
    """Lengths of time, in order, each with whether it ended by an event, or was cut off by the end of the watch."""

    length_s: Floats
    ended: npt.NDArray[np.bool_]

    @property
    def events(self) -> int:
        """How many ended by an event."""
        return int(self.ended.sum())

    @property
    def total_s(self) -> float:
        """All of the time, cut off or not."""
        return float(self.length_s.sum())


def lifetimes(watches: Sequence[Seen]) -> tuple[Lifetimes, Lifetimes]:
    """The up-times and the repairs of all watches. The up-time at the end of each watch is cut off, and so is a repair;
    an outage that a watch began with is no event of an up-time."""
    up: list[tuple[float, bool]] = []
    down: list[tuple[float, bool]] = []
    for watch in watches:
        since_s = watch.begin_s
        for outage in watch.down:
            begin_s = since_s if outage.began_before else outage.start_s
            if not outage.began_before:
                up.append((max(0.0, begin_s - since_s), True))
            since_s = watch.end_s if outage.end_s is None else outage.end_s
            down.append((max(0.0, since_s - begin_s), outage.end_s is not None))
        if not watch.down or watch.down[-1].end_s is not None:
            up.append((max(0.0, watch.end_s - since_s), False))
    return _lifetimes(up), _lifetimes(down)


def _lifetimes(pairs: Sequence[tuple[float, bool]]) -> Lifetimes:
    return Lifetimes(np.array([s for s, _ in pairs], np.float64), np.array([ended for _, ended in pairs], np.bool_))


def mean_time(total_s: float, events: int) -> Estimate:
    """Mean time to an event: total time / events, with the interval of a time-terminated test under exponential times.
    No event: only a lower bound."""
    if total_s <= 0:
        return Estimate(value=None)
    if events == 0:
        return Estimate(value=None, ci95=(total_s / _NO_EVENT, None))
    low = 2 * total_s / float(stats.chi2.ppf(0.975, 2 * events + 2))
    high = 2 * total_s / float(stats.chi2.ppf(0.025, 2 * events))
    return Estimate(value=total_s / events, ci95=(low, high))


def availability(up: Lifetimes, down: Lifetimes) -> Estimate:
    """Up-time / watched time, with the interval that MTTR / MTBF has: a ratio of two exponential means follows Fisher's
    F. As in `mean_time`, each end gives the count that makes it wider one event more. An end is open where there was no
    repair, or no failure while watched; without an outage there is no interval."""
    watched_s = up.total_s + down.total_s
    if watched_s <= 0:
        return Estimate(value=None)
    value = up.total_s / watched_s
    if up.total_s <= 0 or down.total_s <= 0:
        return Estimate(value=value)
    best = _ratio_end(0.975, up, down, down.events + 1, up.events)
    worst = _ratio_end(0.025, up, down, down.events, up.events + 1)
    return Estimate(value=value, ci95=(_of_ratio(worst), _of_ratio(best)))


def _ratio_end(q: float, up: Lifetimes, down: Lifetimes, repairs: int, failures: int) -> float | None:
    """One end of the interval of MTTR / MTBF."""
    if repairs == 0 or failures == 0:
        return None
    seen = (down.total_s / repairs) / (up.total_s / failures)
    return seen / float(stats.f.ppf(q, 2 * repairs, 2 * failures))


def _of_ratio(ratio: float | None) -> float | None:
    return None if ratio is None else 1 / (1 + ratio)


def exponential(times: Lifetimes) -> Fit | None:
    """Anderson and Darling's test that times are exponential, of unknown mean; p from draws of its distribution. None
    with fewer than eight events.

    Events of a Poisson process that are watched for a given time cut it into pieces which are distributed as as many
    exponential times divided by their sum; so the piece that is cut off at the end is one of them, and where a watch
    goes on in the next, both parts are one.
    """
    if times.events < ENOUGH:
        return None
    pieces = _pieces(times)
    if len(pieces) < ENOUGH:
        return None
    rng = np.random.default_rng(_SEED)
    found = stats.goodness_of_fit(
        stats.expon, pieces, known_params={"loc": 0}, statistic="ad", n_mc_samples=_DRAWS, rng=rng
    )
    return Fit(test="Anderson-Darling", n=len(pieces), statistic=float(found.statistic), p_value=float(found.pvalue))


def trend(times: Lifetimes) -> Fit | None:
    """Laplace's test that events come at a constant rate: standard normal, above 0 where they become more frequent.
    None with fewer than eight events."""
    if times.events < ENOUGH or times.total_s <= 0:
        return None
    at_s = np.cumsum(times.length_s)[times.ended]
    at_s = at_s if not times.ended[-1] else at_s[:-1]  # the last event ended the watch: its time is given
    n = len(at_s)
    z = float((at_s.mean() / times.total_s - 0.5) * np.sqrt(12 * n))
    return Fit(test="Laplace", n=n, statistic=z, p_value=2 * float(stats.norm.sf(abs(z))))


def _pieces(times: Lifetimes) -> Floats:
    """The time between events, watches put end to end. Pieces without length are left out."""
    edges = np.concatenate([[0.0], np.cumsum(times.length_s)[times.ended], [times.total_s]])
    pieces = np.diff(edges)
    return np.asarray(pieces[pieces > 0], dtype=np.float64)


def survival(times: Lifetimes) -> Survival | None:
    """Kaplan and Meier's curve with log-log bounds; None with fewer than eight events."""
    if times.events < ENOUGH:
        return None
    data = stats.CensoredData(uncensored=times.length_s[times.ended], right=times.length_s[~times.ended])
    curve = stats.ecdf(data).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the bounds are not defined where the share is 0
        bounds: Any = curve.confidence_interval(0.95, method="log-log")
    return Survival(
        time_s=tuple(map(float, curve.quantiles)),
        share=tuple(map(float, curve.probabilities)),
        low=_known(bounds.low.probabilities),
        high=_known(bounds.high.probabilities),
    )


def _known(values: Floats) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)
