"""What the steps and requests of a search amount to: what was shown, where the limit is, where to look next. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from harness.capacity.attainment import Place, place_of
from harness.records.search_record import Answer, Phase, Question, Reason, Said, StepRecord, Told

ALIKE = 1.25  # loads within this factor do not need a settling of their own
NEAR = 2.0  # loads within this factor of the limit tell of it
FEWEST = 20  # requests that must have met such a load
_THERE = 0.05  # and within so much of it, they tell of the attainment there
_ABOVE = 1.1  # no farther above the estimate is asked for

Bounds = tuple[float | None, float | None]


def bracket(steps: Sequence[StepRecord], phase: Phase = "refinement") -> Bounds:
    """The highest load that was shown to meet and the lowest that was shown to miss, by the tests of a phase and what
    was over-saturated. Where the tests disagree, the later one is believed."""
    low: float | None = None
    high: float | None = None
    for step in steps:
        if step.phase != phase and step.why is None:
            continue
        if step.said == "meets":
            low = step.load if low is None else max(low, step.load)
            high = None if high is not None and high <= step.load else high
        elif step.said == "misses":
            high = step.load if high is None else min(high, step.load)
            low = None if low is not None and low >= step.load else low
    return low, high


def hints(steps: Sequence[StepRecord]) -> Bounds:
    """What was shown of loads, and where nothing was, what growth has hinted at."""
    low, high = bracket(steps)
    hint_low, hint_high = bracket(steps, "growth")
    if low is None and hint_low is not None and (high is None or hint_low < high):
        low = hint_low
    if high is None and hint_high is not None and (low is None or low < hint_high):
        high = hint_high
    return low, high


def place_near(question: Question, told: Sequence[Told], centre: float) -> Place | None:
    """Where the limit is, by the requests that met a load near `centre`; None where they are too few."""
    near = [each for each in told if centre / NEAR <= each.load <= centre * NEAR]
    if len(near) < FEWEST:
        return None
    one = 1 / centre if question.unit == "concurrency" else 0.0  # no part of a user can be asked for
    loads, within = np.array([each.load for each in near]), np.array([each.within for each in near])
    return place_of(loads, within, question.wanted, max(question.precision, one))


def next_load(steps: Sequence[StepRecord], place: Place | None, said: Said | None, load: float) -> float:
    """Where to look next: a little above the estimate, where more of the requests miss and so tell more, but not beyond
    what was shown. As long as there is no estimate, between what growth has hinted at."""
    low, high = hints(steps)
    if place is not None:
        low, high = _believed(place, low, high)
        at = min(math.sqrt(place.load * place.high), place.load * _ABOVE)
        return min(max(at, low or 0.0), high or math.inf)
    if low is not None and high is not None:
        return math.sqrt(low * high)
    return load / ALIKE if said == "misses" else load * ALIKE


def _believed(place: Place, low: float | None, high: float | None) -> Bounds:
    """What was shown or hinted at, unless the estimate is sure of the contrary."""
    return None if low is None or low > place.high else low, None if high is None or high < place.low else high


def answer_of(
    question: Question,
    steps: Sequence[StepRecord],
    told: Sequence[Told],
    place: Place | None,
    reason: Reason,
    why: str | None = None,
) -> Answer:
    """All that is known when a search ends."""
    low, high = bracket(steps)
    known = Answer(reason=reason, at_least=low, at_most=high, why=why)
    capacity, ends = _settled_on(place, low, high)
    if capacity is None or reason in ("never met", "never missed"):
        return known
    if question.unit == "concurrency":
        capacity = float(math.floor(capacity + 1e-9))
    near = [each.within for each in told if abs(each.load - capacity) <= _THERE * capacity]
    return msgspec.structs.replace(
        known,
        capacity=capacity,
        low=ends[0],
        high=ends[1],
        near=len(near),
        attainment=sum(near) / len(near) if near else None,
    )


def _settled_on(place: Place | None, low: float | None, high: float | None) -> tuple[float | None, Bounds]:
    """The capacity and its interval, from the estimate and from what was shown on both sides of it."""
    if place is None:
        return low, (low, high)
    if low is not None and high is not None and not low <= place.load < high:
        return low, (low, high)
    return place.load, (place.low, place.high)
