"""Seeded draws that are the same in every Python: only `random.Random.random()` promises that, so all is made of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
Rng = random.Random


def seeded(seed: str) -> Rng:
    """A source of draws that nothing but the text decides."""
    return random.Random(seed)  # noqa: S311  (a workload, not a secret)


def whole(rng: Rng, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int(rng.random() * (high - low + 1))


def one(rng: Rng, items: Sequence[T]) -> T:
    """One of the items."""
    return items[whole(rng, 0, len(items) - 1)]


def shuffled(rng: Rng, items: Sequence[T]) -> list[T]:
    """The items in another order."""
    mixed = list(items)
    for last in range(len(mixed) - 1, 0, -1):
        other = whole(rng, 0, last)
        mixed[last], mixed[other] = mixed[other], mixed[last]
    return mixed


def some(rng: Rng, items: Sequence[T], count: int) -> list[T]:
    """So many different ones of the items, in any order."""
    return shuffled(rng, items)[:count]
