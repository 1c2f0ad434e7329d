"""Gates: has a metric become worse than it may, beyond noise? Each is failed, met, or cannot be told.

Against a baseline a gate fails where a is shown to be worse than the baseline, and is not shown to be within the limit:
once something has become worse, it must be shown that it has not too much. The tests are one-sided: those of
analysis/statistics/repeat_tests.py (paired by repeat within a run, Welch's between runs) or, of metrics with an
interval of their own, of analysis/statistics/interval_tests.py. Without a baseline it fails where the limit itself is
shown to be passed. p of being worse is corrected by Holm over all gates asked together; being within the limit is shown
at 0.01.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from analysis.comparing.compared_metrics import BY_SLO
from analysis.comparing.differences import differences, pairs_of, unlike
from analysis.comparing.failure_rate import RateTest, availability_test
from analysis.comparing.goals import estimate_at, value_at
from analysis.comparing.repeat_values import Sides, grain_of, is_exact, sides_of, told_apart, values_of
from analysis.gating.gate_rules import Rule
from analysis.records.comparison_record import Gate, GateVerdict
from analysis.records.record import Estimate
from analysis.statistics import interval_tests
from analysis.statistics.interval_tests import IntervalTest
from analysis.statistics.multiplicity import Step, holm
from analysis.statistics.repeat_tests import RepeatTest, detectable, repeats_needed, single
from analysis.summary import Result, Summary

ALPHA = 0.001
_MET = 0.01
_CI = 0.05
_LEAST = 1e-300  # of a ratio that has a logarithm
_MOST_LOG = 10
_NO_INTERVAL = "no interval of this metric is known, so that noise cannot be told from change"
METHOD = (
    "A gate fails where the metric is shown, one-sided, to be worse than the baseline (p, corrected by Holm over all"
    " gates, below the level) and is not shown to be within the limit (p below 0.01), as it then must be; without a"
    " baseline, where the limit is shown to be passed. It is met where it is shown to be within the limit. Else it"
    " cannot be told."
)


@dataclass(frozen=True)
class _Asked:
    """One gate of one result, before its verdict. `worse` tests against the baseline (without one, against the
    limit) and `within` against the limit, both as the distance from it; None: not tested, for the `reason`."""

    gate: Gate
    rule: Rule
    worse: RepeatTest | IntervalTest | RateTest | None = None
    within: RepeatTest | IntervalTest | RateTest | None = None
    logs: bool = False

    def p_value(self) -> float | None:
        """One-sided p of not being worse; None: not tested."""
        return None if self.worse is None else self.worse.one_sided(0.0, above=self.rule.above)


def within_run(
    rules: Sequence[Rule], results: Sequence[Result], *, alpha: float = ALPHA, sequential: bool = False
) -> tuple[Gate, ...]:
    """Each gate on every other target of a load against the first; those without a baseline on all. `sequential`: the
    run's repeats were chosen by looking at them."""
    first: dict[tuple[str | None, int | None], Result] = {}
    for result in results:
        first.setdefault((result.workload, result.stage), result)
    asked: list[_Asked] = []
    for rule in rules:
        for result in results:
            baseline = first[result.workload, result.stage]
            if rule.kind == "value":
                asked.append(_absolute(rule, result, sequential=sequential))
            elif baseline is not result:
                asked.append(_against(rule, result, baseline, paired=True, sequential=sequential))
    return _judged(asked, alpha)


def against_first(
    rules: Sequence[Rule], baseline: Summary, others: Sequence[Summary], *, alpha: float = ALPHA
) -> tuple[Gate, ...]:
    """Each gate on every result of the other runs against that of the first with its target, workload and stage. A
    result that either side lacks, or that had another load (or SLO, where good requests are counted), fails its gates:
    it cannot be shown to be met."""
    return _judged([each for other in others for each in _of_run(rules, baseline, other)], alpha)


def _of_run(rules: Sequence[Rule], baseline: Summary, other: Summary) -> Iterator[_Asked]:
    for rule in rules:
        for a, b in pairs_of(baseline, other):
            differs = "" if rule.kind == "value" and a is not None else unlike(a, b, other.run, baseline.run)
            if not differs and rule.kind != "value" and rule.path in BY_SLO and other.slo != baseline.slo:
                differs = f"slo differs: {', '.join(differences(baseline.slo, other.slo, 'against'))}"
            if differs or a is None:
                made = _Asked(_blank(rule, a or b, b, reason=differs or f"only in {baseline.run}"), rule)
            elif rule.kind == "value":
                made = _absolute(rule, a)
            else:
                assert b is not None
                made = _against(rule, a, b, paired=False)
            yield _named(made, other.run, baseline.run)


def _named(asked: _Asked, a_run: str, b_run: str) -> _Asked:
    gate = asked.gate
    b = None if gate.b is None else f"{gate.b} ({b_run})"
    gate = msgspec.structs.replace(gate, a=f"{gate.a} ({a_run})", b=b)
    return replace(asked, gate=gate)


