"""What is counted of the attempts of one target and workload: small, mergeable, whatever their number. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from harness.live.margin import margin_of, tpot_ns_of
from harness.plan import Slo
from harness.sample import Outcome, Sample, Usage

_PER_E = 50.0  # buckets from one number to e times it: each is exp(1/50), 2.02 %, wide
BUCKETS = 2200  # as many as the largest duration needs

Sketch = dict[int, int]
Histogram = np.ndarray[tuple[int], np.dtype[np.int64]]


def bucket_of(value_ns: float) -> int:
    """The bucket of a duration in ns: its logarithm in steps of 2 %. Only less than 1 ns is in bucket 0."""
    return int(math.log1p(max(0, value_ns)) * _PER_E)


def middle_s(bucket: int) -> float:
    """The middle of a bucket, in seconds: at most 1 % from anything in it."""
    return math.expm1((bucket + 0.5) / _PER_E) / 1e9 if bucket else 0.0


def quantile_s(sketch: Sketch, q: float) -> float | None:
    """A quantile in seconds: Hyndman and Fan's type 7 over the middles of the buckets. None where fewer than one value
    is expected above it (p95: under 20 values), as in summary.json."""
    n = sum(sketch.values())
    if n == 0 or (q > 0.5 and n * (1 - q) < 1 - 1e-9):
        return None
    rank = (n - 1) * q
    low, high = _middle_of_rank(sketch, math.floor(rank)), _middle_of_rank(sketch, math.ceil(rank))
    return low + (high - low) * (rank % 1)


def _middle_of_rank(sketch: Sketch, rank: int) -> float:
    for bucket in sorted(sketch):
        rank -= sketch[bucket]
        if rank < 0:
            return middle_s(bucket)
    raise IndexError(rank)


class LiveCell(msgspec.Struct, kw_only=True):
    """What is counted of the attempts of one target and workload. Attempts are counted by outcome, by class of error
    and by who stamped them; latencies, those of attempts that ended ok, by bucket, with their exact sum in ns. `good`
    met every limit; `output_tokens` are those of the `told` attempts whose tokens are known, `usd` is what the `priced`
    attempts cost whose cost is known."""

    outcomes: dict[str, int] = {}
    errors: dict[str, int] = {}
    stamps: dict[str, int] = {}
    good: int = 0
    told: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    priced: int = 0
    usd: float = 0.0
    ttft: Sketch = {}
    itl: Sketch = {}
    tpot: Sketch = {}
    e2e: Sketch = {}
    ttft_ns: int = 0
    itl_ns: int = 0
    tpot_ns: int = 0
    e2e_ns: int = 0

    @property
    def attempted(self) -> int:
        """All but the dropped."""
        return sum(self.outcomes.values()) - self.outcomes.get(Outcome.DROPPED, 0)

    def add(self, sample: Sample, slo: Slo, usd: float | None = None) -> None:
        """Count an attempt that has ended, and what it cost."""
        count(self.outcomes, sample.outcome.value)
        if sample.error_class is not None:
            count(self.errors, sample.error_class.value)
        if sample.stamps is not None:
            count(self.stamps, sample.stamps)
        if sample.usage is not None:
            self._add_tokens(sample.usage)
        if usd is not None:
            self.priced += 1
            self.usd += usd
        if sample.outcome is Outcome.OK and sample.start_ns is not None:
            self._add_latencies(sample, sample.start_ns, slo)

    def _add_tokens(self, usage: Usage) -> None:
        if usage.output_tokens is not None:
            self.told += 1
            self.output_tokens += usage.output_tokens
        self.reasoning_tokens += usage.reasoning_tokens or 0
        self.input_tokens += usage.input_tokens or 0
        self.cached_tokens += usage.cached_tokens or 0

    def _add_latencies(self, sample: Sample, start_ns: int, slo: Slo) -> None:
        events, e2e_ns = sample.event_ns, sample.end_ns - start_ns
        ttft_ns = events[0] - start_ns if events else None
        tpot_ns = tpot_ns_of(sample)
        count(self.e2e, bucket_of(e2e_ns))
        self.e2e_ns += e2e_ns
        if ttft_ns is not None:
            count(self.ttft, bucket_of(ttft_ns))
            self.ttft_ns += ttft_ns
        if tpot_ns is not None:
            count(self.tpot, bucket_of(tpot_ns))
            self.tpot_ns += round(tpot_ns)
        self.good += margin_of(sample, slo) <= 1

    def merge(self, other: LiveCell) -> None:
        """Count everything that the other has counted as well."""
        for name in self.__struct_fields__:
            mine, more = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                _add_counts(mine, more)
            else:
                setattr(self, name, mine + more)


def count(counts: dict[Any, int], key: object) -> None:
    """One more of a key."""
    counts[key] = counts.get(key, 0) + 1


def _add_counts(counts: dict[Any, int], more: Mapping[Any, int]) -> None:
    for key, n in more.items():
        counts[key] = counts.get(key, 0) + n


def count_gaps(counts: Histogram, event_ns: tuple[int, ...]) -> int:
    """Count the gaps between content events by `bucket_of`; not one by one, since they are many. Their sum in ns."""
    gaps = np.maximum(np.diff(np.array(event_ns, dtype=np.int64)), 0)
    found = np.bincount((np.log1p(gaps) * _PER_E).astype(np.int64))
    counts[: len(found)] += found
    return int(gaps.sum())
