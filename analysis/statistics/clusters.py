"""Shares and differences where some values belong together, as the answers to one question do. Pure.

The variance is the cluster-robust one of a mean or of a difference of means: the square of each cluster's sum of
deviations, summed, times G / (G - 1) for G clusters (Cameron and Miller, 2015, "A practitioner's guide to
cluster-robust inference"). What falls into both sides of a difference, such as a question that both loads were asked,
is thereby paired.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.records.record import Estimate

Floats = npt.NDArray[np.float64]
_Z = float(stats.norm.ppf(0.975))


def effective_n(values: Floats, clusters: Sequence[str]) -> float:
    """How many independent values of 0 or 1 would tell as much: p (1 - p) / variance, at most all of them. Where all
    values are alike it is the number of clusters; where the clusters' shares are alike, all of them."""
    p, groups = float(np.mean(values)), _codes(clusters)
    count = int(groups.max()) + 1
    if p in (0.0, 1.0) or count < 2:
        return float(count)
    variance = _variance(_sums((values - p) / len(values), groups, count))
    return min(float(len(values)), p * (1 - p) / variance) if variance > 0 else float(len(values))


def share(values: Sequence[float] | Floats, clusters: Sequence[str]) -> Estimate | None:
    """A mean of zeros and ones with Wilson's interval on the effective number; None without any."""
    if len(values) == 0:
        return None
    array = np.asarray(values, dtype=np.float64)
    p, n = float(np.mean(array)), effective_n(array, clusters)
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
    return Estimate(value=p, ci95=(min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half))))


def mean(values: Sequence[float] | Floats, clusters: Sequence[str]) -> Estimate | None:
    """A mean with Student's t interval over the clusters; None without any."""
    if len(values) == 0:
        return None
    array, groups = np.asarray(values, dtype=np.float64), _codes(clusters)
    value, count = float(np.mean(array)), int(groups.max()) + 1
    return _with_interval(value, _sums((array - value) / len(array), groups, count))


def change(before: tuple[Floats, Sequence[str]], after: tuple[Floats, Sequence[str]]) -> Estimate | None:
    """The mean of `after` less that of `before`, each as values and their clusters; Student's t over the clusters of
    both. None where either is empty."""
    if not len(before[0]) or not len(after[0]):
        return None
    groups = _codes([*before[1], *after[1]])
    means = [float(np.mean(values)) for values, _ in (before, after)]
    parts = [(values - m) / len(values) for (values, _), m in zip((before, after), means, strict=True)]
    influence = np.concatenate([-parts[0], parts[1]])
    return _with_interval(means[1] - means[0], _sums(influence, groups, int(groups.max()) + 1))


def p_value(found: Estimate, before: Sequence[str], after: Sequence[str]) -> float:
    """The p of no difference, two-sided, of a change between values of these clusters: from its interval, but never
    below that of a permutation test, since few answers that are all alike show no spread. 1 without an interval."""
    ours, theirs = set(before), set(after)
    count = len(ours | theirs)
    if not found.value or found.ci95 is None or found.ci95[1] is None or count < 2:
        return 1.0
    error = (found.ci95[1] - found.value) / float(stats.t.ppf(0.975, count - 1))
    by_t = 2 * float(stats.t.sf(abs(found.value) / error, count - 1)) if error > 0 else 0.0
    return max(by_t, least_p(len(ours & theirs), len(ours - theirs), len(theirs - ours)))


def least_p(both: int, ours: int = 0, theirs: int = 0) -> float:
    """The least p, two-sided, of a permutation test that exchanges the sides of each cluster that both have, and the
    others among one another."""
    exchanges: int = 2**both * math.comb(ours + theirs, ours)
    return min(1.0, 2 / exchanges)


def _with_interval(value: float, sums: Floats) -> Estimate:
    if len(sums) < 2:
        return Estimate(value=value)
    half = float(stats.t.ppf(0.975, len(sums) - 1)) * math.sqrt(_variance(sums))
    return Estimate(value=value, ci95=(value - half, value + half))


def _codes(clusters: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)


def _sums(values: Floats, groups: npt.NDArray[np.int64], count: int) -> Floats:
    return np.asarray(np.bincount(groups, weights=values, minlength=count), dtype=np.float64)


def _variance(sums: Floats) -> float:
    return len(sums) / (len(sums) - 1) * float(np.sum(sums**2))
