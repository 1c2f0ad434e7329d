from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.histories.forecasts import forecast_of
from analysis.histories.history_tests import DAY_S, WEEK_S, against_baseline, hours_of, slope_of, weekdays_of
from analysis.histories.series_findings import findings_of
from analysis.statistics.discoveries import discoveries
from benchmarks.synthetic_history import Floats, autoregressive

MONDAY_S = 1_735_516_800.0  # 2024-12-30


def times_of(n: int, gap_s: float) -> Floats:
    return np.asarray(MONDAY_S + np.arange(n) * gap_s, dtype=np.float64)


def noisy(seed: int, n: int, phi: float = 0.0, sigma: float = 0.02) -> Floats:
    return autoregressive(np.random.default_rng(seed), n, phi, sigma)


def test_a_straight_line_has_its_slope() -> None:
    times = times_of(50, DAY_S)
    found = slope_of(times, 3.0 + 0.7 * (times - MONDAY_S) / WEEK_S)
    assert found is not None
    assert (found.per_week, found.low, found.high) == pytest.approx((0.7, 0.7, 0.7))
    assert found.p_value < 1e-6


@given(st.integers(0, 50), st.integers(12, 60))
def test_without_memory_slope_and_test_are_those_of_scipy(seed: int, n: int) -> None:
    times, values = times_of(n, DAY_S) + np.random.default_rng(seed).uniform(0, DAY_S / 2, n), noisy(seed, n)
    found = slope_of(times, values)
    assert found is not None
    theirs = stats.theilslopes(values, times / WEEK_S)
    assert found.per_week == pytest.approx(theirs.slope, rel=1e-6)
    kendall = stats.kendalltau(times, values, method="asymptotic").pvalue
    assert found.p_value >= kendall * 0.9  # memory, where it is seen, makes p larger; the continuity correction too


def test_memory_makes_a_slope_less_sure() -> None:
    times = times_of(60, DAY_S)
    claims = dict.fromkeys((0.0, 0.6), 0)
    for phi in claims:
        for seed in range(100):
            found = slope_of(times, noisy(seed, 60, phi))
            claims[phi] += found is not None and found.p_value < 0.05
    assert all(count <= 13 for count in claims.values()), claims  # 5 %


def test_too_few_runs_or_one_moment_have_no_slope() -> None:
    assert slope_of(np.arange(9.0), np.arange(9.0)) is None
    assert slope_of(np.zeros(20), np.arange(20.0)) is None


def test_an_hour_that_is_slower_is_found_at_its_place() -> None:
    times = times_of(24 * 20, 3600.0)
    values = noisy(1, len(times)) + np.where((times // 3600) % 24 == 15, 0.1, 0.0)
    found = hours_of(times, values)
    assert found is not None
    assert found.p_value < 1e-6
    assert int(np.argmax(found.effects)) == 15
    flat = hours_of(times, noisy(2, len(times)))
    assert flat is not None and flat.p_value > 0.001


def test_a_weekday_that_is_slower_is_found_at_its_place() -> None:
    times = times_of(4 * 7 * 12, DAY_S / 4)
    values = noisy(3, len(times)) + np.where((times // DAY_S - MONDAY_S // DAY_S) % 7 == 4, 0.1, 0.0)
    found = weekdays_of(times, values)
    assert found is not None
    assert found.p_value < 1e-3
    assert int(np.argmax(found.effects)) == 4  # Friday


def test_no_season_is_told_of_too_few_days() -> None:
    times = times_of(24 * 3, 3600.0)
    assert hours_of(times, noisy(4, len(times))) is None
    assert weekdays_of(times, noisy(4, len(times))) is None
    daily = times_of(100, DAY_S)
    assert hours_of(daily, noisy(4, 100)) is None


def test_the_latest_run_is_held_against_those_before_it() -> None:
    values = noisy(5, 40)
    usual = against_baseline(values)
    assert usual is not None and usual.n == 20
    assert usual.low < values[-1] < usual.high and usual.p_value > 0.05
    values[-1] += 0.3
    values[-5] += 5.0  # one wild run before it hides nothing
    odd = against_baseline(values)
    assert odd is not None and odd.high < values[-1] and odd.p_value < 0.001
    assert against_baseline(values[:8]) is None


def test_ninety_five_of_a_hundred_latest_runs_are_as_expected() -> None:
    found = [against_baseline(noisy(seed, 21)) for seed in range(600)]
    assert 0.93 <= np.mean([each is not None and each.p_value > 0.05 for each in found]) <= 0.97


def test_the_next_week_lies_where_it_is_said_to() -> None:
    inside = []
    for seed in range(150):
        whole = 1.0 + noisy(seed, 90 + 7, 0.4)
        times = times_of(97, DAY_S)
        found = forecast_of(times[:90], whole[:90], None)
        assert not isinstance(found, str)
        truth = whole[90:]
        inside.append(np.mean((found.low <= truth) & (truth <= found.high)))
    assert 0.92 <= np.mean(inside) <= 0.98


def test_a_line_that_is_shown_is_carried_on() -> None:
    times = times_of(100, DAY_S)
    values = 1 + 0.01 * np.arange(100) + noisy(6, 100)
    found = forecast_of(times, values, slope_of(times, values))
    assert not isinstance(found, str)
    assert found.model == "line and fading memory"
    assert found.expected[-1] == pytest.approx(1 + 0.01 * 105.5, abs=0.03)


def test_a_level_that_wanders_is_carried_on_with_a_growing_error() -> None:
    values = np.cumsum(np.random.default_rng(7).normal(0, 1, 300))
    found = forecast_of(times_of(300, DAY_S), values, None)
    assert not isinstance(found, str)
    widths = found.high - found.low
    assert found.model == "last level carried on"
    assert widths[-1] > 2 * widths[0]


@pytest.mark.parametrize(("n", "gap_s"), [(19, DAY_S), (100, 60.0)])
def test_a_forecast_is_refused_with_its_reason(n: int, gap_s: float) -> None:
    said = forecast_of(times_of(n, gap_s), noisy(8, n), None)
    assert isinstance(said, str) and said.startswith("too little data")


@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0.01, 0.2))
def test_corrected_p_is_that_of_scipy(p_values: list[float], level: float) -> None:
    adjusted, largest = discoveries(np.array(p_values), level)
    if p_values:
        assert adjusted == pytest.approx(stats.false_discovery_control(p_values))
    believed = [p for p, corrected in zip(p_values, adjusted, strict=True) if corrected <= level]
    assert largest == max(believed, default=0.0)
    assert len(believed) in (0, sum(p <= largest for p in p_values))


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=60),
    st.booleans(),
    st.sampled_from([0.0, 60.0, 3600.0, DAY_S, WEEK_S]),
)
def test_whatever_a_series_holds_it_is_answered(values: list[float], share: bool, gap_s: float) -> None:  # noqa: FBT001
    times = times_of(len(values), gap_s)
    found = findings_of(times, np.array(values), share=share)
    assert 0 <= found.first_p <= 1
    assert found.logs == (not share and min(values) > 0)
    assert (found.week is None) == found.week_says.startswith("too little data")


def test_a_season_is_not_taken_for_changes_of_the_level() -> None:
    times = times_of(24 * 21, 3600.0)
    night = np.where((times // 3600) % 24 < 8, 0.8, 1.0)
    values = night * np.exp(noisy(9, len(times), 0.2))
    found = findings_of(times, values, share=False)
    assert found.hour is not None and found.hour.p_value < 0.001
    assert found.jumps == ()
    values[300:] *= 1.15
    assert [each.at for each in findings_of(times, values, share=False).jumps] == [300]
