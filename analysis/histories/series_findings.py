"""One series of runs -> everything that is found in it. Pure.

Order: seasons (which do not care for slow changes), then on what is left of them the changes of the level, the slope
since the last of these, the latest run against its baseline, and the next week.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from analysis.histories.forecasts import forecast_of
from analysis.histories.history_tests import DAY_S, Season, against_baseline, hours_of, slope_of, weekdays_of
from analysis.records.history_record import Cycle, Findings
from analysis.statistics.change_points import levels_of
from analysis.statistics.series_noise import Floats

SEASON_P = 0.001  # below which a season is taken off before anything else is looked for


def findings_of(times_s: Floats, values: Floats, *, share: bool) -> Findings:
    """What a series holds: values by the time of their runs, in order. `share`: parts of one, analysed as they are;
    others are analysed by their logarithms where all are positive."""
    logs = not share and bool(np.all(values > 0))
    series = np.log(values) if logs else values.astype(np.float64)
    hour, weekday = hours_of(times_s, series), weekdays_of(times_s, series)
    season = _season_at(times_s, hour, weekday)
    levels = levels_of(series - season)
    against = against_baseline(series - season, levels.noise.phi)
    shift = float(season[-1])
    found = Findings(
        logs=logs,
        first_p=levels.p_value,
        drifts=levels.drifts,
        jumps=levels.changes,
        hour=_cycle(hour),
        weekday=_cycle(weekday),
        latest=None
        if against is None
        else (against.expected + shift, against.low + shift, against.high + shift, against.p_value, against.n),
        begin=0,
        slope=None,
        week=None,
        week_says="",
    )
    return since(found, times_s, values, levels.changes[-1].at if levels.changes else 0)


def findings_of_many(asked: Sequence[tuple[Floats, Floats, bool]]) -> list[Findings]:
    """Of several series: times, values, and whether they are shares."""
    return [findings_of(times_s, values, share=share) for times_s, values, share in asked]


def since(found: Findings, times_s: Floats, values: Floats, begin: int) -> Findings:
    """The same, with slope and forecast from the runs from `begin` on."""
    series = np.log(values) if found.logs else values.astype(np.float64)
    seasons = [None if each is None else _effects(each) for each in (found.hour, found.weekday)]
    plain = (series - _effect_at(times_s, *seasons))[begin:]
    slope = slope_of(times_s[begin:], plain)
    week = forecast_of(times_s[begin:], plain, slope)
    fields: dict[str, Any] = {
        "begin": begin,
        "slope": None if slope is None else (slope.per_week, slope.low, slope.high, slope.p_value, slope.n),
        "week": None,
        "week_says": week if isinstance(week, str) else week.model,
    }
    if not isinstance(week, str):
        shift = _effect_at(week.times_s, *seasons)
        columns = (week.times_s, week.expected + shift, week.low + shift, week.high + shift)
        fields["week"] = tuple(tuple(map(float, column)) for column in columns)
    return msgspec.structs.replace(found, **fields)


def _cycle(season: Season | None) -> Cycle | None:
    if season is None:
        return None
    effects = tuple(None if math.isnan(each) else float(each) for each in season.effects)
    return Cycle(effects, season.p_value, season.cycles)


def _season_at(times_s: Floats, *seasons: Season | None) -> Floats:
    return _effect_at(times_s, *(None if each is None else _effects(_cycle(each)) for each in seasons))


def _effects(cycle: Cycle | None) -> Floats | None:
    """The effects of a season that is taken off; None: there is none to take off."""
    if cycle is None or cycle.p_value > SEASON_P:
        return None
    return np.array([0.0 if each is None else each for each in cycle.effects])


def _effect_at(times_s: Floats, hour: Floats | None, weekday: Floats | None) -> Floats:
    """What the seasons add at some times."""
    found = np.zeros(len(times_s))
    if hour is not None:
        found += hour[np.floor(times_s / 3600).astype(np.int64) % 24]
    if weekday is not None:
        found += weekday[(np.floor(times_s / DAY_S).astype(np.int64) + 3) % 7]
    return found
