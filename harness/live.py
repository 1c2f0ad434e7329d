"""Live statistics of a test: small, mergeable, from samples that have ended. Pure: time comes as an argument.

A worker counts into a `Live` and hands over what is new (`take`), some kilobytes however many requests there were; a
`Board` merges the reports of all workers and tells what the last seconds and the whole test look like (`view`).

What is counted of an attempt, and when it counts as good, is defined as in `analysis/metrics.py`; a test puts the
same samples through both. Two things differ, since a test under way has no steady window: everything since the test
began is counted, warm-up included, and an attempt counts when it ends. Quantiles are those of buckets 2 % wide, and so
at most 1 % off.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from harness.health_record import Health
from harness.margin import margin_of, tpot_ns_of
from harness.plan import Slo
from harness.sample import Outcome, Sample

WINDOW_S = 10.0
_PER_E = 50.0  # buckets from one number to e times it: each is exp(1/50), 2.02 %, wide
_BUCKETS = 2200  # as many as the largest duration needs
_QUANTILES = (0.5, 0.95)

Key = tuple[str, str]  # target, workload
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
    and by who stamped them; latencies, those of attempts that ended ok, by bucket. `good` met every limit;
    `output_tokens` are those of the `told` attempts whose tokens are known."""

    outcomes: dict[str, int] = {}
    errors: dict[str, int] = {}
    stamps: dict[str, int] = {}
    good: int = 0
    told: int = 0
    output_tokens: int = 0
    ttft: Sketch = {}
    itl: Sketch = {}
    tpot: Sketch = {}
    e2e: Sketch = {}

    @property
    def attempted(self) -> int:
        """All but the dropped."""
        return sum(self.outcomes.values()) - self.outcomes.get(Outcome.DROPPED, 0)

    def add(self, sample: Sample, slo: Slo) -> None:
        """Count an attempt that has ended."""
        _count(self.outcomes, sample.outcome.value)
        if sample.error_class is not None:
            _count(self.errors, sample.error_class.value)
        if sample.stamps is not None:
            _count(self.stamps, sample.stamps)
        if sample.usage is not None and sample.usage.output_tokens is not None:
            self.told += 1
            self.output_tokens += sample.usage.output_tokens
        if sample.outcome is Outcome.OK and sample.start_ns is not None:
            self._add_latencies(sample, sample.start_ns, slo)

    def _add_latencies(self, sample: Sample, start_ns: int, slo: Slo) -> None:
        events, e2e_ns = sample.event_ns, sample.end_ns - start_ns
        ttft_ns = events[0] - start_ns if events else None
        tpot_ns = tpot_ns_of(sample)
        _count(self.e2e, bucket_of(e2e_ns))
        if ttft_ns is not None:
            _count(self.ttft, bucket_of(ttft_ns))
        if tpot_ns is not None:
            _count(self.tpot, bucket_of(tpot_ns))
        self.good += margin_of(sample, slo) <= 1

    def merge(self, other: LiveCell) -> None:
        """Count everything that the other has counted as well."""
        for name in self.__struct_fields__:
            mine, more = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                _add_counts(mine, more)
            else:
                setattr(self, name, mine + more)


def _count(counts: dict[Any, int], key: object) -> None:
    counts[key] = counts.get(key, 0) + 1


def _add_counts(counts: dict[Any, int], more: Mapping[Any, int]) -> None:
    for key, n in more.items():
        counts[key] = counts.get(key, 0) + n


def _count_gaps(counts: Histogram, event_ns: tuple[int, ...]) -> None:
    """Count the gaps between content events by `bucket_of`; not one by one, since they are many."""
    gaps = np.maximum(np.diff(np.array(event_ns, dtype=np.int64)), 0)
    found = np.bincount((np.log1p(gaps) * _PER_E).astype(np.int64))
    counts[: len(found)] += found


class CellReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is new of one target and workload; `in_flight` requests are under way now."""

    target: str
    workload: str
    in_flight: int
    new: LiveCell


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker saw in the `span_s` seconds since its last report."""

    span_s: float
    cells: list[CellReport]
    health: list[Health]


class Live:
    """The counting side: one in each process that sends requests. `slo`: the limits of a good request."""

    def __init__(self, now_s: float, slo: Slo | None = None) -> None:
        self.slo = slo or Slo()
        self._taken_s = now_s
        self._in_flight: dict[Key, int] = {}
        self._new: dict[Key, LiveCell] = {}
        self._gaps: dict[Key, Histogram] = {}  # what becomes `itl` of the next report
        self._health: list[Health] = []

    def enter(self, target: str, workload: str) -> None:
        """A request is about to be sent."""
        _count(self._in_flight, (target, workload))

    def leave(self, target: str, workload: str) -> None:
        """That request is over, however it ended."""
        self._in_flight[target, workload] -= 1

    def add(self, sample: Sample) -> None:
        """Count an attempt that has ended."""
        key = (sample.target, sample.workload)
        if key not in self._new:
            self._new[key] = LiveCell()
            self._gaps[key] = np.zeros(_BUCKETS, dtype=np.int64)
        self._new[key].add(sample, self.slo)
        if sample.outcome is Outcome.OK and len(sample.event_ns) > 1:
            _count_gaps(self._gaps[key], sample.event_ns)

    def add_health(self, row: Health) -> None:
        """Hand on how this process fared in the last second."""
        self._health.append(row)
        del self._health[: -int(WINDOW_S)]

    def take(self, now_s: float) -> dict[str, Any]:
        """What is new since the last time, of plain dicts, lists, texts and numbers."""
        for key, counts in self._gaps.items():
            self._new[key].itl = {int(bucket): int(counts[bucket]) for bucket in np.flatnonzero(counts)}
        cells = [
            CellReport(
                target=key[0], workload=key[1], in_flight=self._in_flight.get(key, 0), new=self._new.get(key, _NONE)
            )
            for key in sorted(self._new.keys() | self._in_flight.keys())
        ]
        report = Report(span_s=now_s - self._taken_s, cells=cells, health=self._health)
        self.clear(now_s)
        self._health = []
        plain: dict[str, Any] = msgspec.to_builtins(report)
        return plain

    def clear(self, now_s: float) -> None:
        """Forget what was counted: a test begins."""
        self._taken_s, self._new, self._gaps = now_s, {}, {}


