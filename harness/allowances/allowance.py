"""Leave to send: the limits that all workers keep together, and a budget that no run passes.

A worker asks its ledger before each attempt and settles afterwards. `OwnLedger` keeps this worker's even part of
everything; `harness.allowances.shared_allowance` one that all workers share through Redis. Waiting happens before an
attempt starts, so it lies in no latency; under open load it is lag, which the sample shows.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import gevent

from harness.allowances.pace import Heard, Pace, Told, heard_of, paced_s
from harness.plan import Limits, Plan, Target
from harness.prices import most_usd, usd_of
from harness.prompts import Prompt
from harness.sample import Sample

_SLOT_S = 0.02  # between two looks for a free place
_CHARS_PER_TOKEN = 4
_MINUTE_S = 60.0
_NANO = 1e9

Refusal = Literal["late", "spent"]


@dataclass(frozen=True)
class Ask:
    """What one attempt may cost at most: tokens of prompt and cap together, and billionths of a USD."""

    target: str
    tokens: int
    nano_usd: int


def ask_of(target: Target, prompt: Prompt) -> Ask:
    """The most that a prompt may cost: a token for each 4 characters, and a reply as long as its cap; of a job all of
    its prompts and replies."""
    said = sum(len(turn.text) for turn in prompt.history)
    asked = (said + sum(map(len, prompt.texts))) // _CHARS_PER_TOKEN + 1
    cap = (prompt.max_tokens or 0) * len(prompt.texts)  # which has one text but in a job
    return Ask(target.name, asked + cap, round(most_usd(target, asked, cap) * _NANO))


def paid(target: Target, sample: Sample) -> int | None:
    """What an attempt has cost, in billionths of a USD; None where that is not known."""
    usd = usd_of(target, sample.usage)
    return None if usd is None else round(usd * _NANO)


class Ledger(Protocol):
    """Who has sent how much."""

    def enter(self, target: str) -> bool:
        """Take one of the places of `limits.concurrency`; False: none is free."""

    def leave(self, target: str) -> None:
        """Give it back."""

    def turn(self, ask: Ask, most_wait_s: float) -> float | None:
        """Reserve the next turn under `rpm` and `tpm`: the seconds until then. None: they are more than
        `most_wait_s`, and nothing is reserved."""

    def spend(self, ask: Ask) -> bool:
        """Take it from the budget; False: it does not hold as much."""

    def give_back(self, nano_usd: int) -> None:
        """What an attempt did not cost after all; negative where it cost more."""

    def hear(self, target: str, heard: Heard) -> None:
        """What an attempt taught of a target that is paced."""

    def holds(self, target: str) -> int:
        """How often a refusal made all wait so far. Turns that were reserved before the last time are void."""


def part(limit: int, share: tuple[int, int]) -> int:
    """Worker k's part of a limit that n workers keep together. All parts add up to the limit."""
    k, n = share
    return 0 if k >= n else limit // n + (k < limit % n)


@dataclass(frozen=True)
class Purse:
    """What may still be spent by whoever shares it; None: as much as it takes."""

    requests: int | None = None
    nano_usd: int | None = None

    def part(self, share: tuple[int, int]) -> Purse:
        """A worker's part."""
        requests = None if self.requests is None else part(self.requests, share)
        return Purse(requests, None if self.nano_usd is None else part(self.nano_usd, share))


