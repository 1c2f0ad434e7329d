"""Arrivals (provisional)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from harness.plan import Stage


class Arrival(NamedTuple):
    """One arrival."""

    index: int
    due_ns: int
    input_tokens: int | None = None
    output_tokens: int | None = None


def arrivals(stage: Stage, span_s: float, seed: str | int, share: tuple[int, int] = (0, 1)) -> Iterator[Arrival]:
    """Due times."""
    rng = np.random.default_rng(zlib.crc32(str(seed).encode()))
    k, n = share
    rate = stage.rate_rps or 1.0
    t, j = 0.0, 0
    while True:
        if stage.arrival == "constant":
            t = j / rate
        else:
            t += rng.exponential(1 / rate)
        if t >= span_s:
            return
        if j % n == k:
            yield Arrival(j, round(t * 1e9))
        j += 1
