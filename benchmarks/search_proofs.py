"""How good the search for a capacity is, against a limit that is known: seeded providers in virtual time.
`python -m benchmarks.capacity_proofs --only searches` runs it.

The truth comes by brute force: thousands of requests at each load around the limit. The search is compared with that
truth, and its spend with two others: a scan of every load in steps of a twentieth, and doubling with bisection at 2N
requests for a step of N users.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from harness.capacity.capacity_search import Search
from harness.cells import cells
from harness.live.margin import margin_of
from harness.plan import Plan, Slo
from harness.plan_file import plan_of
from harness.records.search_record import Question
from harness.simulator.config import config_from
from harness.simulator.offline import Client, Request, Sender, World

_TRUTH_REQUESTS = 4000
_SCAN_REQUESTS = 400
_SPREAD_S = 0.4
WANTED = 0.95


class Asker(Protocol):
    """Who says how much load there should be, and hears what became of it."""

    load: float

    @property
    def spread_s(self) -> float:
        """Over how long new users begin."""

    @property
    def done(self) -> bool:
        """Whether it has its answer."""

    @property
    def spent(self) -> bool:
        """Whether no further request may be sent."""

    def began(self, key: int, now_s: float) -> None:
        """A request is sent."""

    def ended(self, key: int, now_s: float, margin: float | None) -> None:
        """It is over."""

    def look(self, now_s: float) -> None:
        """Time has passed."""


class Pursuit(World):
    """Virtual time whose load somebody decides as it goes."""

    def pursue(self, plan: Plan, asker: Asker, slo: Slo, seed: int) -> int:
        """Ask for the plan's one cell until the asker is done; how many requests that took."""
        (cell,) = cells(plan, 1)
        self.enter(cell, plan, 1, 0.0)
        self._asker, self._slo, self._users, self._sent = asker, slo, 0, 0
        self._rng = random.Random(f"{seed}/arrivals")  # noqa: S311  (a schedule, not a secret)
        self._end_s = math.inf
        self._arriving = False
        self._fit()
        while not asker.done and self._events:
            self.step()
            self._hear()
            asker.look(self.now_s)
            self._fit()
        return self._sent

    def send(self, user: Sender) -> Request | None:
        """One request; the asker hears of it, and again when it has missed the limit on E2E."""
        if self._asker.spent:
            return None
        request = super().send(user)
        if request is not None:
            self._sent += 1
            self._asker.began(request.seq, self.now_s)
            if self._slo.e2e_s is not None:
                self.at(self.now_s + self._slo.e2e_s + 1e-6, lambda: None)
        return request

    def over(self, request: Request) -> None:
        """A user leaves where there are too many."""
        self._hear()
        if request.user.due_s is None and self._users > self._asker.load:
            self._users -= 1
        else:
            super().over(request)

    def _hear(self) -> None:
        """Tell the asker what has ended."""
        for sample in self.samples:
            self._asker.ended(sample.seq, self.now_s, margin_of(sample, self._slo))
        self.samples.clear()

    def _fit(self) -> None:
        """As many users as are wanted, or the next arrival."""
        if self._cell.stage.open:
            if not self._arriving and self._asker.load > 0:
                self._arriving = True
                self.at(self.now_s + self._rng.expovariate(self._asker.load), self._arrive)
            return
        new = int(self._asker.load) - self._users
        for number in range(new):
            self._users += 1
            self.at(self.now_s + self._asker.spread_s * number / new, lambda: self._join(Sender(None)))

    def _join(self, user: Sender) -> None:
        if self._users > self._asker.load:
            self._users -= 1
        else:
            self.send(user)

    def _arrive(self) -> None:
        self._arriving = False
        if self._asker.load > 0:
            self.send(Sender(self.now_s))


class Hold:
    """One load, until so many have ended."""

    spread_s = _SPREAD_S
    spent = False

    def __init__(self, load: float, ends: int) -> None:
        self.load = load
        self.margins: list[float] = []
        self._ends = ends

    @property
    def done(self) -> bool:
        """Whether as many have ended."""
        return len(self.margins) >= self._ends

    def began(self, key: int, now_s: float) -> None:
        """Nothing to do."""

    def ended(self, key: int, now_s: float, margin: float | None) -> None:  # noqa: ARG002
        """Note it."""
        self.margins.append(math.inf if margin is None else margin)

    def look(self, now_s: float) -> None:
        """Nothing to do."""

    @property
    def attainment(self) -> float:
        """The part within the limits."""
        return sum(margin <= 1 for margin in self.margins) / len(self.margins)


def _plan(open_load: bool) -> Plan:  # noqa: FBT001
    target = {"name": "sim", "dialect": "openai-chat", "base_url": "sim://sim", "model": "m"}
    stage = {"rate_rps": 1, "arrival": "poisson", "duration_s": 1} if open_load else {"concurrency": 1, "duration_s": 1}
    return plan_of(
        {
            "name": "search",
            "targets": [target],
            "workload": {"kind": "chat", "name": "w", "input_tokens": 64, "output_tokens": 8},
            "stages": [stage],
        },
        "search",
    )


@dataclass(frozen=True)
class Provider:
    """A provider whose limit under an SLO is to be found."""

    name: str
    document: dict[str, Any]
    slo: Slo
    open_load: bool = False

    def ask(self, asker: Asker, seed: int) -> int:
        """Ask it afresh; how many requests that took."""
        config = config_from({"seed": seed, "providers": {"sim": {"dialects": ["openai-chat"], **self.document}}})
        return Pursuit(config, Client(), "search").pursue(_plan(self.open_load), asker, self.slo, seed)

    def attainment(self, load: float, requests: int, seed: int) -> float:
        """By brute force: the first generation of users does not count."""
        hold = Hold(load, requests + math.ceil(load) * 2)
        self.ask(hold, seed)
        hold.margins = hold.margins[math.ceil(load) * 2 :]
        return hold.attainment


