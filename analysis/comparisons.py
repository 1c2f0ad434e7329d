"""Is A really better than B? Targets of one run on each metric, paired by repeat; or runs against the first.

Targets of a run take turns within a repeat, so a and b are paired by repeat and tested by Student's t; runs have
nothing in common and are tested by Welch's t (analysis/statistics/repeat_tests.py). Times, rates and costs are told
apart by the logarithm of their ratio, shares of one by their difference, and so is whatever was zero in some repeat.
Failures, availability and the quality of replies have tests of their own. p is corrected by Holm, with weights, over
all comparisons made together. `better` and `worse` want corrected p < 0.05 and an interval that is not wholly within
what does not matter.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from analysis.comparing.compared_metrics import (
    ACCURACY,
    BY_SLO,
    FAILURES,
    OF_ESTIMATES,
    OF_REPEATS,
    Metric,
    metric_of,
    weight_of,
)
from analysis.comparing.differences import pairs_of, unlike
from analysis.comparing.failure_rate import compare_failure_rates
from analysis.comparing.goals import estimate_at
from analysis.comparing.repeat_values import grain_of, sides_of, told_apart, values_of
from analysis.records.comparison_record import Comparison
from analysis.records.record import Estimate
from analysis.statistics import clusters, interval_tests
from analysis.statistics.multiplicity import Step, holm
from analysis.statistics.repeat_tests import POWER, RepeatTest, detectable, repeats_needed
from analysis.summary import Result, Summary

ALPHA = 0.05
Cell = tuple[str, str | None, int | None]
Answers = Mapping[Cell, tuple[clusters.Floats, Sequence[str]]]
METHOD = (
    "Repeats are the unit. Targets of one run are paired by repeat (Student's t), runs are not (Welch's t): of the"
    " logarithm of the ratio; for shares, and where a value is zero, of the difference. Shares that have intervals of"
    " their own are told apart by these (MOVER), accuracy by question, failures by the exact test of two Poisson rates."
    " A cost of the same tokens in every repeat is exact."
    " p is corrected by Holm over all comparisons made together, with ten times the weight for headline metrics; alpha"
    f" {ALPHA}. Detectable: with power {POWER}, the spread taken at its upper 90 % bound. Effect size: Hedges' g."
)
METHOD_SEQUENTIAL = (
    "Repeats were added until the comparisons were decided, so these are told apart by a test that holds whenever one"
    " stops: the Bayes factor of Student's t as an e-process (Lai 1976; Perez-Ortiz et al. 2024)."
)


@dataclass(frozen=True)
class _Found:
    """A comparison that awaits its verdict. `test` is that of the repeats, where these were tested; on the scale of
    `metric`, but of the difference where `by_difference`."""

    comparison: Comparison
    metric: Metric
    test: RepeatTest | None = None
    by_difference: bool = False


def compare(
    results: Sequence[Result], answers: Answers | None = None, *, asked: tuple[str, ...] | None = None
) -> tuple[Comparison, ...]:
    """Every pair of targets that ran the same workload and stage, on every metric both have.

    `answers`: whether each answer was right, and to which question, of each (target, workload, stage) with graded ones.
    `asked`: the metrics that decided how many repeats there are; None where the plan did.
    """
    found = [
        each
        for a, b in itertools.combinations(results, 2)
        if (a.workload, a.stage) == (b.workload, b.stage) and a.target != b.target
        for each in _every_metric(
            a, b, answers or {}, answers or {}, paired_by_repeat=True, sequential=asked is not None
        )
    ]
    return _judged(found, asked)


def compare_runs(
    first: Summary,
    others: Sequence[Summary],
    first_answers: Answers | None = None,
    answers: Sequence[Answers] = (),
) -> tuple[Comparison, ...]:
    """Every result of the other runs against the result of the first run that has its target, workload and stage.

    Where load or request differ, or one side has none, they are not comparable, and the reason names what differs.
    Results of other tools have no workload or stage: they are held against those of the same load (and model, where
    there is such a one), on what both tell.
    What counts good requests is left out where the SLO differ. `answers`: as in `compare`, of each of the other runs.
    """
    found: list[_Found] = []
    for place, other in enumerate(others):
        of_a = answers[place] if place < len(answers) else {}
        foreign = "import" in (first.source, other.source)
        for a, b in pairs_of(first, other, by_load=foreign):
            differs = unlike(a, b, other.run, first.run, told_by_both=foreign)
            if differs or a is None or b is None:
                made = [_apart(a or b, differs)]
            else:
                made = _every_metric(a, b, of_a, first_answers or {}, paired_by_repeat=False, sequential=False)
                made = [each for each in made if each.metric.path not in BY_SLO or other.slo == first.slo]
            found += [_of_runs(each, other.run, first.run) for each in made]
    return _judged(found, None)


def _of_runs(found: _Found, a_run: str, b_run: str) -> _Found:
    comparison = msgspec.structs.replace(found.comparison, a_run=a_run, b_run=b_run)
    return _Found(comparison, found.metric, found.test, found.by_difference)


def _every_metric(
    a: Result, b: Result, of_a: Answers, of_b: Answers, *, paired_by_repeat: bool, sequential: bool
) -> list[_Found]:
    metrics = [path for path in OF_REPEATS if values_of(a, path) and values_of(b, path)]
    found = [
        _of_repeats(a, b, metric_of(path), paired_by_repeat=paired_by_repeat, sequential=sequential)
        for path in metrics
        if not path.startswith("response_s") or is_open(a)
    ]
    others = [
        compare_failure_rates(a, b),
        *(_of_estimates(a, b, path) for path in OF_ESTIMATES),
        _of_answers(a, b, of_a.get(_key(a)), of_b.get(_key(b))),
    ]
    told = [_untested(each) if sequential else each for each in others if each is not None]
    return [*found, *(_Found(each, metric_of(each.metric)) for each in told)]


def _untested(found: Comparison) -> Comparison:
    reason = "its test does not hold where the number of repeats was chosen by looking at them"
    return msgspec.structs.replace(found, p_value=None, verdict="not comparable", reason=reason)


def is_open(result: Result) -> bool:
    """Whether arrivals came by a schedule; in a closed stage response time is E2E."""
    return result.load.get("concurrency") is None


def _key(result: Result) -> Cell:
    return result.target, result.workload, result.stage


def _apart(result: Result | None, reason: str) -> _Found:
    assert result is not None
    blank = _blank(result, result, "all", None, None)
    return _Found(msgspec.structs.replace(blank, reason=reason), metric_of("all"))


def _blank(a: Result, b: Result, metric: str, a_value: float | None, b_value: float | None) -> Comparison:
    return Comparison(
        workload=a.workload or "",
        stage=a.stage or 0,
        metric=metric,
        a=a.target,
        b=b.target,
        a_value=a_value,
        b_value=b_value,
        ratio=Estimate(value=a_value / b_value if a_value is not None and b_value else None),
        difference=None if a_value is None or b_value is None else Estimate(value=a_value - b_value),
        verdict="not comparable",
    )


def _of_repeats(a: Result, b: Result, metric: Metric, *, paired_by_repeat: bool, sequential: bool) -> _Found:
    """Ratio and difference with their intervals; the verdict comes when all p-values are known."""
    sides = sides_of(a, b, metric.path, paired_by_repeat=paired_by_repeat)
    logs = metric.scale == "ratio" and sides.positive
    grains = {
        kind: (grain_of(a, metric.path, logs=kind), grain_of(b, metric.path, logs=kind)) for kind in (True, False)
    }
    plain = told_apart(sides, grains[False], logs=False, sequential=sequential)
    in_logs = told_apart(sides, grains[True], logs=True, sequential=sequential) if logs else None
    test = in_logs if logs else plain
    found = _blank(a, b, metric.path, float(np.mean(sides.a)), float(np.mean(sides.b)))
    if test is None or plain is None:
        ratio = math.exp(float(np.mean(np.log(sides.a)) - np.mean(np.log(sides.b)))) if logs else found.ratio.value
        reason = "a comparison wants at least 2 repeats of both"
        return _Found(msgspec.structs.replace(found, ratio=Estimate(value=ratio), reason=reason), metric)
    ends = in_logs.interval(ALPHA) if in_logs is not None else None
    made = msgspec.structs.replace(
        found,
        ratio=found.ratio
        if in_logs is None
        else Estimate(value=math.exp(in_logs.mean), ci95=ends and (math.exp(ends[0]), math.exp(ends[1]))),
        difference=Estimate(value=plain.mean, ci95=plain.interval(ALPHA)),
        effect_size=test.effect,
        p_value=test.p_value(),
        repeats=test.n,
        method=_method(test, logs=logs),
    )
    return _Found(made, metric, test, by_difference=not logs)


def _method(test: RepeatTest, *, logs: bool) -> str:
    of = "log ratios" if logs else "differences"
    if test.exact:
        return "exact: by prices and tokens that are the same in every repeat"
    if not test.spreads and test.differs:
        return f"exact permutation test of {of}"
    kind = "sequential paired t" if test.sequential else "paired t" if test.groups == 1 else "Welch's t"
    return f"{kind} of {of}"


def _of_estimates(a: Result, b: Result, metric: str) -> Comparison | None:
    """Of shares that come with an interval of their own; None where either is not known, or neither is to be told."""
    of_a, of_b = estimate_at(a, metric), estimate_at(b, metric)
    if of_a is None or of_b is None or of_a.value == of_b.value:
        return None
    test = interval_tests.difference(of_a, of_b)
    if test is None:
        return None
    return msgspec.structs.replace(
        _blank(a, b, metric, of_a.value, of_b.value),
        difference=Estimate(value=test.mean, ci95=test.ci95()),
        p_value=test.p_value(),
        method="MOVER of the two intervals",
    )


def _of_answers(
    a: Result,
    b: Result,
    of_a: tuple[clusters.Floats, Sequence[str]] | None,
    of_b: tuple[clusters.Floats, Sequence[str]] | None,
) -> Comparison | None:
    """The accuracies, paired by the questions that both were asked; without the answers, by their intervals."""
    mine, theirs = estimate_at(a, ACCURACY), estimate_at(b, ACCURACY)
    if mine is None or theirs is None:
        return None
    change = clusters.change(of_b, of_a) if of_a is not None and of_b is not None else None
    if change is None or change.ci95 is None or of_a is None or of_b is None:
        return _of_estimates(a, b, ACCURACY)
    return msgspec.structs.replace(
        _blank(a, b, ACCURACY, mine.value, theirs.value),
        difference=change,
        p_value=clusters.p_value(change, of_b[1], of_a[1]),
        method="paired by question, Student's t over the questions",
    )


def _judged(found: Sequence[_Found], asked: tuple[str, ...] | None) -> tuple[Comparison, ...]:
    weights = [weight_of(each.metric.path, asked) for each in found]
    steps = holm([each.comparison.p_value for each in found], weights, ALPHA)
    return tuple(
        each.comparison if step.adjusted is None else _with_verdict(each, step, headline=weight > 1)
        for each, step, weight in zip(found, steps, weights, strict=True)
    )


def _with_verdict(found: _Found, step: Step, *, headline: bool) -> Comparison:
    comparison, test = found.comparison, found.test
    shown = step.adjusted is not None and step.adjusted < ALPHA
    verdict: Literal["better", "worse", "no difference"] = "no difference"
    reason, needed, same = "", None, _same(found)
    if same:
        reason = f"the whole interval lies within {_tolerance(found)}"
    elif shown:
        verdict = "better" if _less(comparison) == found.metric.less_is_better else "worse"
    elif test is not None and not test.exact and not test.spreads and test.differs:
        reason = "the repeats do not spread, and are too few for an exact test"
        needed = repeats_needed(test, test.mean, step.level)
    else:
        reason = "not told apart"
        needed = None if test is None else _needed(test, found, step.level)
    least = None if test is None else detectable(test, step.level)
    return msgspec.structs.replace(
        comparison,
        headline=headline,
        p_adjusted=step.adjusted,
        verdict=verdict,
        decided=same or shown,
        reason=reason,
        repeats_needed=needed,
        **_detectable(found, least),
    )


def _less(found: Comparison) -> bool:
    """Whether a has less than b."""
    if found.metric == FAILURES or found.difference is None or found.difference.value is None:
        return (found.a_value or 0.0) < (found.b_value or 0.0)
    of_ratio = None if found.ratio.ci95 is None else found.ratio.value
    return of_ratio < 1 if of_ratio is not None else found.difference.value < 0


def _needed(test: RepeatTest, found: _Found, level: float) -> int | None:
    """Further repeats that decide: that show a difference of the size seen, or where that is within what does not
    matter, that it is."""
    apart = repeats_needed(test, test.mean, level)
    room = found.metric.same - abs(test.mean)
    if found.by_difference and found.metric.scale == "ratio":
        return apart
    alike = repeats_needed(test, room, ALPHA) if room > 0 else None
    return min((each for each in (apart, alike) if each is not None), default=None)


def _same(found: _Found) -> bool:
    """Whether the whole interval lies within what does not matter."""
    if found.by_difference and found.metric.scale == "ratio":  # a zero has no ratio
        return found.test is not None and not found.test.spreads and not found.test.differs
    if found.metric.scale == "ratio":
        ends = found.comparison.ratio.ci95
        return ends is not None and all(
            end is not None and end > 0 and abs(math.log(end)) < found.metric.same for end in ends
        )
    ends = None if found.comparison.difference is None else found.comparison.difference.ci95
    return ends is not None and all(end is not None and abs(end) < found.metric.same for end in ends)


def _tolerance(found: _Found) -> str:
    if found.by_difference and found.metric.scale == "ratio":
        return "rounding: all repeats are equal"
    same = found.metric.same
    return f"{100 * math.expm1(same):.0f} %" if found.metric.scale == "ratio" else f"{100 * same:g} percentage points"


def _detectable(found: _Found, least: float | None) -> dict[str, float | None]:
    """The smallest ratio, and the smallest difference, that is shown."""
    of_b = found.comparison.b_value
    if least is None:
        return {}
    if found.metric.scale == "difference":
        return {"detectable_difference": least}
    if found.by_difference:
        return {"detectable_difference": least, "detectable": 1 + least / of_b if of_b else None}
    ratio = math.exp(least) if least < 10 else None
    return {"detectable": ratio, "detectable_difference": None if ratio is None or of_b is None else of_b * (ratio - 1)}
