"""A ledger that all workers share through Redis.

What a worker holds or has spent stands there as its own total, never as an increment: a Redis that comes back empty is
filled again by the next beat of each worker, and the places of a worker that has not been heard of for 15 s are free.
While Redis is away each worker keeps its even part of the limits, and nothing is spent from the budget.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import gevent
import msgspec
import redis
from gevent.lock import BoundedSemaphore

from harness.allowances.allowance import Ask, OwnLedger, Purse, longest, part, spacing_s
from harness.allowances.pace import Heard, Pace, Told, paced_s
from harness.errors import UNREADABLE
from harness.journals.redis_client import connect, told
from harness.journals.relay_entries import read_end
from harness.journals.relay_keys import TTL_S
from harness.plan import Limits

_GONE_S = 15
_BEAT_S = 3.0
_TIMEOUT_S = 1.0
_RETRY_S = 0.5
_ASK_AGAIN_S = 2.0
_log = logging.getLogger(__name__)

_ENTER = """
local held, alive, me, most = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[3])
local now = tonumber(redis.call('TIME')[1])
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', now - ARGV[4])) do
  redis.call('HDEL', held, worker)
  redis.call('ZREM', alive, worker)
end
local sum = 0
local all = redis.call('HGETALL', held)
for i = 1, #all, 2 do
  if all[i] ~= me then sum = sum + tonumber(all[i + 1]) end
end
if sum + tonumber(ARGV[2]) > most then return 0 end
redis.call('HSET', held, me, ARGV[2])
redis.call('ZADD', alive, now, me)
redis.call('EXPIRE', held, ARGV[5])
redis.call('EXPIRE', alive, ARGV[5])
return 1
"""
_TURN = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local at = now
for _, key in ipairs(KEYS) do at = math.max(at, tonumber(redis.call('GET', key) or '0')) end
if at - now > tonumber(ARGV[1]) then return -1 end
for i, key in ipairs(KEYS) do
  local following = at + tonumber(ARGV[i + 2])
  redis.call('SET', key, string.format('%.0f', following), 'PX', ARGV[2] + math.ceil((following - now) / 1000))
end
return at - now
"""
_SPEND = """
for i, key in ipairs(KEYS) do
  local mine, most, said = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1]), ARGV[3 * i + 2]
  if said == '1' and redis.call('HEXISTS', key, ARGV[1]) == 0 then return -1 end
  local sum = 0
  local all = redis.call('HGETALL', key)
  for j = 1, #all, 2 do
    if all[j] ~= ARGV[1] then sum = sum + tonumber(all[j + 1]) end
  end
  if sum + mine > most then return 0 end
end
for i, key in ipairs(KEYS) do
  redis.call('HSET', key, ARGV[1], ARGV[3 * i])
  redis.call('EXPIRE', key, ARGV[2])
end
return 1
"""


