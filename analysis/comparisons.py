"""Is A really better than B? Targets of one run on each metric, paired by repeat; or runs against the first.

Targets of a run take turns within a repeat, so log(a / b) is taken in each repeat and tested by Student's t. Repeats of
two runs have nothing in common: there the logarithms are tested by Welch's t. What counts whole requests has at least
the spread that counting makes. Where repeats do not spread all the same, t knows no error; then an exact permutation
test is used (of signs, or of groups), which no small number of repeats can pass. p is corrected by Holm over all
comparisons made together, those of failure rates (analysis/failure_rate.py) included. `better` and `worse` want
corrected p < 0.05 and an interval that is not wholly within 2 %; all else is `no difference`, with its reason.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from scipy import stats

from analysis.comparison_record import Comparison
from analysis.failure_rate import compare_failure_rates
from analysis.summary import Estimate, Result, Summary

LOWER_IS_BETTER = ("ttft_s.p50", "ttft_s.p95", "itl_s.p50", "tpot_s.p50", "e2e_s.p50", "e2e_s.p95")
HIGHER_IS_BETTER = ("completed_rps", "goodput_rps", "output_tokens_per_s", "success_ratio")
METRICS = (*LOWER_IS_BETTER, *HIGHER_IS_BETTER)
SAME = math.log(1.02)
ALPHA = 0.05
POWER = 0.8
_MOST_REPEATS = 1000
_NO_SPREAD = 1e-9  # of logarithms: what rounding makes of equal values


def compare(results: Sequence[Result]) -> tuple[Comparison, ...]:
    """Every pair of targets that ran the same workload and stage, on every metric both have."""
    found = [
        each
        for a, b in itertools.combinations(results, 2)
        if (a.workload, a.stage) == (b.workload, b.stage) and a.target != b.target
        for each in _every_metric(a, b, METRICS, paired=True)
    ]
    return _judged(found)


def compare_runs(first: Summary, others: Sequence[Summary]) -> tuple[Comparison, ...]:
    """Every result of the other runs against the result of the first run that has its target, workload and stage.

    Where load or request differ, or one side has none, they are not comparable, and the reason names what differs.
    Goodput is left out where the SLO differ.
    """
    found: list[tuple[Comparison, _Test | None]] = []
    for other in others:
        theirs = {_key(result): result for result in other.results}
        ours = {_key(result): result for result in first.results}
        for key in dict.fromkeys([*ours, *theirs]):
            a, b = theirs.get(key), ours.get(key)
            differs = _differs(a, b, other.run, first.run)
            if differs or a is None or b is None:
                made: list[tuple[Comparison, _Test | None]] = [_apart(a or b, differs)]
            else:
                metrics = [metric for metric in METRICS if metric != "goodput_rps" or other.slo == first.slo]
                made = _every_metric(a, b, metrics, paired=False)
            found += [(msgspec.structs.replace(each, a_run=other.run, b_run=first.run), test) for each, test in made]
    return _judged(found)


def _every_metric(
    a: Result, b: Result, metrics: Sequence[str], *, paired: bool
) -> list[tuple[Comparison, _Test | None]]:
    found = [_compare(a, b, metric, paired=paired) for metric in metrics if _values(a, metric) and _values(b, metric)]
    failures = compare_failure_rates(a, b)
    return found if failures is None else [*found, (failures, None)]


def _key(result: Result) -> tuple[str, str | None, int | None]:
    return result.target, result.workload, result.stage


def _differs(a: Result | None, b: Result | None, a_run: str, b_run: str) -> str:
    """What makes two results not comparable; "" when nothing does."""
    if a is None or b is None:
        return f"only in {b_run if a is None else a_run}"
    for name in ("kind", "load", "request"):
        here, there = getattr(a, name), getattr(b, name)
        if isinstance(here, dict) and isinstance(there, dict):
            keys = [key for key in dict.fromkeys([*there, *here]) if here.get(key) != there.get(key)]
            parts = [f"{key} {_shown(there.get(key))} against {_shown(here.get(key))}" for key in keys]
            if parts:
                return f"{name} differs: {', '.join(parts)}"
        elif here != there:
            return f"{name} differs: {_shown(there)} against {_shown(here)}"
    return ""


def _shown(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _apart(result: Result | None, reason: str) -> tuple[Comparison, None]:
    assert result is not None
    made = Comparison(
        workload=result.workload or "",
        stage=result.stage or 0,
        metric="all",
        a=result.target,
        b=result.target,
        a_value=None,
        b_value=None,
        ratio=Estimate(value=None),
        verdict="not comparable",
        reason=reason,
    )
    return made, None


def _values(result: Result, metric: str) -> dict[int, float]:
    values = {each.repeat: each.values.get(metric) for each in result.repeat_values}
    return {repeat: value for repeat, value in values.items() if value is not None and value > 0}


@dataclass(frozen=True)
class _Test:
    """What the logarithms of the repeats' values say. `error` is the standard error of their mean difference at `n`
    repeats (of each side, where `groups` is 2), and `df` its degrees of freedom."""

    n: int
    groups: Literal[1, 2]
    mean: float
    error: float
    df: float
    p_value: float

    @property
    def spreads(self) -> bool:
        """Whether the repeats differ among themselves at all."""
        return self.error > _NO_SPREAD

    def error_at(self, n: int) -> float:
        """The standard error that n repeats would have, at the spread seen."""
        return self.error * math.sqrt(self.n / n)

    def df_at(self, n: int) -> float:
        """The degrees of freedom of n repeats."""
        return self.groups * (n - 1)


def _grain(result: Result, metric: str) -> float:
    """The variance of the logarithm of one repeat's value that counting whole requests makes alone (mean of repeats):
    of a rate, rounding to whole requests; of a ratio of successes, chance too. Else zero."""
    values = _values(result, metric)
    if metric not in _COUNTED or not values:
        return 0.0
    found = []
    for each in result.repeat_values:
        value = values.get(each.repeat)
        count = each.attempted if metric == "success_ratio" else (value or 0) * (each.window_s or 0)
        if value is not None and count > 0:
            chance = (1 - value) / (value * count) if metric == "success_ratio" else 0.0
            found.append(1 / (12 * count**2) + chance)
    return float(np.mean(found)) if found else 0.0


_COUNTED = ("completed_rps", "goodput_rps", "success_ratio")


def _paired(a: dict[int, float], b: dict[int, float], grain: float) -> _Test | None:
    """`grain`: the variance that the difference of two repeats has at least."""
    logs = [math.log(a[repeat] / b[repeat]) for repeat in sorted(a.keys() & b.keys())]
    n = len(logs)
    if n < 2:
        return None
    error = math.sqrt(max(float(np.var(logs, ddof=1)), grain) / n)
    return _tested(n, 1, float(np.mean(logs)), error, n - 1)


def _unpaired(a: dict[int, float], b: dict[int, float], grains: tuple[float, float]) -> _Test | None:
    """`grains`: the variance that a repeat of each side has at least."""
    left, right = ([math.log(value) for value in side.values()] for side in (a, b))
    if min(len(left), len(right)) < 2:
        return None
    sides = zip((left, right), grains, strict=True)
    parts = [max(float(np.var(side, ddof=1)), grain) / len(side) for side, grain in sides]
    error = math.sqrt(sum(parts))
    mean = float(np.mean(left) - np.mean(right))
    n = min(len(left), len(right))
    freedom = [part**2 / (len(side) - 1) for part, side in zip(parts, (left, right), strict=True)]
    return _tested(n, 2, mean, error, sum(parts) ** 2 / sum(freedom) if error > _NO_SPREAD else 2 * (n - 1))


def _tested(n: int, groups: Literal[1, 2], mean: float, error: float, df: float) -> _Test:
    if error > _NO_SPREAD:
        p_value = 2 * float(stats.t.sf(abs(mean) / error, df))
    else:
        p_value = _exact_p(n, groups) if abs(mean) > _NO_SPREAD else 1.0
    return _Test(n, groups, mean, error, df, p_value)


def _exact_p(n: int, groups: int) -> float:
    """The least p of a permutation test: all signs alike, or both groups apart."""
    return 2.0 ** (1 - n) if groups == 1 else 2 / math.comb(2 * n, n)


def _compare(a: Result, b: Result, metric: str, *, paired: bool) -> tuple[Comparison, _Test | None]:
    """The ratio with its interval; the verdict comes when all p-values are known."""
    of_a, of_b = _values(a, metric), _values(b, metric)
    grains = _grain(a, metric), _grain(b, metric)
    test = _paired(of_a, of_b, sum(grains)) if paired else _unpaired(of_a, of_b, grains)
    both = of_a.keys() & of_b.keys() if paired else set()
    mine = [of_a[repeat] for repeat in both] or list(of_a.values())
    theirs = [of_b[repeat] for repeat in both] or list(of_b.values())
    mean = float(np.mean(np.log(mine)) - np.mean(np.log(theirs)))
    found = Comparison(
        workload=a.workload or "",
        stage=a.stage or 0,
        metric=metric,
        a=a.target,
        b=b.target,
        a_value=float(np.mean(mine)),
        b_value=float(np.mean(theirs)),
        ratio=Estimate(value=math.exp(mean), ci95=None if test is None else _interval(test)),
        p_value=None if test is None else test.p_value,
        verdict="not comparable",
        reason="a comparison wants at least 2 repeats of both" if test is None else "",
    )
    return found, test


def _interval(test: _Test) -> tuple[float, float] | None:
    """95 % interval of the ratio; None where there is no spread to tell an error from, unless nothing differs."""
    if not test.spreads:
        return (1.0, 1.0) if abs(test.mean) <= _NO_SPREAD else None
    half = float(stats.t.ppf(1 - ALPHA / 2, test.df)) * test.error
    return math.exp(test.mean - half), math.exp(test.mean + half)


def _judged(found: Sequence[tuple[Comparison, _Test | None]]) -> tuple[Comparison, ...]:
    holm = _holm([each.p_value for each, _ in found])
    return tuple(
        _with_verdict(each, test, p, level) if test else each if each.p_value is None else _of_rates(each, p)
        for (each, test), (p, level) in zip(found, holm, strict=True)
    )


def _holm(p_values: Sequence[float | None]) -> list[tuple[float, float]]:
    """Holm's step-down correction (Scand. J. Statist. 6, 1979): each adjusted p, and the level at its step."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted = [(1.0, ALPHA)] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(known):
        left = len(known) - rank
        highest = max(highest, min(1.0, p * left))
        adjusted[index] = (highest, ALPHA / left)
    return adjusted


