"""Arrivals of an open stage: absolute due times from one seed, striped over workers. Pure: every worker draws the whole
schedule and keeps its own part.

A process of unit rate is drawn first: its k-th arrival is at u_k = k (constant), or after exponential (poisson) or
gamma gaps of mean 1. The k-th due time is then where the expected number of arrivals reaches u_k: with a rate that
goes evenly from r to R over the span T, r t + (R - r) t^2 / 2T = u_k (time rescaling: Brown et al., Neural
Computation, 2002).
Each due time comes from u_k alone, never from the one before it, so that nothing drifts.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np

from harness.plan import Stage
from harness.traces import Trace, read_trace

_BLOCK = 4096
_Array = np.ndarray[tuple[int], np.dtype[np.float64]]


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One arrival: its number in the whole schedule, when it is due after the stage began, and the lengths that a trace
    gives it (None: the workload's)."""

    index: int
    due_ns: int
    input_tokens: int | None = None
    output_tokens: int | None = None


def arrivals(stage: Stage, span_s: float, seed: str | int, share: tuple[int, int] = (0, 1)) -> Iterator[Arrival]:
    """The arrivals of worker k of n (`share`): those whose number leaves k when divided by n, in order.

    A constant schedule begins at 0, a random one after its first gap, a trace at its first entry. Raises UsageFault
    where a trace cannot be read.
    """
    k, n = share
    if stage.trace is not None:
        yield from _traced(stage, span_s, k, n)
        return
    for first, block in enumerate(_unit_arrivals(stage, seed)):
        due_s = _due_s(stage, span_s, block)
        begin = first * _BLOCK
        for offset in range((k - begin) % n, len(block), n):
            if due_s[offset] >= span_s:
                return
            yield Arrival(begin + offset, round(float(due_s[offset]) * 1e9))
        if due_s[-1] >= span_s:
            return


def expected_arrivals(stage: Stage, span_s: float) -> float:
    """How many arrivals there are: exactly where the schedule is constant or a trace, else on average.

    Raises UsageFault where a trace cannot be read.
    """
    if stage.trace is not None:
        return float(np.count_nonzero(_trace_of(stage).at_s / stage.trace_speed < span_s))
    rate_rps = stage.rate_rps or 0.0
    mean = (rate_rps + (rate_rps if stage.end_rate_rps is None else stage.end_rate_rps)) / 2 * span_s
    return float(math.ceil(mean - 1e-9)) if stage.arrival == "constant" else mean


def _unit_arrivals(stage: Stage, seed: str | int) -> Iterator[_Array]:
    """Arrivals at a rate of 1, for ever, in blocks."""
    digest = hashlib.sha256(f"{seed}/{stage.arrival}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16])))
    last = 0.0
    block = 0
    while True:
        if stage.arrival == "constant":
            yield np.arange(block * _BLOCK, (block + 1) * _BLOCK, dtype=np.float64)
        else:
            shape = stage.burstiness if stage.arrival == "gamma" else 1.0
            gaps = rng.standard_gamma(shape, _BLOCK) / shape
            gaps[0] += last
            times = np.cumsum(gaps)
            last = float(times[-1])
            yield times
        block += 1


def _due_s(stage: Stage, span_s: float, unit: _Array) -> _Array:
    """Where the expected number of arrivals reaches `unit`; infinite where a falling rate never does."""
    rate_rps = stage.rate_rps or 0.0
    if stage.end_rate_rps is None:
        return unit / rate_rps
    slope = (stage.end_rate_rps - rate_rps) / span_s
    inside = rate_rps**2 + 2 * slope * unit
    root = np.sqrt(np.maximum(inside, 0.0))
    return np.where(inside < 0, np.inf, 2 * unit / (rate_rps + root))


def _traced(stage: Stage, span_s: float, k: int, n: int) -> Iterator[Arrival]:
    trace = _trace_of(stage)
    for index in range(k, len(trace.at_s), n):
        due_s = float(trace.at_s[index]) / stage.trace_speed
        if due_s >= span_s:
            return
        lengths = trace.input_tokens, trace.output_tokens
        tokens = [None if column is None else int(column[index]) for column in lengths]
        yield Arrival(index, round(due_s * 1e9), *tokens)


def _trace_of(stage: Stage) -> Trace:
    assert stage.trace is not None
    return _read_once(stage.trace, stage.trace_format)


_read_once = lru_cache(maxsize=8)(lambda path, kind: read_trace(Path(path), kind))
