"""Gates such as `ttft.p95:+10%`: how much worse than the baseline a metric may be before a comparison fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.comparison_record import Gate
from analysis.goals import PATHS, value_at
from analysis.summary import Result, Summary
from harness.errors import UsageFault

_GATE = re.compile(r"^\s*([a-z0-9_.]+)\s*:\s*([+-])\s*(\d{1,6}(?:\.\d{1,6})?)\s*%\s*$")
_EXAMPLES = "such as 'ttft.p95:+10%' (at most 10 % more) or 'goodput_rps:-5%' (at most 5 % less)"


@dataclass(frozen=True)
class Rule:
    """A gate that was read: the metric's path in a result, and the ratio to the baseline that it may not pass: upwards
    where `above`, else downwards."""

    text: str
    path: str
    limit: float
    above: bool


def read_gate(text: str) -> Rule:
    """Read METRIC:+N% (fails when more than N % higher) or METRIC:-N% (fails when more than N % lower).

    A latency may be named without its `_s`. Raises UsageFault.
    """
    match = _GATE.match(text)
    if match is None:
        raise UsageFault(f"--gate: {text[:60]!r}: must be METRIC:+N% or METRIC:-N%", _EXAMPLES)
    path = _path(match[1])
    if path is None:
        known = f"ttft itl tpot e2e response lag with .mean .p50 .p90 .p95 .p99 .max; {', '.join(_PLAIN)}"
        raise UsageFault(f"--gate: {match[1][:60]!r}: no such metric", f"metrics: {known}")
    above = match[2] == "+"
    share = float(match[3]) / 100
    if not above and share > 1:
        raise UsageFault(f"--gate: {text[:60]!r}: nothing falls by more than 100 %", _EXAMPLES)
    return Rule(text.strip(), path, 1 + share if above else 1 - share, above)


_PLAIN = tuple(path for path in PATHS if "." not in path)


def _path(name: str) -> str | None:
    head, dot, statistic = name.partition(".")
    for path in (name, f"{head}_s{dot}{statistic}", f"{name}_rps", f"{name}_per_s"):
        if path in PATHS:
            return path
    return None


def within_run(rules: Sequence[Rule], results: Sequence[Result]) -> tuple[Gate, ...]:
    """Each gate on every other target of a load against the first."""
    first: dict[tuple[str | None, int | None], Result] = {}
    for result in results:
        first.setdefault((result.workload, result.stage), result)
    pairs = [(result, first[result.workload, result.stage]) for result in results]
    return tuple(_gate(rule, a, b) for rule in rules for a, b in pairs if a is not b)


def against_first(rules: Sequence[Rule], baseline: Summary, others: Sequence[Summary]) -> tuple[Gate, ...]:
    """Each gate on every result of the other runs against that of the first with its target, workload and stage. A
    result that either side lacks fails its gates: it cannot be shown to be met."""
    gates: list[Gate] = []
    ours = {(result.target, result.workload, result.stage): result for result in baseline.results}
    for other in others:
        theirs = {(result.target, result.workload, result.stage): result for result in other.results}
        for rule in rules:
            gates += [
                _gate(rule, theirs.get(key), ours.get(key), f" ({other.run})", f" ({baseline.run})")
                for key in dict.fromkeys([*ours, *theirs])
            ]
    return tuple(gates)


def _gate(rule: Rule, a: Result | None, b: Result | None, of_a: str = "", of_b: str = "") -> Gate:
    either = a or b
    assert either is not None
    mine, theirs = (None if each is None else value_at(each, rule.path) for each in (a, b))
    ratio = None if mine is None or not theirs else mine / theirs
    met = None if ratio is None else ratio <= rule.limit if rule.above else ratio >= rule.limit
    return Gate(
        text=rule.text,
        workload=either.workload,
        stage=either.stage,
        a=f"{either.target}{of_a}",
        b=f"{(b or either).target}{of_b}",
        ratio=ratio,
        met=met,
    )
