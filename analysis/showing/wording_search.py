"""How the answer of a search for a capacity is said, in the terminal and in the report alike."""

from __future__ import annotations

from analysis.records.capacity_record import CapacitySearch
from analysis.wording import digits
from harness.records.search_record import Answer

_UNITS = {"concurrency": "in flight", "rate": "arrivals/s"}


def answer_lines(found: CapacitySearch) -> list[str]:
    """The answer in a sentence, what it rests on, and what it took."""
    answer, question = found.answer, found.question
    unit = _UNITS[question.unit]
    limits = ", ".join(f"{name} {limit:g}" for name, limit in found.slo.items() if limit is not None)
    who = f"{found.target} {found.workload}"
    lines = [f"{who}: {_found(answer, question.most, unit)} (SLO: {limits}; {question.wanted:.0%} wanted)"]
    if answer is not None and answer.attainment is not None and answer.near:
        lines.append(f"{answer.attainment:.1%} of {answer.near} requests near that load were within the SLO")
    steps = found.steps
    took_s = sum(step.ended_s - step.began_s for step in steps)
    lines.append(f"{found.requests:,} requests in {len(steps)} steps, {took_s:.0f} s")
    return lines


def _found(answer: Answer | None, most: float, unit: str) -> str:
    if answer is None:
        return "the search has not ended"
    if answer.reason == "never met":
        return "not even the lowest load keeps the SLO"
    if answer.reason == "never missed":
        return f"the SLO is kept up to at least {digits(most)} {unit}, the most that was to be asked for"
    if answer.capacity is None:
        return f"no capacity known yet: {_why(answer)}"
    ends = f" [{_end(answer.low)}, {_end(answer.high)}]"
    after = "" if answer.reason == "found" else f", as far as is known: {_why(answer)}"
    return f"the SLO is kept up to {digits(answer.capacity)}{ends} {unit}{after}"


def _why(answer: Answer) -> str:
    said = {"budget": "what may be spent is spent", "stopped": "it was stopped", "client": "the client is the limit"}
    return said.get(answer.reason, answer.reason) + ("" if answer.why is None else f": {answer.why}")


def _end(value: float | None) -> str:
    return "open" if value is None else digits(value)
