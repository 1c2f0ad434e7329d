"""What was found of a series, as its records tell it: in the metric's unit, with dates and verdicts."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from analysis.histories.history_index import Table
from analysis.histories.history_metrics import PLACES, Metric
from analysis.histories.history_reading import SeriesKey
from analysis.records.history_record import (
    Cycle,
    Drift,
    Findings,
    Jump,
    Latest,
    Points,
    Season,
    Series,
    Step,
    Verdict,
    Week,
)
from analysis.records.record import Estimate
from analysis.statistics.series_noise import Floats, Whole

LEVEL = 0.05


@dataclass(frozen=True)
class Corrected:
    """The changes that are believed, what their p is to be multiplied by, and the corrected p of the other claims."""

    jumps: tuple[Jump, ...]
    scale: float
    slope: float | None
    hour: float | None
    weekday: float | None
    latest: float | None


@functools.lru_cache(maxsize=1 << 16)
def iso(at_s: float) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def told(
    key: SeriesKey,
    metric: Metric,
    table: Table,
    rows: tuple[Whole, Whole],
    found: Findings,
    claims: Corrected,
    last: int,
    *,
    current: bool,
) -> Series:
    """The record of a series. `rows`: its valid and its invalid ones, by time; `last`: how many values are given."""
    valid, invalid = rows
    runs = [table.entries[run] for run in table.run[valid]] if claims.jumps else []
    first, latest, begun = (table.entries[table.run[valid[at]]] for at in (0, -1, found.begin))
    unit = _Unit(metric, found.logs)
    value = float(table.figures[valid[-1], PLACES[metric.path], 0])
    return Series(
        plan=key.plan,
        target=key.target,
        workload=key.workload,
        stage=key.stage,
        stage_label=key.label,
        model=key.model,
        metric=metric.path,
        better=metric.better,
        scale=unit.scale,
        current=current,
        runs=len(valid),
        invalid_runs=len(invalid),
        first_utc=iso(first.started_s),
        last_utc=iso(latest.started_s),
        drifts=found.drifts,
        changes=tuple(
            Step(
                run=runs[jump.at].run,
                utc=iso(runs[jump.at].started_s),
                after_run=runs[jump.at - 1].run,
                after_utc=iso(runs[jump.at - 1].started_s),
                before=unit.value(jump.before),
                after=unit.value(jump.after),
                change=unit.change(jump.size, jump.low, jump.high),
                p_value=jump.p_value,
                p_adjusted=min(1.0, jump.p_value * claims.scale),
                verdict=unit.verdict(jump.size, 0.0),
            )
            for jump in claims.jumps
        ),
        slope=_slope(found, claims.slope, unit, iso(begun.started_s), len(valid) - found.begin),
        hour=_season("hour", found.hour, claims.hour, unit),
        weekday=_season("weekday", found.weekday, claims.weekday, unit),
        latest=_latest(found, claims.latest, unit, (latest.run, iso(latest.started_s), value)),
        forecast=_week(found, unit),
        points=_points(metric, table, valid, invalid, last),
    )


@dataclass(frozen=True)
class _Unit:
    """How the numbers of an analysis become those of the metric."""

    metric: Metric
    logs: bool

    @property
    def scale(self) -> Literal["ratio", "difference"]:
        return "ratio" if self.logs else "difference"

    def value(self, x: float) -> float:
        """A level; parts of one stay within 0 and 1."""
        if self.logs:
            return math.exp(min(x, _LARGEST))
        return min(1.0, max(0.0, x)) if self.metric.share else x

    def change(self, size: float, low: float, high: float) -> Estimate:
        value, *ends = (math.exp(min(each, _LARGEST)) if self.logs else each for each in (size, low, high))
        return Estimate(value=value, ci95=(ends[0], ends[1]))

    def verdict(self, size: float, p_adjusted: float | None) -> Verdict:
        if p_adjusted is None:
            return "too little data"
        if p_adjusted > LEVEL or size == 0:
            return "no difference"
        if self.metric.better == "neither":
            return "changed"
        return "better" if (size > 0) == (self.metric.better == "higher") else "worse"


_LARGEST = 700.0  # of logarithms


def _slope(found: Findings, p_adjusted: float | None, unit: _Unit, since_utc: str, runs: int) -> Drift:
    if found.slope is None:
        return Drift(since_utc=since_utc, runs=runs, verdict="too little data")
    per_week, low, high, p_value, _ = found.slope
    return Drift(
        since_utc=since_utc,
        runs=runs,
        per_week=unit.change(per_week, low, high),
        p_value=p_value,
        p_adjusted=p_adjusted,
        verdict=unit.verdict(per_week, p_adjusted),
    )


def _season(by: Literal["hour", "weekday"], cycle: Cycle | None, p_adjusted: float | None, unit: _Unit) -> Season:
    if cycle is None or p_adjusted is None:
        return Season(by=by, verdict="too little data")
    effects = (None if each is None else math.exp(each) if unit.logs else each for each in cycle.effects)
    return Season(
        by=by,
        effects=tuple(effects),
        cycles=cycle.cycles,
        p_value=cycle.p_value,
        p_adjusted=p_adjusted,
        verdict="seasonal" if p_adjusted <= LEVEL else "no difference",
    )


def _latest(found: Findings, p_adjusted: float | None, unit: _Unit, seen: tuple[str, str, float]) -> Latest:
    run, utc, value = seen
    if found.latest is None:
        return Latest(run=run, utc=utc, value=value, verdict="too little data")
    expected, low, high, p_value, runs = found.latest
    size = (math.log(value) if unit.logs else value) - expected
    return Latest(
        run=run,
        utc=utc,
        value=value,
        interval=(unit.value(low), unit.value(high)),
        expected=unit.value(expected),
        change=unit.change(size, size, size).value,
        runs=runs,
        p_value=p_value,
        p_adjusted=p_adjusted,
        verdict=unit.verdict(size, p_adjusted),
    )


def _week(found: Findings, unit: _Unit) -> Week:
    if found.week is None:
        return Week(refused=found.week_says)
    times, *columns = found.week
    expected, low, high = (tuple(map(unit.value, column)) for column in columns)
    return Week(utc=tuple(map(iso, times)), expected=expected, low=low, high=high, model=found.week_says)


def _points(metric: Metric, table: Table, valid: Whole, invalid: Whole, last: int) -> Points:
    rows, good = valid[len(valid) - min(last, len(valid)) :], np.ones(min(last, len(valid)), dtype=bool)
    if len(invalid):
        rows = np.concatenate([rows, invalid])
        good = np.arange(len(rows)) < len(good)
        runs = table.run[rows]
        order = np.lexsort((runs, [table.entries[run].started_s for run in runs]))
        given = order[len(order) - min(last, len(order)) :]
        rows, good = rows[given], good[given]
    entries = [table.entries[run] for run in table.run[rows].tolist()]
    value, low, high = _six_digits(table.figures[rows, PLACES[metric.path]].astype(np.float64)).T
    return Points(
        run=tuple(each.run for each in entries),
        utc=tuple(iso(each.started_s) for each in entries),
        value=tuple(value.tolist()),
        low=_known(low),
        high=_known(high),
        valid=tuple(good.tolist()),
        left_out=len(valid) + len(invalid) - len(rows),
    )


def _six_digits(values: Floats) -> Floats:
    """To six digits, which is what a history keeps."""
    with np.errstate(divide="ignore", invalid="ignore"):
        power = 10.0 ** (5 - np.floor(np.log10(np.abs(values))))
        return np.where(values == 0, 0.0, np.round(values * power) / power)


def _known(values: Floats) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(each) else each for each in values.tolist())
