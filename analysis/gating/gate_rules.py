"""Gates as they are written: `ttft.p95:+10%`, `availability:-0.1pp`, `e2e.p99<2`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from analysis.comparing.compared_metrics import is_share, metric_of
from analysis.comparing.goals import PATHS
from harness.errors import UsageFault

_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)"
_RELATIVE = re.compile(rf"^\s*([a-z0-9_.]+)\s*:\s*([+-])\s*{_NUMBER}\s*(%|pp)\s*$")
_ABSOLUTE = re.compile(rf"^\s*([a-z0-9_.]+)\s*(<=|>=|<|>)\s*{_NUMBER}\s*$")
_EXAMPLES = (
    "such as 'ttft.p95:+10%' (at most 10 % more than the baseline), 'goodput:-5%', 'availability:-0.1pp' (percentage"
    " points), 'e2e.p99<2' (seconds), 'usd_per_1k_good<3'"
)
_PLAIN = tuple(path for path in PATHS if "." not in path)
Kind = Literal["ratio", "points", "value"]
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Rule:
    """A gate that was read: the metric's path in a result, and the limit that it may not pass: upwards where `above`,
    else downwards. `kind` is what the limit is of: the ratio to the baseline, the difference from it, or the value."""

    text: str
    path: str
    kind: Kind
    symbol: Literal["<", "<=", ">", ">="]
    limit: float

    @property
    def above(self) -> bool:
        """Whether more is what it forbids."""
        return self.symbol in ("<", "<=")

    def holds(self, saw: float) -> bool:
        """Whether something as large as this is within the limit."""
        return _HOLDS[self.symbol](saw, self.limit)


def read_gate(text: str) -> Rule:
    """Read METRIC:+N% or METRIC:-N%, METRIC:+Npp or METRIC:-Npp, METRIC<X or METRIC>X (also <= and >=).

    A latency may be named without its `_s`, a rate without its `_rps`, a cost without `cost.`. Raises UsageFault.
    """
    relative, absolute = _RELATIVE.match(text), _ABSOLUTE.match(text)
    match = relative or absolute
    if match is None:
        raise UsageFault(f"--gate: {text[:60]!r}: must be METRIC:+N%, METRIC:-Npp or METRIC<X", _EXAMPLES)
    path = path_of(match[1])
    if path is None:
        raise UsageFault(f"--gate: {match[1][:60]!r}: no such metric", f"metrics: {known_metrics()}")
    if relative is not None:
        return _relative(text, path, relative)
    symbol: Literal["<", "<=", ">", ">="] = match[2]  # type: ignore[assignment]
    return Rule(text.strip(), path, "value", symbol, float(match[3]))


def _relative(text: str, path: str, match: re.Match[str]) -> Rule:
    above, size = match[2] == "+", float(match[3]) / 100
    symbol: Literal["<=", ">="] = "<=" if above else ">="
    if match[4] == "pp":
        if not is_share(path):
            hint = f"write it in per cent: {match[1]}:{match[2]}{match[3]}%"
            raise UsageFault(f"--gate: {text[:60]!r}: percentage points are for shares, such as availability", hint)
        return Rule(text.strip(), path, "points", symbol, size if above else -size)
    if not above and size > 1:
        raise UsageFault(f"--gate: {text[:60]!r}: nothing falls by more than 100 %", _EXAMPLES)
    return Rule(text.strip(), path, "ratio", symbol, 1 + size if above else 1 - size)


def forbids_better(rule: Rule) -> bool:
    """Whether a limit on a change has the side on which the metric becomes better, as `ttft.p95:-10%`: seldom what was
    meant, since nothing that is worse passes it."""
    neither = rule.path in ("achieved_rps", "in_flight_mean", "scaling.slo_attainment") or rule.path.startswith(
        "batch."
    )
    return rule.kind != "value" and not neither and rule.above != metric_of(rule.path).less_is_better


def path_of(name: str) -> str | None:
    """The path of a metric that may be named shorter; None: there is no such metric."""
    head, dot, statistic = name.partition(".")
    shorter = (name, f"{head}_s{dot}{statistic}", f"{name}_rps", f"{name}_per_s", f"cost.{name}", f"quality.{name}")
    return next((path for path in shorter if path in PATHS), None)


def known_metrics() -> str:
    """All metrics, for a hint."""
    latencies = "ttft itl tpot e2e response lag with .mean .p50 .p90 .p95 .p99 .max"
    return f"{latencies}; {', '.join(_PLAIN)}; usd_per_1k_good, accuracy and others of cost and quality"
