"""Requests of a limits probe: one, many at once, one after another, or on a schedule; within what may be spent."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gevent
from gevent.pool import Group

from harness.allowances.allowance import Ask, ask_of, paid
from harness.attempts.prepare import Prepared, prepare
from harness.attempts.rate_limits import later
from harness.errors import UsageFault
from harness.exchange import Origin, perform
from harness.plan import Target, Timeouts, Workload
from harness.prompts import prompt
from harness.records.dialect_names import GENERATING
from harness.sample import Outcome, RateLimit, Sample
from harness.sockets.endpoint import endpoint_of
from harness.transport import Connection

_TEXT_TOKENS = 500  # of one text of a batch
_FASTER, _SLOWER = 1.03, 1.09  # after a request let through, and one refused: a quarter of them is refused


@dataclass(frozen=True)
class Bounds:
    """What a probe may spend. `usd` None: as much as the others allow. Refused requests count as requests, not as
    tokens; a request's tokens count before it is sent as many as it may use at most."""

    requests: int
    tokens: int
    usd: float | None = None


@dataclass
class Spent:
    """What it has spent. `usd` None: the target has no price."""

    requests: int = 0
    refused: int = 0
    tokens: int = 0
    usd: float | None = None


@dataclass(frozen=True)
class Size:
    """Tokens of a request: of its prompt, and the cap of its reply (which only a chat has)."""

    prompt: int
    reply: int = 16


class OutOfBounds(Exception):  # noqa: N818  (the probe ends with what it has found)
    """The next request might pass what may be spent."""


@dataclass
class _Ahead:
    """What requests under way may come to."""

    tokens: int = 0
    nano_usd: int = 0


@dataclass
class Sender:
    """Asks one target, and keeps every sample. `told` is what the headers said last; `watch` is called after each."""

    target: Target
    key: str | None
    bounds: Bounds
    timeouts: Timeouts
    watch: Callable[[], None]
    spent: Spent = field(default_factory=Spent)
    told: RateLimit | None = None
    samples: list[Sample] = field(default_factory=list)
    began_ns: int = field(default_factory=time.monotonic_ns)
    _seed: int = field(default_factory=lambda: secrets.randbits(32))
    _idle: list[Connection] = field(default_factory=list)
    _sent: int = 0
    _ahead: _Ahead = field(default_factory=_Ahead)

    def __post_init__(self) -> None:
        self.spent.usd = None if self.target.price is None else 0.0

    def one(self, size: Size) -> Sample:
        """One request. Raises OutOfBounds."""
        return self._send(self._prepared(size))

    def burst(self, size: Size, count: int) -> list[Sample]:
        """So many at the same moment, on connections that stand already. Raises OutOfBounds, having sent none."""
        prepared: list[Prepared] = []
        try:
            for _ in range(count):
                prepared.append(self._prepared(size))  # noqa: PERF401  (what was set aside is given back)
        except OutOfBounds:
            for each in prepared:
                self._give_back(each)
            self._sent -= len(prepared)
            raise
        self._connect(count)
        found: list[Sample] = []
        sending = [gevent.spawn(lambda each: found.append(self._send(each)), each) for each in prepared]
        gevent.joinall(sending, raise_error=True)
        return found

    def until_refused(self, size: Size, at_once: int, most: int, per_s: float | None = None) -> list[Sample]:
        """Requests, `at_once` under way, until one is refused, or so many were sent, or the bounds are reached; no
        faster than `per_s`."""
        found: list[Sample] = []
        begin_s = time.monotonic()
        started = 0

        def ask() -> None:
            nonlocal started
            while not any(map(refused, found)) and started < most:
                due_s = begin_s + (started / per_s if per_s else 0.0)
                started += 1
                gevent.sleep(max(0.0, due_s - time.monotonic()))
                if any(map(refused, found[-at_once:])):
                    return
                try:
                    found.append(self.one(size))
                except OutOfBounds:
                    return

        self._connect(at_once)
        gevent.joinall([gevent.spawn(ask) for _ in range(at_once)], raise_error=True)
        return found

    def at_the_edge(
        self, size: Size, per_s: float, fastest_per_s: float, at_once: int, wanted: int, most_s: float
    ) -> list[Sample]:
        """Requests on a schedule that has a quarter of them refused: it speeds up with each that is let through, and
        slows down with each that is not. Until `wanted` were let through between two refusals, or `most_s` is over, or
        the bounds are reached."""
        found: list[Sample] = []
        gap_s = 1 / per_s
        group = Group()
        due_s = begin_s = time.monotonic()

        def ask(prepared: Prepared) -> None:
            nonlocal gap_s
            sample = self._send(prepared)
            found.append(sample)
            gap_s = max(1 / fastest_per_s, gap_s / _FASTER) if not refused(sample) else min(10.0, gap_s * _SLOWER)

        while let_through_between(found) < wanted and time.monotonic() - begin_s < most_s:
            try:
                prepared = self._prepared(size)
            except OutOfBounds:
                break
            gevent.sleep(max(0.0, due_s - time.monotonic()))
            while len(group) >= at_once:
                gevent.sleep(0.001)
            group.spawn(ask, prepared)
            due_s = max(due_s + gap_s, time.monotonic() - gap_s)
        group.join(raise_error=True)
        return found

    def close(self) -> None:
        """Close the connections."""
        for connection in self._idle:
            connection.close()

    def _prepared(self, size: Size) -> Prepared:
        """The next request, if it may be spent. It is set aside until it has ended."""
        workload = workload_of(self.target, size)
        chosen = prompt(self._seed, workload, self._sent, self.target.name)
        ask = ask_of(self.target, chosen)
        spent, bounds, ahead = self.spent, self.bounds, self._ahead
        usd = (spent.usd or 0.0) + (ahead.nano_usd + ask.nano_usd) / 1e9
        too_dear = bounds.usd is not None and usd > bounds.usd
        if self._sent >= bounds.requests or spent.tokens + ahead.tokens + ask.tokens > bounds.tokens or too_dear:
            raise OutOfBounds
        self._sent += 1
        ahead.tokens += ask.tokens
        ahead.nano_usd += ask.nano_usd
        return prepare(self.target, workload, chosen, self.key)

    def _send(self, prepared: Prepared) -> Sample:
        connection = self._idle.pop() if self._idle else self._connection()
        try:
            origin = Origin("limits", 0, 1, "probe", self.spent.requests, self.began_ns)
            sample = perform(connection, prepared, origin)
        finally:
            self._idle.append(connection)
        self._note(prepared, sample)
        return sample

    def _note(self, prepared: Prepared, sample: Sample) -> None:
        ask = self._give_back(prepared)
        self.samples.append(sample)
        self.spent.requests += 1
        if refused(sample):
            self.spent.refused += 1
        else:
            cost = paid(self.target, sample)
            self.spent.tokens += tokens_of(sample) or ask.tokens
            if self.spent.usd is not None:
                self.spent.usd += (ask.nano_usd if cost is None else cost) / 1e9
        self.told = later(self.told, sample.limits)
        self.watch()

    def _give_back(self, prepared: Prepared) -> Ask:
        """It is under way no more."""
        ask = ask_of(prepared.target, prepared.prompt)
        self._ahead.tokens -= ask.tokens
        self._ahead.nano_usd -= ask.nano_usd
        return ask

    def _connection(self) -> Connection:
        return Connection(endpoint_of(self.target.base_url), self.timeouts)

    def _connect(self, count: int) -> None:
        """Have so many connections to spare."""
        new = [self._connection() for _ in range(count - len(self._idle))]
        gevent.joinall([gevent.spawn(each.connect_ahead) for each in new], raise_error=True)
        self._idle += new


