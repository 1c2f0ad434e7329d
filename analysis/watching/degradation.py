"""Has a target become worse than its baseline? Told minute by minute, with false alarms held down. Pure.

    state = begin()                                # or begin(baseline) to hold it against a run
    state, shifts = update(state, slice_of(...))   # every 10 s or so; constant memory and time

The state is a record of plain values: encoded by msgspec and decoded again, it goes on as if nothing had happened.
Method, guarantees and detectable sizes: docs/degradation.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import msgspec

from analysis.statistics.e_detector import statistic
from analysis.watching.live_tracks import Look, Question, Tolerance, Track, confirmed, followed, track
from analysis.watching.slices import LATENCIES, Slice, Spread, log_quantiles, share_above, together
from harness.records.monitor_record import Shift, ShiftMetric

_FEWEST = 10  # requests of one look at a latency
_LEVEL_MEMORY_S = 1800.0
_RATIO_MEMORY_S = 4 * 3600.0  # rare events take longer to count
_MEDIAN = 1.2533  # the standard error of a median over that of a mean, for normal values
_TAIL = 0.9
_RATIO_RECENT, _RATIO_LASTING = Tolerance(0.3, 0.001), Tolerance(1.0, 0.005)
_TAIL_RECENT = Tolerance(0.5, 0.02)
_TOLD = 0.6  # part of the threshold from which a shift is suspected
_QUESTIONS = 16  # of one target and workload: four latencies by level (two baselines) and tail, two ratios (two)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How degradation is looked for. `false_alarm_every_s`: the mean time between false alarms of one target and
    workload, all metrics together, that the threshold is made for. `tolerance`: shifts of this part of the level are
    none (its daily cycle moves it so far within an hour); `baseline_tolerance`: the same against a fixed baseline, or
    the mean of days. `step_s`: the least time that one look at the numbers takes in."""

    false_alarm_every_s: float = 86400.0
    tolerance: float = 0.03
    baseline_tolerance: float = 0.15
    step_s: float = 30.0


DEFAULT = Settings()


class LatencyWatch(msgspec.Struct, frozen=True, kw_only=True):
    """One latency: its level, its tail (the share of values beyond `stretch`, the usual distance of p90 from the
    median, as logarithms), and what has come since the last look."""

    level: Track
    tail: Track
    stretch: float | None = None
    open: Spread | None = None
    open_s: float = 0.0


class RatioWatch(msgspec.Struct, frozen=True, kw_only=True):
    """One ratio, and what has come since the last look."""

    share: Track
    struck: int = 0
    judged: int = 0
    open_s: float = 0.0


