"""How gates are said, in the terminal, in Markdown and in JUnit's XML alike."""

from __future__ import annotations

from analysis.records.comparison_record import Gate
from analysis.records.record import Estimate
from analysis.wording import NOTHING, metric_change, metric_value


def gate_sentence(gate: Gate) -> str:
    """Whether a gate is met, what was seen, and why."""
    return f"gate {said(gate)}"


def said(gate: Gate) -> str:
    """The same without the word gate."""
    against = "" if gate.b is None else f" against {gate.b}"
    place = load(gate)
    where = f", {place}" if place else ""
    return f"{gate.verdict}: {gate.text}: {gate.a}{against}{where}: saw {saw(gate)}: {gate.reason}{more(gate)}"


def load(gate: Gate) -> str:
    """Workload and stage."""
    return ", ".join(part for part in (gate.workload, None if gate.stage is None else f"stage {gate.stage}") if part)


def saw(gate: Gate) -> str:
    """What the limit is held against, with its interval, in the gate's own unit."""
    return NOTHING if gate.saw is None else _with_interval(gate, gate.saw)


def _with_interval(gate: Gate, found: Estimate) -> str:
    low, high = found.ci95 or (None, None)
    inside = "" if low is None and high is None else f" [{in_unit(gate, low)}, {in_unit(gate, high)}]"
    return in_unit(gate, found.value) + inside


def in_unit(gate: Gate, value: float | None) -> str:
    """A number in the unit of the gate's limit: per cent of the baseline, percentage points, or the metric's own."""
    if value is None:
        return NOTHING
    if gate.b is None:
        return metric_value(gate.metric, value)
    if gate.text.rstrip().endswith("pp"):
        return metric_change(gate.metric, value)
    return f"{100 * (value - 1):+.1f} %"


def more(gate: Gate) -> str:
    """What would tell, as the end of a sentence."""
    if gate.verdict in ("met", "not measured"):
        return ""
    n, least = gate.repeats_needed, gate.detectable
    needed = f"; about {n} more {'repeat' if n == 1 else 'repeats'} of each would tell" if n else ""
    shown = f"; these show {in_unit(gate, least)} nine times in ten" if least is not None else ""
    return needed + (shown if gate.verdict == "cannot tell" else "")
