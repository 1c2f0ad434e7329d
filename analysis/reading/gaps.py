"""Gaps between content events: kept as they were measured, to the nanosecond, and their exact quantiles by counting.

A run may hold a hundred million gaps. They are never sorted nor copied: one pass counts them by their upper 16 bits,
which tells in which of those counts each wanted order statistic lies; a second pass counts the lower 16 bits there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_BITS = 16
_BUCKETS = 1 << _BITS
_BELOW = 1 << 32
FEW = 100_000


@dataclass(frozen=True)
class Part:
    """The gaps of neighbouring rows. Row `first_row + k` has `gaps[ends[k - 1] : ends[k]]`, in ns."""

    first_row: int
    ends: Whole
    gaps: npt.NDArray[np.uint32] | Whole

    def counts(self) -> Whole:
        """How many gaps each row has."""
        return np.diff(self.ends, prepend=0)


@dataclass(frozen=True)
class Gaps:
    """The gaps of every row of a table, in its order."""

    parts: tuple[Part, ...]

    def of_rows(self, chosen: Flags) -> Iterator[npt.NDArray[np.uint32] | Whole]:
        """The gaps of the chosen rows (a flag for each row of the table), in pieces."""
        for part in self.parts:
            flags = chosen[part.first_row : part.first_row + len(part.ends)]
            if flags.all():
                yield part.gaps
            elif flags.any():
                yield part.gaps[np.repeat(flags, part.counts())]

    def event_times(self, chosen: Flags, counts: Whole, first: Whole, last: Whole) -> Whole:
        """When the content events of the chosen rows came, one row after another, in ns on the rows' own clock.

        `counts`, `first` and `last`: of each chosen row, its number of events, the first and the last; the latter two
        mean nothing where there are none.
        """
        some = counts > 0
        ends = np.cumsum(counts)
        heads = (ends - counts)[some]
        steps = np.zeros(int(counts.sum()), np.int64)
        inner = np.ones(len(steps), dtype=bool)
        inner[heads] = False
        steps[inner] = np.concatenate([np.empty(0, np.int64), *self.of_rows(chosen)])
        steps[heads] = first[some] - np.concatenate([[0], last[some]])[:-1]
        return np.cumsum(steps)


@dataclass
class Tally:
    """Gaps counted by their upper bits. Those that are negative or 4.29 s and longer are few, and kept themselves."""

    upper: Whole = field(default_factory=lambda: np.zeros(_BUCKETS, np.int64))
    negative: Whole = field(default_factory=lambda: np.empty(0, np.int64))
    long: Whole = field(default_factory=lambda: np.empty(0, np.int64))
    total_ns: int = 0

    @property
    def n(self) -> int:
        """How many gaps."""
        return int(self.upper.sum()) + len(self.negative) + len(self.long)

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            self.upper + other.upper,
            np.sort(np.concatenate([self.negative, other.negative])),
            np.sort(np.concatenate([self.long, other.long])),
            self.total_ns + other.total_ns,
        )

    def bucket(self, rank: int) -> int | None:
        """The upper bits of the gap of this rank (from 0); None where it is one that is kept itself."""
        rank -= len(self.negative)
        if not 0 <= rank < int(self.upper.sum()):
            return None
        return int(np.searchsorted(np.cumsum(self.upper), rank, side="right"))


def tally(gaps: Gaps, chosen: Flags) -> Tally:
    """The gaps of the chosen rows, counted."""
    found = Tally()
    negative, long = [found.negative], [found.long]
    for values in gaps.of_rows(chosen):
        found.total_ns += int(values.sum(dtype=np.int64))
        inside = _inside(values)
        if inside is not values:
            negative.append(values[values < 0].astype(np.int64))
            long.append(values[values >= _BELOW].astype(np.int64))
        found.upper += np.bincount(inside >> _BITS, minlength=_BUCKETS)
    found.negative, found.long = np.sort(np.concatenate(negative)), np.sort(np.concatenate(long))
    return found


def _inside(values: npt.NDArray[np.uint32] | Whole) -> npt.NDArray[np.uint32] | Whole:
    return values if values.dtype == np.uint32 else values[(values >= 0) & (values < _BELOW)]


def _settled(
    gaps: Gaps, groups: Sequence[Flags], tallies: Sequence[Tally], ranks: Sequence[Sequence[int]]
) -> list[dict[int, int]]:
    """For each group of rows, and last for all together: the gaps (ns) of the wanted ranks, counted from 0. `tallies`
    are of the groups and of all together; the groups share no row."""
    buckets = [
        {bucket for rank in wanted if (bucket := each.bucket(rank)) is not None}
        for each, wanted in zip(tallies, ranks, strict=True)
    ]
    lower = [_lower(gaps, chosen, sorted(own | buckets[-1])) for chosen, own in zip(groups, buckets[:-1], strict=True)]
    nothing = np.zeros(_BUCKETS, np.int64)
    lower.append({bucket: sum((each[bucket] for each in lower), nothing) for bucket in buckets[-1]})
    return [
        {rank: _value(each, rank, counts) for rank in wanted}
        for each, wanted, counts in zip(tallies, ranks, lower, strict=True)
    ]


def _lower(gaps: Gaps, chosen: Flags, buckets: Sequence[int]) -> dict[int, Whole]:
    """The counts by the lower bits of the gaps whose upper bits are among `buckets`."""
    place = np.full(_BUCKETS, -1, np.int64)
    place[list(buckets)] = np.arange(len(buckets))
    counts = np.zeros(len(buckets) * _BUCKETS, np.int64)
    wanted = place >= 0
    for values in gaps.of_rows(chosen) if len(buckets) else ():
        inside = _inside(values)
        found = inside[wanted[inside >> _BITS]].astype(np.int64)
        at = place[found >> _BITS] * _BUCKETS + (found & (_BUCKETS - 1))
        counts += np.bincount(at, minlength=len(counts))
    return {bucket: counts[k * _BUCKETS : (k + 1) * _BUCKETS] for k, bucket in enumerate(buckets)}


def _value(counted: Tally, rank: int, lower: dict[int, Whole]) -> int:
    bucket = counted.bucket(rank)
    if bucket is None:
        kept = rank if rank < len(counted.negative) else rank - len(counted.negative) - int(counted.upper.sum())
        return int((counted.negative if rank < len(counted.negative) else counted.long)[kept])
    within = rank - len(counted.negative) - int(counted.upper[:bucket].sum())
    return (bucket << _BITS) + int(np.searchsorted(np.cumsum(lower[bucket]), within, side="right"))


@dataclass(frozen=True)
class GapFigures:
    """Of one group of gaps: how many, their mean, the wanted quantiles and the largest, in ns."""

    n: int
    mean_ns: float
    quantiles_ns: dict[float, float]
    max_ns: float


def gap_figures(
    gaps: Gaps, groups: Sequence[Flags], quantiles: Sequence[float], *, few: int = FEW
) -> list[GapFigures | None]:
    """For each group of rows, and last for all together; None where there is no gap. Quantiles are of type 7. Up to
    `few` gaps are put in order, more are counted."""
    if sum(len(part.gaps) for part in gaps.parts) <= few:
        each = [np.concatenate([np.empty(0, np.int64), *gaps.of_rows(chosen)]) for chosen in groups]
        return [_of_few(values, quantiles) for values in [*each, np.concatenate(each)]]
    tallies = [tally(gaps, chosen) for chosen in groups]
    tallies.append(sum(tallies, Tally()))
    settled = _settled(gaps, groups, tallies, [_ranks(each.n, quantiles) for each in tallies])
    return [_figures(each, found, quantiles) for each, found in zip(tallies, settled, strict=True)]


def _of_few(values: Whole, quantiles: Sequence[float]) -> GapFigures | None:
    """The same without counting, which for few gaps takes longer than to order them."""
    n = len(values)
    if n == 0:
        return None
    ranks = _ranks(n, quantiles)
    ordered = np.partition(values, ranks)
    return _quantiles(n, int(values.sum()), {rank: int(ordered[rank]) for rank in ranks}, quantiles)


def _ranks(n: int, quantiles: Sequence[float]) -> list[int]:
    if n == 0:
        return []
    below = [math.floor((n - 1) * quantile) for quantile in quantiles]
    return sorted({*below, *(min(n - 1, rank + 1) for rank in below), n - 1})


def _figures(counted: Tally, values: dict[int, int], quantiles: Sequence[float]) -> GapFigures | None:
    n = counted.n
    return None if n == 0 else _quantiles(n, counted.total_ns, values, quantiles)


def _quantiles(n: int, total_ns: int, values: dict[int, int], quantiles: Sequence[float]) -> GapFigures:
    found = {}
    for quantile in quantiles:
        at = (n - 1) * quantile
        low, high = values[math.floor(at)], values[min(n - 1, math.floor(at) + 1)]
        found[quantile] = low + (high - low) * (at - math.floor(at))
    return GapFigures(n, total_ns / n, found, values[n - 1])
