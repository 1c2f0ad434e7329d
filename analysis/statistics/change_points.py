"""When a level changed: change points of a long series of runs, with false alarms held down. Pure.

Seeded binary segmentation (Kovacs, Buehlmann, Li and Munk, Biometrika 110, 2023) looks at intervals of every length. In
each, the split whose two sides differ most is found; its p is that of the largest of all splits of noise, by the
approximation of James, James and Siegmund ("Tests for a change-point", Biometrika 74, 1987), with the standard errors
of noise that has memory. Lengths share the level alike, and intervals of one length again (Bonferroni), so that p
speaks of the whole series. The most certain split is kept, then the most certain within what it leaves. Then each must
be needed by the likelihood of the whole series, and the ranks of its two sides must differ (Mann and Whitney).

A steady drift would be cut into steps. Where a straight line, with steps about it or none, explains the series better
than steps alone (Schwarz's BIC), the steps are those about the line.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtr, stdtrit

from analysis.records.history_record import Jump
from analysis.statistics.series_noise import Floats, Noise, noise_of, without_outliers

FEWEST = 5  # runs on each side of a change
LEVEL = 0.05
_SHRINK = 1 / math.sqrt(2)  # of the lengths of intervals, from one to the next
_NODES = 48
_RANKS = 0.05
_NEAR = 12  # runs, to each side, in which the place of a change is made exact
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Levels:
    """Every change that alone would be believed, in order; `p_value`: that nothing ever changed. `drifts`: a straight
    line explains the series better than steps do; changes are then those about the line."""

    changes: tuple[Jump, ...]
    p_value: float
    drifts: bool
    noise: Noise


def levels_of(values: Floats) -> Levels:
    """The changes of a series. Fewer than 10 runs, or equal ones, have none."""
    if len(values) < 2 * FEWEST or np.ptp(values) == 0:
        return Levels((), 1.0, drifts=False, noise=Noise(0.0, 0.0))
    plain = without_outliers(values)
    noise = noise_of(plain)
    if np.ptp(plain) == 0:
        return Levels((), 1.0, drifts=False, noise=noise)
    noise = _about_one_step(plain, noise)
    splits, p_value = _needed(plain, _splits(plain, noise), drifts=False)
    if splits:
        line = _slope(plain) * (np.arange(len(values)) - (len(values) - 1) / 2)
        about, p_about = _needed(plain, _splits(plain - line, noise), drifts=True)
        if _line_is_better(plain, [each.at for each in splits], [each.at for each in about]):
            return _levels(values - line, plain - line, noise, (about, p_about), drifts=True)
    return _levels(values, plain, noise, (splits, p_value), drifts=False)


def _levels(values: Floats, plain: Floats, noise: Noise, splits: tuple[list[_Split], float], *, drifts: bool) -> Levels:
    found, p_value = splits
    changes = _described(values, plain, noise, found)
    return Levels(changes, 1.0 if found and not changes else p_value, drifts=drifts, noise=noise)


def _about_one_step(values: Floats, noise: Noise) -> Noise:
    """The noise with no more memory than fits best beside the largest single step: in a short series, differences alone
    tell memory badly. With it changes are proposed; which are believed, the likelihood says, by a memory of its own."""
    n = len(values)
    t = np.arange(FEWEST, n - FEWEST + 1)
    sums = np.cumsum(values - values.mean())
    at = int(t[np.argmax(np.abs(sums[t - 1]) / np.sqrt(t * (n - t)))])
    phi = min(noise.phi, _left_over(values, [at], drifts=False)[1])
    return Noise(noise.sigma * math.sqrt((1 - noise.phi) / (1 - phi)), phi)  # as the differences have it


@dataclass(frozen=True)
class _Split:
    """A place where a level may have changed, and what its search has cost: the length of the interval in which it was
    found, and how many intervals could have shown one."""

    at: int
    length: int
    trials: int
    p_value: float


def _splits(values: Floats, noise: Noise) -> list[_Split]:
    """Where levels seem to change, in order."""
    places, logs = _candidates(values, noise)
    found: list[_Split] = []
    while len(logs):
        best = int(np.argmin(logs))
        if logs[best] > math.log(LEVEL):
            break
        start, end, at, trials = (int(each) for each in places[best])
        found.append(_Split(at, end - start, trials, math.exp(float(logs[best]))))
        open_ = (places[:, 1] <= at) | (places[:, 0] >= at)
        places, logs = places[open_], logs[open_]
    return _placed(values, noise, sorted(found, key=lambda each: each.at))


def _candidates(values: Floats, noise: Noise) -> tuple[Whole, Floats]:
    """Of every seeded interval whose best split could matter: a row of start, end, split and trials (the intervals that
    Bonferroni counts); and the logarithm of its p."""
    sums = np.concatenate([[0.0], np.cumsum(values - values.mean())])
    rows, logs = [np.empty((0, 4), dtype=np.int64)], [np.empty(0)]
    layers = _layers(len(values))
    errors = noise.error(np.arange(1, len(values) + 1, dtype=np.float64))
    for length, starts in layers:
        trials = len(starts) * len(layers)
        t = np.arange(FEWEST, length - FEWEST + 1)
        left = sums[starts[:, None] + t] - sums[starts][:, None]
        total = (sums[starts + length] - sums[starts])[:, None]
        error = np.hypot(errors[t - 1], errors[length - t - 1])
        z = np.abs((total - left) / (length - t) - left / t) / error
        best = np.argmax(z, axis=1)
        largest = z[np.arange(len(starts)), best]
        kept = largest > _interesting(length, trials)
        if kept.any():
            begin = starts[kept]
            columns = (begin, begin + length, begin + t[best[kept]], np.full(len(begin), trials))
            rows.append(np.column_stack(columns))
            logs.append(_log_p(largest[kept], length) + math.log(trials))
    return np.concatenate(rows), np.concatenate(logs)


@functools.lru_cache(maxsize=64)
def _layers(n: int) -> tuple[tuple[int, Whole], ...]:
    """Lengths of intervals, each with its starts, evenly shifted (Kovacs et al., definition 1)."""
    found = []
    length, count = float(n), 1
    while math.ceil(length) >= 2 * FEWEST:
        size = min(n, math.ceil(length))
        starts = np.unique(np.round(np.linspace(0, n - size, count)).astype(np.int64))
        found.append((size, starts))
        length *= _SHRINK
        count = 2 * math.ceil(n / length) - 1
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def _interesting(length: int, trials: int) -> float:
    """The z from which on p is below one half: nothing below it can matter, and it is not looked at."""
    low, high = 1.0, 10.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_p(np.array([middle]), length)[0] + math.log(trials) > -0.7 else (low, middle)
    return low


def _log_p(z: Floats, length: int) -> Floats:
    """The logarithm of the chance that the largest of all splits of `length` normal values without memory passes z in
    size: z phi(z) times the integral of nu(z / sqrt(n t (1 - t))) / (t (1 - t)) over the splits, as parts of the
    length. With memory neighbouring splits are more alike, and the chance is smaller."""
    least = (FEWEST - 0.5) / length
    ends = math.log((1 - least) / least)
    nodes, weights = _quadrature()
    t = 1 / (1 + np.exp(-ends * nodes))  # d logit t = dt / (t (1 - t))
    integral = ends * (_nu(z[:, None] / np.sqrt(length * t * (1 - t))) @ weights)
    return np.asarray(np.log(z) - z**2 / 2 - math.log(math.sqrt(2 * math.pi)) + np.log(integral))


@functools.cache
def _quadrature() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights


def _nu(x: Floats) -> Floats:
    """Siegmund's correction for looking at whole runs only, in the closed form of Siegmund and Yakir (2007)."""
    half = x / 2
    return np.asarray((ndtr(half) - 0.5) / half / (half * ndtr(half) + np.exp(-(half**2) / 2) / math.sqrt(2 * math.pi)))