def provider_of(seed: int) -> Provider:
    """A provider of one of five kinds, with a limit somewhere between 80 and 400 users."""
    rng = random.Random(f"provider/{seed}")  # noqa: S311
    sigma = rng.uniform(0.08, 0.2)
    about = math.exp(rng.uniform(math.log(80), math.log(400)))
    waits = {
        "ttft": {"kind": "lognormal", "median_s": 0.25, "sigma": sigma},
        "itl": {"kind": "lognormal", "median_s": 0.02, "sigma": sigma},
    }
    kind = ("capacity", "gaps", "first", "usl", "slots")[seed % 5]
    alone_s = 0.25 + 7 * 0.02
    if kind == "capacity":
        return Provider(kind, waits | {"capacity": round(about / 1.6)}, Slo(e2e_s=1.6 * alone_s * math.exp(sigma)))
    if kind == "gaps":
        return Provider(
            kind, waits | {"capacity": round(about / 2), "slows": "gaps"}, Slo(tpot_s=0.04 * math.exp(0.6 * sigma))
        )
    if kind == "first":
        limit_s = 0.25 * 2 * math.exp(1.645 * sigma)
        return Provider(kind, waits | {"capacity": round(about / 2), "slows": "first"}, Slo(ttft_s=limit_s))
    if kind == "usl":
        usl = {"sigma": 0.8 / about, "kappa": 0.4 / about**2}
        return Provider(kind, waits | {"usl": usl}, Slo(e2e_s=2.2 * alone_s * math.exp(sigma)))
    return Provider(kind, waits | {"slots": round(about / 1.5)}, Slo(e2e_s=1.5 * alone_s * math.exp(1.2 * sigma)))


def truth_of(provider: Provider, about: float, seed: int) -> float:
    """The largest number of users at which the wanted part is within the limits: halving, then each one around it."""
    low, high = max(1, round(about / 2)), round(about * 2)
    while provider.attainment(low, _TRUTH_REQUESTS, seed) < WANTED:
        low = max(1, low // 2)
    while provider.attainment(high, _TRUTH_REQUESTS, seed) >= WANTED:
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        if provider.attainment(middle, _TRUTH_REQUESTS, seed + 1000) >= WANTED:
            low = middle
        else:
            high = middle
    return low


def doubling(provider: Provider, seed: int) -> tuple[float, int]:
    """What doubling with bisection finds at 2N requests a step, and how many it sends."""
    sent, low, high = 0, 0.0, 1.0

    def meets(load: float) -> bool:
        nonlocal sent
        hold = Hold(load, 2 * round(load))
        provider.ask(hold, seed + 17 * round(load))
        sent += 2 * round(load)
        return hold.attainment >= WANTED

    while meets(high):
        low, high = high, 2 * high
    while high - low > max(1, 0.05 * low):
        middle = float(round((low + high) / 2))
        low, high = (middle, high) if meets(middle) else (low, middle)
    return low, sent


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One search against the truth, and what the other ways to find it take. `scan_sent`: requests of a scan of every
    load in steps of a twentieth up to where the SLO is missed."""

    seed: int
    provider: str
    truth: float
    found: float | None
    low: float | None
    high: float | None
    sent: int
    scan_sent: int
    doubling_found: float
    doubling_sent: int


class Searches(msgspec.Struct, frozen=True, kw_only=True):
    """Over seeded providers: how often the capacity was found to within a twentieth, how often its interval holds the
    truth, and the requests of all searches over those of a scan and of doubling with bisection."""

    searches: int
    within_a_twentieth: int
    inside: int
    spent_of_scan: float
    spent_of_doubling: float
    doubling_within_a_twentieth: int
    cases: list[Found]
    took_s: float


def prove_searches(seeds: Sequence[int]) -> Searches:
    """Search for the limit of every seeded provider."""
    begun_s = time.monotonic()
    cases = [_case(seed) for seed in seeds]
    sent = sum(each.sent for each in cases)
    return Searches(
        searches=len(cases),
        within_a_twentieth=sum(_near(each.found, each.truth) for each in cases),
        inside=sum((each.low or 0) <= each.truth + 1 and each.truth <= (each.high or 0) for each in cases),
        spent_of_scan=sent / sum(each.scan_sent for each in cases),
        spent_of_doubling=sent / sum(each.doubling_sent for each in cases),
        doubling_within_a_twentieth=sum(_near(each.doubling_found, each.truth) for each in cases),
        cases=cases,
        took_s=time.monotonic() - begun_s,
    )


def _near(found: float | None, truth: float) -> bool:
    return found is not None and abs(found / truth - 1) <= 0.05


def _case(seed: int) -> Found:
    provider = provider_of(seed)
    search = Search(Question(deadline_s=provider.slo.e2e_s), 0.0)
    sent = provider.ask(search, seed)
    answer = search.answer
    assert answer is not None
    truth = truth_of(provider, answer.capacity or 100.0, seed)
    found, doubling_sent = doubling(provider, seed)
    return Found(
        seed=seed,
        provider=provider.name,
        truth=truth,
        found=answer.capacity,
        low=answer.low,
        high=answer.high,
        sent=sent,
        scan_sent=sum(_SCAN_REQUESTS + 2 * load for load in _scanned(truth)),
        doubling_found=found,
        doubling_sent=doubling_sent,
    )


def _scanned(truth: float) -> list[int]:
    """The loads of a scan in steps of a twentieth, to the first beyond the truth."""
    loads = [1]
    while loads[-1] <= truth:
        loads.append(max(loads[-1] + 1, round(loads[-1] * 1.05)))
    return loads