class DegradationState(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one target and workload. Only `begin` and `update` make it."""

    settings: Settings
    latencies: dict[ShiftMetric, LatencyWatch]
    ratios: dict[ShiftMetric, RatioWatch]


def begin(baseline: Slice | None = None, settings: Settings = DEFAULT) -> DegradationState:
    """Begin to watch one target and workload. `baseline`: all of a run (steady window) as one slice, against which
    it is held besides its own last hours; None: its own last hours and days alone."""
    threshold = math.log(_QUESTIONS * settings.false_alarm_every_s / settings.step_s)
    ratios = _ratios_of(baseline)
    return DegradationState(
        settings=settings,
        latencies={name: _latency_watch(name, baseline, settings, threshold) for name in LATENCIES},
        ratios={
            name: RatioWatch(share=track("share", threshold, _RATIO_MEMORY_S, _RATIO_RECENT, _RATIO_LASTING, fixed))
            for name, fixed in ratios.items()
        },
    )


def gone_on(kept: DegradationState, begun: DegradationState) -> DegradationState:
    """What was kept, held against the baseline of `begun`, which has seen nothing: it may be another than it was."""

    def track_of(mine: Track, new: Track) -> Track:
        was, now = mine.lasting, new.lasting
        if was is None or now is None or not (was.level.fixed or now.level.fixed) or was.level == now.level:
            return mine
        return msgspec.structs.replace(mine, lasting=now)

    return msgspec.structs.replace(
        kept,
        latencies={
            name: msgspec.structs.replace(each, level=track_of(each.level, begun.latencies[name].level))
            for name, each in kept.latencies.items()
        },
        ratios={
            name: msgspec.structs.replace(each, share=track_of(each.share, begun.ratios[name].share))
            for name, each in kept.ratios.items()
        },
    )


def _ratios_of(baseline: Slice | None) -> dict[ShiftMetric, float | None]:
    if baseline is None or not baseline.judged:
        return {"error_ratio": None, "throttled_ratio": None}
    return {
        "error_ratio": baseline.failed / baseline.judged,
        "throttled_ratio": baseline.throttled / baseline.judged,
    }


def _latency_watch(name: str, baseline: Slice | None, settings: Settings, threshold: float) -> LatencyWatch:
    spread = None if baseline is None else baseline.spreads.get(name)
    fixed = None if spread is None else log_quantiles(spread.counts, (0.5,))[0]
    recent, lasting = Tolerance(settings.tolerance), Tolerance(settings.baseline_tolerance)
    return LatencyWatch(
        level=track("log", threshold, _LEVEL_MEMORY_S, recent, lasting, fixed),
        tail=track("share", threshold, _RATIO_MEMORY_S, _TAIL_RECENT, None, None),
    )


def update(state: DegradationState, new: Slice) -> tuple[DegradationState, list[Shift]]:
    """Take in what has ended since the last slice (give also empty slices: silence counts as nothing, not as good), and
    tell which metrics are suspected (`confirmed` false) or confirmed to be worse. A shift that is over is no longer
    told. Slices must not overlap; a gap between them, or a clock that jumps, does no harm."""
    step_s = state.settings.step_s
    later = DegradationState(
        settings=state.settings,
        latencies={name: _latency(watch, name, new, step_s) for name, watch in state.latencies.items()},
        ratios={
            name: _ratio(watch, new.failed if name == "error_ratio" else new.throttled, new, step_s)
            for name, watch in state.ratios.items()
        },
    )
    return later, list(_shifts(later))


def _latency(watch: LatencyWatch, name: str, new: Slice, step_s: float) -> LatencyWatch:
    spread = new.spreads.get(name)
    gathered = watch.open if spread is None else spread if watch.open is None else together(watch.open, spread)
    if gathered is None:
        return watch
    span_s = watch.open_s + new.length_s  # from the first request on: silence before it is no part of the step
    if gathered.requests < _FEWEST or span_s < step_s - 1e-6:
        return msgspec.structs.replace(watch, open=gathered, open_s=span_s)
    low, middle, high, tail = log_quantiles(gathered.counts, (0.25, 0.5, 0.75, _TAIL))
    n, begin_s = gathered.requests, new.at_s - span_s
    sigma = max(high - low, 0.01) / 1.349
    stretch = tail - middle if watch.stretch is None else watch.stretch
    above = share_above(gathered.counts, middle + stretch)
    usual = watch.tail.recent.level.mean if watch.tail.steps else 1 - _TAIL
    textbook = max(usual, 0.01) * (1 - max(usual, 0.01)) / n
    beyond = followed(watch.tail, Look(above, n, textbook, begin_s, span_s))
    if not confirmed(beyond.recent):
        stretch += (tail - middle - stretch) * max(1 / (watch.tail.steps + 1), min(1.0, span_s / _RATIO_MEMORY_S))
    return LatencyWatch(
        level=followed(watch.level, Look(middle, n, (_MEDIAN * sigma) ** 2 / n, begin_s, span_s)),
        tail=beyond,
        stretch=stretch,
    )


def _ratio(watch: RatioWatch, struck: int, new: Slice, step_s: float) -> RatioWatch:
    struck, judged = watch.struck + struck, watch.judged + new.judged
    if not judged:
        return watch
    span_s = watch.open_s + new.length_s
    if judged < _FEWEST or span_s < step_s - 1e-6:
        return msgspec.structs.replace(watch, struck=struck, judged=judged, open_s=span_s)
    level = watch.share.recent.level
    usual = (level.mean * level.weight + 0.5) / (level.weight + 50)  # a guess of 1 % that 50 requests outweigh
    textbook = usual * (1 - usual) / judged
    look = Look(struck / judged, judged, textbook, new.at_s - span_s, span_s)
    return RatioWatch(share=followed(watch.share, look))


def _shifts(state: DegradationState) -> Iterator[Shift]:
    for name, latency in state.latencies.items():
        yield from _told(name, "level", latency.level)
        yield from _told(name, "distribution", latency.tail)
    for name, ratio in state.ratios.items():
        yield from _told(name, "level", ratio.share)


def _told(name: ShiftMetric, kind: Literal["level", "distribution"], track: Track) -> Iterator[Shift]:
    for against, question in (("recent", track.recent), ("baseline", track.lasting)):
        if question is not None:
            found = _shift(name, kind, track, question)
            if found is not None:
                yield msgspec.structs.replace(found, against=against)


def _shift(name: ShiftMetric, kind: Literal["level", "distribution"], track: Track, question: Question) -> Shift | None:
    evidence, episode = statistic(question.evidence), question.episode
    if episode is None or not (episode.confirmed or evidence >= _TOLD * track.threshold):
        return None
    scale = math.exp if track.kind == "log" else float
    baseline, now = scale(question.level.mean), scale(track.now)
    return Shift(
        metric=name,
        kind=kind,
        baseline=baseline,
        now=now,
        ratio=now / baseline if baseline > 0 else None,
        p_or_statistic=evidence,
        threshold=track.threshold,
        since_utc=_utc(episode.since_s),
        confirmed=episode.confirmed,
    )


def _utc(at_s: float | None) -> str | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")
