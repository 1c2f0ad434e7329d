"""Noise that is learned against noise that is known."""

from __future__ import annotations

import math
import random

import pytest

from analysis.watching.live_noise import first_guess, learned


@pytest.mark.parametrize(("memory", "wild"), [(0.0, 0.0), (0.7, 0.0), (0.7, 0.03)])
def test_the_noise_of_five_minutes_is_learned_with_its_memory(memory: float, wild: float) -> None:
    """Steps of 30 s: an autoregressive part, a part of each step's own, a slow cycle, and a few wild steps that are
    drawn in as a track does it."""
    draws = random.Random(11)
    noise, level = first_guess(0.01, 0.0004, rough=True), 0.0
    per_step = memory**0.5
    for step in range(5760):
        level = per_step * level + draws.gauss(0, 0.025 * math.sqrt(1 - per_step**2))
        value = level + draws.gauss(0, 0.02) + 0.1 * math.sin(step / 2880 * 2 * math.pi)
        if draws.random() < wild:
            value += min(1.0, 2.5 * math.sqrt(noise.of(0.0004)))
        noise = learned(noise, value, 0.0004, 30.0)
    inflation = 1 + 2 * sum((1 - k / 10) * per_step**k for k in range(1, 10))
    true = 0.025**2 * inflation + 0.02**2
    assert 0.6 < noise.of(0.0004) / true < 1.8


def test_fewer_requests_are_noisier_and_more_are_not_trusted() -> None:
    noise = first_guess(0.002, 0.001, rough=False)
    usual = noise.of(0.001)
    assert noise.of(0.004) == pytest.approx(4 * usual)
    assert noise.of(0.0001) == usual
