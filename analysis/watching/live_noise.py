"""How far a live figure wanders by itself: learned from its own minutes, not from how many requests there were. Pure.

Requests of one minute share what happens to the provider, and neighbouring minutes share it too. So noise is read from
differences of means over five minutes, the time within which a shift has to be told, with five minutes between them
that let go what they share. Half of the mean square is their variance (after von Neumann, "Distribution of the ratio of
the mean square successive difference to the variance", Ann. Math. Statist. 12, 1941). It holds all memory that is
shorter than that, and slow changes of the level hardly touch it. Single wild differences are drawn in.
"""

from __future__ import annotations

import msgspec

BLOCK_S = 300.0
_LEAST_STEPS = 3
_APART = 2  # blocks from one to the one that it is held against
_MEMORY = 150.0  # blocks: half a day
_PRIOR = 1.5  # blocks that the first guess counts for
_UNSURE = 2.0  # a variance of n blocks is taken as 1 + this / n times as large
_DRAWN_IN = 3.0  # times the variance that is expected: larger squares count as this ...
_EARLY = 4.0  # blocks of a rough guess: until then larger squares are believed
_REMAINS = 0.858  # ... which leaves this part of the mean square of normal values


class Noise(msgspec.Struct, frozen=True, array_like=True):
    """`variance` of a step, such that means over `BLOCK_S` have this over their steps; `textbook`: the mean variance
    that a step has by the number of its requests alone; from so many `blocks`, of which the first `early` may be far
    off. The open block as steps, seconds and sums; the last two before it as (steps, mean)."""

    variance: float
    textbook: float
    blocks: float = 0.0
    early: float = 1.0
    steps: int = 0
    span_s: float = 0.0
    total: float = 0.0
    textbook_total: float = 0.0
    before: tuple[tuple[int, float], ...] = ()

    def of(self, textbook: float) -> float:
        """The variance of a step whose requests alone would give it `textbook`: more where there were fewer requests
        than usual, but no less where there were more, since it is not known what part of it requests could even out."""
        unsure = 1 + _UNSURE / (self.blocks + _PRIOR)
        return max(textbook, self.variance * unsure * max(1.0, textbook / self.textbook))


def first_guess(variance: float, textbook: float, *, rough: bool) -> Noise:
    """Before anything was seen. `rough`: it may be far too small, so that the first large squares are believed."""
    return Noise(variance=variance, textbook=textbook, early=_EARLY if rough else 1.0)


def learned(noise: Noise, value: float, textbook: float, span_s: float) -> Noise:
    """The noise with one more step: its value (any scale), its textbook variance, and how long it was."""
    steps, span = noise.steps + 1, noise.span_s + span_s
    total, text = noise.total + value, noise.textbook_total + textbook
    if span < BLOCK_S or steps < _LEAST_STEPS:
        return msgspec.structs.replace(noise, steps=steps, span_s=span, total=total, textbook_total=text)
    weight = 1 / (_PRIOR + min(_MEMORY, noise.blocks) + 1)
    variance, blocks = noise.variance, noise.blocks
    usual = noise.textbook + (text / steps - noise.textbook) * max(weight, 1 / (blocks + 1))
    if len(noise.before) == _APART:
        steps_then, mean_then = noise.before[0]
        seen = (total / steps - mean_then) ** 2 / (1 / steps + 1 / steps_then)
        most = _DRAWN_IN * max(1.0, noise.early / (blocks + 1))
        variance += weight * (min(seen, most * variance) / _REMAINS - variance)
        blocks += 1
    before = (*noise.before, (steps, total / steps))[-_APART:]
    return Noise(variance=variance, textbook=usual, blocks=blocks, early=noise.early, before=before)


def forgotten(noise: Noise) -> Noise:
    """The noise without its open blocks: what comes next is on another level."""
    return Noise(variance=noise.variance, textbook=noise.textbook, blocks=noise.blocks, early=noise.early)
