"""The values of repeats that are held against each other, and the test that they get."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from analysis.statistics.repeat_tests import RepeatTest, paired, unpaired
from analysis.summary import Repeat, Result


def values_of(result: Result, metric: str) -> dict[int, float]:
    """The values of a metric by repeat, of those repeats that have one."""
    values = {each.repeat: each.values.get(metric) for each in result.repeat_values}
    return {repeat: value for repeat, value in values.items() if value is not None}


def grain_of(result: Result, metric: str, *, logs: bool) -> float:
    """The variance of one repeat's value (of its logarithm) that counting whole requests makes alone, mean of repeats:
    of a rate, rounding to whole requests; of a ratio of successes, chance too (at Jeffreys' estimate of it, since a
    repeat without failures does not prove that there are none). Else zero."""
    if metric not in ("completed_rps", "goodput_rps", "success_ratio"):
        return 0.0
    found = []
    for each in result.repeat_values:
        value = each.values.get(metric)
        count = _counted(each) if metric == "success_ratio" else (each.window_s or 0) * (value or 0)
        if value is None or count <= 0 or (logs and value == 0):
            continue
        likely = (value * count + 0.5) / (count + 1)
        chance = likely * (1 - likely) / count if metric == "success_ratio" else 0.0
        unit = 1 / count if metric == "success_ratio" else value / count
        found.append((unit**2 / 12 + chance) / (value**2 if logs else 1))
    return float(np.mean(found)) if found else 0.0


def _counted(repeat: Repeat) -> float:
    """How many attempts a ratio of successes is of: those that were neither cancelled nor dropped."""
    share = repeat.values.get("success_ratio")
    good = (repeat.window_s or 0) * (repeat.values.get("completed_rps") or 0)
    return min(repeat.attempted, good / share) if share and good else repeat.attempted


def is_exact(result: Result, metric: str) -> bool:
    """Whether nothing of a number was left to chance: a cost by a table of prices, of the same tokens in each of at
    least two repeats, all of it known and, where it is a cost of good replies, paid for those alone."""
    cost = result.cost
    if cost is None or not metric.startswith("cost.") or cost.unknown_requests:
        return False
    each_usd = cost.usd_per_request or 0.0
    if metric == "cost.usd_per_1k_good" and not _alike(cost.usd_per_1k_good or 0.0, 1e3 * each_usd):
        return False
    values = values_of(result, "cost.usd_per_request").values()
    return len(values) > 1 and all(_alike(value, each_usd) for value in values)


def _alike(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9)


@dataclass(frozen=True)
class Sides:
    """The values of both sides that are held against each other: of the same repeats where `paired`."""

    a: list[float]
    b: list[float]
    paired: bool
    exact: bool = False

    @property
    def positive(self) -> bool:
        """Whether all have a logarithm."""
        return min([*self.a, *self.b], default=0.0) > 0


def sides_of(a: Result, b: Result, metric: str, *, paired_by_repeat: bool) -> Sides:
    """The values of two results; of the repeats that both have, where they are paired. Values of which none was
    measured in a repeat of the other are no pairs."""
    of_a, of_b = values_of(a, metric), values_of(b, metric)
    both = sorted(of_a.keys() & of_b.keys()) if paired_by_repeat else []
    exact = is_exact(a, metric) and is_exact(b, metric)
    if both:
        return Sides([of_a[repeat] for repeat in both], [of_b[repeat] for repeat in both], paired=True, exact=exact)
    return Sides(list(of_a.values()), list(of_b.values()), paired=False, exact=exact)


def told_apart(sides: Sides, grains: tuple[float, float], *, logs: bool, sequential: bool) -> RepeatTest | None:
    """Student's or Welch's test of both sides, of logarithms where `logs`; None with fewer than two repeats of both, or
    where `sequential` wants pairs."""
    mine, theirs = ([math.log(x) for x in side] if logs else side for side in (sides.a, sides.b))
    if sides.paired:
        test = paired(mine, theirs, sum(grains), sequential=sequential)
    else:
        test = None if sequential else unpaired(mine, theirs, grains)
    return replace(test, exact=True) if test is not None and sides.exact else test
