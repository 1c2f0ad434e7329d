"""The next week of a series, with an interval for each day; refused where nothing honest can be said. Pure.

Since the last change, runs lie about a level, or about a straight line where the slope is shown, with noise that has
memory (AR(1)). A forecast goes back from the latest deviation to the level as the memory fades; its error is that of
a single run, of the level and of the line. Where memory is so long that no level can be told, the last level is carried
on and the error grows with the root of time (a random walk).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from analysis.histories.history_tests import DAY_S, Slope
from analysis.statistics.series_noise import MOST_MEMORY, Floats, noise_of, without_outliers

DAYS = 7
FEWEST = 20
SLOPE_P = 0.01


@dataclass(frozen=True)
class Forecast:
    """For the middle of each of the next seven days: where a run would be, and where 95 % of such runs would lie."""

    times_s: Floats
    expected: Floats
    low: Floats
    high: Floats
    model: str


def forecast_of(times_s: Floats, values: Floats, slope: Slope | None) -> Forecast | str:
    """The next week after the last run, from the runs since the last change; or why it is refused."""
    n = len(values)
    if n < FEWEST:
        return f"too little data: {n} runs since the last change, {FEWEST} are needed"
    span_s = float(times_s[-1] - times_s[0])
    if span_s < DAYS * DAY_S:
        return f"too little data: {span_s / DAY_S:.1f} days since the last change, {DAYS} are needed"
    ahead_s: Floats = (np.arange(DAYS, dtype=np.float64) + 0.5) * DAY_S
    steps: Floats = np.maximum(1.0, np.round(ahead_s * (n - 1) / span_s))
    plain = without_outliers(values)
    phi = noise_of(plain).phi
    if phi >= MOST_MEMORY:
        expected, error, df, model = _carried_on(plain, steps)
    else:
        sloped = slope is not None and slope.p_value < SLOPE_P
        expected, error, df, model = _about_line(times_s, values, phi, (ahead_s, steps), sloped=sloped)
    half = float(stdtrit(df, 0.975)) * error
    return Forecast(float(times_s[-1]) + ahead_s, expected, expected - half, expected + half, model)


def _carried_on(values: Floats, steps: Floats) -> tuple[Floats, Floats, float, str]:
    step = float(np.std(np.diff(values), ddof=1))
    expected = np.full(len(steps), float(np.median(values[-5:])))
    return expected, step * np.sqrt(steps), float(len(values) - 1), "last level carried on"


def _about_line(
    times_s: Floats, values: Floats, phi: float, ahead: tuple[Floats, Floats], *, sloped: bool
) -> tuple[Floats, Floats, float, str]:
    """Generalised least squares with noise that is AR(1): the fit, then its errors at the days ahead."""
    ahead_s, steps = ahead
    n = len(values)
    t, t_ahead = (times_s - times_s[-1]) / DAY_S, ahead_s / DAY_S
    columns = np.column_stack([np.ones(n), t]) if sloped else np.ones((n, 1))
    there = np.column_stack([np.ones(len(steps)), t_ahead]) if sloped else np.ones((len(steps), 1))
    first = math.sqrt(1 - phi**2)
    x = np.concatenate([first * columns[:1], columns[1:] - phi * columns[:-1]])
    y = np.concatenate([first * values[:1], values[1:] - phi * values[:-1]])
    inverse = np.linalg.inv(x.T @ x)
    solved = inverse @ (x.T @ y)
    apart = values - columns @ solved
    df = max(3.0, n * (1 - phi) / (1 + phi) - columns.shape[1])
    sigma2 = float(apart @ apart) / (n - columns.shape[1] * (1 + phi) / (1 - phi)) if df > 3 else float(np.var(values))
    new2 = sigma2 * (1 - phi**2)
    error2 = sigma2 * (1 - phi ** (2 * steps)) + new2 * np.einsum("ij,jk,ik->i", there, inverse, there)
    expected = there @ solved + phi**steps * apart[-1]
    return expected, np.sqrt(error2), df, "line and fading memory" if sloped else "level and fading memory"
