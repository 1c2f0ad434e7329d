"""What a series of runs does, tested: slope, seasons, the latest run against those before it.

Pure; values stand in the order of runs, times are seconds since 1970 (UTC).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, log_ndtr, ndtri, stdtr, stdtrit

from analysis.statistics.change_points import average_ranks
from analysis.statistics.series_noise import Floats, Noise, running_median

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
FEWEST_FOR_SLOPE = 10
MOST_BATCHES = 240  # a longer series is taken in batches of runs in a row, by their medians
BASELINE = 20  # runs before the latest that it is held against
FEWEST_FOR_BASELINE = 8
_CYCLES = 5  # days an hour, or weeks a weekday, must have been seen in
_FEWEST_GROUPS = 3
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Slope:
    """The change of the value for each week, in its unit, with 95 % bounds; `p_value`: that there is none."""

    per_week: float
    low: float
    high: float
    p_value: float
    n: int


def slope_of(times_s: Floats, values: Floats) -> Slope | None:
    """Theil and Sen's slope (Sen, JASA 63, 1968), tested by Mann and Kendall (Mann, Econometrica 13, 1945), the
    variance of whose S grows with the memory of the series (Hamed and Rao, Journal of Hydrology 204, 1998). None: fewer
    than 10 runs, or all at one time."""
    if len(values) < FEWEST_FOR_SLOPE or np.ptp(times_s) == 0:
        return None
    times, medians = _batches(times_s, values)
    n = len(medians)
    i, j = np.triu_indices(n, 1)
    apart_s, apart = times[j] - times[i], medians[j] - medians[i]
    s = float(np.sum(np.sign(apart) * (apart_s > 0)))
    slopes = np.sort(apart[apart_s > 0] / apart_s[apart_s > 0]) * WEEK_S
    middle = float(np.median(slopes))
    variance = _variance_of_s(medians, times, middle / WEEK_S)
    error = math.sqrt(variance)
    z = (abs(s) - 1) / error if error > 0 and s != 0 else 0.0
    width = float(ndtri(0.975)) * error
    low, high = (round((len(slopes) + sign * width) / 2) for sign in (-1, 1))
    return Slope(
        per_week=middle,
        low=float(slopes[max(0, low)]),
        high=float(slopes[min(len(slopes) - 1, high)]),
        p_value=min(1.0, 2 * math.exp(float(log_ndtr(-max(0.0, z))))),
        n=len(values),
    )


def _batches(times_s: Floats, values: Floats) -> tuple[Floats, Floats]:
    size = math.ceil(len(values) / MOST_BATCHES)
    if size == 1:
        return times_s, values
    kept = len(values) // size * size
    middles = times_s[-kept:].reshape(-1, size).mean(axis=1)  # the latest runs are all kept
    return middles, np.asarray(np.median(values[-kept:].reshape(-1, size), axis=1))


def _variance_of_s(values: Floats, times: Floats, slope: float) -> float:
    """The variance of Mann and Kendall's S, ties allowed for, times Hamed and Rao's n / n*: by the autocorrelations of
    the ranks about the slope that are significant at 5 %. Of short series it finds too few of them, so that it is no
    less than that of noise with the memory of the first lag, whose bias is removed (Marriott and Pope, Biometrika 41,
    1954). Never less than without memory."""
    n = len(values)
    _, counts = np.unique(values, return_counts=True)
    plain = (n * (n - 1) * (2 * n + 5) - float(np.sum(counts * (counts - 1) * (2 * counts + 5)))) / 18
    ranks = average_ranks(values - slope * times)
    ranks = ranks - ranks.mean()
    power = float(ranks @ ranks)
    if power == 0 or n < 4:
        return plain
    lags = np.arange(1, n - 2)
    rho = np.correlate(ranks, ranks, "full")[n:][: len(lags)] / power
    phi = min(0.9, max(0.0, (float(rho[0]) + 2 / n) / (1 - 4 / n))) if n > 4 else 0.0
    rho = np.where(np.abs(rho) > float(ndtri(0.975)) / math.sqrt(n), rho, 0.0)
    more = 2 / (n * (n - 1) * (n - 2)) * float(np.sum((n - lags) * (n - lags - 1) * (n - lags - 2) * rho))
    return plain * max(1.0, 1 + more, (1 + phi) / (1 - phi))


@dataclass(frozen=True)
class Season:
    """What the hours of a day (0-23), or the weekdays (0: Monday), do: `effects`, in the unit of the values, about the
    mean of the groups; NaN where a group was not seen often enough. `p_value`: that there is none."""

    effects: Floats
    p_value: float
    cycles: int


def hours_of(times_s: Floats, values: Floats) -> Season | None:
    """The effect of the hour of the day (UTC), by days on which several hours were measured. None: too little data."""
    hours = np.floor(times_s / 3600).astype(np.int64)
    cells, medians = _medians_of(hours, values)
    _, place = np.unique(cells // 24, return_inverse=True)
    enough = np.bincount(place) >= _FEWEST_GROUPS
    kept = enough[place]
    _, levels = _medians_of(place, medians)
    return _season(cells[kept] % 24, (medians - levels[place])[kept], 24, int(enough.sum()), int(enough.sum()))


def weekdays_of(times_s: Floats, values: Floats) -> Season | None:
    """The effect of the weekday (UTC), by the medians of days about those of seven days. None: too little data."""
    days, medians = _medians_of(np.floor(times_s / DAY_S).astype(np.int64), values)
    if len(days) < _CYCLES * _FEWEST_GROUPS:
        return None
    weekday = (days + 3) % 7  # 1970 began on a Thursday
    weeks = len(np.unique((days + 3) // 7))
    return _season(weekday, medians - running_median(medians, 7), 7, weeks, len(days) // 7)


def _medians_of(cells: Whole, values: Floats) -> tuple[Whole, Floats]:
    """The cells that have runs, in order, and the median of each."""
    order = np.lexsort((values, cells))
    found, starts, counts = np.unique(cells[order], return_index=True, return_counts=True)
    inside = values[order]
    return found, (inside[starts + (counts - 1) // 2] + inside[starts + counts // 2]) / 2


def _season(groups: Whole, values: Floats, size: int, cycles: int, levels: int) -> Season | None:
    """Kruskal and Wallis's test (JASA 47, 1952) of groups that were each seen in several cycles. The `levels` that were
    taken off the values are degrees of freedom that these no longer have."""
    counts = np.bincount(groups, minlength=size)
    often = counts >= _CYCLES
    if often.sum() < _FEWEST_GROUPS or cycles < _CYCLES:
        return None
    kept = often[groups]
    groups, values = groups[kept], values[kept]
    n, k = len(values), int(often.sum())
    ranks = average_ranks(values)
    spread = float(ranks.var()) * n / max(1, n - max(1, levels))
    sums = np.bincount(groups, ranks, size)[often] / counts[often]
    h = float(np.sum(counts[often] * (sums - (n + 1) / 2) ** 2)) / spread if spread > 0 else 0.0
    effects = np.full(size, np.nan)
    for group in np.flatnonzero(often):
        effects[group] = np.median(values[groups == group])
    return Season(effects - np.nanmean(effects), float(chdtrc(k - 1, h)), cycles)


@dataclass(frozen=True)
class Against:
    """The latest run against those before it: `low` to `high` is where 95 % of such runs would lie."""

    expected: float
    low: float
    high: float
    p_value: float
    n: int


def against_baseline(values: Floats, memory: float = 0.0) -> Against | None:
    """The last value against the 20 before it, by Student's prediction interval about their mean.

    Single wild runs among them are drawn in to 3.5 robust standard deviations, so that one does not hide the next. Runs
    near in time are alike (`memory`: how much of a deviation the next has): they spread less than runs do on the whole,
    which is made good, and count for three quarters of their number. None: fewer than 8 before it.
    """
    before = values[-1 - BASELINE : -1]
    n = len(before)
    if n < FEWEST_FOR_BASELINE:
        return None
    middle = float(np.median(before))
    scale = 1.4826 * float(np.median(np.abs(before - middle))) * n / (n - 0.8)
    drawn_in = np.clip(before, middle - _WILD * scale, middle + _WILD * scale) if scale > 0 else before
    mean, spread = float(drawn_in.mean()), float(drawn_in.std(ddof=1))
    alike = float(Noise(1.0, memory).inflation(n))  # n times the variance of their mean; that of one run is 1
    spread /= math.sqrt(1 - (alike - 1) / (n - 1))
    error = max(spread, _LEAST * max(1.0, abs(middle))) * math.sqrt(1 + 1 / n)
    df = _COUNTED * (n - 1)
    half = float(stdtrit(df, 0.975)) * error
    p_value = 2 * float(stdtr(df, -abs(float(values[-1]) - mean) / error))
    return Against(mean, mean - half, mean + half, p_value, n)


_WILD = 3.5
_COUNTED = 0.75
_LEAST = 1e-9
