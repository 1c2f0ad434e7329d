"""The bound on false alarms, and what bursts cannot do."""

from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics.e_detector import FEWEST, alarm, no_evidence, statistic, strongest, with_step

EFFECTS = (0.3, 0.7, 1.5)


def _gains(value: float) -> tuple[float, ...]:
    return tuple(effect * value - effect * effect / 2 for effect in EFFECTS)


def test_without_a_change_alarms_are_no_more_frequent_than_the_bound() -> None:
    """Normal values of mean 0: in a quarter of the mean time that the threshold stands for, a quarter of the runs may
    have an alarm at most (theorem of e-detectors and Markov)."""
    draws, steps = random.Random(5), 400
    threshold = math.log(steps)
    alarms = 0
    for _ in range(120):
        evidence = no_evidence(len(EFFECTS), threshold)
        for _ in range(steps // 4):
            evidence = with_step(evidence, _gains(draws.gauss(0, 1)), threshold, 0.0)
            if statistic(evidence) >= threshold:
                alarms += 1
                break
    assert alarms <= 120 / 4


def test_a_change_is_found_and_dated() -> None:
    draws, threshold = random.Random(2), math.log(100_000)
    evidence = no_evidence(len(EFFECTS), threshold)
    for step in range(400):
        evidence = with_step(evidence, _gains(draws.gauss(0.0 if step < 300 else 2.0, 1)), threshold, 30.0 * step)
        if alarm(evidence, threshold):
            break
    since_s = strongest(evidence).since_s
    assert 300 + FEWEST <= step <= 330 and since_s is not None and abs(since_s - 9000) <= 150


@given(st.integers(1, FEWEST - 2), st.floats(3, 1e6), st.integers(0, 50))
@settings(max_examples=50, deadline=None)
def test_no_burst_of_fewer_steps_is_an_alarm_however_wild(length: int, size: float, before: int) -> None:
    threshold = math.log(100_000)
    evidence = no_evidence(len(EFFECTS), threshold)
    for step in range(before + length + 30):
        value = size if before <= step < before + length else -0.2
        evidence = with_step(evidence, _gains(value), threshold, 30.0 * step)
        assert not alarm(evidence, threshold)
