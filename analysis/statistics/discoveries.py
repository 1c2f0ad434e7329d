"""Many tests at once: p corrected, and what may then be believed. Pure."""

from __future__ import annotations

import numpy as np

from analysis.statistics.series_noise import Floats


def discoveries(p_values: Floats, level: float) -> tuple[Floats, float]:
    """P corrected for being many (Benjamini and Hochberg, JRSS B 57, 1995; valid for positively dependent tests, as
    metrics of one run are: Benjamini and Yekutieli, Annals of Statistics 29, 2001), and the largest p that is believed
    at `level` (0: none)."""
    m = len(p_values)
    if m == 0:
        return p_values, 0.0
    order = np.argsort(p_values)
    stepped = p_values[order] * m / np.arange(1, m + 1)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(stepped[::-1])[::-1])
    believed = p_values[adjusted <= level]
    return adjusted, float(believed.max()) if len(believed) else 0.0