class OwnLedger:
    """A worker's own part of every limit and of the budget: `share` (k, n). One that came late (k >= n) has none: all
    was divided before, so what is limited it may not send."""

    def __init__(self, limits: Mapping[str, Limits], purse: Purse, share: tuple[int, int]) -> None:
        self._limits = limits
        self._share = share
        self._late = share[0] >= share[1]
        self._bounded = purse != Purse()
        self._purse = purse.part(share)
        self._requests = 0
        self._nano_usd = 0
        self._next_s: dict[tuple[str, str], float] = {}
        self._taken: Counter[str] = Counter()
        self._told: dict[str, Told] = {}
        self._paces: dict[str, Pace] = {}
        self._accepted: Counter[str] = Counter()

    def enter(self, target: str) -> bool:
        """See `Ledger`."""
        limit = self._limits[target].concurrency
        if self._late and (self._bounded or self._limits[target] != Limits()):
            return False
        if limit is not None and self._taken[target] >= part(limit, self._share):
            return False
        self._taken[target] += 1
        return True

    def leave(self, target: str) -> None:
        """See `Ledger`."""
        self._taken[target] -= 1

    def turn(self, ask: Ask, most_wait_s: float) -> float | None:
        """See `Ledger`."""
        now_s = time.monotonic()
        costs_s = {(ask.target, name): each * self._share[1] for name, each in self._spacing_s(ask, now_s).items()}
        at_s = max((self._next_s.get(key, now_s) for key in costs_s), default=now_s)
        at_s = max(at_s, now_s)
        if at_s - now_s > most_wait_s or (self._late and costs_s):
            return None
        for key, cost_s in costs_s.items():
            self._next_s[key] = at_s + cost_s
        return at_s - now_s

    def spend(self, ask: Ask) -> bool:
        """See `Ledger`."""
        if self._purse.requests is not None and self._requests + 1 > self._purse.requests:
            return False
        if self._purse.nano_usd is not None and self._nano_usd + ask.nano_usd > self._purse.nano_usd:
            return False
        self._requests += 1
        self._nano_usd += ask.nano_usd
        return True

    def give_back(self, nano_usd: int) -> None:
        """See `Ledger`."""
        self._nano_usd -= nano_usd

    def hear(self, target: str, heard: Heard) -> None:
        """See `Ledger`. What this worker is let through stands for what every worker is."""
        now_s = time.monotonic()
        pace = self._paces.setdefault(target, Pace(held_s=now_s - heard.age_s, until_s=now_s))
        if heard.limits is not None:
            self._told[target] = self._told.get(target, Told()).after(heard.limits)
        if not heard.refused:
            self._accepted[target] += self._share[1]
            return
        after = self._paces[target] = pace.refused(heard, now_s, self._accepted[target])
        if after.holds > pace.holds:
            self._next_s |= {(target, name): after.until_s for name in ("requests", "tokens")}

    def holds(self, target: str) -> int:
        """See `Ledger`."""
        return self._paces[target].holds if target in self._paces else 0

    def _spacing_s(self, ask: Ask, now_s: float) -> dict[str, float]:
        told, pace = self._told.get(ask.target, Told()), self._paces.get(ask.target)
        return longest(spacing_s(self._limits, ask), paced_s(ask.tokens, told, pace, now_s))


def longest(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    """Of two spacings the longer, name by name."""
    return {name: max(a.get(name, 0.0), b.get(name, 0.0)) for name in (*a, *b)}


def spacing_s(limits: Mapping[str, Limits], ask: Ask) -> dict[str, float]:
    """How long after this attempt the next one may follow, by the limit that says so, were one worker alone."""
    found = {}
    own = limits[ask.target]
    if own.rpm is not None:
        found["requests"] = _MINUTE_S / own.rpm
    if own.tpm is not None:
        found["tokens"] = ask.tokens * _MINUTE_S / own.tpm
    return found


class Allowance:
    """A worker's dealings with its ledger. `spent` becomes true when the budget holds no further attempt."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.spent = False

    def admit(self, ask: Ask, latest_ns: int | None = None) -> Refusal | None:
        """Wait until the attempt may start. `latest_ns` (monotonic): when it is too late for it. None: it may start;
        then call `settle` when it is over."""
        if self.spent:
            return "spent"
        if not self._place(ask.target, latest_ns):
            return "late"
        try:
            refusal = self._turn(ask, latest_ns)
        except BaseException:  # the user is stopped while it waits
            self._ledger.leave(ask.target)
            raise
        if refusal is not None:
            self._ledger.leave(ask.target)
        return refusal

    def hear(self, sample: Sample) -> None:
        """What the attempt taught of a target that is paced."""
        heard = heard_of(sample)
        if heard is not None:
            self._ledger.hear(sample.target, heard)

    def settle(self, ask: Ask, nano_usd: int | None) -> None:
        """The attempt is over and cost `nano_usd`; None: not known, so what was set aside stays spent."""
        self._ledger.leave(ask.target)
        if nano_usd is not None:
            self._ledger.give_back(ask.nano_usd - nano_usd)

    def _place(self, target: str, latest_ns: int | None) -> bool:
        while not self._ledger.enter(target):
            if _left_s(latest_ns) <= 0:
                return False
            gevent.sleep(_SLOT_S)
        return True

    def _turn(self, ask: Ask, latest_ns: int | None) -> Refusal | None:
        while True:
            holds = self._ledger.holds(ask.target)
            wait_s = self._ledger.turn(ask, _left_s(latest_ns))
            if wait_s is None:
                return "late"
            if wait_s <= 0:
                break
            gevent.sleep(wait_s)
            if self._ledger.holds(ask.target) == holds:
                break
        if not self._ledger.spend(ask):
            self.spent = True
            return "spent"
        return None


def _left_s(latest_ns: int | None) -> float:
    return 1e9 if latest_ns is None else (latest_ns - time.monotonic_ns()) / 1e9


def limited(plan: Plan) -> bool:
    """Whether a plan limits anything that workers must ask for."""
    unlimited = Limits()
    budget = plan.budget.requests is not None or plan.budget.usd is not None
    return budget or any(target.limits != unlimited for target in plan.targets)


def limits_of(plan: Plan) -> dict[str, Limits]:
    """Every target's limits, by name."""
    return {target.name: target.limits for target in plan.targets}
