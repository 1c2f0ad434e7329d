"""Which target to take, given what all of them might truly be: commit, say that it does not matter, or say that it
cannot be told.

A draw supposes a truth. In it some targets meet the limits, and one of these has the highest total. The pick is the one
whose total lies, on average over the draws, the least below that (the Bayes choice under that loss; Berger, Statistical
Decision Theory, 1985, section 4.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from analysis.deciding.burdens import Table, table_of
from analysis.deciding.hard_limits import SHOWN, Flags, Hard, judged
from analysis.deciding.recommendation_record import Answer
from analysis.quantiles import Floats

SURE = 0.9
SMALL_LOSS = 0.03
_BOUND = 0.95
_MOST_REPEATS = 1000
_MOST_TIMES = 64


@dataclass(frozen=True)
class Decision:
    """`pick`: the place of the entrant (None: none qualifies). `best`: how often each qualifies and has the highest
    total; `loss` and `loss_bound`: the mean share of the best total that each would lose, and its 95 % bound."""

    answer: Answer
    pick: int | None
    best: Floats | None
    loss: Floats | None
    loss_bound: Floats | None


def decide(table: Table, met: Flags, possible: Flags, in_draws: Flags | None) -> Decision:
    """The decision among the entrants of a table. `met`: who is shown to meet all limits; `possible`: who is not shown
    to miss one; `in_draws`: who meets them in which draw (None: nothing tells how sure the numbers are)."""
    drawn = table.totals_drawn
    if not possible.any():
        return Decision("none qualifies", None, None, None, None)
    if drawn is None or in_draws is None:
        likely = np.where(possible, table.totals, -np.inf)
        return Decision("cannot tell", int(likely.argmax()), None, None, None)
    best, losses = _best_and_losses(drawn, in_draws)
    loss, bound = losses.mean(axis=0), np.quantile(losses, _BOUND, axis=0)
    allowed = met if met.any() else possible
    pick = int(np.where(allowed, loss, np.inf).argmin())
    answer: Answer = "cannot tell"
    if met[pick] and best[pick] >= SURE:
        answer = "recommended"
    elif met[pick] and bound[pick] < SMALL_LOSS:
        answer = "no difference"
    return Decision(answer, pick, best, loss, bound)


def _best_and_losses(drawn: Floats, in_draws: Flags) -> tuple[Floats, Floats]:
    """How often each is the best that meets the limits (ties share), and what each loses in each draw: all, where it
    misses them."""
    totals = np.where(in_draws, drawn, -np.inf)
    highest = totals.max(axis=1, keepdims=True)
    first = in_draws & (totals >= highest)
    shares = first / np.maximum(1, first.sum(axis=1, keepdims=True))
    with np.errstate(invalid="ignore"):
        losses = np.where(in_draws, 1 - np.exp(totals - highest), 1.0)
    return np.asarray(shares.mean(axis=0), dtype=np.float64), losses


@dataclass(frozen=True)
class Needed:
    """How many further repeats would decide, or how many times as many graded replies; None: not these alone."""

    repeats: int | None
    replies: float | None


def needed(table: Table, hards: list[Hard], repeats: int) -> Needed:
    """What would decide, if the numbers stay as they are and grow surer: the fewest further repeats (up to a
    thousand), else the fewest times as many graded replies (up to 64), else of both."""
    if table.draws is None:
        return Needed(max(1, 2 - repeats), None)

    def enough(more: int, replies: float) -> bool:
        supposed = table_of(table.field, table.drawn.seed, repeats=(repeats + more) / repeats, replies=replies)
        found = judged(supposed, hards)
        shown = found.in_draws.mean(axis=0) >= SHOWN if found.in_draws is not None else found.met
        ruled_out = found.in_draws.mean(axis=0) <= 1 - SHOWN if found.in_draws is not None else ~found.possible
        return decide(supposed, shown, ~ruled_out, found.in_draws).answer != "cannot tell"

    only_repeats = _first(partial(enough, replies=1.0), _MOST_REPEATS)
    if only_repeats is not None:
        return Needed(only_repeats, None)
    for times in (2.0, 4.0, 8.0, 16.0, 32.0, _MOST_TIMES):
        if enough(0, times):
            return Needed(None, times)
    for times in (2.0, 4.0, 8.0, 16.0, 32.0, _MOST_TIMES):
        if enough(int(repeats * (times - 1)), times):
            return Needed(int(repeats * (times - 1)), times)
    return Needed(None, None)


def _first(enough: partial[bool], most: int) -> int | None:
    """The least number that is enough, up to `most`, if more is never less."""
    high = 1
    while not enough(high):
        if high >= most:
            return None
        high = min(most, 2 * high)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
