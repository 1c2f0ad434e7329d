"""How large a part of the requests keeps the limits of an SLO, and at which load that part is as wanted. Pure.

Two questions are asked of requests that were within the limits or not:

`Verdict`, at one load: is the part at least as wanted? Wald's sequential probability ratio test, which ends as soon as
it can tell (A. Wald, Sequential Analysis, 1947), with both errors at most `alpha`.

`place_of`, over loads: where is it as wanted? The part falls with the load as ln(load) passes a normal distribution's
worth of margins (a probit model), less the part that fails at any load. Its three parameters have a posterior on a grid
of values, which needs no large numbers and may be looked at as often as one likes: adaptive threshold estimation as in
psychophysics (A. Watson and D. Pelli, Perception and Psychophysics 33, 1983).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import signal, special

from harness.records.search_record import Said

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ALPHA = 0.05
_STEP = 0.01  # between two values of ln(load)
_MOST_STEPS = 256  # tables are made for multiples of so many steps, to be used again
_REACH = 0.7  # the limit may lie so far beyond the loads that were met
_SPREADS = np.geomspace(0.02, 0.8, 12)  # how far apart, in ln(load), a part of 84 % and one of 50 % lie
_USUAL, _UNSURE = 0.15, 0.8  # what is thought of the spread beforehand: the median, and the deviation of its logarithm
_FAILING = np.array([0.0, 0.01, 0.03])  # the part that fails at any load
_WORTH = 0.6  # requests that are under way together are alike: each tells as much as this part of an independent one
_FAILING_PRIOR = np.array([0.7, 0.2, 0.1])


@dataclass
class Verdict:
    """Wald's test of one load: `good` is the part that meets for certain, `bad` the part that misses for certain; in
    between either may be said. `said` is None as long as it cannot be told."""

    good: float
    bad: float
    alpha: float = ALPHA
    log_ratio: float = 0.0
    said: Said | None = None

    def tell(self, *, within: bool) -> Said | None:
        """One request more."""
        part = self.good / self.bad if within else (1 - self.good) / (1 - self.bad)
        self.log_ratio += math.log(part)
        edge = math.log((1 - self.alpha) / self.alpha)
        if self.said is None and abs(self.log_ratio) >= edge:
            self.said = "meets" if self.log_ratio > 0 else "misses"
        return self.said


@dataclass(frozen=True)
class Place:
    """The load at which the wanted part of the requests is within the limits: median and 95 % interval of its
    posterior, and how probable it is that the truth is as near to the median as was asked."""

    load: float
    low: float
    high: float
    certainty: float


def place_of(loads: Floats, within: Flags, wanted: float, precision: float) -> Place:
    """Where the part of requests within the limits is as `wanted`. `loads`: what each request met, at least one;
    `precision`: which part of the load off is near enough."""
    first, good, bad = _counted(np.log(loads), within)
    reach = round(_REACH / _STEP)
    places = (np.arange(-reach, len(good) + reach) + first) * _STEP
    hit, missed, prior = _tables(wanted, _MOST_STEPS * -(-(len(good) + reach) // _MOST_STEPS))
    fit = _WORTH * (_summed(good, hit, reach) + _summed(bad, missed, reach)) + prior
    weight = np.exp(fit - fit.max()).sum(axis=(1, 2))
    share = np.cumsum(weight) / weight.sum()
    low, middle, high = (float(np.interp(q, share, places)) for q in (ALPHA / 2, 0.5, 1 - ALPHA / 2))
    near = np.abs(np.expm1(places - middle)) <= precision
    certainty = float(weight[near].sum() / weight.sum())
    return Place(math.exp(middle), math.exp(low), math.exp(high), certainty)


def _counted(at: Floats, within: Flags) -> tuple[int, Floats, Floats]:
    """The first step of ln(load), and how many requests were within the limits in each from there on, and how many were
    not."""
    steps = np.round(at / _STEP).astype(np.int64)
    first = int(steps.min())
    good, whole = (np.bincount(steps - first, part).astype(np.float64) for part in (within, np.ones(len(at))))
    return first, good, whole - good


@lru_cache(maxsize=8)
def _tables(wanted: float, reach: int) -> tuple[Floats, Floats, Floats]:
    """The logarithm of the part within the limits, and of the part not within, so many steps beyond the place that is
    sought (from -`reach` to `reach`), for every spread and part that fails at any load; and what is thought of these
    two beforehand."""
    failing = _FAILING[1 - wanted > _FAILING]
    edge = special.ndtri(wanted / (1 - failing))
    beyond = np.arange(-reach, reach + 1)[:, None, None] * _STEP / _SPREADS[None, :, None]
    part = np.clip(special.ndtr(edge - beyond) * (1 - failing), 1e-6, 1 - 1e-6)
    prior = -0.5 * (np.log(_SPREADS / _USUAL) / _UNSURE) ** 2
    return np.log(part), np.log1p(-part), prior[:, None] + np.log(_FAILING_PRIOR[: len(failing)])[None, :]


def _summed(counts: Floats, table: Floats, reach: int) -> Floats:
    """For each place the sum over requests of what the table says of their distance from it: a convolution."""
    whole = signal.fftconvolve(counts[:, None, None], table[::-1], axes=0)
    middle = (len(table) - 1) // 2  # where a place is that of the first count
    return np.asarray(whole[middle - reach : middle + len(counts) + reach])