def _blank(rule: Rule, a: Result | None, b: Result | None, reason: str = "") -> Gate:
    either = a or b
    assert either is not None
    return Gate(
        text=rule.text,
        metric=rule.path,
        workload=either.workload,
        stage=either.stage,
        a=either.target,
        b=None if rule.kind == "value" else (b or either).target,
        limit=rule.limit,
        verdict="not measured",
        met=None,
        reason=reason or "it was not measured",
    )


def _absolute(rule: Rule, a: Result, *, sequential: bool = False) -> _Asked:
    values, blank = list(values_of(a, rule.path).values()), _blank(rule, a, None)
    grain = grain_of(a, rule.path, logs=False)
    test = single(values, rule.limit, grain, sequential=sequential) if values else None
    if test is not None and is_exact(a, rule.path):
        test = replace(test, exact=True)
    estimate = None if sequential else estimate_at(a, rule.path)
    if test is None or not (test.spreads or test.exact):
        apart = None if estimate is None else interval_tests.difference(estimate, _exactly(rule.limit))
        if estimate is not None and apart is not None:
            return _Asked(msgspec.structs.replace(blank, a_value=estimate.value, saw=estimate), rule, apart, apart)
    value = float(np.mean(values)) if values else value_at(a, rule.path)
    if value is None:
        return _Asked(blank, rule)
    saw = Estimate(value=value, ci95=_moved(None if test is None else test.interval(_CI), rule.limit))
    reason = "a gate wants at least 2 repeats" if values else _NO_INTERVAL
    gate = msgspec.structs.replace(blank, a_value=value, saw=saw, repeats=len(values) or None, reason=reason)
    return _Asked(gate, rule, test, test)


def _exactly(value: float) -> Estimate:
    return Estimate(value=value, ci95=(value, value))


def _moved(ends: tuple[float, float] | None, by: float) -> tuple[float, float] | None:
    return None if ends is None else (ends[0] + by, ends[1] + by)


def _against(rule: Rule, a: Result, b: Result, *, paired: bool, sequential: bool = False) -> _Asked:
    sides = sides_of(a, b, rule.path, paired_by_repeat=paired)
    if sides.a and sides.b:
        return _of_repeats(rule, a, b, sides, sequential=sequential)
    mine, theirs = value_at(a, rule.path), value_at(b, rule.path)
    if mine is None or theirs is None:
        return _Asked(_blank(rule, a, b), rule)
    gate = _with_values(_blank(rule, a, b), rule, mine, theirs)
    of_a, of_b = estimate_at(a, rule.path), estimate_at(b, rule.path)
    worse = None if of_a is None or of_b is None or sequential else interval_tests.difference(of_a, of_b)
    if worse is None or of_a is None or of_b is None:
        return _without_interval(gate, rule, a, b, sequential=sequential)
    if rule.kind == "points":
        gate = msgspec.structs.replace(gate, saw=Estimate(value=worse.mean, ci95=worse.ci95()))
        return _Asked(gate, rule, worse, worse.shifted(rule.limit))
    return _Asked(gate, rule, worse, interval_tests.difference(of_a, of_b, rule.limit))


def _without_interval(gate: Gate, rule: Rule, a: Result, b: Result, *, sequential: bool) -> _Asked:
    """An availability without an interval belongs to who was never down: that cannot be worse, and makes the other
    worse where the failures of both tell so."""
    mine, theirs = gate.a_value, gate.b_value
    if rule.path == "availability" and mine is not None and theirs is not None and not rule.above:
        if mine == 1:
            return _Asked(msgspec.structs.replace(gate, verdict="met", met=True, reason=_never_down(a)), rule)
        worse = None if sequential else availability_test(a, b, mine - theirs)
        limit = rule.limit if rule.kind == "points" else (rule.limit - 1) * theirs
        if worse is not None:
            return _Asked(gate, rule, worse, replace(worse, mean=worse.mean - limit))
    return _Asked(msgspec.structs.replace(gate, reason=_NO_INTERVAL), rule)


def _never_down(a: Result) -> str:
    """What became no worse, since it cannot be better."""
    watched_s = None if a.reliability is None else a.reliability.watched_s
    return "it was never seen down" + ("" if watched_s is None else f" in {watched_s:.0f} s")


def _with_values(gate: Gate, rule: Rule, a: float, b: float) -> Gate:
    ratio = a / b if b else None
    saw = Estimate(value=a - b if rule.kind == "points" else ratio)
    return msgspec.structs.replace(gate, a_value=a, b_value=b, ratio=ratio, saw=saw)


