"""Schedules: one seed, one schedule, however many workers share it; the right law; no drift."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.arrivals import arrivals, expected_arrivals
from harness.plan import Stage

RATES = st.floats(0.5, 400)
KINDS = st.sampled_from(["constant", "poisson", "gamma"])
SPAN_S = 5.0


def stage_of(kind: Any, rate_rps: float, end_rate_rps: float | None = None, burstiness: float = 1.0) -> Stage:
    return Stage(duration_s=SPAN_S, rate_rps=rate_rps, end_rate_rps=end_rate_rps, arrival=kind, burstiness=burstiness)


@given(KINDS, RATES, st.none() | RATES, st.integers(0, 2**32), st.integers(1, 7))
def test_the_union_over_workers_is_the_one_schedule(
    kind: str, rate_rps: float, end_rate_rps: float | None, seed: int, n: int
) -> None:
    stage = stage_of(kind, rate_rps, end_rate_rps)
    whole = list(arrivals(stage, SPAN_S, seed))
    parts = [list(arrivals(stage, SPAN_S, seed, (k, n))) for k in range(n)]
    assert sorted((each for part in parts for each in part), key=lambda each: each.index) == whole
    assert all(each.index % n == k for k, part in enumerate(parts) for each in part)
    due = [each.due_ns for each in whole]
    assert due == sorted(due)
    assert [each.index for each in whole] == list(range(len(whole)))
    assert all(0 <= each <= SPAN_S * 1e9 for each in due)


@given(RATES, st.none() | RATES)
def test_a_constant_schedule_has_exactly_the_arrivals_it_promises_and_never_drifts(
    rate_rps: float, end_rate_rps: float | None
) -> None:
    stage = stage_of("constant", rate_rps, end_rate_rps)
    due_s = np.array([each.due_ns for each in arrivals(stage, SPAN_S, 0)]) / 1e9
    assert abs(len(due_s) - expected_arrivals(stage, SPAN_S)) <= (0 if end_rate_rps is None else 1)
    end = rate_rps if end_rate_rps is None else end_rate_rps
    expected = rate_rps * due_s + (end - rate_rps) * due_s**2 / (2 * SPAN_S)
    assert np.allclose(expected, np.arange(len(due_s)), atol=1e-4)


@given(KINDS.filter(lambda kind: kind != "constant"), st.integers(0, 2**32))
def test_a_seed_is_its_schedule(kind: str, seed: int) -> None:
    stage = stage_of(kind, 50)
    assert list(arrivals(stage, 1, seed)) == list(arrivals(stage, 1, seed))
    assert list(arrivals(stage, 1, seed)) != list(arrivals(stage, 1, seed + 1))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("kind", "burstiness"), [("poisson", 1.0), ("gamma", 0.5), ("gamma", 4.0)])
def test_gaps_follow_their_law(kind: str, burstiness: float, seed: int) -> None:
    """20 000 gaps, several blocks: a wrong law is rejected at any level; a right one passes at these seeds."""
    due = [each.due_ns for each in arrivals(stage_of(kind, 100, burstiness=burstiness), 200, seed)]
    gaps_s = np.diff(np.array([0, *due])) / 1e9
    law = stats.gamma(burstiness, scale=1 / (100 * burstiness))
    assert stats.kstest(gaps_s, law.cdf).pvalue > 0.01
    assert stats.kstest(gaps_s, stats.gamma(burstiness * 1.3, scale=1 / (130 * burstiness)).cdf).pvalue < 1e-6
    assert abs(len(due) - 20_000) < 5 * np.sqrt(20_000 / burstiness)


def test_a_ramp_of_random_arrivals_follows_its_rate() -> None:
    """Counts in ten equal parts against the integral of the rate: chi-squared."""
    stage = stage_of("poisson", 100, 900)
    due_s = np.array([each.due_ns for each in arrivals(stage, 40, 5)]) / 1e9
    seen, _ = np.histogram(due_s, bins=10, range=(0, 40))
    edges = np.linspace(0, 40, 11)
    expected = np.diff(100 * edges + 800 * edges**2 / 80)
    assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 0.01
