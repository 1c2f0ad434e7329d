"""Is A really better than B? Pairs of targets on each metric, paired by repeat.

The logarithm of the ratio a / b is taken in each repeat; Student's t gives its interval and p-value; p is corrected by
Holm over all comparisons of the run. `better` or `worse` wants corrected p < 0.05; `no difference` wants the whole
interval within 2 %; all else is `cannot tell`, with the further repeats that would
decide at the spread seen (power 0.8).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy import stats

from analysis.summary import Comparison, Estimate, Result

LOWER_IS_BETTER = ("ttft_s.p50", "ttft_s.p95", "itl_s.p50", "tpot_s.p50", "e2e_s.p50", "e2e_s.p95")
HIGHER_IS_BETTER = ("completed_rps", "goodput_rps", "output_tokens_per_s", "success_ratio")
SAME = math.log(1.02)
ALPHA = 0.05
POWER = 0.8


def compare(results: Sequence[Result]) -> tuple[Comparison, ...]:
    """Every pair of targets that ran the same workload and stage, on every metric both have."""
    found = [
        _compare(a, b, metric)
        for a, b in itertools.combinations(results, 2)
        if (a.workload, a.stage) == (b.workload, b.stage) and a.target != b.target
        for metric in (*LOWER_IS_BETTER, *HIGHER_IS_BETTER)
        if _logs(a, b, metric)
    ]
    return tuple(_with_verdict(each, p) for each, p in zip(found, _holm([each.p_value for each in found]), strict=True))


def _values(result: Result, metric: str) -> dict[int, float]:
    values = {each.repeat: each.values.get(metric) for each in result.repeat_values}
    return {repeat: value for repeat, value in values.items() if value is not None and value > 0}


def _logs(a: Result, b: Result, metric: str) -> list[float]:
    of_a, of_b = _values(a, metric), _values(b, metric)
    return [math.log(of_a[repeat] / of_b[repeat]) for repeat in sorted(of_a.keys() & of_b.keys())]


def _compare(a: Result, b: Result, metric: str) -> Comparison:
    """The ratio with its interval; the verdict comes when all p-values are known."""
    logs = _logs(a, b, metric)
    of_a, of_b = _values(a, metric), _values(b, metric)
    mean = float(np.mean(logs))
    low = high = p_value = None
    if len(logs) >= 2:
        error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
        half = float(stats.t.ppf(0.975, len(logs) - 1)) * error
        low, high = math.exp(mean - half), math.exp(mean + half)
        p_value = 2 * float(stats.t.sf(abs(mean) / error, len(logs) - 1)) if error > 0 else float(mean == 0)
    return Comparison(
        workload=a.workload or "",
        stage=a.stage or 0,
        metric=metric,
        a=a.target,
        b=b.target,
        a_value=float(np.mean(list(of_a.values()))),
        b_value=float(np.mean(list(of_b.values()))),
        ratio=Estimate(value=math.exp(mean), ci95=None if low is None else (low, high)),
        p_value=p_value,
        verdict="cannot tell",
        reason="" if len(logs) >= 2 else "an interval wants at least 2 repeats of both",
        repeats_needed=_repeats_needed(logs),
    )


def _repeats_needed(logs: list[float]) -> int | None:
    """Further repeats until a difference of the size seen would be shown, by the normal approximation."""
    spread = float(np.std(logs, ddof=1)) if len(logs) >= 2 else 0.0
    effect = abs(float(np.mean(logs)))
    if spread == 0 or effect == 0:
        return None
    z = float(stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER))
    total = math.ceil((z * spread / effect) ** 2) + 2  # two for the spread being estimated
    return total - len(logs) if len(logs) < total <= 1000 else None


def _holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (Scand. J. Statist. 6, 1979); None stays None."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[index] = highest
    return adjusted


def _with_verdict(found: Comparison, p_adjusted: float | None) -> Comparison:
    verdict, reason = found.verdict, found.reason
    ratio, ci95 = found.ratio.value, found.ratio.ci95
    if p_adjusted is not None and p_adjusted < ALPHA and ratio is not None:
        a_is_better = (ratio < 1) == (found.metric in LOWER_IS_BETTER)
        verdict = "better" if a_is_better else "worse"
    if ci95 is not None and all(end is not None and abs(math.log(end)) < SAME for end in ci95):
        verdict, reason = "no difference", "the whole interval lies within 2 %"
    needed = found.repeats_needed if verdict == "cannot tell" else None
    if verdict == "cannot tell" and needed is None and not reason:
        needed, reason = 1, "the difference seen does not survive the correction for many comparisons"
    return msgspec.structs.replace(found, p_adjusted=p_adjusted, verdict=verdict, reason=reason, repeats_needed=needed)
