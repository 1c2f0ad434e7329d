"""Has a target become worse than its baseline? Told minute by minute, with false alarms held down. Pure.

    state = begin()                                # or begin(baseline) to hold it against a run
    state, shifts = update(state, slice_of(...))   # every 10 s or so; constant memory and time

The state is a record of plain values: encoded by msgspec and decoded again, it goes on as if nothing had happened.
Method, guarantees and detectable sizes: docs/degradation.md.
"""

from __future__ import annotations

import msgspec

from analysis.slices import Slice
from harness.monitor_record import Shift


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How degradation is looked for. `false_alarm_every_s`: the mean time between false alarms of one target and
    workload, all metrics together, that the threshold is made for. `tolerance`: shifts of this part of the level are
    none (its daily cycle moves it so far within an hour); `baseline_tolerance`: the same against a fixed baseline, or
    the mean of days. `step_s`: the least time that one look at the numbers takes in."""

    false_alarm_every_s: float = 7 * 86400.0
    tolerance: float = 0.04
    baseline_tolerance: float = 0.15
    step_s: float = 30.0


DEFAULT = Settings()


class DegradationState(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one target and workload. Only `begin` and `update` make it."""

    settings: Settings


def begin(baseline: Slice | None = None, settings: Settings = DEFAULT) -> DegradationState:
    """Begin to watch one target and workload. `baseline`: all of a run (steady window) as one slice, against which
    it is held besides its own last hours; None: its own last hours and days alone."""
    raise NotImplementedError


def update(state: DegradationState, new: Slice) -> tuple[DegradationState, list[Shift]]:
    """Take in what has ended since the last slice (give also empty slices: silence counts as nothing, not as good), and
    tell which metrics are suspected (`confirmed` false) or confirmed to be worse. A shift that is over is no longer
    told. Slices must not overlap; a gap between them, or a clock that jumps, does no harm."""
    raise NotImplementedError
