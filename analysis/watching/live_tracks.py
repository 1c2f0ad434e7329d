"""One figure of a target, followed step by step: its baseline, its noise, and the evidence that it became worse. Pure.

A figure is the logarithm of a median (`log`) or a share of requests (`share`). It is held against its own last hours,
and where it may be against a level that stays: that of a run, or the mean of days. Only becoming worse, upwards, is
looked for, and only beyond a tolerance: what is not said to have changed is a level that rose by no more than that.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from analysis.statistics.e_detector import Evidence, alarm, no_evidence, statistic, strongest, with_step
from analysis.watching.live_noise import Noise, first_guess, forgotten, learned

Kind = Literal["log", "share"]
LEARN_S, LEARN_STEPS = 1800.0, 20  # before anything is judged
ADOPT_S = 86400.0  # in so long a level that stays becomes the baseline, while it is told as a shift
_DAYS_S = 3 * 86400.0
_DAYS_LEARN_S = 6 * 3600.0
_NOW_S = 150.0  # time constant of what is told as `now`
_DRAWN_IN = 2.5  # standard deviations: a step further off counts as this far, in baseline and noise
_MOST_FORGOTTEN = 1 / 30  # of a baseline, by one step however long it was
_FAR = 2.5  # standard deviations: a step further off says no more than this (a share, twice as many)
_BEGINNING = 5  # steps before which nothing is known to be far off
_SUSPECT = 0.5  # part of the threshold from which the baseline waits
_RISES = (0.05, 0.12, 0.3)  # beyond the tolerance, in logarithms, that are bet on
_ODDS = (2.0, 4.0, 15.0)  # times the odds of the tolerated share, that are bet on
_CERTAIN = 1e15
_GUESS = 10 * 0.015**2  # the first guess of noise: 1.5 % in a mean of ten steps
_BEGUN = 2.0  # log evidence from which on there may be a shift
_OVER, _OVER_STEP = 6.0, 2.0  # log evidence that it is over, and the most of it that one step can give


class Look(msgspec.Struct, frozen=True, array_like=True):
    """One step: the figure, of how many requests it is, the variance that these alone would give it, when it began
    (wall clock, s) and how long it took."""

    value: float
    requests: float
    textbook: float
    begin_s: float
    span_s: float


class Tolerance(msgspec.Struct, frozen=True, array_like=True):
    """What is no shift: up to `part` of the level more (`log`), or for a share also `more` in absolute terms."""

    part: float
    more: float = 0.0


class Level(msgspec.Struct, frozen=True, array_like=True):
    """A mean that forgets: of so much `weight`, in steps (`log`) or in requests (`share`). `fixed`: never changes."""

    mean: float = 0.0
    weight: float = 0.0
    fixed: bool = False


class Episode(msgspec.Struct, frozen=True, array_like=True):
    """A shift, suspected or confirmed: since when, the level it is at, and the evidence that it is over."""

    since_s: float | None
    level: float
    confirmed: bool = False
    over: float = 0.0


class Question(msgspec.Struct, frozen=True, array_like=True):
    """Whether the figure is worse than one level."""

    level: Level
    memory_s: float
    tolerance: Tolerance
    evidence: Evidence
    episode: Episode | None = None


class Track(msgspec.Struct, frozen=True, array_like=True):
    """All that is known of one figure. `threshold`: the logarithm of the mean time to a false alarm, in steps."""

    kind: Kind
    threshold: float
    recent: Question
    lasting: Question | None
    noise: Noise | None = None
    steps: int = 0
    watched_s: float = 0.0
    now: float = 0.0


def track(
    kind: Kind, threshold: float, memory_s: float, recent: Tolerance, lasting: Tolerance | None, fixed: float | None
) -> Track:
    """A figure nothing is known of. `memory_s`: how long its own last hours are; `lasting`: the tolerance against a
    level that stays, `fixed` or else the mean of days."""
    evidence = no_evidence(len(_RISES if kind == "log" else _ODDS), threshold)
    stays = None
    if lasting is not None:
        level = Level() if fixed is None else Level(mean=fixed, weight=_CERTAIN, fixed=True)
        stays = Question(level, _DAYS_S, lasting, evidence)
    return Track(kind, threshold, Question(Level(), memory_s, recent, evidence), stays)


def followed(track: Track, look: Look) -> Track:
    """The track one step later. What is judged was known before the step."""
    noise = track.noise
    if noise is None:
        guess = _GUESS if track.kind == "log" else look.textbook
        noise = first_guess(look.textbook + guess, look.textbook, rough=track.kind == "log")
    variance = noise.of(look.textbook)
    ready = track.watched_s >= LEARN_S and track.steps >= LEARN_STEPS
    recent, lasting = track.recent, track.lasting
    if ready:
        recent = _judged(track, recent, look, variance)
        if lasting is not None and (lasting.level.fixed or track.watched_s >= _DAYS_LEARN_S):
            lasting = _judged(track, lasting, look, variance)
    waits = ready and (confirmed(recent) or statistic(recent.evidence) > _SUSPECT * track.threshold)
    value = _drawn_in(look.value, track.recent.level.mean, variance) if track.steps >= _BEGINNING else look.value
    noise = forgotten(noise) if waits else learned(noise, value, look.textbook, look.span_s)
    recent = _moved(track.kind, recent, look, value, waits=waits)
    if lasting is not None and not lasting.level.fixed:
        lasting = _moved(track.kind, lasting, look, value, waits=False)
    return msgspec.structs.replace(
        track,
        recent=recent,
        lasting=lasting,
        noise=noise,
        steps=track.steps + 1,
        watched_s=track.watched_s + look.span_s,
        now=track.now + (look.value - track.now) * max(1 / (track.steps + 1), _part(look.span_s, _NOW_S)),
    )


def confirmed(question: Question) -> bool:
    """Whether a shift is confirmed now."""
    return question.episode is not None and question.episode.confirmed


def _part(span_s: float, memory_s: float) -> float:
    return -math.expm1(-span_s / memory_s)


def _drawn_in(value: float, level: float, variance: float) -> float:
    most = _DRAWN_IN * math.sqrt(variance)
    return level + min(most, max(-most, value - level))


def _moved(kind: Kind, question: Question, look: Look, value: float, *, waits: bool) -> Question:
    """The question with its level moved by a step of a value: hardly while it `waits`."""
    level = question.level
    weight = look.requests if kind == "share" else 1.0
    total = level.weight * (1 - min(_MOST_FORGOTTEN, _part(look.span_s, question.memory_s))) + weight
    slower = question.memory_s / ADOPT_S if waits else 1.0
    moved = Level(mean=level.mean + (value - level.mean) * weight / total * slower, weight=total)
    return msgspec.structs.replace(question, level=moved)


def _judged(track: Track, question: Question, look: Look, variance: float) -> Question:
    """The question with the evidence of a step, and its episode begun or ended by it."""
    gains = _gains(track.kind, question, look, variance)
    evidence = with_step(question.evidence, gains, track.threshold, look.begin_s)
    episode = question.episode
    if episode is not None:
        episode = _nearer_its_end(track.kind, question, episode, look, variance)
        if episode.over >= _OVER:
            calm = no_evidence(len(evidence.bets), track.threshold)
            return msgspec.structs.replace(question, episode=None, evidence=calm)
    elif strongest(evidence).run >= _BEGUN:
        episode = Episode(strongest(evidence).since_s, level=max(track.now, look.value))
    if episode is not None and not episode.confirmed and alarm(evidence, track.threshold):
        episode = msgspec.structs.replace(episode, since_s=strongest(evidence).since_s, confirmed=True)
    return msgspec.structs.replace(question, evidence=evidence, episode=episode)


def _limit(kind: Kind, question: Question, variance: float, look: Look) -> float:
    """The worst level that is tolerated, with room for what is not known of the baseline. A share that is beyond it
    anyway (nearly all requests fail) cannot become worse."""
    level, tolerance = question.level, question.tolerance
    if kind == "log":
        return level.mean + math.log1p(tolerance.part)
    unsure = math.sqrt(variance * look.requests / level.weight) + 0.5 / level.weight
    return min(0.98, level.mean * (1 + tolerance.part) + tolerance.more + unsure)


def _gains(kind: Kind, question: Question, look: Look, variance: float) -> tuple[float, ...]:
    limit = _limit(kind, question, variance, look)
    if kind == "log":
        variance *= 1 + 1 / question.level.weight
        apart = min(look.value - limit, _FAR * math.sqrt(variance))
        return tuple((rise * apart - rise * rise / 2) / variance for rise in _RISES)
    requests = look.requests * look.textbook / variance
    most = limit + 2 * _FAR * math.sqrt(variance) if question.level.mean < limit else limit
    value = min(look.value, most)
    return tuple(_log_likelihoods(value, requests, limit, _times(limit, odds)) for odds in _ODDS)


def _times(share: float, odds: float) -> float:
    return share * odds / (1 + share * (odds - 1))


def _log_likelihoods(seen: float, requests: float, low: float, high: float) -> float:
    """How much likelier a share seen is under `high` than under `low`, as a logarithm."""
    return requests * (seen * math.log(high / low) + (1 - seen) * math.log((1 - high) / (1 - low)))


def _nearer_its_end(kind: Kind, question: Question, episode: Episode, look: Look, variance: float) -> Episode:
    """The episode after a step: Wald's test of the baseline against a level half as far away as the shift was."""
    base, limit = question.level.mean, _limit(kind, question, variance, look)
    half = max(limit, (base + episode.level) / 2)
    if kind == "log":
        gain = (half - base) * ((half + base) / 2 - look.value) / variance
    elif base >= limit:
        gain = _OVER_STEP  # nothing is worse than such a baseline
    else:
        least = max(base, 0.1 * half)
        gain = -_log_likelihoods(look.value, look.requests * look.textbook / variance, least, min(0.99, half))
    over = max(0.0, episode.over + min(_OVER_STEP, max(-_OVER_STEP, gain)))
    level = episode.level if over else episode.level + 0.1 * (look.value - episode.level)
    return msgspec.structs.replace(episode, level=level, over=over)
