"""Gates: what fails, what is met, what cannot be told, and the files for CI."""

from __future__ import annotations

import contextlib
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from analysis.comparisons import compare
from analysis.gating.gate_files import Told, junit_xml, markdown
from analysis.gating.gate_rules import forbids_better, read_gate
from analysis.gating.gates import against_first, within_run
from analysis.locust_csv import summarise_csv
from analysis.records.comparison_record import Gate
from analysis.records.record import Estimate
from analysis.summary import Dist, Reliability, Repeat, Result, Summary, Validity
from harness.errors import UsageFault

STEADY = [0.99, 1.0, 1.01, 1.0, 0.995]


def _result(target: str, values: list[float], metric: str = "ttft_s.p95") -> Result:
    repeats = tuple(
        Repeat(repeat=k + 1, attempted=500, window_s=50.0, values={metric: value}) for k, value in enumerate(values)
    )
    return Result(target=target, workload="w", stage=0, attempted=1, repeat_values=repeats)


def _summary(run: str, *results: Result) -> Summary:
    return Summary(run=run, plan="p", source="samples", validity=Validity(verdict="valid"), results=results)


def _times(factor: float, values: list[float] = STEADY) -> list[float]:
    return [factor * value for value in values]


@pytest.mark.parametrize(
    ("text", "before", "now", "verdict"),
    [
        ("ttft.p95:+10%", STEADY, _times(1.01), "met"),
        ("ttft.p95:+10%", STEADY, _times(1.05), "met"),
        ("ttft_s.p95:+10%", STEADY, _times(1.2), "failed"),
        ("ttft.p95:+0%", STEADY, _times(1.05), "failed"),
        ("ttft.p95:+10%", STEADY, _times(1.095), "failed"),
        ("ttft.p95:+0%", STEADY, STEADY, "cannot tell"),
        ("ttft.p95:+10%", [0.8, 1.2, 1.0], [1.0, 1.5, 1.2], "cannot tell"),
        ("ttft.p95:+10%", [0.7, 1.2, 1.0], [0.8, 1.3, 0.9], "cannot tell"),
        ("ttft.p95:-10%", STEADY, _times(0.8), "failed"),
        ("ttft.p95:+10%", [1.0], [2.0], "cannot tell"),
        ("ttft.p95<1.1", STEADY, STEADY, "met"),
        ("ttft.p95<1.1", STEADY, _times(1.3), "failed"),
        ("ttft.p95>=1.1", STEADY, _times(1.3), "met"),
        ("ttft.p95<=1.3", STEADY, _times(1.3), "cannot tell"),
        ("e2e.p99:+1.5%", STEADY, STEADY, "not measured"),
        ("e2e.p99<2", STEADY, STEADY, "not measured"),
    ],
)
def test_a_gate_is_met_failed_or_neither(text: str, before: list[float], now: list[float], verdict: str) -> None:
    (gate,) = against_first([read_gate(text)], _summary("a", _result("t", before)), [_summary("b", _result("t", now))])
    assert gate.verdict == verdict, gate
    assert gate.met is {"met": True, "failed": False}.get(verdict)
    assert gate.reason


def test_a_gate_that_cannot_tell_says_what_would() -> None:
    noisy = _summary("b", _result("t", [1.0, 1.5, 1.2, 1.3]))
    (gate,) = against_first([read_gate("ttft.p95:+10%")], _summary("a", _result("t", [0.8, 1.2, 1.0, 1.1])), [noisy])
    assert gate.verdict == "cannot tell"
    assert gate.repeats_needed is not None and gate.repeats_needed > 3
    assert gate.detectable is not None and gate.detectable > 1.3
    assert gate.saw is not None and gate.saw.ci95 is not None


