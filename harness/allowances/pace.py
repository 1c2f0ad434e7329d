"""How fast a target may be asked, learned from what it says (`limits.pace`). Pure: time is an argument, in seconds of
any one clock that all who share a `Pace` read.

It learns twice. The headers tell limits: what they allow holds, less a margin. And a target that refuses has let
through, since it last refused, as much as it wants to give: that rate, less a step, is the pace from then on, and grows
slowly until the next refusal (additive increase, multiplicative decrease). After a refusal nobody sends until the
target said that they may.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from harness.sample import Outcome, RateLimit, Sample

_MARGIN = 0.95  # of a limit that the headers tell
_STEP = 0.9  # of the rate that led to a refusal
_GROWTH_PER_S = 0.01
_HOLD_S = 1.0  # after a refusal that does not say how long to wait
_LONGEST_HOLD_S = 600.0
_MUCH_LONGER_S = 1.0
_LEAST_PER_S = 1 / 60
_MINUTE_S = 60.0
_LONG_S = 65.0  # a reset that is further off is not that of a minute's limit


@dataclass(frozen=True)
class Heard:
    """What one attempt taught: whether it was `refused`, how long to wait then, and how long ago it was sent."""

    refused: bool
    age_s: float
    wait_s: float = _HOLD_S
    limits: RateLimit | None = None


def heard_of(sample: Sample) -> Heard | None:
    """What an attempt taught; None: it had no answer, so nothing."""
    if sample.start_ns is None or sample.status is None or sample.outcome is Outcome.CANCELLED:
        return None
    wait_s = _HOLD_S if sample.retry_after_s is None else min(sample.retry_after_s, _LONGEST_HOLD_S)
    age_s = (sample.end_ns - sample.start_ns) / 1e9
    return Heard(sample.outcome is Outcome.THROTTLED, age_s, wait_s, sample.limits)


@dataclass(frozen=True)
class Told:
    """What the headers allow, a second; None: they have not told. `most_left` is the most requests and tokens that were
    ever left: where no limit is told, it is at least that."""

    requests_per_s: float | None = None
    tokens_per_s: float | None = None
    most_left: tuple[int, int] = (0, 0)

    def after(self, limits: RateLimit) -> Told:
        """With what one more response told."""
        left = (limits.remaining_requests, limits.remaining_tokens)
        most = (max(self.most_left[0], left[0] or 0), max(self.most_left[1], left[1] or 0))
        requests = limits.limit_requests or (None if left[0] is None else most[0] + 1)
        tokens = _tokens(limits) or (None if left[1] is None else most[1])
        return Told(
            _allowed_per_s(requests, left[0], limits.reset_requests_s) or self.requests_per_s,
            _allowed_per_s(tokens, left[1], limits.reset_tokens_s) or self.tokens_per_s,
            most,
        )


def _tokens(limits: RateLimit) -> int | None:
    if limits.limit_tokens is not None:
        return limits.limit_tokens
    both = (limits.limit_input_tokens, limits.limit_output_tokens)
    return None if None in both else sum(each or 0 for each in both)


def _allowed_per_s(limit: int | None, left: int | None, reset_s: float | None) -> float | None:
    """A limit is a minute's, unless it takes longer until it is whole again: then what has been used comes back in that
    time, or what is left may be used in it, whichever is more."""
    if limit is None or limit <= 0:
        return None
    if left is None or reset_s is None or reset_s <= _LONG_S:
        return limit / _MINUTE_S
    return max(limit - left, left) / reset_s


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """What refusals taught of one target, all workers together. `holds`: how often they had to wait; the last time they
    began at `held_s`, or sending began then, when `accepted` requests had been let through; it lasts until `until_s`.
    `rate_per_s`: requests a second from then on (None: as many as there are)."""

    held_s: float
    until_s: float
    accepted: int = 0
    holds: int = 0
    rate_per_s: float | None = None

    def allowed_per_s(self, now_s: float) -> float | None:
        """The pace now."""
        if self.rate_per_s is None:
            return None
        return self.rate_per_s * (1 + _GROWTH_PER_S * max(0.0, now_s - self.until_s))

    def refused(self, heard: Heard, now_s: float, accepted: int) -> Pace:
        """After a refusal; `accepted`: how many requests were let through so far."""
        until_s = max(self.until_s, now_s + heard.wait_s)
        if self.holds and heard.age_s > now_s - self.held_s:  # sent before the hold began: it tells nothing new
            longer = until_s > self.until_s + _MUCH_LONGER_S
            return msgspec.structs.replace(self, until_s=until_s, holds=self.holds + 1) if longer else self
        let_through_per_s = (accepted - self.accepted) / max(now_s - self.held_s, 1e-3)
        current_per_s = self.allowed_per_s(now_s)
        rate_per_s = let_through_per_s if current_per_s is None else min(let_through_per_s, current_per_s)
        if accepted == self.accepted:  # nothing came through at all, so that is no measure
            rate_per_s = (current_per_s or 1.0) * _STEP
        return Pace(
            held_s=now_s,
            until_s=until_s,
            accepted=accepted,
            holds=self.holds + 1,
            rate_per_s=max(_LEAST_PER_S, rate_per_s * _STEP),
        )


def paced_s(tokens: int, told: Told, pace: Pace | None, now_s: float) -> dict[str, float]:
    """How long after an attempt of so many tokens the next may follow, by what is counted, were one worker alone."""
    by_refusals = None if pace is None else pace.allowed_per_s(now_s)
    by_headers = None if told.requests_per_s is None else told.requests_per_s * _MARGIN
    rates = [each for each in (by_refusals, by_headers) if each is not None]
    found = {"requests": 1 / min(rates)} if rates else {}
    if told.tokens_per_s is not None:
        found["tokens"] = tokens / (told.tokens_per_s * _MARGIN)
    return found