def workload_of(target: Target, size: Size) -> Workload:
    """A workload whose requests have that size; what is longer than one text goes into a batch."""
    if target.kind in GENERATING:
        return Workload(kind=target.kind, input_tokens=size.prompt, output_tokens=size.reply, temperature=None)
    texts = -(-size.prompt // _TEXT_TOKENS)
    batch = texts if target.kind == "embeddings" else max(1, texts - 1)
    parts = batch if target.kind == "embeddings" else batch + 1
    return Workload(kind=target.kind, input_tokens=max(1, size.prompt // parts), batch=batch)


def refused(sample: Sample) -> bool:
    """Whether a rate limit turned it away."""
    return sample.outcome is Outcome.THROTTLED


def let_through(sample: Sample) -> bool:
    """Whether the provider took it."""
    return sample.status is not None and 200 <= sample.status < 300 and not refused(sample)


def tokens_of(sample: Sample) -> int | None:
    """Its tokens by the provider's own count."""
    usage = sample.usage
    if usage is None or usage.input_tokens is None:
        return None
    return usage.input_tokens + (usage.output_tokens or 0)


def let_through_between(samples: Sequence[Sample]) -> int:
    """How many were let through between the first refusal and the last."""
    between = _between(samples)
    return sum(map(let_through, between))


def refill_per_s(samples: Sequence[Sample], amount: Callable[[Sample], float]) -> tuple[float, int] | None:
    """What a limit gives back a second, and from how many requests that is known.

    At a refusal less was left than one request wants. So what was let through between the first refusal and the last is
    what came back in that time, to one request's amount. None: there were no two refusals.
    """
    between = _between(samples)
    if len(between) < 2:
        return None
    span_s = (_start_ns(between[-1]) - _start_ns(between[0])) / 1e9
    taken = [amount(each) for each in between if let_through(each)]
    return (sum(taken) / span_s, len(taken)) if span_s > 0 else None


def _between(samples: Sequence[Sample]) -> list[Sample]:
    """From the first refusal to the last, in the order of sending."""
    ordered = sorted(samples, key=_start_ns)
    places = [index for index, each in enumerate(ordered) if refused(each)]
    return ordered[places[0] : places[-1] + 1] if places else []


def _start_ns(sample: Sample) -> int:
    return sample.start_ns or 0


def check_answers(sample: Sample, target: Target) -> None:
    """Refuse to probe a target whose first answer is no success. Raises UsageFault."""
    if let_through(sample):
        return
    what = sample.error_detail or f"{sample.error}"
    status = "" if sample.status is None else f"HTTP {sample.status}: "
    if refused(sample):
        wait = "a minute" if sample.retry_after_s is None else f"{sample.retry_after_s:g} s"
        message = f"target {target.name}: the first request was refused: {status}{what}"
        raise UsageFault(message, f"its limits are used up already: wait {wait}, and stop what else uses this key")
    raise UsageFault(f"target {target.name}: the first request failed: {status}{what}", "make one request work first")