def _with_verdict(found: Comparison, test: _Test, p_adjusted: float, level: float) -> Comparison:
    verdict: Literal["better", "worse", "no difference"] = "no difference"
    reason, needed = "", None
    ends = found.ratio.ci95
    if ends is not None and all(end is not None and abs(math.log(end)) < SAME for end in ends):
        reason = "the whole interval lies within 2 %"
    elif p_adjusted < ALPHA:
        verdict = "better" if (test.mean < 0) == (found.metric in LOWER_IS_BETTER) else "worse"
    else:
        reason = "not told apart" if test.spreads else "the repeats do not spread, and are too few for an exact test"
        needed = _repeats_needed(test, level)
    return msgspec.structs.replace(
        found,
        p_adjusted=p_adjusted,
        verdict=verdict,
        reason=reason,
        repeats_needed=needed,
        detectable=_detectable(test, level) if test.spreads else None,
    )


def _of_rates(found: Comparison, p_adjusted: float) -> Comparison:
    """The verdict on rates of failures: the fewer, the better."""
    if p_adjusted >= ALPHA:
        return msgspec.structs.replace(found, p_adjusted=p_adjusted, verdict="no difference", reason="not told apart")
    fewer = (found.a_value or 0.0) < (found.b_value or 0.0)
    return msgspec.structs.replace(found, p_adjusted=p_adjusted, verdict="better" if fewer else "worse")


