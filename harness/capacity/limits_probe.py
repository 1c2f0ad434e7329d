"""What a target really allows, found by asking for more: requests at once, requests a minute, tokens a minute.

A limit a minute is, as a rule, a bucket that refills steadily. So it is emptied first, as fast as the target answers,
and then asked just above the rate at which it refills: what is let through between two refusals is what came back.
Short prompts meet the limit on requests, long ones that on tokens. Requests at once are raised until some are refused,
and confirmed, so that a limit a minute is not taken for one on requests at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from statistics import median

import gevent
import msgspec

from harness.capacity.limits_sender import (
    Bounds,
    OutOfBounds,
    Sender,
    Size,
    check_answers,
    let_through,
    refill_per_s,
    refused,
    tokens_of,
)
from harness.plan import Target, Timeouts
from harness.sample import RateLimit, Sample

_TINY = Size(4)
_HELD = Size(8, 32)
_WANTED = 50  # let through between two refusals: a rate to 2 %
_LEAST_S = 3.0
_MOST_S = 60.0
_SENT_PER_LET_THROUGH = 1.34  # at the edge
_MOST_PROMPT, _LEAST_PROMPT = 4000, 300
_FASTEST_PER_S = 200.0
_PAUSE_S = 0.1
_WINDOW_REFUSALS = 30  # one after another: no bucket that refills steadily
_TIMEOUTS = Timeouts(total_s=120.0)

Watch = Callable[[str, Sender], None]


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """Requests sent at the same moment: what became of them, and the median time of those let through."""

    at_once: int
    let_through: int
    refused: int
    failed: int
    p50_s: float | None


class Concurrency(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests may be under way. `limit` None: not found; so many passed at once as `at_least` says."""

    limit: int | None = None
    at_least: int | None = None
    levels: tuple[Level, ...] = ()
    note: str = ""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A limit a minute: what it gives back, known to `plus_minus`. `burst`: what it lets through beyond that at once,
    when it has rested. `per_minute` None: not found, `note` says why; `at_least`: what was let through in the first
    minute or less."""

    per_minute: float | None = None
    plus_minus: float | None = None
    burst: int | None = None
    at_least: int | None = None
    note: str = ""


class Refusals(msgspec.Struct, frozen=True, kw_only=True):
    """How the target behaves when it is asked for too much. Medians in seconds; `wait_s`: the shortest and the longest
    that it asked to wait; `latency_growth`: by how much replies took longer at the most requests at once."""

    statuses: dict[str, int] = {}
    refused_p50_s: float | None = None
    reply_p50_s: float | None = None
    wait_s: tuple[float, float] | None = None
    latency_growth: float | None = None
    failures: dict[str, int] = {}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a probe found. `told` is what the headers say."""

    target: str
    told: RateLimit | None
    concurrency: Concurrency
    requests: Rate
    tokens: Rate
    refusals: Refusals


