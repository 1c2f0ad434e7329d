"""Rate limits: token buckets that refill steadily. Pure: time comes as an argument, in seconds of any one clock.

A bucket of `per_minute` holds that many at most and refills by a sixtieth of it every second, so any span of T
seconds lets through at most per_minute * (1 + T / 60).
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.simulator.config import Limits


class Bucket:
    """A token bucket, full at first."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._level = float(per_minute)
        self._at_s: float | None = None

    def level(self, now_s: float) -> float:
        """How much may be taken now."""
        if self._at_s is not None:
            self._level = min(self.per_minute, self._level + (now_s - self._at_s) * self.per_minute / 60)
        self._at_s = now_s
        return self._level

    def wait_s(self, amount: float, now_s: float) -> float:
        """How long until `amount` may be taken: 0 when it may be now. More than the bucket holds may never be: 60."""
        if amount > self.per_minute:
            return 60.0
        return max(0.0, self.full_in_s(amount - self.level(now_s)))

    def full_in_s(self, missing: float) -> float:
        """Seconds to refill `missing`."""
        return missing * 60 / self.per_minute

    def take(self, amount: float, now_s: float) -> None:
        """Take what `wait_s` said may be taken."""
        self._level = self.level(now_s) - amount


@dataclass(frozen=True)
class Meter:
    """One limit as rate-limit headers show it."""

    name: str  # "requests" or "tokens"
    limit: int
    remaining: int
    reset_s: float  # until it is full again


@dataclass(frozen=True)
class Throttled:
    """Why a request may not go on: the limit's name, its value, and how long to wait."""

    name: str  # "requests", "tokens" or "concurrent requests"
    limit: int
    wait_s: float


class Limiter:
    """The limits of one provider."""

    def __init__(self, limits: Limits) -> None:
        self._concurrency = limits.concurrency
        rates = {"requests": limits.rpm, "tokens": limits.tpm}
        self._buckets = {name: Bucket(rate) for name, rate in rates.items() if rate is not None}

    def admit(self, tokens: int, in_flight: int, now_s: float) -> Throttled | None:
        """Take one request of `tokens` from every bucket, or say why not, and take nothing."""
        if self._concurrency is not None and in_flight >= self._concurrency:
            return Throttled("concurrent requests", self._concurrency, 1.0)
        wanted = {"requests": 1, "tokens": tokens}
        for name, bucket in self._buckets.items():
            wait_s = bucket.wait_s(wanted[name], now_s)
            if wait_s > 0:
                return Throttled(name, bucket.per_minute, wait_s)
        for name, bucket in self._buckets.items():
            bucket.take(wanted[name], now_s)
        return None

    def meters(self, now_s: float) -> list[Meter]:
        """The state of the rate limits."""
        return [_meter(name, bucket, now_s) for name, bucket in self._buckets.items()]


def _meter(name: str, bucket: Bucket, now_s: float) -> Meter:
    level = bucket.level(now_s)
    return Meter(name, bucket.per_minute, int(level), bucket.full_in_s(bucket.per_minute - level))
