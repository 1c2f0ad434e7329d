"""What the values of repeats say of a difference: Student's t of pairs, Welch's t of groups, and their power.

Repeats of one run are pairs, since its targets take turns within each; repeats of two runs have nothing in common. What
counts whole requests has at least the spread that counting makes (`grain`). Where repeats do not spread all the same, t
knows no error; then an exact permutation test is used (of signs, or of groups), which no small number of repeats
passes. What is worked out and not drawn by chance is no sample: it is `exact`, and differs where it differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from analysis.statistics import sequential_test

POWER = 0.9
SURE_OF_SPREAD = 0.9
_MOST_REPEATS = 1000
_LARGE = 100.0  # standard errors
_NO_SPREAD = 1e-9  # what rounding makes of equal values


@dataclass(frozen=True)
class RepeatTest:
    """`mean` difference of `n` repeats (of each side, where `groups` is 2), its standard `error` and `df` degrees of
    freedom. `sequential`: the number of repeats was chosen by looking at them, for which t itself would not hold.
    `effect`: Hedges' g. `exact`: nothing of the values was left to chance."""

    n: int
    groups: Literal[1, 2]
    mean: float
    error: float
    df: float
    effect: float | None = None
    sequential: bool = False
    exact: bool = False

    @property
    def spreads(self) -> bool:
        """Whether the repeats differ among themselves at all."""
        return self.error > _NO_SPREAD

    @property
    def differs(self) -> bool:
        """Whether the mean difference is more than rounding makes."""
        return abs(self.mean) > _NO_SPREAD

    def p_value(self) -> float:
        """Of no difference, two-sided."""
        if self.exact:
            return 0.0 if self.differs else 1.0
        return min(1.0, 2 * self.one_sided(0.0, above=self.mean > 0)) if not self.sequential else self._anytime(0.0)

    def one_sided(self, at: float, *, above: bool) -> float:
        """The p of the mean not being above (below) `at`. A sequential test has the same for both sides together."""
        beyond = self.mean - at if above else at - self.mean
        if self.exact:
            return 0.0 if beyond > _NO_SPREAD else 1.0
        if self.sequential:
            return self._anytime(at) if beyond > 0 else 1.0
        if self.spreads:
            return float(special.stdtr(self.df, -beyond / self.error))
        return exact_p(self.n, self.groups) / 2 if beyond > _NO_SPREAD else 1.0

    def shifted(self, by: float) -> RepeatTest:
        """The same test of the distance from `by`."""
        return replace(self, mean=self.mean - by)

    def _anytime(self, at: float) -> float:
        return sequential_test.p_value((self.mean - at) / self.error, self.n) if self.spreads else 1.0

    def critical(self, level: float) -> float:
        """The least distance from the mean, in standard errors, that is refuted at a level, two-sided."""
        return self.critical_at(self.n, self.df, level)

    def critical_at(self, n: int, df: float, level: float) -> float:
        """The same of n repeats."""
        return sequential_test.critical(n, level) if self.sequential else float(special.stdtrit(df, 1 - level / 2))

    def interval(self, level: float) -> tuple[float, float] | None:
        """Interval of the mean difference; None where there is no spread to tell an error from, unless nothing differs,
        or no bound as yet. Of what is exact it is that value."""
        if self.exact:
            return (self.mean, self.mean)
        if not self.spreads:
            return None if self.differs else (0.0, 0.0)
        half = self.critical(level) * self.error
        return (self.mean - half, self.mean + half) if math.isfinite(half) else None


def paired(a: Sequence[float], b: Sequence[float], grain: float, *, sequential: bool = False) -> RepeatTest | None:
    """Of values whose places are the same repeats. `grain`: the variance that the difference of two has at least. None
    with fewer than two."""
    differences = np.subtract(a, b)
    n = len(differences)
    if n < 2:
        return None
    error = math.sqrt(max(float(np.var(differences, ddof=1)), grain) / n)
    return RepeatTest(n, 1, float(np.mean(differences)), error, n - 1, hedges(a, b, n - 1, grain), sequential)


