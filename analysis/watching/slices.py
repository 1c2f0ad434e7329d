"""What a few seconds of one target and workload hold, as small counts: what watching for degradation is fed with.

Latencies are counted in buckets 1 % wide, so that slices of any number of requests stay small, can be put together, and
can be kept as JSON. Pure.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

LATENCIES: tuple[Literal["ttft", "itl", "tpot", "e2e"], ...] = ("ttft", "itl", "tpot", "e2e")
_PER_E = 100.0  # buckets from one number to e times it: each is exp(1/100), 1 %, wide
_LEAST_S = 1e-6  # what is shorter counts as this

Floats = npt.NDArray[np.float64]
Sketch = dict[int, int]


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """One latency: its values by bucket (`bucket_of`), and of how many `requests` they are: gaps of one reply are
    alike, and so are no independent values."""

    counts: Sketch
    requests: int


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts that ended in `length_s` seconds up to `at_s` (wall clock, seconds since 1970). `judged` are those
    that were neither dropped nor cancelled; of them `failed` by a provider failure and `throttled`. Latencies of
    those that ended ok, by `LATENCIES`; a latency that was not measured is left out."""

    at_s: float
    length_s: float
    judged: int
    failed: int
    throttled: int
    spreads: dict[str, Spread]


def slice_of(
    at_s: float,
    length_s: float,
    *,
    judged: int,
    failed: int,
    throttled: int,
    values_s: dict[str, Floats],
    requests: dict[str, int] | None = None,
) -> Slice:
    """A slice from the values of each latency in seconds (`LATENCIES`; NaN: not measured). `requests`: of how many
    requests they are, where that is not the number of values (the gaps of `itl`)."""
    spreads = {}
    for name, values in values_s.items():
        counts = sketch_of(values)
        if counts:
            spreads[name] = Spread(counts=counts, requests=(requests or {}).get(name, sum(counts.values())))
    return Slice(at_s=at_s, length_s=length_s, judged=judged, failed=failed, throttled=throttled, spreads=spreads)


def bucket_of(value_s: float) -> int:
    """The bucket of a duration in s: its logarithm in steps of 1 %."""
    return math.floor(math.log(max(value_s, _LEAST_S)) * _PER_E)


def sketch_of(values_s: Floats) -> Sketch:
    """How many values are in each bucket; NaN is left out."""
    known = values_s[~np.isnan(values_s)]
    if not len(known):
        return {}
    buckets = np.floor(np.log(np.maximum(known, _LEAST_S)) * _PER_E).astype(np.int64)
    low = int(buckets.min())
    counts = np.bincount(buckets - low)
    return {int(at) + low: int(counts[at]) for at in np.flatnonzero(counts)}


def merged(one: Slice, other: Slice) -> Slice:
    """Both together: `other` is the later one."""
    spreads = dict(one.spreads)
    for name, spread in other.spreads.items():
        spreads[name] = together(spreads[name], spread) if name in spreads else spread
    return Slice(
        at_s=other.at_s,
        length_s=one.length_s + other.length_s,
        judged=one.judged + other.judged,
        failed=one.failed + other.failed,
        throttled=one.throttled + other.throttled,
        spreads=spreads,
    )


def together(one: Spread, other: Spread) -> Spread:
    """Both spreads in one."""
    counts = dict(one.counts)
    for bucket, n in other.counts.items():
        counts[bucket] = counts.get(bucket, 0) + n
    return Spread(counts=counts, requests=one.requests + other.requests)


def log_quantiles(counts: Sketch, shares: tuple[float, ...]) -> list[float]:
    """The logarithms (of seconds) of quantiles, evenly spread within a bucket. At least one value; shares rise."""
    total = sum(counts.values())
    found: list[float] = []
    seen = 0
    ordered = iter(sorted(counts.items()))
    bucket, n = next(ordered)
    for share in shares:
        wanted = share * total
        while seen + n < wanted:
            seen += n
            bucket, n = next(ordered)
        found.append((bucket + (wanted - seen) / n) / _PER_E)
    return found


def share_above(counts: Sketch, log_s: float) -> float:
    """The part of the values above a duration, given as the logarithm of seconds."""
    at = log_s * _PER_E
    bucket = math.floor(at)
    above = sum(n for each, n in counts.items() if each > bucket) + counts.get(bucket, 0) * (bucket + 1 - at)
    return above / sum(counts.values())
