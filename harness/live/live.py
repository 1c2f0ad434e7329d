"""Live statistics of a test: small, mergeable, from samples that have ended. Pure: time comes as an argument.

A worker counts into a `Live` and hands over what is new (`take`), some kilobytes however many requests there were; a
`Board` merges the reports of all workers and tells what the last seconds and the whole test look like (`view`).

What is counted of an attempt, and when it counts as good, is defined as in `analysis/metrics.py`; a test puts the
same samples through both. Two things differ, since a test under way has no steady window: everything since the test
began is counted, warm-up included, and an attempt counts when it ends. Quantiles are those of buckets 2 % wide, and so
at most 1 % off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from harness.live.live_cell import BUCKETS, Histogram, LiveCell, Sketch, count, count_gaps, quantile_s
from harness.plan import Slo, Target
from harness.prices import usd_of
from harness.records.health_record import Health
from harness.sample import Outcome, Sample

WINDOW_S = 10.0
_QUANTILES = (0.5, 0.95)

Key = tuple[str, str]  # target, workload


class CellReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is new of one target and workload; `in_flight` requests are under way now."""

    target: str
    workload: str
    in_flight: int
    new: LiveCell


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker saw in the `span_s` seconds since its last report. `past`: what it had not yet reported when a
    new test began; it is of no test, but it happened."""

    span_s: float
    cells: list[CellReport]
    health: list[Health]
    past: list[CellReport] = []


class Live:
    """The counting side: one in each process that sends requests. `slo`: the limits of a good request; `targets`, by
    name, tell what a request costs."""

    def __init__(self, now_s: float, slo: Slo | None = None, targets: Mapping[str, Target] | None = None) -> None:
        self.slo = slo or Slo()
        self._targets = targets or {}
        self._taken_s = now_s
        self._in_flight: dict[Key, int] = {}
        self._new: dict[Key, LiveCell] = {}
        self._gaps: dict[Key, Histogram] = {}  # what becomes `itl` of the next report
        self._health: list[Health] = []
        self._past: list[CellReport] = []

    def enter(self, target: str, workload: str) -> None:
        """A request is about to be sent."""
        count(self._in_flight, (target, workload))

    def leave(self, target: str, workload: str) -> None:
        """That request is over, however it ended."""
        self._in_flight[target, workload] -= 1

    def add(self, sample: Sample) -> None:
        """Count an attempt that has ended."""
        key = (sample.target, sample.workload)
        if key not in self._new:
            self._new[key] = LiveCell()
            self._gaps[key] = np.zeros(BUCKETS, dtype=np.int64)
        target = self._targets.get(sample.target)
        self._new[key].add(sample, self.slo, None if target is None else usd_of(target, sample.usage))
        if sample.outcome is Outcome.OK and len(sample.event_ns) > 1:
            self._new[key].itl_ns += count_gaps(self._gaps[key], sample.event_ns)

    def add_health(self, row: Health) -> None:
        """Hand on how this process fared in the last second."""
        self._health.append(row)
        del self._health[: -int(WINDOW_S)]

    def take(self, now_s: float) -> dict[str, Any]:
        """What is new since the last time, of plain dicts, lists, texts and numbers."""
        report = Report(span_s=now_s - self._taken_s, cells=self._cells(), health=self._health, past=self._past)
        self._taken_s, self._new, self._gaps, self._health, self._past = now_s, {}, {}, [], []
        plain: dict[str, Any] = msgspec.to_builtins(report)
        return plain

    def clear(self, now_s: float) -> None:
        """A test begins: what was counted until now is not of it."""
        self._past += self._cells()
        self._taken_s, self._new, self._gaps = now_s, {}, {}

    def _cells(self) -> list[CellReport]:
        for key, counts in self._gaps.items():
            self._new[key].itl = {int(bucket): int(counts[bucket]) for bucket in np.flatnonzero(counts)}
        return [
            CellReport(
                target=key[0], workload=key[1], in_flight=self._in_flight.get(key, 0), new=self._new.get(key, _NONE)
            )
            for key in sorted(self._new.keys() | self._in_flight.keys())
        ]


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
    """The viewing side: the reports of all workers, merged. `before`: what was counted before it was there."""

    def __init__(self, before: Iterable[CellReport] = ()) -> None:
        self._past: dict[Key, LiveCell] = {}
        self._total: dict[Key, LiveCell] = {}
        _merge_into(self._past, before)
        self._heard: dict[str, _Heard] = {}

    def merge(self, worker: str, report: dict[str, Any], now_s: float) -> None:
        """Take in what a worker's `take` gave. Raises `msgspec.ValidationError` where that is something else."""
        found = msgspec.convert(report, Report, strict=False)
        if worker not in self._heard:
            self._heard[worker] = _Heard(reports=deque(), health=deque(maxlen=int(WINDOW_S)))
        heard = self._heard[worker]
        heard.reports.append((now_s, found.span_s, {(cell.target, cell.workload): cell for cell in found.cells}))
        heard.health.extend(found.health)
        _merge_into(self._total, found.cells)
        _merge_into(self._past, found.past)

    def clear(self) -> None:
        """A test begins: forget everything but what `ever` tells."""
        _merge_into(self._past, self._reports(self._total))
        self._total.clear()
        self._heard.clear()

    def ever(self, now_s: float) -> list[CellReport]:
        """All that was ever counted, of every test and of workers that are gone: no number in it ever falls. In order
        of names; what is in flight is that of the last reports."""
        self._forget(now_s)
        sums: dict[Key, LiveCell] = {}
        _merge_into(sums, self._reports(self._past))
        _merge_into(sums, self._reports(self._total))
        return self._reports(dict(sorted(sums.items())))

    def _reports(self, cells: Mapping[Key, LiveCell]) -> list[CellReport]:
        return [
            CellReport(target=key[0], workload=key[1], in_flight=self._in_flight(key), new=cell)
            for key, cell in cells.items()
        ]

    def _in_flight(self, key: Key) -> int:
        latest = (heard.reports[-1][2].get(key) for heard in self._heard.values())
        return sum(cell.in_flight for cell in latest if cell is not None)

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
        window, parts = LiveCell(), []
        for heard in self._heard.values():
            mine = LiveCell()
            for _, _, cells in heard.reports:
                if key in cells:
                    mine.merge(cells[key].new)
            parts.append((mine, sum(span_s for _, span_s, _ in heard.reports)))
            window.merge(mine)
        total = self._total[key]
        return Row(
            target=key[0],
            workload=key[1],
            in_flight=self._in_flight(key),
            stamps=dict(total.stamps),
            test=_figures(total),
            window=_figures(window),
            rates=_rates(parts, told=total.told > 0),
        )


def _merge_into(sums: dict[Key, LiveCell], cells: Iterable[CellReport]) -> None:
    for cell in cells:
        sums.setdefault((cell.target, cell.workload), LiveCell()).merge(cell.new)


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
