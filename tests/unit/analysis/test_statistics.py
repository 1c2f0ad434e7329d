"""Quantiles, intervals, reliability and comparisons against published or hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.compare import compare
from analysis.quantiles import dist, interval, statistics
from analysis.reliability import mtbf, outages, wilson
from analysis.summary import Repeat, Result


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


def test_mtbf_interval_of_a_time_terminated_test() -> None:
    """T = 1000, r = 4: [2000 / 20.483, 2000 / 2.180]; r = 0: the lower bound T / 3 alone."""
    found = mtbf(1000, 4)
    assert found.value == 250
    assert found.ci95 == pytest.approx((2000 / 20.483, 2000 / 2.17973), rel=1e-4)
    assert mtbf(300, 0).ci95 == (100, None)


def test_an_outage_begins_at_the_first_of_three_failures_and_ends_at_the_first_of_three_successes() -> None:
    failed = [False, True, True, False, True, True, True, False, True, False, False, False, True, True, True]
    found = outages([float(i) for i in range(len(failed))], failed)
    assert [(outage.start_s, outage.end_s) for outage in found] == [(4.0, 9.0), (12.0, None)]
    assert found[0].failures == 4


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


def test_equal_targets_do_not_differ_and_noisy_ones_cannot_be_told() -> None:
    (same,) = compare([_result("a", [1.0, 1.001, 0.999]), _result("b", [1.0, 1.0, 1.0])])
    (noisy,) = compare([_result("a", [1.0, 1.5, 0.8]), _result("b", [1.2, 1.0, 1.1])])
    assert same.verdict == "no difference"
    assert noisy.verdict == "cannot tell"
    assert noisy.repeats_needed is not None


def test_unlike_workloads_and_single_repeats_are_never_ranked() -> None:
    assert compare([_result("a", [1.0] * 3), _result("b", [2.0] * 3, workload="other")]) == ()
    (single,) = compare([_result("a", [1.0]), _result("b", [2.0])])
    assert single.verdict == "cannot tell"


def test_equal_targets_are_seldom_called_different() -> None:
    """At 5 % and one comparison a run, about 5 of 100 pairs of equal targets; 15 would be far beyond chance."""
    rng = np.random.default_rng(1)
    draws = [[list(np.exp(rng.normal(0, 0.1, 5))) for _ in range(2)] for _ in range(100)]
    verdicts = [compare([_result("a", a), _result("b", b)])[0].verdict for a, b in draws]
    assert sum(verdict in ("better", "worse") for verdict in verdicts) < 15
