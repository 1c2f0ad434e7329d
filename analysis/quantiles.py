"""One definition of a quantile, and the interval of a statistic over repeats.

Quantiles are Hyndman and Fan's type 7 (linear between order statistics; numpy's default). A quantile q is given when at
least one sample is expected above it, n (1 - q) >= 1: p90 from 10, p95 from 20, p99 from 100 samples. The unit of
replication is the repeat: an interval is Student's t over the repeats' own values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.summary import Dist, Interval

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
STATISTICS = ("mean", *QUANTILES, "max")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """How many values there are, and their statistics by name; None where there are too few values."""

    n: int = 0
    values: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(STATISTICS))


def needed(quantile: float) -> int:
    """The samples from which on a quantile is given."""
    return max(1, math.ceil(round(1 / (1 - quantile), 9))) if quantile > 0.5 else 1


def given(n: int) -> dict[str, float]:
    """The quantiles, by name, that n values allow."""
    return {name: quantile for name, quantile in QUANTILES.items() if n >= needed(quantile)}


def statistics(values: Floats) -> dict[str, float | None]:
    """mean, p50 ... p99 and max; None where there are too few values."""
    return figures(values).values


def figures(values: Floats) -> Figures:
    """The statistics of some values."""
    n = len(values)
    if n == 0:
        return Figures()
    names = given(n)
    found = np.quantile(values, list(names.values()))
    blank: dict[str, float | None] = dict.fromkeys(STATISTICS)
    quantiles = {name: float(value) for name, value in zip(names, found, strict=True)}
    return Figures(n, blank | quantiles | {"mean": float(np.mean(values)), "max": float(np.max(values))})


@lru_cache(4096)
def student(df: float) -> float:
    """The 97.5 % quantile of Student's t distribution. It is asked for often, with few degrees of freedom."""
    return float(stats.t.ppf(0.975, df))


def interval(values: Sequence[float | None]) -> Interval | None:
    """Student's t interval (95 %) of the mean of the repeats' values; None with fewer than two, or with a gap."""
    whole = [value for value in values if value is not None]
    if len(whole) < 2 or len(whole) < len(values):
        return None
    half = student(len(whole) - 1) * float(np.std(whole, ddof=1)) / math.sqrt(len(whole))
    mean = float(np.mean(whole))
    return (mean - half, mean + half)


def dist(per_repeat: Sequence[Floats]) -> Dist | None:
    """The distribution over all repeats, with intervals over them; None when nothing was measured."""
    pooled = np.concatenate(list(per_repeat)) if per_repeat else np.empty(0)
    return dist_of(figures(pooled), [figures(values) for values in per_repeat])


def dist_of(pooled: Figures, own: Sequence[Figures]) -> Dist | None:
    """The distribution whose figures over all repeats are `pooled` and of each repeat `own`."""
    if pooled.n == 0:
        return None
    ci95: dict[str, Interval] = {}
    cv: dict[str, float] = {}
    for name in ("mean", *QUANTILES):
        values = [each.values[name] for each in own]
        found = interval(values)
        if found is not None:
            ci95[name] = found
            whole = [value for value in values if value is not None]
            cv[name] = float(np.std(whole, ddof=1) / np.mean(whole)) if np.mean(whole) > 0 else 0.0
    return Dist(n=pooled.n, **pooled.values, ci95=ci95, cv=cv)