def _placed(values: Floats, noise: Noise, found: list[_Split]) -> list[_Split]:
    """Each change moved to the run from which on the new level fits best, next to where it was found. Changes that come
    to lie too near one another become one."""
    moved: list[_Split] = []
    for number, split in enumerate(found):
        begin = moved[-1].at if moved else 0
        end = found[number + 1].at if number + 1 < len(found) else len(values)
        low, high = max(begin + FEWEST, split.at - _NEAR), min(end - FEWEST, split.at + _NEAR)
        if low > high:
            continue
        tries = range(low, high + 1)
        misfits = [_misfit(values[begin:end], noise.phi, at - begin) for at in tries]
        moved.append(replace(split, at=tries[int(np.argmin(misfits))]))
    return moved


def _misfit(values: Floats, phi: float, place: int) -> float:
    """The sum of squares that one step leaves of what is new in each run (values less phi of the last)."""
    columns = _design(len(values), [place])
    y, x = values[1:] - phi * values[:-1], columns[1:] - phi * columns[:-1]
    solved, *_ = np.linalg.lstsq(x, y, rcond=None)
    return float(np.sum((y - x @ solved) ** 2))


def _design(n: int, places: list[int]) -> Floats:
    """A column for each level."""
    level = np.searchsorted(places, np.arange(n), side="right")
    return np.asarray(level[:, None] == np.arange(len(places) + 1), dtype=np.float64)


