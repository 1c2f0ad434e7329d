"""Goals of a plan, such as `e2e_s.p95 < 2`: a path into a result, a comparison, a number."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from analysis.summary import Batch, Dist, Goal, Result
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
_NUMBERS = ("achieved_rps", "completed_rps", "goodput_rps", "output_tokens_per_s", "in_flight_mean", "success_ratio")
PATHS = (
    *(f"{name}.{statistic}" for name in _DISTS for statistic in _STATISTICS),
    *_NUMBERS,
    *(f"batch.{name}" for name in Batch.__struct_fields__ if name != "size"),
)


def check_goal(text: str) -> None:
    """Raise UsageFault when a goal cannot be read."""
    _parse(text)


def judge(text: str, result: Result) -> Goal:
    """Whether a result meets a goal."""
    path, symbol, limit = _parse(text)
    saw = value_at(result, path)
    return Goal(text=text, saw=saw, met=None if saw is None else _COMPARE[symbol](saw, limit))


def value_at(result: Result, path: str) -> float | None:
    """The number at a path of `PATHS`; None when it was not measured."""
    if path == "success_ratio":
        return None if result.reliability is None else result.reliability.success_ratio.value
    value: object = result
    for part in path.split("."):
        value = None if value is None else getattr(value, part)
    return value if isinstance(value, float) else None


def _parse(text: str) -> tuple[str, str, float]:
    match = _GOAL.match(text)
    if match is None or match[1] not in PATHS:
        known = f"{', '.join(_DISTS)} with .p50 .p95 ...; {', '.join(_NUMBERS)}; batch.versus_sequential"
        raise UsageFault(f"goals: {text[:60]!r}: must be PATH < NUMBER with a known path", f"paths: {known}")
    return match[1], match[2], float(match[3])
