"""MTBF, MTTR, availability, tests and survival against published examples, and their coverage against the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from analysis.comparing.failure_rate import compare_failure_rates
from analysis.failures.lifetimes import Lifetimes, availability, exponential, lifetimes, mean_time, survival, trend
from analysis.failures.outages import Seen
from analysis.records.comparison_record import Comparison
from analysis.reliability import wilson
from analysis.summary import Estimate, Outage, Reliability, Result
from benchmarks.coverage_reliability import CONDITIONS, failed_claims, history, lives, tally

# Repairs of a system watched for 1500 hours: NIST/SEMATECH e-Handbook of Statistical Methods, sections 8.1.7 and 8.2.3.
NIST_HOURS = np.array([5, 40, 43, 175, 389, 712, 747, 795, 1299, 1478], dtype=float)
# Weeks of remission under 6-MP: Freireich et al. (1963), the example of Kaplan and Meier's curve in most books.
FREIREICH = [(6, True)] * 3 + [(7, True), (10, True), (13, True), (16, True), (22, True), (23, True)]
FREIREICH += [(week, False) for week in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)]


def _times(pairs: Sequence[tuple[float, bool]]) -> Lifetimes:
    return Lifetimes(np.array([length for length, _ in pairs], dtype=float), np.array([ended for _, ended in pairs]))


def _nist() -> Lifetimes:
    gaps = np.diff(np.concatenate([[0], NIST_HOURS, [1500]]))
    return Lifetimes(gaps, np.array([True] * 10 + [False]))


def test_the_interval_of_a_time_terminated_test() -> None:
    """T = 1000, r = 4: [2000 / 20.483, 2000 / 2.180]; r = 0: the lower bound T / 3 alone."""
    found = mean_time(1000, 4)
    assert found.value == 250
    assert found.ci95 == pytest.approx((2000 / 20.483, 2000 / 2.17973), rel=1e-4)
    assert mean_time(300, 0) == Estimate(value=None, ci95=(100, None))
    assert mean_time(0, 0) == Estimate(value=None)


@pytest.mark.parametrize(
    ("failures", "low", "high"), [(1, 0.1795, 39.4978), (2, 0.2768, 8.2573), (5, 0.4285, 3.0798), (10, 0.5438, 2.0853)]
)
def test_the_factors_of_the_handbook(failures: int, low: float, high: float) -> None:
    """MTBF times these: table of 95 % factors in the NIST/SEMATECH e-Handbook, section 8.4.5.1."""
    found = mean_time(failures * 100.0, failures)
    assert found.ci95 == pytest.approx((100 * low, 100 * high), rel=1e-3)


def test_laplaces_test_of_a_system_that_improves() -> None:
    """z = (mean of the times - T / 2) / (T / sqrt(12 n)), by hand: (568.3 - 750) / 136.93."""
    found = trend(_nist())
    assert found is not None
    assert found.statistic == pytest.approx((568.3 - 750) / (1500 / np.sqrt(120)), rel=1e-6)
    assert found.p_value == pytest.approx(0.1845, abs=0.001)


def test_kaplan_and_meiers_curve_of_the_6mp_trial() -> None:
    found = survival(_times(FREIREICH))
    assert found is not None
    shares = dict(zip(found.time_s, found.share, strict=True))
    published = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    assert {week: shares[week] for week in published} == pytest.approx(published, abs=0.0006)
    bounds = dict(zip(found.time_s, zip(found.low, found.high, strict=True), strict=True))
    assert bounds[23] == pytest.approx((0.188, 0.680), abs=0.001)  # log-log, as R's survfit and lifelines have it


def test_fewer_than_eight_failures_are_too_few_for_a_curve_and_a_test() -> None:
    few = _times([(1.0, True)] * 7 + [(1.0, False)])
    assert (survival(few), exponential(few), trend(few)) == (None, None, None)


def test_a_curve_that_falls_to_nothing_has_open_bounds() -> None:
    found = survival(_times([(float(k), True) for k in range(1, 9)]))
    assert found is not None
    assert (found.share[-1], found.low[-1]) == (0.0, None)


def test_exponential_times_pass_and_regular_ones_do_not() -> None:
    rng = np.random.default_rng(2)
    drawn = exponential(_times([(length, True) for length in rng.exponential(10, 30)]))
    regular = exponential(_times([(length, True) for length in rng.normal(10, 1, 30)]))
    assert drawn is not None and drawn.p_value > 0.05
    assert regular is not None and regular.p_value < 0.01


def test_availability_follows_the_ratio_of_two_means() -> None:
    """10 failures in 1000 s, 10 repairs in 100 s: the odds against it are 0.1 times F, of 20 and 22 degrees of freedom
    at the one end and of 22 and 20 at the other."""
    found = availability(_times([(100, True)] * 10), _times([(10, True)] * 10))
    assert found.value == pytest.approx(1000 / 1100)
    assert found.ci95 is not None
    worst, best = (1 / end - 1 for end in found.ci95 if end is not None)
    assert worst == pytest.approx(0.1 * 11 / 10 / stats.f.ppf(0.025, 20, 22), rel=1e-6)
    assert best == pytest.approx(0.1 * 10 / 11 / stats.f.ppf(0.975, 22, 20), rel=1e-6)
    assert availability(_times([(100, False)]), _times([])).ci95 is None
    open_end = availability(_times([(100, True)]), _times([(5, False)])).ci95
    assert open_end is not None
    assert open_end[0] is None
    assert open_end[1] == pytest.approx(0.9987, abs=1e-3)


def test_each_watch_is_looked_at_by_itself() -> None:
    """The up-time at the end of each is cut off, as is a repair; an outage that a watch began with is no failure."""
    first = Seen(0, 100, (Outage(start_s=40, end_s=50, failures=3), Outage(start_s=90, end_s=None, failures=3)))
    second = Seen(500, 600, (Outage(start_s=500, end_s=520, failures=3, began_before=True),))
    up, down = lifetimes([first, second])
    assert list(zip(up.length_s, up.ended, strict=True)) == [(40, True), (40, True), (80, False)]
    assert list(zip(down.length_s, down.ended, strict=True)) == [(10, True), (10, False), (20, True)]


def _failing(target: str, failures: int, up_s: float) -> Result:
    nothing = Estimate(value=None)
    found = Reliability(
        rule="", resolution_s=None, success_ratio=wilson(0, 0), availability=nothing, mtbf_s=nothing, mttr_s=nothing,
        provider_failures=0, failures_per_1k=None, failures=failures, up_s=up_s,
    )  # fmt: skip
    return Result(target=target, workload="w", stage=0, attempted=1, reliability=found)


def _rates(a: tuple[int, float], b: tuple[int, float]) -> Comparison | None:
    return compare_failure_rates(_failing("a", *a), _failing("b", *b))


def test_the_ratio_of_two_rates_as_r_has_it() -> None:
    """R's documentation of poisson.test: c(11, 6+8+7) events in c(800, 1083+1050+878), p = 0.07967, ratio 1.971488 in
    [0.8584264, 4.2772659]."""
    found = _rates((11, 800), (21, 3011))
    assert found is not None
    assert found.ratio.value == pytest.approx(1.971488, rel=1e-6)
    assert found.ratio.ci95 == pytest.approx((0.8584264, 4.2772659), rel=1e-6)
    assert found.p_value == pytest.approx(0.07967, abs=1e-5)


def test_a_provider_that_never_failed_has_an_open_ratio() -> None:
    found = _rates((9, 100), (0, 100))
    assert found is not None
    assert found.ratio.value is None
    assert found.ratio.ci95 is not None and found.ratio.ci95[1] is None
    assert _rates((0, 100), (0, 100)) is None


@pytest.mark.parametrize("condition", [each for each in CONDITIONS if each.gap_s is None], ids=lambda each: each.name)
def test_intervals_hold_the_truth_as_often_as_they_say(condition: object) -> None:
    """Of 500 seeded histories; `python -m benchmarks.coverage_reliability` does the same by way of attempts."""
    chosen = next(each for each in CONDITIONS if each is condition)
    assert failed_claims(chosen, tally(chosen, 500, seed=1)) == []


def test_attempts_tell_what_the_outages_themselves_do() -> None:
    (chosen,) = [each for each in CONDITIONS if each.gap_s is not None and each.unbiased]
    true = history(np.random.default_rng(3), chosen)
    (up, down), (seen_up, seen_down) = lives(true, None), lives(true, chosen.gap_s)
    assert seen_up.events == pytest.approx(up.events, abs=3)  # what is shorter than three gaps is not seen
    assert seen_up.total_s == pytest.approx(up.total_s, rel=0.001)
    assert seen_down.total_s == pytest.approx(down.total_s, rel=0.01)
