"""Looking again and again: how often a false claim is ever made, and what is found when."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.comparisons import compare
from analysis.statistics import sequential_test
from analysis.statistics.repeat_tests import paired
from analysis.summary import Repeat, Result


def _ever(rng: np.random.Generator, most: int, mean: float = 0.0) -> tuple[bool, bool]:
    """Whether zero was ever refuted at 5 % after 2 ... `most` values: by the sequential test, and by the usual one."""
    values = rng.normal(mean, 1.0, most)
    sequential = usual = False
    for n in range(2, most + 1):
        seen = list(values[:n])
        at_any_time = paired(seen, [0.0] * n, 0.0, sequential=True)
        plain = paired(seen, [0.0] * n, 0.0)
        assert at_any_time is not None and plain is not None
        sequential |= at_any_time.p_value() < 0.05
        usual |= plain.p_value() < 0.05
    return sequential, usual


def test_false_claims_stay_below_a_twentieth_however_often_one_looks() -> None:
    """Of 400 series looked at up to 30 times each; the usual test fails this by far, which shows that this can fail."""
    rng = np.random.default_rng(5)
    found = [_ever(rng, 30) for _ in range(400)]
    assert sum(sequential for sequential, _ in found) <= 20
    assert sum(usual for _, usual in found) > 60


def test_the_factor_is_a_martingale_of_mean_one_where_nothing_differs() -> None:
    rng = np.random.default_rng(6)
    for n in (2, 3, 5, 10):
        values = rng.normal(0, 3.0, (40_000, n))
        t = values.mean(axis=1) / (values.std(axis=1, ddof=1) / math.sqrt(n))
        factors = np.exp([sequential_test.log_factor(float(each), n) for each in t])
        assert np.mean(np.minimum(factors, 50)) <= 1.02


def test_the_factor_is_that_of_the_integral_it_stands_for() -> None:
    """The density of t given an effect size, over that of no effect, averaged over the prior (by quadrature)."""
    from scipy import integrate, stats  # noqa: PLC0415

    n, t = 6, 3.1

    def weighed(effect: float) -> float:
        given_effect = float(stats.nct.pdf(t, n - 1, effect * math.sqrt(n)))
        return given_effect * float(stats.norm.pdf(effect, 0, sequential_test.PRIOR))

    whole, _ = integrate.quad(weighed, -10, 10, limit=200)
    assert math.exp(sequential_test.log_factor(t, n)) == pytest.approx(whole / float(stats.t.pdf(t, n - 1)), rel=1e-4)


@given(st.integers(2, 200), st.floats(1e-6, 0.3))
def test_what_is_critical_has_just_the_p_of_its_level(n: int, level: float) -> None:
    critical = sequential_test.critical(n, level)
    if math.isfinite(critical):
        assert sequential_test.p_value(critical, n) == pytest.approx(level, rel=1e-6)
    else:
        assert sequential_test.p_value(1e9, n) > level


def _result(target: str, values: list[float]) -> Result:
    repeats = tuple(
        Repeat(repeat=k + 1, attempted=100, window_s=1.0, values={"ttft_s.p50": value, "e2e_s.p95": value * 2})
        for k, value in enumerate(values)
    )
    return Result(target=target, workload="w", stage=0, attempted=1, repeat_values=repeats)


def test_repeats_are_added_until_it_is_decided_either_way() -> None:
    """5 % is told within a few repeats; equal targets are told to be alike within 2 % by more of them."""
    rng = np.random.default_rng(2)
    a, b = np.exp(rng.normal(0, 0.01, (2, 40)))
    taken = {}
    for name, factor in (("slower", 1.05), ("equal", 1.0)):
        for n in range(3, 41):
            found = compare([_result("a", list(factor * a[:n])), _result("b", list(b[:n]))], asked=("ttft_s.p50",))
            asked = next(each for each in found if each.metric == "ttft_s.p50")
            if asked.decided:
                taken[name] = (n, asked.verdict)
                break
    assert taken["slower"][1] == "worse" and taken["slower"][0] <= 15
    assert taken["equal"][1] == "no difference"