def test_targets_of_a_run_are_paired_by_repeat() -> None:
    """A day's drift that both share hides nothing; between runs it would."""
    drift = [1.0, 1.3, 0.8, 1.1, 0.9, 1.2]
    a, b = _result("a", drift), _result("b", [1.2 * value * (1 + 0.001 * k) for k, value in enumerate(drift)])
    rule = read_gate("ttft.p95:+10%")
    (within,) = within_run([rule], [a, b])
    (between,) = against_first(
        [rule], _summary("x", _result("t", drift)), [_summary("y", _result("t", _times(1.2, drift)))]
    )
    assert (within.verdict, between.verdict) == ("failed", "cannot tell")


def test_a_limit_without_a_baseline_concerns_every_target() -> None:
    gates = within_run([read_gate("ttft.p95<1.5")], [_result("a", STEADY), _result("b", _times(2.0))])
    assert [(gate.a, gate.b, gate.verdict) for gate in gates] == [("a", None, "met"), ("b", None, "failed")]


def _available(target: str, value: float, low: float, high: float) -> Result:
    none = Estimate(value=None)
    found = Reliability(
        rule="k = 3", resolution_s=0.1, success_ratio=none, mtbf_s=none, mttr_s=none, provider_failures=0,
        failures_per_1k=0.0, availability=Estimate(value=value, ci95=(low, high)),
    )  # fmt: skip
    return Result(target=target, workload="w", stage=0, attempted=1, reliability=found)


@pytest.mark.parametrize(
    ("text", "now", "verdict"),
    [
        ("availability:-0.1pp", (0.95, 0.94, 0.96), "failed"),
        ("availability:-10pp", (0.95, 0.94, 0.96), "met"),
        ("availability:-0.1pp", (0.995, 0.95, 1.0), "cannot tell"),
        ("availability:-10%", (0.8, 0.78, 0.82), "failed"),
        ("availability>=0.99", (0.95, 0.94, 0.96), "failed"),
        ("availability>=0.9", (0.95, 0.94, 0.96), "met"),
        ("availability>=0.99", (1.0, 0.97, 1.0), "cannot tell"),
    ],
)
def test_shares_are_told_by_their_intervals(text: str, now: tuple[float, float, float], verdict: str) -> None:
    first, other = _summary("a", _available("t", 0.999, 0.997, 1.0)), _summary("b", _available("t", *now))
    (gate,) = against_first([read_gate(text)], first, [other])
    assert gate.verdict == verdict, gate


def _watched(target: str, failures: int, down_s: float) -> Result:
    """An hour's watch; without a failure the availability is 1 and has no interval."""
    none = Estimate(value=None)
    up_s = 3600 - down_s
    ends = (1 - 3 * down_s / 3600, 1 - down_s / 3 / 3600) if failures else None
    found = Reliability(
        rule="k = 3", resolution_s=0.1, success_ratio=none, mtbf_s=none, mttr_s=none, provider_failures=failures,
        failures_per_1k=0.0, availability=Estimate(value=up_s / 3600, ci95=ends), watched_s=3600.0, up_s=up_s,
        down_s=down_s, failures=failures, repairs=failures,
    )  # fmt: skip
    return Result(target=target, workload="w", stage=0, attempted=1, reliability=found)


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        ((0, 0.0), (0, 0.0), "met"),
        ((5, 300.0), (0, 0.0), "met"),
        ((0, 0.0), (1, 60.0), "cannot tell"),
        ((0, 0.0), (20, 600.0), "failed"),
        ((0, 0.0), (20, 1.0), "cannot tell"),
    ],
)
def test_who_was_never_down_has_no_interval_and_is_compared_all_the_same(
    before: tuple[int, float], now: tuple[int, float], verdict: str
) -> None:
    first, other = _summary("a", _watched("t", *before)), _summary("b", _watched("t", *now))
    (gate,) = against_first([read_gate("availability:-0.1pp")], first, [other])
    assert gate.verdict == verdict, gate


