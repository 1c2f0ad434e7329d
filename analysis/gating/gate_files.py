"""Gates and comparisons as files for CI: JUnit's XML, and Markdown for the summary of a step.

Names of targets, metrics and loads are foreign text: XML is escaped by the library that writes it, after characters
that XML has no place for were taken out; in Markdown whatever could begin markup is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from analysis import wording
from analysis.gating import wording_gates
from analysis.records.comparison_record import Comparison, Gate

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#!|~&$])")
_MARKS = {"met": "✅", "failed": "❌", "cannot tell": "❔", "not measured": "❌"}


@dataclass(frozen=True)
class Told:
    """What a comparison came to: with `strict`, a gate that cannot be told fails. `invalid`: runs whose measurement is
    not to be trusted. `method`: how it was told."""

    comparisons: Sequence[Comparison]
    gates: Sequence[Gate]
    invalid: Sequence[str]
    strict: bool
    method: str

    def failed(self, gate: Gate) -> bool:
        """Whether a gate makes the command fail."""
        return gate.verdict in ("failed", "not measured") or (self.strict and gate.verdict == "cannot tell")

    @property
    def verdict(self) -> str:
        """All gates in a word or two."""
        count = sum(map(self.failed, self.gates))
        if self.invalid:
            return "invalid measurement"
        if count:
            return f"{count} of {len(self.gates)} gates failed"
        return "no gate failed" if self.gates else "no gates asked"


def junit_xml(told: Told) -> bytes:
    """One test case for each gate, and one for each run: a failure where a gate failed, an error where it was not
    measured or the run is invalid, skipped where it cannot be told."""
    failures = [gate for gate in told.gates if told.failed(gate) and gate.verdict != "not measured"]
    errors = [gate for gate in told.gates if gate.verdict == "not measured"]
    skipped = [gate for gate in told.gates if gate.verdict == "cannot tell" and not told.failed(gate)]
    counts = {
        "tests": len(told.gates) + len(told.invalid),
        "failures": len(failures),
        "errors": len(errors) + len(told.invalid),
        "skipped": len(skipped),
    }
    texts = {name: str(count) for name, count in counts.items()}
    suites = ET.Element("testsuites", {"name": "tokenswarm"} | texts)
    suite = ET.SubElement(suites, "testsuite", {"name": "gates"} | texts)
    for run in told.invalid:
        case = ET.SubElement(suite, "testcase", classname="validity", name=_xml(run))
        ET.SubElement(case, "error", message="the measurement is invalid: see the findings of the run")
    for gate in told.gates:
        place = wording_gates.load(gate).replace(".", "_") or "run"
        case = ET.SubElement(suite, "testcase", classname=_xml(f"gates.{place}"), name=_xml(_name(gate)))
        kind = "error" if gate in errors else "failure" if gate in failures else "skipped" if gate in skipped else None
        if kind is not None:
            ET.SubElement(case, kind, message=_xml(wording_gates.said(gate)))
        ET.SubElement(case, "system-out").text = _xml(wording_gates.said(gate))
    ET.indent(suites)
    return bytes(ET.tostring(suites, encoding="utf-8", xml_declaration=True)) + b"\n"


def _name(gate: Gate) -> str:
    return f"{gate.text}: {gate.a}" + ("" if gate.b is None else f" against {gate.b}")


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def markdown(told: Told) -> str:
    """Verdict, gates, what differs beyond noise, all comparisons folded away, and the method."""
    lines = [f"## tokenswarm: {told.verdict}", ""]
    lines += [f"- invalid: {_plain(run)}" for run in told.invalid] + ([""] if told.invalid else [])
    if told.gates:
        lines += _table(("", "Gate", "Load", "A", "Baseline", "Saw [95 %]", "Verdict"), map(_gate_row, told.gates))
    shown = [each for each in told.comparisons if each.verdict in ("better", "worse", "not comparable")]
    lines += [f"- {_plain(wording.sentence(each))}" for each in shown] + [""] if shown else []
    if told.comparisons:
        lines += ["<details><summary>All comparisons</summary>", ""]
        heads = ("Load", "Metric", "A", "B", "A / B [95 %]", "A - B [95 %]", "p", "Detectable", "A is")
        lines += [*_table(heads, map(_row, told.comparisons)), "</details>", ""]
    return "\n".join([*lines, f"<sub>{_plain(told.method)}</sub>", ""])


def _gate_row(gate: Gate) -> tuple[str, ...]:
    verdict = f"{gate.verdict}: {gate.reason}{wording_gates.more(gate)}"
    own = (_MARKS[gate.verdict], gate.text, wording_gates.load(gate), gate.a, gate.b or wording.NOTHING)
    return (*own, wording_gates.saw(gate), verdict)


def _row(found: Comparison) -> tuple[str, ...]:
    return (
        f"{found.workload}, stage {found.stage}",
        wording.metric_name(found.metric),
        wording.named(found.a, found.a_run),
        wording.named(found.b, found.b_run),
        wording.ratio_between(found),
        wording.change_between(found.metric, found.difference),
        wording.NOTHING if found.p_adjusted is None else f"{found.p_adjusted:.2g}",
        wording.detectable(found),
        found.verdict + (f" ({found.reason}{wording.more(found)})" if found.reason else ""),
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *(list(map(_plain, row)) for row in rows)]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _plain(text: str) -> str:
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
