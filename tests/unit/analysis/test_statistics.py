"""Quantiles, intervals and reliability against published or hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.quantiles import dist, interval, statistics
from analysis.reliability import wilson


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