def test_nothing_is_told_of_another_load_nor_of_one_that_is_missing() -> None:
    rule = read_gate("ttft.p95:+10%")
    busier = Result(target="t", workload="w", stage=0, attempted=1, load={"concurrency": 9})
    (other,) = against_first([rule], _summary("a", _result("t", STEADY)), [_summary("b", busier)])
    (missing,) = against_first([rule], _summary("a", _result("t", STEADY)), [_summary("b")])
    assert (other.verdict, other.reason) == ("not measured", "load differs: concurrency none against 9")
    assert (missing.verdict, missing.reason) == ("not measured", "only in a")


def test_what_has_no_interval_fails_nothing() -> None:
    """Of plain CSV the p95 of all is known, and nothing of how it varies."""
    slow, quick = (
        Result(target="t", workload="w", stage=0, attempted=1, ttft_s=Dist(n=100, p95=p95)) for p95 in (2.0, 1.0)
    )
    (gate,) = against_first([read_gate("ttft.p95:+10%")], _summary("a", quick), [_summary("b", slow)])
    assert (gate.verdict, gate.ratio) == ("cannot tell", 2.0)


@pytest.mark.parametrize(
    "text",
    ["", "ttft.p95", "ttft.p95:10%", "ttft.p94:+10%", "speed:+1%", "goodput:-101%", "é:+1%", "ttft.p95:+1pp",
     "ttft.p95<", "ttft.p95<-1", "ttft.p95<x", "availability:-0.1", "ttft.p95==1", "ttft.p95:+1e9%"],
)  # fmt: skip
def test_a_gate_that_cannot_be_read_is_a_fault_of_usage(text: str) -> None:
    with pytest.raises(UsageFault, match="--gate"):
        read_gate(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [("goodput:-5%", "goodput_rps"), ("usd_per_1k_good<3", "cost.usd_per_1k_good"),
     ("accuracy:-1pp", "quality.accuracy"), ("output_tokens:-5%", "output_tokens_per_s"),
     ("itl.p99<=0.05", "itl_s.p99")],
)  # fmt: skip
def test_metrics_may_be_named_shorter(text: str, path: str) -> None:
    assert read_gate(text).path == path


@given(st.text(max_size=60))
def test_whatever_is_written_is_a_gate_or_a_fault(text: str) -> None:
    with contextlib.suppress(UsageFault):
        assert read_gate(text).path


def test_what_is_good_by_another_slo_is_not_held_against_it() -> None:
    """Half the goodput, by a limit that is a fifth: nobody knows whether anything has become worse."""
    first = replace(_summary("a", _result("t", _times(10), "goodput_rps")), slo={"ttft_s": 1.0})
    other = replace(_summary("b", _result("t", _times(5), "goodput_rps")), slo={"ttft_s": 0.2})
    (gate,) = against_first([read_gate("goodput:-5%")], first, [other])
    assert (gate.verdict, gate.reason) == ("not measured", "slo differs: ttft_s 1 against 0.2")
    (gate,) = against_first([read_gate("goodput>4")], first, [other])
    assert gate.verdict == "met"
    (gate,) = against_first([read_gate("goodput:-5%")], first, [replace(other, slo=first.slo)])
    assert gate.verdict == "failed"


def test_entries_of_one_name_and_two_types_are_two(tmp_path: Path) -> None:
    """Plain Locust CSV: `GET /x` fails in every second request, `POST /x` never does."""
    head = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Max Response Time"
    runs = []
    for name, failed in (("before", 0), ("now", 500)):
        rows = [f"GET,/x,1000,{failed},5,6,40", "POST,/x,1000,0,5,6,40"]
        (tmp_path / f"{name}_stats.csv").write_text("\n".join([head, *rows]) + "\n")
        runs.append(summarise_csv(tmp_path / name))
    gates = against_first([read_gate("success_ratio:-1pp")], runs[0], runs[1:])
    assert [gate.verdict for gate in gates] == ["failed", "met"]