_NONE = LiveCell()


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """A latency: how many values, and quantiles in seconds. None: too few values."""

    n: int
    p50: float | None
    p95: float | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What some attempts amount to. `attempted` are all but the dropped; latencies are those that ended ok."""

    attempted: int
    outcomes: dict[str, int]
    errors: dict[str, int]
    good: int
    output_tokens: int | None
    ttft_s: Quantiles
    itl_s: Quantiles
    tpot_s: Quantiles
    e2e_s: Quantiles


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What ended in the window, per second; None: nobody reported, or what was not measured."""

    attempted_rps: float | None = None
    completed_rps: float | None = None
    goodput_rps: float | None = None
    output_tokens_per_s: float | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One target and workload: the whole test, the last `WINDOW_S` seconds, and what is under way."""

    target: str
    workload: str
    in_flight: int
    stamps: dict[str, int]
    test: Figures
    window: Figures
    rates: Rates


class _Heard(msgspec.Struct, kw_only=True):
    """What was heard of one worker lately: when each report came, the time it covers, and its cells."""

    reports: deque[tuple[float, float, dict[Key, CellReport]]]
    health: deque[Health]


class Board:
    """The viewing side: the reports of all workers, merged."""

    def __init__(self) -> None:
        self._total: dict[Key, LiveCell] = {}
        self._heard: dict[str, _Heard] = {}

    def merge(self, worker: str, report: dict[str, Any], now_s: float) -> None:
        """Take in what a worker's `take` gave. Raises `msgspec.ValidationError` where that is something else."""
        found = msgspec.convert(report, Report, strict=False)
        if worker not in self._heard:
            self._heard[worker] = _Heard(reports=deque(), health=deque(maxlen=int(WINDOW_S)))
        heard = self._heard[worker]
        heard.reports.append((now_s, found.span_s, {(cell.target, cell.workload): cell for cell in found.cells}))
        heard.health.extend(found.health)
        for cell in found.cells:
            self._total.setdefault((cell.target, cell.workload), LiveCell()).merge(cell.new)

    def clear(self) -> None:
        """Forget everything: a test begins."""
        self._total.clear()
        self._heard.clear()

    def health(self, now_s: float) -> list[list[Health]]:
        """The health rows of the last seconds, of one worker each; those not heard of for that long are gone."""
        self._forget(now_s)
        return [list(heard.health) for _, heard in sorted(self._heard.items())]

    def view(self, now_s: float) -> list[Row]:
        """One row for each target and workload, in order of their names."""
        self._forget(now_s)
        return [self._row(key) for key in sorted(self._total)]

    def _forget(self, now_s: float) -> None:
        for worker, heard in list(self._heard.items()):
            while heard.reports and heard.reports[0][0] <= now_s - WINDOW_S:
                heard.reports.popleft()
            if not heard.reports:
                del self._heard[worker]

    def _row(self, key: Key) -> Row:
        window, in_flight, parts = LiveCell(), 0, []
        for heard in self._heard.values():
            mine = LiveCell()
            for _, _, cells in heard.reports:
                if key in cells:
                    mine.merge(cells[key].new)
            parts.append((mine, sum(span_s for _, span_s, _ in heard.reports)))
            latest = heard.reports[-1][2].get(key)
            in_flight += latest.in_flight if latest else 0
            window.merge(mine)
        total = self._total[key]
        return Row(
            target=key[0],
            workload=key[1],
            in_flight=in_flight,
            stamps=dict(total.stamps),
            test=_figures(total),
            window=_figures(window),
            rates=_rates(parts, told=total.told > 0),
        )


def _figures(cell: LiveCell) -> Figures:
    return Figures(
        attempted=cell.attempted,
        outcomes=dict(sorted(cell.outcomes.items())),
        errors=dict(sorted(cell.errors.items())),
        good=cell.good,
        output_tokens=cell.output_tokens if cell.told else None,
        ttft_s=_quantiles(cell.ttft),
        itl_s=_quantiles(cell.itl),
        tpot_s=_quantiles(cell.tpot),
        e2e_s=_quantiles(cell.e2e),
    )


def _quantiles(sketch: Sketch) -> Quantiles:
    p50, p95 = (quantile_s(sketch, q) for q in _QUANTILES)
    return Quantiles(n=sum(sketch.values()), p50=p50, p95=p95)


def _rates(parts: list[tuple[LiveCell, float]], *, told: bool) -> Rates:
    """Each worker's counts over the time that its own reports cover, added up."""
    known = [(cell, span_s) for cell, span_s in parts if span_s > 0]
    if not known:
        return Rates()
    return Rates(
        attempted_rps=sum(cell.attempted / span_s for cell, span_s in known),
        completed_rps=sum(cell.outcomes.get(Outcome.OK, 0) / span_s for cell, span_s in known),
        goodput_rps=sum(cell.good / span_s for cell, span_s in known),
        output_tokens_per_s=sum(cell.output_tokens / span_s for cell, span_s in known) if told else None,
    )
