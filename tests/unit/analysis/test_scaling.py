"""The law of throughput: fitted to points of known truth, and refused where there is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analysis.quantiles import Floats
from analysis.records.capacity_record import Usl
from analysis.scaling import Observations, band_of, fit_sweep, fit_usl, n_star, usl_x

LOADS = np.array([1, 2, 4, 8, 16, 24, 32, 48], dtype=float)
TRUTH = np.array([3.0, 0.05, 0.002])


def _seen(
    law: Callable[[Floats], Floats], *, noise: float = 0.02, loads: Floats = LOADS, repeats: int = 3
) -> Observations:
    rng = np.random.default_rng(7)
    point, repeat = np.repeat(np.arange(len(loads)), repeats), np.tile(np.arange(repeats), len(loads))
    n = loads[point]
    return Observations(point, repeat, n, law(n) * np.exp(rng.normal(0, noise, len(n))))


def _usl_law(n: Floats) -> Floats:
    return np.atleast_1d(usl_x(n, TRUTH))


@settings(deadline=None)
@given(st.floats(0.1, 100), st.floats(0, 0.5), st.floats(0, 0.01))
def test_points_on_the_law_give_back_its_parameters(rate: float, sigma: float, kappa: float) -> None:
    found = fit_usl(LOADS, usl_x(LOADS, np.array([rate, sigma, kappa])))
    assert found == pytest.approx([rate, sigma, kappa], rel=1e-6, abs=1e-8)


@settings(deadline=None)
@given(st.lists(st.floats(0.1, 1000), min_size=8, max_size=8))
def test_whatever_the_points_the_parameters_are_not_negative(x: list[float]) -> None:
    found = fit_usl(LOADS, np.array(x))
    assume(np.isfinite(found).all())
    assert (found >= 0).all()


def test_a_law_that_falls_has_a_knee_inside_its_interval() -> None:
    usl = fit_sweep(_seen(_usl_law)).usl
    assert (usl.shape, usl.refused, usl.points) == ("retrograde", None, 8)
    for estimate, true in zip((usl.lambda_rps, usl.sigma, usl.kappa), TRUTH, strict=True):
        assert estimate is not None and estimate.ci95 is not None
        low, high = estimate.ci95
        assert low is not None and high is not None
        assert low <= true <= high
    assert usl.n_star is not None and usl.n_star.value is not None
    assert usl.n_star.value == pytest.approx(n_star(TRUTH), rel=0.1)
    assert usl.max_rps is not None
    assert usl.max_rps.value == pytest.approx(float(usl_x(np.array([n_star(TRUTH)]), TRUTH)), rel=0.05)


@pytest.mark.parametrize(
    ("law", "shape", "said"),
    [
        (lambda n: 3 * n, "linear", "in proportion"),
        (lambda n: 3 * n / (1 + 0.05 * (n - 1)), "contention", "does not fall"),
        (lambda n: np.minimum(3 * n, 30), "ceiling", "hard limit"),
        (lambda n: 3 * n / (1 + (n / 10) ** 6) ** (1 / 6), "ceiling", "hard limit"),
        (lambda n: usl_x(n, np.array([3, 0.05, 0.0002])), None, "no knee"),
    ],
)
def test_what_does_not_fall_has_no_knee(law: Callable[[Floats], Floats], shape: str | None, said: str) -> None:
    usl = fit_sweep(_seen(law)).usl
    assert usl.n_star is None
    assert usl.refused is not None and said in usl.refused
    assert shape is None or usl.shape == shape


def _refused(seen: Observations) -> Usl:
    usl = fit_sweep(seen).usl
    assert usl.n_star is None
    return usl


def test_five_loads_are_too_few() -> None:
    usl = _refused(_seen(_usl_law, loads=LOADS[:5]))
    assert (usl.refused, usl.sigma) == ("5 load points can be used: it takes 6", None)


def test_a_knee_wants_two_loads_beyond_it() -> None:
    usl = _refused(_seen(_usl_law, loads=np.array([1, 2, 4, 8, 16, 30], dtype=float), noise=0.002))
    assert usl.refused is not None and "1 of the loads" in usl.refused


def test_points_off_every_law_are_told_and_give_no_parameters() -> None:
    usl = _refused(_seen(lambda n: np.where(np.log2(n).astype(int) % 2 == 0, 3 * n, 1.2 * n)))
    assert usl.lambda_rps is None
    assert usl.refused is not None and "no law fits" in usl.refused


def test_a_single_repeat_gives_numbers_all_the_same() -> None:
    usl = fit_sweep(_seen(_usl_law, repeats=1)).usl
    assert usl.sigma is not None
    assert usl.lack_of_fit_p is None


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 10_000))
def test_the_band_holds_the_curve_and_the_same_seed_gives_the_same_numbers(seed: int) -> None:
    seen = _seen(_usl_law)
    fits = [fit_sweep(seen, seed=seed, draws=100) for _ in range(2)]
    assert fits[0].usl == fits[1].usl
    band = band_of(fits[0], seen)
    assert all(each.low_rps <= each.rps * 1.0001 and each.rps <= each.high_rps * 1.0001 for each in band)
    assert (band[0].in_flight, band[-1].in_flight) == pytest.approx((1, 48))
