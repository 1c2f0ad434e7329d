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
import itertools
import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from harness.plan import Stage, TraceFormat

if TYPE_CHECKING:  # with it comes pandas, which takes as long to load as all the rest of a worker
    from harness.workloads.traces import Trace

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

    All are due before `span_s`. A constant schedule begins at 0, a random one after its first gap, a trace at its
    first entry. Raises UsageFault where a trace cannot be read.
    """
    k, n = share
    if stage.trace is not None:
        yield from _traced(stage, span_s, k, n)
        return
    begin = 0
    for block in _unit_arrivals(stage, seed, _BLOCK):
        due_ns = _due_ns(stage, span_s, block)
        inside = _inside(due_ns, span_s)
        for offset in range((k - begin) % n, inside, n):
            yield Arrival(begin + offset, int(due_ns[offset]))
        if inside < len(block):
            return
        begin += len(block)


def expected_arrivals(stage: Stage, span_s: float) -> float:
    """How many arrivals there are: exactly where the schedule is constant or a trace, else on average.

    Raises UsageFault where a trace cannot be read.
    """
    if stage.trace is not None:
        return float(len(_due_ns_of_trace(stage, span_s, _trace_of(stage))))
    rate_rps = stage.rate_rps or 0.0
    mean = (rate_rps + (rate_rps if stage.end_rate_rps is None else stage.end_rate_rps)) / 2 * span_s
    if stage.arrival != "constant":
        return mean
    first = max(0, math.floor(mean) - 2)
    near = np.arange(first, first + 5, dtype=np.float64)  # rounding alone decides whether the last one is inside
    return float(first + _inside(_due_ns(stage, span_s, near), span_s))


def read_ahead(stage: Stage) -> None:
    """Read the trace of a stage, if it has one, before the time of its load has come. Raises UsageFault."""
    if stage.trace is not None:
        _trace_of(stage)


def _unit_arrivals(stage: Stage, seed: str | int, size: int) -> Iterator[_Array]:
    """Arrivals at a rate of 1, for ever, in blocks of `size`, which changes nothing about them."""
    digest = hashlib.sha256(f"{seed}/{stage.arrival}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16])))
    shape = stage.burstiness if stage.arrival == "gamma" else 1.0
    last = 0.0
    for block in itertools.count():
        if stage.arrival == "constant":
            yield np.arange(block * size, (block + 1) * size, dtype=np.float64)
            continue
        gaps = rng.standard_gamma(shape, size) / shape
        gaps[0] += last
        times = np.cumsum(gaps)
        last = float(times[-1])
        yield times


def _due_ns(stage: Stage, span_s: float, unit: _Array) -> _Array:
    """Due times in whole nanoseconds."""
    return np.rint(_due_s(stage, span_s, unit) * 1e9)


def _inside(due_ns: _Array, span_s: float) -> int:
    """How many are due before the span ends: told in whole nanoseconds, so that 3 arrivals a second for 2 s are 6."""
    return int(np.searchsorted(due_ns, round(span_s * 1e9)))


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
    due_ns = _due_ns_of_trace(stage, span_s, trace)
    for index in range(k, len(due_ns), n):
        tokens = int(trace.input_tokens[index]), int(trace.output_tokens[index])
        yield Arrival(index, int(due_ns[index]), *tokens)


def _due_ns_of_trace(stage: Stage, span_s: float, trace: Trace) -> _Array:
    """Due times in whole nanoseconds, cut at the span."""
    due_ns = np.rint(trace.at_s / stage.trace_speed * 1e9)
    return due_ns[: _inside(due_ns, span_s)]


def _trace_of(stage: Stage) -> Trace:
    assert stage.trace is not None
    return _read_once(stage.trace, stage.trace_format)


@lru_cache(maxsize=8)
def _read_once(path: str, kind: TraceFormat | None) -> Trace:
    from harness.workloads.traces import read_trace  # noqa: PLC0415

    return read_trace(Path(path), kind)
