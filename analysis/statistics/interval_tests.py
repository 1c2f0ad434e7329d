"""The difference of two estimates that come with intervals, whatever made these: by the square of the distances.

MOVER (Zou and Donner, Stat. Med. 27, 2008; Newcombe's method 10 where both are shares): the lower bound of a - b lies
sqrt((a - lower a)^2 + (upper b - b)^2) below it, the upper bound likewise above. Other levels than 95 % stretch these
distances by the ratio of the normal quantiles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scipy import stats

from analysis.records.record import Estimate

_Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class IntervalTest:
    """A difference, and how far below and above it the 95 % interval reaches (infinite: open)."""

    mean: float
    below: float
    above: float

    def p_value(self) -> float:
        """Of no difference, two-sided."""
        return min(1.0, 2 * self.one_sided(0.0, above=self.mean > 0))

    def one_sided(self, at: float, *, above: bool) -> float:
        """The p of the difference not being above (below) `at`."""
        beyond, reach = (self.mean - at, self.below) if above else (at - self.mean, self.above)
        if reach == 0:
            return 1.0 if beyond <= 0 else 0.0
        return float(stats.norm.sf(_Z * beyond / reach))

    def shifted(self, by: float) -> IntervalTest:
        """The same test of the distance from `by`."""
        return replace(self, mean=self.mean - by)

    def ci95(self) -> tuple[float | None, float | None]:
        """The interval; None: open."""
        ends = (self.mean - self.below, self.mean + self.above)
        return (ends[0] if math.isfinite(ends[0]) else None, ends[1] if math.isfinite(ends[1]) else None)


def difference(a: Estimate, b: Estimate, factor: float = 1.0) -> IntervalTest | None:
    """The difference a - factor x b; None where either is not known, or has no interval."""
    if a.value is None or b.value is None or a.ci95 is None or b.ci95 is None:
        return None
    a_below, a_above = _reach(a.value, a.ci95)
    b_below, b_above = (factor * each for each in _reach(b.value, b.ci95))
    return IntervalTest(a.value - factor * b.value, math.hypot(a_below, b_above), math.hypot(a_above, b_below))


def _reach(value: float, ends: tuple[float | None, float | None]) -> tuple[float, float]:
    low, high = ends
    return (math.inf if low is None else max(0.0, value - low), math.inf if high is None else max(0.0, high - value))