def _left_over(values: Floats, places: list[int], *, drifts: bool) -> tuple[float, float]:
    """The sum of squares that steps at these places (and a line) leave of what is new in each run, and the memory, the
    one that fits best with them (Davis, Huang and Yao, Annals of Statistics 23, 1995)."""
    n = len(values)
    line = [np.arange(n) / n - 0.5] if drifts else []
    table = np.column_stack([_design(n, places), *line, values - values.mean()])
    new, old = table[1:], table[:-1]
    cross = new.T @ old
    phi = _MEMORIES[:, None, None]
    square = new.T @ new - phi * (cross + cross.T) + phi**2 * (old.T @ old)
    solved = np.linalg.solve(square[:, :-1, :-1], square[:, :-1, -1:])
    left = square[:, -1, -1] - np.sum(square[:, :-1, -1] * solved[:, :, 0], axis=1)
    best = int(np.argmin(left))
    return max(float(left[best]), float(np.finfo(float).tiny)), float(_MEMORIES[best])


def _needed(values: Floats, found: list[_Split], *, drifts: bool) -> tuple[list[_Split], float]:
    """The splits that the series is not as well explained without, each with the p of the likelihood ratio; the least
    needed goes first. And the p of the last that was left: that nothing ever changed."""
    last = 1.0
    while found:
        whole, _ = _left_over(values, [each.at for each in found], drifts=drifts)
        judged = []
        for number, split in enumerate(found):
            others = [each.at for each in (*found[:number], *found[number + 1 :])]
            ratio = math.log(_left_over(values, others, drifts=drifts)[0] / whole)
            z = math.sqrt(max(0.0, ratio) * max(1, len(values) - len(found) - 3))
            judged.append(replace(split, p_value=_p_of(z, split.length, split.trials)))
        worst = max(range(len(judged)), key=lambda number: judged[number].p_value)
        last = min(each.p_value for each in judged)
        if judged[worst].p_value <= LEVEL:
            return judged, last
        found = [each for number, each in enumerate(found) if number != worst]
    return [], last


def _p_of(z: float, length: int, trials: int) -> float:
    if z < 1:
        return 1.0
    return math.exp(min(0.0, float(_log_p(np.array([z]), length)[0]) + math.log(trials)))


def _slope(values: Floats) -> float:
    """The slope for each run: the median of differences over an eighth of the series, few of which cross a jump."""
    apart = max(FEWEST, len(values) // 8)
    return float(np.median(values[apart:] - values[:-apart])) / apart


def _line_is_better(values: Floats, places: list[int], about: list[int]) -> bool:
    """Whether a line with steps `about` it leaves less than the steps at `places`, by BIC. A step counts for three: its
    size, its place, and the search for it (Zhang and Siegmund, Biometrics 63, 2007)."""
    n = len(values)
    ratio = _left_over(values, about, drifts=True)[0] / _left_over(values, places, drifts=False)[0]
    return n * math.log(ratio) < (3 * (len(places) - len(about)) - 1) * math.log(n)


_MEMORIES = np.linspace(0, 0.95, 20)


def _described(values: Floats, plain: Floats, noise: Noise, splits: list[_Split]) -> tuple[Jump, ...]:
    edges = [0, *(each.at for each in splits), len(values)]
    found = []
    for split, begin, end in zip(splits, edges, edges[2:], strict=False):
        place = split.at
        before, after = values[begin:place], values[place:end]
        if _rank_p(before, after, noise) > _RANKS:
            continue
        size = float(plain[place:end].mean() - plain[begin:place].mean())
        half = float(np.hypot(noise.error(len(before)), noise.error(len(after))))
        half *= float(stdtrit(max(2, end - begin - 2), 0.975))
        levels = float(plain[begin:place].mean()), float(plain[place:end].mean())
        found.append(Jump(place, split.p_value, *levels, size, size - half, size + half))
    return tuple(found)


def _rank_p(before: Floats, after: Floats, noise: Noise) -> float:
    """Mann and Whitney's test, two-sided, by its normal approximation; runs with memory count as fewer."""
    n, m = len(before), len(after)
    ranks = average_ranks(np.concatenate([before, after]))
    tied = ranks.var() * (n + m) / (n + m - 1)  # the variance of ranks, ties included
    if tied == 0:
        return 1.0
    error = math.sqrt(tied * (float(noise.inflation(n)) / n + float(noise.inflation(m)) / m))
    z = abs(float(ranks[n:].mean() - ranks[:n].mean())) / error
    return 2 * math.exp(float(log_ndtr(-z)))


def average_ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse])
