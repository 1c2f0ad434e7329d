"""How one run of a series differs from the next: noise, its memory, and outliers. Pure; values in the order of runs.

Runs near in time are alike, so noise is taken as autoregressive of first order: what is left of a deviation in the next
run is `phi` of it. Both are read from differences of neighbours, which jumps of the level hardly touch: Chakar,
Lebarbier, Levy-Leduc and Robin, "A robust approach for estimating change-points in the mean of an AR(1) process",
Bernoulli 23, 2017.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
MOST_MEMORY = 0.9
_WINDOW = 9  # runs of the running median, by which an outlier is told from a level
_CLIP = 3.5  # robust standard deviations
_TRIMMED = 0.05  # of the differences, the largest of which may be jumps
_LEAST = 1e-9


@dataclass(frozen=True)
class Noise:
    """Standard deviation of a run about its level, and the part of a deviation that the next run still has."""

    sigma: float
    phi: float

    def inflation(self, n: Floats | float) -> Floats:
        """The variance of a mean of n runs in a row, over that of n runs without memory (exact for AR(1))."""
        phi, count = self.phi, np.asarray(n, dtype=np.float64)
        return (1 + phi) / (1 - phi) - 2 * phi * (1 - phi**count) / (count * (1 - phi) ** 2)

    def error(self, n: Floats | float) -> Floats:
        """The standard error of a mean of n runs in a row."""
        return self.sigma * np.sqrt(self.inflation(n) / np.asarray(n, dtype=np.float64))


def without_outliers(values: Floats) -> Floats:
    """The series with single wild runs drawn in to the running median of 9 runs; levels and their jumps stay."""
    if len(values) < _WINDOW:
        return values
    medians = running_median(values, _WINDOW)
    apart = values - medians
    scale = 1.4826 * float(np.median(np.abs(apart)))
    scale = scale if scale > 0 else float(np.std(apart))
    return medians + np.clip(apart, -_CLIP * scale, _CLIP * scale)


def running_median(values: Floats, window: int) -> Floats:
    """The median of an odd number of neighbours; at the ends the series is mirrored."""
    half = min(window // 2, len(values) - 1)
    padded = np.pad(values, half, mode="reflect")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1))


def noise_of(values: Floats) -> Noise:
    """The noise of a series without outliers, of 6 runs or more. Memory is between 0 and 0.9."""
    near, far = _variance(values, 1), _variance(values, 2)
    phi = far / near - 1 if near > 0 else 0.0
    phi = min(MOST_MEMORY, max(0.0, phi))
    floor = _LEAST * max(1.0, float(np.max(np.abs(values))))
    return Noise(max(math.sqrt(near / (2 * (1 - phi))), floor), phi)


def _variance(values: Floats, lag: int) -> float:
    """The mean square of the differences over `lag` runs, the largest left out, among which are those over jumps; of
    all, where the others are zero. What leaving out takes away is made good as for normal values."""
    squares = np.sort((values[lag:] - values[:-lag]) ** 2)
    left_out = math.ceil(len(squares) * _TRIMMED) + lag
    trimmed = float(squares[:-left_out].mean()) / _remaining(1 - left_out / len(squares))
    return trimmed if trimmed > 0 else float(squares.mean())


@functools.lru_cache(maxsize=1024)
def _remaining(share: float) -> float:
    """The mean square of the smallest `share` of normal values, over that of all."""
    z = NormalDist().inv_cdf((1 + share) / 2)
    return (share - 2 * z * NormalDist().pdf(z)) / share