def test_unchanged_runs_fail_no_gate() -> None:
    """300 unchanged runs; a gate of +0 % at 0.001 fails one in a thousand at most, one of +5 % hardly ever."""
    rng = np.random.default_rng(8)
    rules = [read_gate("ttft.p95:+0%"), read_gate("ttft.p95:+5%")]
    failed = 0
    for _ in range(300):
        a, b = (list(np.exp(rng.normal(0, 0.03, 5))) for _ in range(2))
        gates = against_first(rules, _summary("a", _result("t", a)), [_summary("b", _result("t", b))])
        failed += any(gate.verdict == "failed" for gate in gates)
    assert failed <= 2


@pytest.mark.parametrize("text", ["ttft.p95:+5%", "ttft.p95:+10%"])
def test_a_tenth_more_fails_a_gate_of_a_twentieth_and_one_of_a_tenth(text: str) -> None:
    rng = np.random.default_rng(9)
    hits = 0
    for _ in range(100):
        a, b = np.exp(rng.normal(0, 0.015, (2, 8)))
        first, other = _summary("a", _result("t", list(a))), _summary("b", _result("t", list(1.1 * b)))
        (gate,) = against_first([read_gate(text)], first, [other])
        hits += gate.verdict == "failed"
    assert hits >= 95


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("ttft.p95:+10%", False),
        ("ttft.p95:-10%", True),
        ("goodput:-5%", False),
        ("goodput:+5%", True),
        ("availability:-0.1pp", False),
        ("quality.refused:+1pp", False),
        ("quality.refused:-1pp", True),
        ("usd_per_1k_good:-3%", True),
        ("achieved_rps:+3%", False),
        ("ttft.p95>1", False),
    ],
)
def test_a_limit_on_becoming_better_is_known_for_one(text: str, odd: bool) -> None:  # noqa: FBT001
    assert forbids_better(read_gate(text)) is odd


HOSTILE = "<b>|`x`\n& \x00\x1b]]>"


def _told(*, strict: bool = False) -> Told:
    a, b = _result(HOSTILE, STEADY), _result("b", [1.2, 1.21, 1.19, 1.22, 1.18])
    gates = within_run(
        [read_gate("ttft.p95:+10%"), read_gate("ttft.p95:+20.5%"), read_gate("ttft.p95<=1.2"), read_gate("e2e.p50<1")],
        [a, b],
    )
    return Told(compare([a, b]), gates, ("plan/run",), strict, "method")


@pytest.mark.parametrize("strict", [False, True])
def test_junit_has_a_case_for_each_gate(strict: bool) -> None:  # noqa: FBT001
    told = _told(strict=strict)
    suites = ET.fromstring(junit_xml(told))
    cases = suites.findall("./testsuite/testcase")
    counts = {name: int(suites.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    verdicts = [gate.verdict for gate in told.gates]
    unsure = verdicts.count("cannot tell")
    assert unsure > 0 and verdicts.count("failed") > 0 and verdicts.count("not measured") > 0
    assert counts == {
        "tests": len(told.gates) + 1,
        "failures": verdicts.count("failed") + unsure * strict,
        "errors": verdicts.count("not measured") + 1,
        "skipped": unsure * (not strict),
    }
    assert len(cases) == counts["tests"]
    for kind, name in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert sum(case.find(name) is not None for case in cases) == counts[kind]


def test_markdown_holds_the_gates_and_no_foreign_markup() -> None:
    text = markdown(_told())
    assert text.startswith("## tokenswarm: invalid measurement")
    assert "\\<b\\>\\|\\`x\\`" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.replace("\\|", "").count("|") in (8, 10) for line in rows)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_name_makes_xml_that_can_be_read(target: str, workload: str) -> None:
    gate = Gate(text="x", metric="ttft_s.p95", workload=workload, stage=1, a=target, b=target, limit=1.0,
                verdict="failed", met=False, reason=target)  # fmt: skip
    ET.fromstring(junit_xml(Told((), (gate,), (target,), strict=False, method="")))
