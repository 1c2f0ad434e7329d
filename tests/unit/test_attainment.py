"""The test at one load and the estimate over loads, against draws whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from harness.capacity.attainment import ALPHA, Verdict, place_of

WANTED = 0.95


def verdict_of(part: float, rng: np.random.Generator) -> tuple[str, int]:
    """What Wald's test says of requests of which this part is within the limits, and after how many."""
    verdict = Verdict(0.975, 0.9)
    for told in range(1, 100_000):
        said = verdict.tell(within=bool(rng.random() < part))
        if said is not None:
            return said, told
    raise AssertionError


@pytest.mark.parametrize(("part", "wrong"), [(0.975, "misses"), (0.9, "meets")])
def test_both_errors_of_the_test_at_one_load_are_bounded(part: float, wrong: str) -> None:
    rng = np.random.default_rng(3)
    said = [verdict_of(part, rng)[0] for _ in range(2000)]
    assert said.count(wrong) / len(said) <= ALPHA + 3 * np.sqrt(ALPHA / len(said))


def test_what_is_plain_is_told_at_once() -> None:
    rng = np.random.default_rng(4)
    assert np.mean([verdict_of(0.5, rng)[1] for _ in range(200)]) < 8
    assert np.mean([verdict_of(1.0, rng)[1] for _ in range(5)]) < 40


def drawn(limit: float, spread: float, failing: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Loads around a limit, and which requests were within."""
    rng = np.random.default_rng(seed)
    loads = limit * np.exp(rng.uniform(-0.5, 0.3, n))
    part = special.ndtr(special.ndtri(WANTED / (1 - failing)) - np.log(loads / limit) / spread) * (1 - failing)
    return loads, rng.random(n) < part


@pytest.mark.parametrize("spread", [0.05, 0.15, 0.3])
@pytest.mark.parametrize("failing", [0.0, 0.02])
def test_the_place_is_found_and_its_interval_holds_the_truth(spread: float, failing: float) -> None:
    found = [place_of(*drawn(40.0, spread, failing, 600, seed), WANTED, 0.05) for seed in range(60)]
    inside = [place.low <= 40 <= place.high for place in found]
    assert np.mean(inside) >= 0.85
    assert abs(np.median([place.load for place in found]) / 40 - 1) < 0.05


def test_more_requests_make_the_place_more_certain() -> None:
    few, many = (place_of(*drawn(40.0, 0.15, 0.0, n, 7), WANTED, 0.05) for n in (60, 3000))
    assert few.certainty < many.certainty
    assert many.certainty > 0.95
    assert many.high - many.low < few.high - few.low


def test_where_all_were_within_the_limit_lies_beyond_what_was_met() -> None:
    place = place_of(np.linspace(5, 10, 200), np.ones(200, dtype=bool), WANTED, 0.05)
    assert place.load > 10
    assert place.certainty < 0.5