def _repeats_needed(test: _Test, level: float) -> int | None:
    """Further repeats until a difference of the size seen would be shown with the power wanted, at the Holm level of
    this comparison; None where a thousand would not do."""
    if not test.spreads:
        return _first(lambda n: _exact_p(n, test.groups) < level, test.n)
    return _first(lambda n: _power(abs(test.mean) / test.error_at(n), test.df_at(n), level) >= POWER, test.n)


def _first(enough: Callable[[int], bool], n: int) -> int | None:
    """How many more than n are enough, `enough` staying true once it is; at least 1."""
    low, high = n, _MOST_REPEATS
    if not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high - n


def _power(effect: float, df: float, level: float) -> float:
    """The power of Student's t test, two-sided, where the true difference is `effect` standard errors."""
    critical = float(stats.t.ppf(1 - level / 2, df))
    if effect > critical + 10:
        return 1.0
    return float(stats.nct.sf(critical, df, effect))


def _detectable(test: _Test, level: float) -> float | None:
    """The smallest ratio above 1 that these repeats show with the power wanted, by bisection on the power."""
    low, high = 0.0, float(stats.t.ppf(1 - level / 2, test.df)) + 10
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if _power(middle, test.df, level) >= POWER else (middle, high)
    found = high * test.error
    return math.exp(found) if found < 10 else None
