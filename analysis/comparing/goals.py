"""Goals of a plan, such as `e2e_s.p95 < 2`: a path into a result, a comparison, a number."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from analysis.summary import Batch, Dist, Estimate, Goal, Result
from harness.errors import UsageFault

_GOAL = re.compile(r"^\s*([a-z0-9_.]+)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*$")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_DISTS = ("ttft_s", "ttfo_s", "itl_s", "tpot_s", "e2e_s", "response_s", "lag_s")
_STATISTICS = tuple(name for name in Dist.__struct_fields__ if name not in ("n", "ci95", "cv"))
_NUMBERS = ("achieved_rps", "completed_rps", "goodput_rps", "output_tokens_per_s", "in_flight_mean")
_RATIOS: dict[str, Callable[[Result], Estimate | None]] = {
    "success_ratio": lambda result: None if result.reliability is None else result.reliability.success_ratio,
    "availability": lambda result: None if result.reliability is None else result.reliability.availability,
    "integrity": lambda result: _integrity(result),  # noqa: PLW0108  (it is defined below)
    "scaling.efficiency": lambda result: None if result.scaling is None else result.scaling.efficiency,
}
_OF_SCALING = ("scaling.slo_attainment", "scaling.output_tokens_per_s_per_user")
_WORST_S = "recovery.worst_s"
_COST = tuple(
    f"cost.{name}" for name in ("usd_per_request", "usd_per_1k_good", "usd_per_1m_output_tokens", "usd_per_1m_tokens")
)
_QUALITY = (
    *(f"quality.{name}" for name in ("accuracy", "accuracy_of_all", "macro_f1", "f1", "bleu", "refused", "cut")),
    *(f"quality.consistency.{name}" for name in ("exact", "answer", "similarity")),
    *(f"quality.marks.{name}" for name in ("relevance", "coherence")),
)
PATHS = (
    *(f"{name}.{statistic}" for name in _DISTS for statistic in _STATISTICS),
    *_NUMBERS,
    *_RATIOS,
    _WORST_S,
    *_QUALITY,
    *_OF_SCALING,
    *_COST,
    *(f"batch.{name}" for name in Batch.__struct_fields__ if name != "size"),
)


def check_goal(text: str) -> None:
    """Raise UsageFault when a goal cannot be read."""
    _parse(text)


def read_goal(text: str) -> tuple[str, str, float]:
    """The path, the comparison (`<`, `<=`, `>` or `>=`) and the number of a goal. Raises UsageFault."""
    return _parse(text)


def judge(text: str, result: Result) -> Goal:
    """Whether a result meets a goal."""
    path, symbol, limit = _parse(text)
    saw = value_at(result, path)
    if saw is None and path == _WORST_S and result.recovery is not None:
        at_least_s = result.recovery.at_least_s  # not seen, but longer than what was allowed: that is missed
        missed = at_least_s is not None and symbol in ("<", "<=") and not _COMPARE[symbol](at_least_s, limit)
        return Goal(text=text, saw=None, met=False if missed else None)
    return Goal(text=text, saw=saw, met=None if saw is None else _COMPARE[symbol](saw, limit))


def value_at(result: Result, path: str) -> float | None:
    """The number at a path of `PATHS`; None when it was not measured."""
    value = _at(result, path)
    value = value.value if isinstance(value, Estimate) else value
    return value if isinstance(value, float) else None


def estimate_at(result: Result, path: str) -> Estimate | None:
    """The estimate at a path of `PATHS`, with its interval; None where there is none."""
    found = _at(result, path)
    return found if isinstance(found, Estimate) and found.value is not None else None


def _at(result: Result, path: str) -> object:
    if path in _RATIOS:
        return _RATIOS[path](result)
    value: object = result
    for part in path.split("."):
        value = None if value is None else getattr(value, part)
    return value


def _integrity(result: Result) -> Estimate | None:
    """Of the replies after the recovery, where a fault was injected; else of all."""
    found = result.integrity if result.recovery is None else result.recovery.integrity
    return None if found is None else found.ratio


def _parse(text: str) -> tuple[str, str, float]:
    match = _GOAL.match(text)
    if match is None or match[1] not in PATHS:
        names = ", ".join((*_NUMBERS, *_RATIOS, _WORST_S, *_OF_SCALING, *_COST, "batch.versus_sequential", *_QUALITY))
        known = f"{', '.join(_DISTS)} with .p50 .p95 ...; {names}"
        raise UsageFault(f"goals: {text[:60]!r}: must be PATH < NUMBER with a known path", f"paths: {known}")
    return match[1], match[2], float(match[3])
