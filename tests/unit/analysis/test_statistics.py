"""Quantiles, intervals, reliability and comparisons against published or hand-computed values."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.comparisons import _power, compare, compare_runs
from analysis.gates import against_first, read_gate, within_run
from analysis.quantiles import dist, interval, statistics
from analysis.reliability import wilson
from analysis.summary import Dist, Repeat, Result, Summary, Validity
from harness.errors import UsageFault


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_quantiles_are_ordered_and_within_the_values(values: list[float]) -> None:
    found = statistics(np.array(values))
    known = [found[name] for name in ("p50", "p90", "p95", "p99") if found[name] is not None]
    assert known == sorted(known)  # type: ignore[type-var]
    assert all(value is not None and min(values) <= value <= max(values) for value in known)


@pytest.mark.parametrize(
    ("n", "p90", "p95", "p99"),
    [
        (9, False, False, False),
        (10, True, False, False),
        (20, True, True, False),
        (99, True, True, False),
        (100, True, True, True),
    ],
)
def test_a_quantile_with_too_few_samples_is_null(n: int, p90: bool, p95: bool, p99: bool) -> None:  # noqa: FBT001
    found = statistics(np.arange(n, dtype=float))
    assert [found[name] is not None for name in ("p90", "p95", "p99")] == [p90, p95, p99]


def test_nothing_measured_is_not_zero() -> None:
    assert dist([np.empty(0), np.empty(0)]) is None
    assert statistics(np.empty(0))["mean"] is None


def test_the_interval_over_repeats_is_student_t() -> None:
    """Mean 10, standard deviation 1, three repeats: 10 +- 4.302653 / sqrt(3)."""
    low, high = interval([9.0, 10.0, 11.0]) or (0, 0)
    assert (low, high) == pytest.approx((10 - 4.302653 / math.sqrt(3), 10 + 4.302653 / math.sqrt(3)), rel=1e-6)
    assert interval([9.0]) is None
    assert interval([9.0, None]) is None


def test_wilson_interval_of_a_published_example() -> None:
    """81 of 263: 0.2553 to 0.3662 (Newcombe, Statistics in Medicine 17, 1998, table I)."""
    found = wilson(81, 263)
    assert found.ci95 == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 0).value is None


def _result(target: str, values: list[float], workload: str = "w") -> Result:
    repeats = tuple(
        Repeat(repeat=index + 1, attempted=1, window_s=1.0, values={"e2e_s.p50": value})
        for index, value in enumerate(values)
    )
    return Result(target=target, workload=workload, stage=0, attempted=1, repeat_values=repeats)


def test_a_clear_difference_is_told_with_its_ratio() -> None:
    (found,) = compare([_result("a", [1.0, 1.01, 0.99]), _result("b", [2.0, 2.02, 1.97])])
    assert found.verdict == "better"
    assert found.ratio.value == pytest.approx(0.5, rel=0.02)


def test_equal_targets_do_not_differ_and_noisy_ones_are_not_told_apart() -> None:
    (same,) = compare([_result("a", [1.0, 1.001, 0.999]), _result("b", [1.0, 1.0, 1.0])])
    (noisy,) = compare([_result("a", [1.0, 1.5, 1.2]), _result("b", [1.1, 1.0, 1.0])])
    assert (same.verdict, same.reason) == ("no difference", "the whole interval lies within 2 %")
    assert (noisy.verdict, noisy.reason) == ("no difference", "not told apart")
    assert noisy.repeats_needed is not None


def test_unlike_workloads_and_single_repeats_are_never_ranked() -> None:
    assert compare([_result("a", [1.0] * 3), _result("b", [2.0] * 3, workload="other")]) == ()
    (single,) = compare([_result("a", [1.0]), _result("b", [2.0])])
    assert single.verdict == "not comparable"


def test_repeats_that_do_not_spread_prove_nothing_until_they_are_many() -> None:
    """Six signs alike have p = 2 / 64 by the exact test; five have 2 / 32."""
    (few,) = compare([_result("a", [1.0] * 5), _result("b", [2.0] * 5)])
    (many,) = compare([_result("a", [1.0] * 6), _result("b", [2.0] * 6)])
    assert (few.verdict, few.p_value, few.repeats_needed, few.ratio.ci95) == ("no difference", 2 / 32, 1, None)
    assert (many.verdict, many.p_value) == ("better", 2 / 64)
    (equal,) = compare([_result("a", [1.0] * 3), _result("b", [1.0] * 3)])
    assert (equal.verdict, equal.p_value) == ("no difference", 1)


def _counted(target: str, rates: list[float]) -> Result:
    repeats = tuple(
        Repeat(repeat=index + 1, attempted=int(10 * rate), window_s=10.0, values={"completed_rps": rate})
        for index, rate in enumerate(rates)
    )
    return Result(target=target, workload="w", stage=0, attempted=1, repeat_values=repeats)


def test_counts_have_the_spread_that_whole_requests_make() -> None:
    """64 against 40 requests in each repeat: apart. 3 against 2: a request more or less, not told apart."""
    (apart,) = compare([_counted("a", [6.4] * 3), _counted("b", [4.0] * 3)])
    (close,) = compare([_counted("a", [0.3] * 2), _counted("b", [0.2] * 2)])
    assert apart.verdict == "better"
    assert apart.ratio.ci95 is not None
    assert close.verdict == "no difference"


def test_the_power_of_a_paired_test_is_that_of_published_tables() -> None:
    """Two-sided 5 %, power 0.8: effect 1.0 wants 10 pairs, 0.5 wants 34, 0.8 wants 15 (Cohen, 1988)."""
    for effect, pairs in ((1.0, 10), (0.5, 34), (0.8, 15)):
        assert _power(effect * math.sqrt(pairs), pairs - 1, 0.05) >= 0.8
        assert _power(effect * math.sqrt(pairs - 1), pairs - 2, 0.05) < 0.8


def test_the_repeats_needed_grow_with_the_number_of_comparisons() -> None:
    a, b, c = _result("a", [1.0, 1.5, 1.2]), _result("b", [1.1, 1.0, 1.0]), _result("c", [1.1, 1.3, 0.9])
    (alone,) = compare([a, b])
    among = compare([a, b, c])[0]
    assert alone.repeats_needed is not None
    assert among.repeats_needed is None or among.repeats_needed > alone.repeats_needed


def test_a_difference_as_large_as_detectable_is_mostly_found() -> None:
    rng = np.random.default_rng(3)
    noise = np.exp(rng.normal(0, 0.05, (200, 2, 5)))
    (pilot,) = compare([_result("a", list(np.exp([0.05, -0.05, 0.06, -0.06, 0.0]))), _result("b", [1.0] * 5)])
    assert pilot.detectable is not None
    spread = float(np.std([0.05, -0.05, 0.06, -0.06, 0.0], ddof=1))
    factor = math.exp(math.log(pilot.detectable) * 0.05 * math.sqrt(2) / spread)
    found = [compare([_result("a", list(a * factor)), _result("b", list(b))])[0].verdict for a, b in noise]
    assert 0.7 < found.count("worse") / len(found) < 0.9


def _summary(run: str, *results: Result, slo: float | None = None) -> Summary:
    validity = Validity(verdict="valid")
    return Summary(run=run, plan="p", source="samples", validity=validity, results=results, slo={"ttft_s": slo})


def test_runs_are_compared_with_the_first_whatever_their_number_of_repeats() -> None:
    first = _summary("monday", _result("t", [1.0, 1.01, 0.99]))
    slow = _summary("tuesday", _result("t", [2.0, 2.02, 1.97, 2.01]))
    (found,) = compare_runs(first, [slow])
    assert (found.a_run, found.b_run, found.verdict) == ("tuesday", "monday", "worse")
    assert found.ratio.value == pytest.approx(2, rel=0.01)
    (same,) = compare_runs(first, [first])
    assert same.verdict == "no difference"


def test_runs_of_unlike_loads_are_not_comparable_and_what_differs_is_named() -> None:
    plain = _result("t", [1.0, 1.1])
    larger = msgspec.structs.replace(plain, request={"output_tokens": 256}, load={"concurrency": 8})
    smaller = msgspec.structs.replace(plain, request={"output_tokens": 64}, load={"concurrency": 8})
    busier = msgspec.structs.replace(plain, request={"output_tokens": 64}, load={"concurrency": 9})
    (request,) = compare_runs(_summary("a", larger), [_summary("b", smaller)])
    (load,) = compare_runs(_summary("a", smaller), [_summary("b", busier)])
    assert (request.verdict, request.reason) == ("not comparable", "request differs: output_tokens 256 against 64")
    assert load.reason == "load differs: concurrency 8 against 9"
    (missing,) = compare_runs(_summary("a", plain), [_summary("b")])
    assert (missing.verdict, missing.reason) == ("not comparable", "only in a")


def _latency(target: str, p95_s: float | None) -> Result:
    dist_of = None if p95_s is None else Dist(n=100, p95=p95_s)
    return Result(target=target, workload="w", stage=0, attempted=1, ttft_s=dist_of, goodput_rps=p95_s)


@pytest.mark.parametrize(
    ("text", "now_s", "met"),
    [
        ("ttft.p95:+10%", 1.09, True),
        ("ttft.p95:+10%", 1.11, False),
        ("ttft_s.p95:+10%", 0.5, True),
        ("goodput:-5%", 0.96, True),
        ("goodput_rps:-5%", 0.94, False),
        ("e2e.p99:+1.5%", 1.0, None),
        ("ttft.p95:+10%", None, None),
    ],
)
def test_a_gate_is_met_failed_or_not_measured(text: str, now_s: float | None, met: bool | None) -> None:  # noqa: FBT001
    rule = read_gate(text)
    first, now = _summary("a", _latency("t", 1.0)), _summary("b", _latency("t", now_s))
    (gate,) = against_first([rule], first, [now])
    assert gate.met is met
    (within,) = within_run([rule], [_latency("t", 1.0), _latency("u", now_s)])
    assert (within.met, within.a, within.b) == (met, "u", "t")


@pytest.mark.parametrize(
    "text", ["", "ttft.p95", "ttft.p95:10%", "ttft.p94:+10%", "speed:+1%", "goodput:-101%", "é:+1%"]
)
def test_a_gate_that_cannot_be_read_is_a_fault_of_usage(text: str) -> None:
    with pytest.raises(UsageFault, match="--gate"):
        read_gate(text)


def test_equal_targets_are_seldom_called_different() -> None:
    """At 5 % and one comparison a run, about 5 of 100 pairs of equal targets; 15 would be far beyond chance."""
    rng = np.random.default_rng(1)
    draws = [[list(np.exp(rng.normal(0, 0.1, 5))) for _ in range(2)] for _ in range(100)]
    verdicts = [compare([_result("a", a), _result("b", b)])[0].verdict for a, b in draws]
    assert sum(verdict in ("better", "worse") for verdict in verdicts) < 15
