"""The records of the history of runs: what `tokenswarm trend --json` prints, and what is kept of a series in the index.

Times are ISO 8601 in UTC, or seconds since 1970 where a name ends in `_s`. Changes are ratios (new / old), or
differences (new - old) of metrics that are parts of one, as `scale` says.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from analysis.records.record import Estimate, Part

Verdict = Literal["better", "worse", "changed", "no difference", "too little data"]


class Step(Part, frozen=True, kw_only=True):
    """A change of the level: `run` is the first on the new level, `after_run` the last on the old one.

    `before` and `after` are the levels in the metric's unit. p speaks of the whole series; `p_value` is as it is found,
    `p_adjusted` corrected for the number of series. About a drift, the levels are those at the change.
    """

    run: str
    utc: str
    after_run: str
    after_utc: str
    before: float
    after: float
    change: Estimate
    p_value: float
    p_adjusted: float
    verdict: Verdict


class Drift(Part, frozen=True, kw_only=True):
    """The slope since the last change: the change for each week. `no difference`: no slope is shown."""

    since_utc: str
    runs: int
    per_week: Estimate | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    verdict: Verdict


class Season(Part, frozen=True, kw_only=True):
    """Hours of the day (0-23) or weekdays (0: Monday), UTC: `effects` against the mean of those that were seen in five
    cycles or more, null for the others. `no difference`: no season is shown."""

    by: Literal["hour", "weekday"]
    effects: tuple[float | None, ...] = ()
    cycles: int = 0
    p_value: float | None = None
    p_adjusted: float | None = None
    verdict: Literal["seasonal", "no difference", "too little data"]


class Latest(Part, frozen=True, kw_only=True):
    """The latest run against its baseline, the `runs` valid ones before it: `interval` is where 95 % of such runs would
    lie, in the metric's unit."""

    run: str
    utc: str
    value: float
    interval: tuple[float | None, float | None] | None = None
    expected: float | None = None
    change: float | None = None
    runs: int = 0
    p_value: float | None = None
    p_adjusted: float | None = None
    verdict: Verdict


class Week(Part, frozen=True, kw_only=True):
    """The next week: for the middle of each day what a run would measure, with a 95 % prediction interval for a single
    run. `refused` says why there is none."""

    utc: tuple[str, ...] = ()
    expected: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    model: str = ""
    refused: str = ""


class Points(Part, frozen=True, kw_only=True):
    """The values themselves, the latest last, to six digits: invalid runs (`valid` false) are in no figure but this.
    `left_out` earlier ones are not given."""

    run: tuple[str, ...] = ()
    utc: tuple[str, ...] = ()
    value: tuple[float, ...] = ()
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    valid: tuple[bool, ...] = ()
    left_out: int = 0


class Series(Part, frozen=True, kw_only=True):
    """One metric of a target under one load of a plan, over all runs that asked for the same."""

    plan: str
    target: str
    workload: str | None
    stage: int | None
    stage_label: str | None
    model: str | None
    metric: str
    better: Literal["lower", "higher", "neither"]
    scale: Literal["ratio", "difference"]
    current: bool  # whether the plan still asks for this; a series that a later one replaced is past
    runs: int
    invalid_runs: int
    first_utc: str
    last_utc: str
    drifts: bool
    changes: tuple[Step, ...]
    slope: Drift
    hour: Season
    weekday: Season
    latest: Latest
    forecast: Week
    points: Points = Points()


class Break(Part, frozen=True, kw_only=True):
    """Where the plan asked for something else from a run on, so that a new series begins there."""

    plan: str
    target: str
    workload: str | None
    stage: int | None
    run: str
    utc: str
    differs: str


class Skipped(Part, frozen=True, kw_only=True):
    """A run that is not in the history, by its path below the root, and the reason."""

    path: str
    reason: str


class Trends(Part, frozen=True, kw_only=True):
    """The history of a folder of runs. `level`: of false claims among those made, for each kind of claim."""

    root: str
    runs: int
    invalid_runs: tuple[str, ...]
    first_utc: str | None
    last_utc: str | None
    level: float
    method: str
    notes: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    breaks: tuple[Break, ...]
    series: tuple[Series, ...]


class Jump(msgspec.Struct, frozen=True, array_like=True):
    """A change of a series, as it is found and kept: the level is another from run `at` on. `size`: of the new level
    less the old, in the unit of the analysis, with 95 % bounds; `p_value` for the whole series."""

    at: int
    p_value: float
    before: float
    after: float
    size: float
    low: float
    high: float


class Cycle(msgspec.Struct, frozen=True, array_like=True):
    """A season of a series as it is kept."""

    effects: tuple[float | None, ...]
    p_value: float
    cycles: int


class Findings(msgspec.Struct, frozen=True, array_like=True):
    """Everything that was found of a series, before it is corrected for the number of series; in the unit of the
    analysis: natural logarithms where `logs`, else the metric's own. `begin`: the run from which on slope and forecast
    were taken (the last change that is believed). Tuples are those of the analysis: slope (per week, low, high, p,
    runs), latest (expected, low, high, p, runs), week (times, expected, low, high)."""

    logs: bool
    first_p: float
    drifts: bool
    jumps: tuple[Jump, ...]
    hour: Cycle | None
    weekday: Cycle | None
    latest: tuple[float, float, float, float, int] | None
    begin: int
    slope: tuple[float, float, float, float, int] | None
    week: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[float, ...]] | None
    week_says: str