def probe(sender: Sender, most_at_once: int, watch: Watch) -> Found:
    """Find the limits of the sender's target, within its bounds. Raises UsageFault when its first answer is none."""
    watch("one request", sender)
    check_answers(sender.one(_TINY), sender.target)
    watch("requests at once", sender)
    concurrency = find_concurrency(sender, most_at_once)
    at_once = max(1, (3 * (concurrency.limit or concurrency.at_least or 1)) // 4)
    watch("requests a minute", sender)
    requests = find_requests(sender, at_once)
    watch("tokens a minute", sender)
    tokens = find_tokens(sender, at_once, None if requests.per_minute is None else requests.per_minute / 60)
    return Found(
        target=sender.target.name,
        told=sender.told,
        concurrency=concurrency,
        requests=requests,
        tokens=tokens,
        refusals=_refusals(sender.samples, concurrency.levels),
    )


def sender_of(target: Target, key: str | None, bounds: Bounds, watch: Callable[[], None]) -> Sender:
    """A sender for a probe."""
    return Sender(target, key, bounds, _TIMEOUTS, watch)


def find_concurrency(sender: Sender, most: int) -> Concurrency:
    """Double the requests at once until some are refused, or there are `most`."""
    levels: list[Level] = []
    count = 1
    try:
        while True:
            levels.append(_level(sender, count))
            if levels[-1].refused:
                return _confirmed(sender, levels)
            if count == most:
                return Concurrency(at_least=count, levels=tuple(levels), note="the most that were tried")
            count = min(2 * count, most)
    except OutOfBounds:
        passed = max((level.let_through for level in levels if not level.refused), default=None)
        return Concurrency(at_least=passed, levels=tuple(levels), note="the spend ended here")


def _level(sender: Sender, count: int) -> Level:
    samples = sender.burst(_HELD, count)
    gevent.sleep(_PAUSE_S)
    passed = [each for each in samples if let_through(each)]
    turned_away = sum(map(refused, samples))
    failed = count - len(passed) - turned_away
    return Level(at_once=count, let_through=len(passed), refused=turned_away, failed=failed, p50_s=_p50_s(passed))


def _confirmed(sender: Sender, levels: list[Level]) -> Concurrency:
    """The level at which some were refused, again. A limit on requests at once lets as many through each time; a limit
    a minute is empty now, and lets through few."""
    limit = levels[-1].let_through
    passed = max((level.at_once for level in levels[:-1]), default=0)
    for more in (2, 2, 0):
        level = _level(sender, max(1, limit + more))
        levels.append(level)
        if level.let_through < 0.7 * limit or limit == 0:
            note = "refusals came from a limit a minute, before any limit on requests at once was met"
            return Concurrency(at_least=passed or None, levels=tuple(levels), note=note)
        if level.refused or level.let_through > limit:
            limit = level.let_through
    return Concurrency(limit=limit, levels=tuple(levels))


def find_requests(sender: Sender, at_once: int) -> Rate:
    """Empty the bucket by short requests, then measure its refill."""
    told = sender.told.limit_requests if sender.told else None
    most = int((sender.bounds.requests - sender.spent.requests) * 0.7)
    if told is not None and told > most:
        return Rate(note=f"not tried: to use up {told} takes more than --spend-requests {sender.bounds.requests}")
    drained = sender.until_refused(_TINY, at_once, most)
    passed, drained_s = sum(map(let_through, sender.samples)), _span_s(sender.samples)
    if not any(map(refused, drained)):
        note = f"not reached: {passed} in {drained_s:.1f} s were let through; more takes --spend-requests"
        return Rate(at_least=_within_a_minute(passed, drained_s), note=note)
    guess_per_s = max(0.05, passed / 60)
    wanted = max(_WANTED, round(_LEAST_S * guess_per_s))
    sent_per_s = min(guess_per_s * _SENT_PER_LET_THROUGH, _FASTEST_PER_S)
    edge = sender.at_the_edge(_TINY, sent_per_s, _FASTEST_PER_S, at_once, wanted, _MOST_S)
    return _rate(edge, lambda _: 1.0, passed, drained_s, _named(edge, "token", "tokens"))


def find_tokens(sender: Sender, at_once: int, requests_per_s: float | None) -> Rate:
    """Empty the bucket by long prompts, then measure its refill, staying below the limit on requests."""
    told = _told_tokens(sender.told)
    left = sender.bounds.tokens - sender.spent.tokens
    if told is not None and told > 0.7 * left:
        return Rate(note=f"not tried: to use up {told} takes more than --spend-tokens {sender.bounds.tokens}")
    per_s = min(10.0, 0.9 * requests_per_s) if requests_per_s else 10.0
    gevent.sleep(min(10.0, 5 / per_s))  # so that a few requests are to spare
    size = Size(_prompt_of((told or 60_000) / 30))
    few = min(at_once, 8)
    drained = sender.until_refused(size, few, sender.bounds.requests, per_s)
    passed, drained_s = sum(map(_taken, drained)), _span_s(drained)
    if not any(map(refused, drained)):
        note = f"not reached: {passed:.0f} tokens in {drained_s:.1f} s were let through; more takes --spend-tokens"
        return Rate(at_least=_within_a_minute(passed, drained_s), note=note)
    try:
        if refused(sender.one(_TINY)):
            return Rate(note="short requests were refused as well: it is not the tokens that are limited")
    except OutOfBounds:
        return Rate(at_least=_within_a_minute(passed, drained_s), note="the spend ended before the refill was measured")
    wanted_per_s = per_s / 1.5
    size = Size(_prompt_of(passed / 60 / wanted_per_s - _TINY.reply, least=1))
    edge = sender.at_the_edge(size, wanted_per_s * _SENT_PER_LET_THROUGH, per_s, few, _WANTED, _MOST_S)
    return _rate(edge, _taken, passed, drained_s, "")


def _within_a_minute(passed: float, span_s: float) -> int:
    return round(passed * min(1.0, 60 / span_s)) if span_s > 0 else 0


def _prompt_of(tokens: float, least: int = _LEAST_PROMPT) -> int:
    return max(least, min(_MOST_PROMPT, round(tokens)))


def _told_tokens(told: RateLimit | None) -> int | None:
    if told is None:
        return None
    return told.limit_tokens or told.limit_input_tokens or told.remaining_tokens


def _taken(sample: Sample) -> float:
    return float(tokens_of(sample) or 0) if let_through(sample) else 0.0


def _rate(
    edge: Sequence[Sample], amount: Callable[[Sample], float], passed: float, drained_s: float, doubt: str
) -> Rate:
    """From what was let through at the edge, and `passed` in `drained_s` before the first refusal."""
    refill = refill_per_s(edge, amount)
    if refill is None or refill[1] < 2:
        note = "its refill could not be measured: too few were let through between two refusals"
        return Rate(at_least=_within_a_minute(passed, drained_s), note=note)
    per_minute = refill[0] * 60
    notes = [doubt] if doubt else []
    if _longest_run_refused(edge) > _WINDOW_REFUSALS:
        notes.append("it refused for long at a stretch: perhaps a limit of fixed windows, then this is too little")
    return Rate(
        per_minute=per_minute,
        plus_minus=per_minute / refill[1],
        burst=max(0, round(passed - refill[0] * drained_s)),
        note="; ".join(notes),
    )


def _longest_run_refused(samples: Sequence[Sample]) -> int:
    return max((len(list(run)) for is_refused, run in groupby(map(refused, samples)) if is_refused), default=0)


def _named(samples: Sequence[Sample], word: str, what: str) -> str:
    """A doubt where most refusals name another limit."""
    details = [each.error_detail or "" for each in samples if refused(each)]
    named = sum(word in detail.lower() for detail in details)
    return f"the refusals speak of {what}" if named > len(details) / 2 else ""


def _refusals(samples: Sequence[Sample], levels: Sequence[Level]) -> Refusals:
    turned_away = [each for each in samples if refused(each)]
    failed = [each for each in samples if not refused(each) and not let_through(each)]
    waits_s = [each.retry_after_s for each in turned_away if each.retry_after_s is not None]
    passed = [level for level in levels if level.let_through]
    growth = None
    if len(passed) > 1 and passed[0].p50_s and passed[-1].p50_s:
        growth = passed[-1].p50_s / passed[0].p50_s
    return Refusals(
        statuses=_counts([str(each.status) for each in turned_away]),
        refused_p50_s=_p50_s(turned_away),
        reply_p50_s=_p50_s([each for each in samples if let_through(each)]),
        wait_s=(min(waits_s), max(waits_s)) if waits_s else None,
        latency_growth=growth,
        failures=_counts([str(each.error) for each in failed]),
    )


def _counts(words: Sequence[str]) -> dict[str, int]:
    return {word: words.count(word) for word in sorted(set(words))}


def _p50_s(samples: Sequence[Sample]) -> float | None:
    took_s = [(each.end_ns - each.start_ns) / 1e9 for each in samples if each.start_ns is not None]
    return median(took_s) if took_s else None


def _span_s(samples: Sequence[Sample]) -> float:
    """From the first sent to the last ended."""
    begins = [each.start_ns for each in samples if each.start_ns is not None]
    return (max(each.end_ns for each in samples) - min(begins)) / 1e9 if begins else 0.0