def unpaired(a: Sequence[float], b: Sequence[float], grains: tuple[float, float]) -> RepeatTest | None:
    """Of the values of two runs. `grains`: the variance that a repeat of each side has at least. None where either has
    fewer than two."""
    if min(len(a), len(b)) < 2:
        return None
    sides = zip((a, b), grains, strict=True)
    parts = [max(float(np.var(side, ddof=1)), grain) / len(side) for side, grain in sides]
    error = math.sqrt(sum(parts))
    freedom = sum(part**2 / (len(side) - 1) for part, side in zip(parts, (a, b), strict=True))
    n, mean = min(len(a), len(b)), float(np.mean(a) - np.mean(b))
    df = sum(parts) ** 2 / freedom if error > _NO_SPREAD else 2 * (n - 1)
    return RepeatTest(n, 2, mean, error, df, hedges(a, b, len(a) + len(b) - 2, sum(grains)))


def single(values: Sequence[float], at: float, grain: float = 0.0, *, sequential: bool = False) -> RepeatTest | None:
    """Of the distance of some values from a limit."""
    return paired(values, [at] * len(values), grain, sequential=sequential)


def hedges(a: Sequence[float], b: Sequence[float], df: float, grain: float = 0.0) -> float | None:
    """Hedges' g: the mean difference in units of the two sides' own (mean) standard deviation, with the exact
    correction for small samples (J. Educ. Stat. 6, 1981). None where neither side spreads."""
    variance = max((float(np.var(a, ddof=1)) + float(np.var(b, ddof=1))) / 2, grain / 2)
    if variance <= _NO_SPREAD**2 or df < 2:
        return None
    correction = math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / math.sqrt(df / 2)
    return correction * float(np.mean(a) - np.mean(b)) / math.sqrt(variance)


def exact_p(n: int, groups: int) -> float:
    """The least p, two-sided, of a permutation test: all signs alike, or both groups apart."""
    return 2.0 ** (1 - n) if groups == 1 else 2 / math.comb(2 * n, n)


def power(effect: float, df: float, critical: float) -> float:
    """The power of a t test, two-sided but for the wrong side, where the true difference is `effect` standard
    errors. Beyond _LARGE it is the estimate of the spread alone that chance has a part in."""
    if not math.isfinite(critical):
        return 0.0
    if effect > _LARGE:
        return float(special.chdtr(df, df * (effect / critical) ** 2))
    return 1 - float(special.nctdtr(df, effect, critical))


def repeats_needed(test: RepeatTest, distance: float, level: float) -> int | None:
    """Further repeats until a difference as large as `distance` would be refuted with the power wanted, two-sided at a
    level, at the spread seen; None where a thousand would not do. With groups, of each side."""
    if not test.spreads:
        return None if test.sequential else _first(lambda n: exact_p(n, test.groups) < level, test.n)

    def enough(n: int) -> bool:
        df = test.groups * (n - 1)
        error = test.error * math.sqrt(test.n / n)
        return power(abs(distance) / error, df, test.critical_at(n, df, level)) >= POWER

    return _first(enough, test.n)


def _first(enough: Callable[[int], bool], n: int) -> int | None:
    """How many more than n are enough, `enough` staying true once it is; at least 1."""
    low, high = n, max(_MOST_REPEATS, 2 * n)
    if not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high - n


def detectable(test: RepeatTest, level: float) -> float | None:
    """The smallest true difference that these repeats show with the power wanted, two-sided at a level. The spread is
    taken at its upper confidence bound, since it is itself an estimate: of few repeats it is often far too small."""
    critical = test.critical(level)
    if not test.spreads or not math.isfinite(critical):
        return None
    low, high = 0.0, 2 * (critical + 10)  # with one degree of freedom it is 1.65 times as much
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, test.df, critical) >= POWER else (middle, high)
    return high * test.error * math.sqrt(test.df / float(special.chdtri(test.df, SURE_OF_SPREAD)))