def _of_repeats(rule: Rule, a: Result, b: Result, sides: Sides, *, sequential: bool) -> _Asked:
    """By the repeats' values: of logarithms where the limit is a ratio and all have one, else of differences."""
    logs = rule.kind == "ratio" and sides.positive
    grains = (grain_of(a, rule.path, logs=logs), grain_of(b, rule.path, logs=logs))
    gate = _with_values(_blank(rule, a, b), rule, float(np.mean(sides.a)), float(np.mean(sides.b)))
    gate = msgspec.structs.replace(gate, repeats=min(len(sides.a), len(sides.b)))
    worse = told_apart(sides, grains, logs=logs, sequential=sequential)
    if worse is None:
        return _Asked(msgspec.structs.replace(gate, reason="a gate wants at least 2 repeats of both"), rule)
    ends = worse.interval(_CI)
    if logs:
        saw = Estimate(value=math.exp(worse.mean), ci95=ends and (math.exp(ends[0]), math.exp(ends[1])))
        gate = msgspec.structs.replace(gate, ratio=saw.value, saw=saw)
        return _Asked(gate, rule, worse, worse.shifted(math.log(max(rule.limit, _LEAST))), logs=True)
    if rule.kind == "points":
        gate = msgspec.structs.replace(gate, saw=Estimate(value=worse.mean, ci95=ends))
        return _Asked(gate, rule, worse, worse.shifted(rule.limit))
    scaled = Sides(sides.a, [rule.limit * value for value in sides.b], paired=sides.paired, exact=sides.exact)
    within = told_apart(scaled, (grains[0], rule.limit**2 * grains[1]), logs=False, sequential=sequential)
    return _Asked(gate, rule, worse, within)


def _judged(asked: Sequence[_Asked], alpha: float) -> tuple[Gate, ...]:
    steps = holm([each.p_value() for each in asked], [1.0] * len(asked), alpha)
    return tuple(_with_verdict(each, step, alpha) for each, step in zip(asked, steps, strict=True))


def _with_verdict(asked: _Asked, step: Step, alpha: float) -> Gate:
    gate, worse, within = asked.gate, asked.worse, asked.within
    if gate.a_value is None:
        return gate
    if worse is None or within is None:
        return gate if gate.verdict == "met" else msgspec.structs.replace(gate, verdict="cannot tell")
    saw = None if gate.saw is None else gate.saw.value
    beyond = (within.mean > 0) == asked.rule.above if saw is None else not asked.rule.holds(saw)
    p_value = asked.p_value()
    shown = step.adjusted is not None and step.adjusted < alpha
    kept = _alike(worse) or _is_within(within, asked.rule)
    verdict: GateVerdict = "cannot tell"
    if shown and not kept and (beyond or not isinstance(worse, RateTest)):
        verdict, reason = "failed", _FAILED if beyond else _MAY_BE_BEYOND
    elif kept:
        verdict, reason = "met", "shown to be within the limit"
    elif beyond:
        reason = f"beyond the limit, but not shown beyond noise at {alpha:g}"
    else:
        reason = "within the limit as measured, but noise could hide that it is not"
    return msgspec.structs.replace(
        gate,
        p_value=p_value,
        p_adjusted=step.adjusted,
        verdict=verdict,
        met={"met": True, "failed": False}.get(verdict),
        reason=reason,
        repeats_needed=None if verdict == "met" or reason == _FAILED else _needed(asked, step.level, beyond=beyond),
        detectable=_detectable(asked, step.level),
    )


_FAILED = "beyond the limit, and shown beyond noise"
_MAY_BE_BEYOND = "worse beyond noise, and not shown to be within the limit"


def _is_within(within: RepeatTest | IntervalTest | RateTest, rule: Rule) -> bool:
    """Whether the limit is shown to be kept; that failures are more frequent says nothing of how much that matters."""
    return not isinstance(within, RateTest) and within.one_sided(0.0, above=not rule.above) < _MET


def _alike(worse: RepeatTest | IntervalTest | RateTest) -> bool:
    """Whether all repeats are exactly those of the baseline."""
    return isinstance(worse, RepeatTest) and not worse.spreads and not worse.differs


def _needed(asked: _Asked, level: float, *, beyond: bool) -> int | None:
    """Further repeats (of both sides) until a difference of the size seen is told. Levels are one-sided."""
    if not isinstance(asked.worse, RepeatTest) or not isinstance(asked.within, RepeatTest):
        return None
    test, one_sided = (asked.worse, level) if beyond else (asked.within, _MET)
    return repeats_needed(test, test.mean, 2 * one_sided)


def _detectable(asked: _Asked, level: float) -> float | None:
    """In the unit of what the gate saw."""
    least = detectable(asked.worse, 2 * level) if isinstance(asked.worse, RepeatTest) else None
    if least is None:
        return None
    change = least if asked.rule.above else -least
    if asked.logs:
        return math.exp(change) if abs(change) < _MOST_LOG else None
    if asked.rule.kind == "ratio":
        return 1 + change / asked.gate.b_value if asked.gate.b_value else None
    return change + (asked.rule.limit if asked.rule.kind == "value" else 0.0)
