"""The verdict of a soak: growth is told where there is some, and noise is not taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.soak import trend

TIMES = np.arange(0, 7200.0)


@pytest.mark.parametrize("seed", range(5))
def test_noise_that_wanders_around_a_level_is_flat(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 3, len(TIMES))
    assert trend("memory", list(TIMES), list(200 + noise), 20).flat


def test_a_leak_of_a_kilobyte_a_second_is_told() -> None:
    noise = np.random.default_rng(1).normal(0, 0.3, len(TIMES))
    found = trend("memory", list(TIMES), list(200 + 0.001 * TIMES + noise), 20)
    assert not found.flat
    assert found.grows == pytest.approx(86.4, rel=0.05)
    assert found.low < 86.4 < found.high


def test_what_fills_at_the_start_and_then_stays_is_flat() -> None:
    assert trend("memory", list(TIMES), list(200 + 50 * np.minimum(TIMES / 900, 1)), 20).flat


def test_steady_descriptors_are_flat() -> None:
    found = trend("files", list(TIMES), [25.0] * len(TIMES), 24)
    assert (found.grows, found.flat) == (0.0, True)
