from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.statistics.change_points import FEWEST, _log_p, average_ranks, levels_of
from analysis.statistics.series_noise import Noise, noise_of, running_median, without_outliers
from benchmarks.synthetic_history import autoregressive

_series = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=0, max_size=60).map(np.array)


def noisy(seed: int, n: int = 120, phi: float = 0.3, sigma: float = 0.02) -> np.ndarray:
    return autoregressive(np.random.default_rng(seed), n, phi, sigma)


@pytest.mark.parametrize("at", [20, 60, 100])
def test_a_plain_step_is_dated_to_the_run(at: int) -> None:
    values = noisy(1)
    values[at:] += 0.2
    found = levels_of(values)
    assert [each.at for each in found.changes] == [at]
    (change,) = found.changes
    assert change.low < 0.2 < change.high
    assert change.after - change.before == pytest.approx(change.size)
    assert change.p_value == pytest.approx(found.p_value)


def test_a_level_that_comes_back_has_two_changes() -> None:
    values = noisy(2, 300)
    values[140:160] += 0.2
    assert [each.at for each in levels_of(values).changes] == [140, 160]


def test_a_drift_is_no_staircase_and_a_step_on_it_is_found() -> None:
    values = noisy(3, 300) + np.linspace(0, 0.5, 300)
    found = levels_of(values)
    assert (found.drifts, found.changes) == (True, ())
    values[200:] += 0.2
    found = levels_of(values)
    assert found.drifts
    assert [each.at for each in found.changes] == [200]


def test_wild_runs_are_no_change_of_level() -> None:
    values = noisy(4)
    values[[30, 31, 70]] += 2.0
    assert levels_of(values).changes == ()


def test_what_is_unchanged_is_seldom_said_to_change() -> None:
    claims = sum(bool(levels_of(noisy(seed, 80, phi)).changes) for phi in (0.0, 0.5) for seed in range(60))
    assert claims <= 6  # 5 %


def test_a_new_level_from_the_last_runs_on_needs_five_of_them() -> None:
    values = np.where(np.arange(40) < 36, 1.0, 2.0) + noisy(5, 40, 0.0, 1e-3)
    assert levels_of(values).changes == () or levels_of(values).changes[0].at <= 40 - FEWEST
    values = np.where(np.arange(40) < 35, 1.0, 2.0) + noisy(5, 40, 0.0, 1e-3)
    assert [each.at for each in levels_of(values).changes] == [35]


def test_a_share_that_was_always_whole_and_falls_once_is_found() -> None:
    values = np.ones(60)
    values[40:] = 0.9
    assert [each.at for each in levels_of(values).changes] == [40]
    assert levels_of(np.ones(60)).changes == ()
    values = np.ones(60)
    values[30] = 0.9
    assert levels_of(values).changes == ()


@given(_series)
def test_any_series_is_answered(values: np.ndarray) -> None:
    found = levels_of(values)
    assert 0 <= found.p_value <= 1
    places = [0, *(each.at for each in found.changes), len(values)]
    assert all(after - before >= FEWEST for before, after in itertools.pairwise(places)) or len(places) == 2
    assert all(math.isfinite(each.size) and each.low <= each.size <= each.high for each in found.changes)


@given(st.integers(0, 200), st.floats(0.5, 100), st.floats(-50, 50))
def test_neither_unit_nor_origin_matters(seed: int, factor: float, shift: float) -> None:
    values = noisy(seed, 60)
    values[35:] += 0.08
    places = [each.at for each in levels_of(values).changes]
    assert [each.at for each in levels_of(values * factor + shift).changes] == places


def test_the_largest_split_of_noise_is_as_large_as_is_said() -> None:
    n, z = 60, 3.0
    rng = np.random.default_rng(7)
    sums = np.cumsum(rng.normal(size=(4000, n)), axis=1)
    t = np.arange(FEWEST, n - FEWEST + 1)
    split = (sums[:, t - 1] - t / n * sums[:, -1:]) / np.sqrt(t * (n - t) / n)
    seen = float(np.mean(np.abs(split).max(axis=1) > z))
    assert math.exp(_log_p(np.array([z]), n)[0]) == pytest.approx(seen, rel=0.2)


@pytest.mark.parametrize("phi", [0.0, 0.5])
def test_noise_and_its_memory_are_read_beside_a_step(phi: float) -> None:
    values = noisy(8, 4000, phi, 0.02)
    values[1500:] += 0.5
    found = noise_of(values)
    assert found.sigma == pytest.approx(0.02, rel=0.1)
    assert found.phi == pytest.approx(phi, abs=0.07)


@given(st.floats(0, 0.9), st.integers(1, 40))
def test_the_error_of_a_mean_is_that_of_its_covariances(phi: float, n: int) -> None:
    covariances = phi ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    assert Noise(2.0, phi).error(n) == pytest.approx(2.0 * math.sqrt(covariances.sum()) / n, rel=1e-6)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=50))
def test_ranks_are_those_of_scipy(values: list[int]) -> None:
    assert average_ranks(np.array(values, dtype=float)) == pytest.approx(stats.rankdata(values))


@given(_series.filter(lambda values: len(values) >= 9))
def test_outliers_are_drawn_in_and_nothing_is_pushed_out(values: np.ndarray) -> None:
    medians = running_median(values, 9)
    assert np.all(np.abs(without_outliers(values) - medians) <= np.abs(values - medians) * (1 + 1e-9) + 1e-9)
