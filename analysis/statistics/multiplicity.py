"""Holm's step-down correction with weights: many tests, and yet no false claim at all in 95 of 100 runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """What the correction makes of one test: its adjusted p (None: there was no test), and the level that its own p is
    held against."""

    adjusted: float | None
    level: float


def holm(p_values: Sequence[float | None], weights: Sequence[float], alpha: float) -> list[Step]:
    """Weighted Holm (Holm, Scand. J. Statist. 6, 1979), which keeps the chance of any false claim below alpha for
    whatever weights above 0 were chosen before looking, and however the tests depend on each other.

    p / weight is put in order; the least is held against alpha / (sum of all weights), the next against alpha / (sum of
    the weights that are left), and so on until one fails. All from that one on are held against what was left then.
    """
    known = sorted((p / weights[index], index) for index, p in enumerate(p_values) if p is not None)
    left = open_weight = sum(weights[index] for _, index in known)
    steps = [Step(None, alpha)] * len(p_values)
    highest = 0.0
    for quotient, index in known:
        highest = max(highest, min(1.0, quotient * left))
        if highest < alpha:
            open_weight = left
        steps[index] = Step(highest, min(1.0, alpha * weights[index] / open_weight))
        left -= weights[index]
        if highest < alpha:
            open_weight = left
    return steps