class SharedLedger:
    """One worker's access. `worker` is its name in the run, unique; `purse` what all workers of the repeat may spend.

    Raises UsageFault when `url` is no Redis URL.
    """

    def __init__(
        self, url: str, run: str, worker: str, share: tuple[int, int], limits: Mapping[str, Limits], purse: Purse
    ) -> None:
        client: Any = connect(url, _TIMEOUT_S)
        self._client = client
        self._enter, self._turn, self._spend = (client.register_script(text) for text in (_ENTER, _TURN, _SPEND))
        self._worker = worker
        self._prefix = f"tokenswarm:{run}:{worker.partition('-')[0]}"  # of this repeat
        self._limits = limits
        self._share = share
        self._purse = purse
        self._alone = OwnLedger(limits, Purse(), share)
        self._held: Counter[str] = Counter()
        self._requests = 0
        self._nano_usd = 0
        self._told: dict[str, Told] = {}
        self._heard: set[str] = set()
        self._away = False
        self._ask_again_s = 0.0
        self._said: set[str] = set()  # of what is budgeted: whose total stands in Redis
        self._whole_s = 0.0  # when all workers have said their totals again
        self._in_order = BoundedSemaphore(1)  # totals that overtook each other would stand too low
        self._beat = gevent.spawn(self._beats)

    def enter(self, target: str) -> bool:
        """See `Ledger`."""
        limit = self._limits[target].concurrency
        with self._in_order:
            if limit is not None and not self._may_hold(target, self._held[target] + 1, limit):
                return False
            self._held[target] += 1
        return True

    def leave(self, target: str) -> None:
        """See `Ledger`."""
        with self._in_order:
            self._held[target] -= 1
            if self._limits[target].concurrency is not None:
                self._call(self._client.hset, f"{self._prefix}:held:{target}", self._worker, self._held[target])

    def turn(self, ask: Ask, most_wait_s: float) -> float | None:
        """See `Ledger`."""
        spacing = spacing_s(self._limits, ask)
        if self._limits[ask.target].pace:
            spacing = longest(spacing, self._paced_s(ask))
        if not spacing:
            return 0.0
        keys = [f"{self._prefix}:next:{ask.target}:{name}" for name in spacing]
        costs_us = [round(each * 1e6) for each in spacing.values()]
        found = self._run(self._turn, keys, [round(min(most_wait_s, 1e6) * 1e6), 60_000, *costs_us])
        if found is None:
            return self._alone.turn(ask, most_wait_s)
        return None if found < 0 else found / 1e6

    def spend(self, ask: Ask) -> bool:
        """See `Ledger`. Waits while Redis is away: what others spend is not known then."""
        while (found := self._try_to_spend(ask)) is None:
            gevent.sleep(_RETRY_S)
        return bool(found)

    def _try_to_spend(self, ask: Ask) -> int | None:
        if time.monotonic() < self._whole_s:
            return None
        with self._in_order:
            self._requests += 1
            self._nano_usd += ask.nano_usd
            found = self._spent(self._budgeted())
            if not found:
                self._requests -= 1
                self._nano_usd -= ask.nano_usd
        return found

    def _spent(self, budgeted: Mapping[str, tuple[int, int]]) -> int | None:
        if not budgeted:
            return 1
        keys = [f"{self._prefix}:{name}" for name in budgeted]
        words = [word for name, (most, mine) in budgeted.items() for word in (mine, most, int(name in self._said))]
        found = self._run(self._spend, keys, [self._worker, TTL_S, *words])
        if found == 1:
            self._said |= budgeted.keys()
        elif found == -1:
            self._wait_for_totals()
        return None if found == -1 else found

    def _wait_for_totals(self) -> None:
        """Redis has forgotten what was spent: until each worker's next beat nobody knows what the others have."""
        self._whole_s = time.monotonic() + _BEAT_S + 1
        self._said.clear()

    def give_back(self, nano_usd: int) -> None:
        """See `Ledger`. The others hear of it with the next attempt or beat."""
        self._nano_usd -= nano_usd

    def hear(self, target: str, heard: Heard) -> None:
        """See `Ledger`. What the headers tell every worker learns for itself; refusals are learned together."""
        self._alone.hear(target, heard)
        if heard.limits is not None:
            self._told[target] = self._told.get(target, Told()).after(heard.limits)
        if target not in self._heard:
            self._heard.add(target)
            self._call(self._begin, target, heard)
        if heard.refused:
            self._call(self._refused, target, heard)
        else:
            self._call(self._client.incr, f"{self._prefix}:accepted:{target}")

    def holds(self, target: str) -> int:
        """See `Ledger`."""
        if not self._limits[target].pace:
            return 0
        kept = self._pace(target)
        return 0 if kept is None else kept[0].holds

    def _paced_s(self, ask: Ask) -> dict[str, float]:
        told, kept = self._told.get(ask.target, Told()), self._pace(ask.target)
        return paced_s(ask.tokens, told, None, 0) if kept is None else paced_s(ask.tokens, told, *kept)

    def _pace(self, target: str) -> tuple[Pace, float] | None:
        """The pace that is kept, and now, by Redis's clock; None: none, or Redis is away."""
        both = self._client.pipeline(transaction=False).get(f"{self._prefix}:pace:{target}").time()
        answers = self._call(both.execute)
        if answers is None or answers[0] is None:
            return None
        pace = read_pace(answers[0])
        return None if pace is None else (pace, _seconds(answers[1]))

    def _begin(self, target: str, heard: Heard) -> None:
        """Note when sending began, unless another worker has."""
        pace = _unhindered(heard, _seconds(self._client.time()))
        self._client.set(f"{self._prefix}:pace:{target}", msgspec.json.encode(pace), nx=True, ex=TTL_S)

    def _refused(self, target: str, heard: Heard) -> None:
        """Change the kept pace, and let every turn begin after the hold. Another worker may do so at the same time."""
        key = f"{self._prefix}:pace:{target}"

        def change(pipe: Any) -> None:
            kept, accepted = pipe.mget(key, f"{self._prefix}:accepted:{target}")
            now_s = _seconds(pipe.time())
            pace = read_pace(kept) or _unhindered(heard, now_s)
            after = pace.refused(heard, now_s, read_end(accepted) or 0)
            pipe.multi()
            pipe.set(key, msgspec.json.encode(after), ex=TTL_S)
            if after.holds > pace.holds:
                left_ms = math.ceil((after.until_s - now_s) * 1e3)
                for name in ("requests", "tokens"):
                    next_key = f"{self._prefix}:next:{target}:{name}"
                    pipe.set(next_key, round(after.until_s * 1e6), px=60_000 + left_ms)

        self._client.transaction(change, key)

    def close(self) -> None:
        """Give every place back."""
        self._beat.kill()
        for target, count in self._held.items():
            if count and self._limits[target].concurrency is not None:
                self._call(self._client.hdel, f"{self._prefix}:held:{target}", self._worker)
        self._call(self._client.close)

    def _may_hold(self, target: str, count: int, limit: int) -> bool:
        keys = [f"{self._prefix}:held:{target}", f"{self._prefix}:alive:{target}"]
        found = self._run(self._enter, keys, [self._worker, count, limit, _GONE_S, TTL_S])
        return count <= part(limit, self._share) if found is None else bool(found)

    def _beats(self) -> None:
        while True:
            gevent.sleep(_BEAT_S)
            with self._in_order:
                self._say_again()

    def _say_again(self) -> None:
        for target, count in self._held.items():
            limit = self._limits[target].concurrency
            if limit is not None and count:
                self._may_hold(target, count, limit)
        for name, (_, total) in self._budgeted().items():
            if total and self._call(self._client.hset, f"{self._prefix}:{name}", self._worker, total):
                if name in self._said:  # and now stands there anew
                    self._wait_for_totals()
                self._said.add(name)

    def _budgeted(self) -> dict[str, tuple[int, int]]:
        """What is limited by the budget: the limit, and this worker's total."""
        both = {
            "requests": (self._purse.requests, self._requests),
            "nano_usd": (self._purse.nano_usd, self._nano_usd),
        }
        return {name: (limit, total) for name, (limit, total) in both.items() if limit is not None}

    def _run(self, script: Any, keys: Sequence[str], words: Sequence[Any]) -> int | None:
        found: int | None = self._call(script, keys=keys, args=words)
        return found

    def _call(self, what: Any, *words: Any, **named: Any) -> Any:
        """The answer; None while Redis is away, and for a while afterwards: not every attempt is to wait for it."""
        if self._away and time.monotonic() < self._ask_again_s:
            return None
        try:
            answer = what(*words, **named)
        except redis.RedisError as error:
            if not self._away:
                _log.warning(
                    "limits: Redis does not answer (%s): this worker keeps its even part", told(error, self._client)
                )
            self._away = True
            self._ask_again_s = time.monotonic() + _ASK_AGAIN_S
            return None
        self._away = False
        return answer


def read_pace(kept: bytes | None) -> Pace | None:
    """The pace that stands in Redis; None: none does, or something that a stranger wrote."""
    try:
        return None if kept is None else msgspec.json.decode(kept, type=Pace)
    except UNREADABLE:
        return None


def _unhindered(heard: Heard, now_s: float) -> Pace:
    """The pace before any refusal, of a target whose first attempt taught `heard`."""
    return Pace(held_s=now_s - heard.age_s, until_s=now_s)


def _seconds(told: Sequence[int]) -> float:
    """Redis's TIME as seconds."""
    return told[0] + told[1] / 1e6
