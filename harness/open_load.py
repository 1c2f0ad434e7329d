"""Open load in one worker: arrivals on absolute due times, whether or not earlier replies have come.

Nothing is forgotten. An arrival that finds too many requests under way waits; one that could not be sent within the
stage's `max_lag_s` becomes a `dropped` sample; the response time of the others counts from when they were due.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Group

from harness.alarm import Alarm
from harness.arrivals import Arrival
from harness.plan import Cell
from harness.sample import Sample
from harness.transport import Connection

Chosen = TypeVar("Chosen")


class OpenLoad(Generic[Chosen]):
    """A worker's part of one open cell.

    `arrivals` are due relative to `begin_ns` (monotonic). `prepare` chooses what one sends, ahead of its time; `send`
    performs it on a connection and returns its sample; `drop` records one that was never sent. `connect` makes a
    connection; they are kept, and the last one used is used first. `most` requests may be under way. `drain_s` is how
    long those may take that are under way after the last arrival; what then still runs is cut off, and recorded as
    cancelled.
    """

    def __init__(
        self,
        cell: Cell,
        arrivals: Iterator[Arrival],
        most: int,
        drain_s: float,
        connect: Callable[[], Connection],
        prepare: Callable[[Arrival], Chosen],
        send: Callable[[Connection, Chosen, int], Sample],
        drop: Callable[[Chosen, int], None],
    ) -> None:
        self._cell = cell
        self._arrivals = arrivals
        self._drain_s = drain_s
        self._connect = connect
        self._prepare = prepare
        self._send = send
        self._drop = drop
        self._free = BoundedSemaphore(most)
        self._idle: list[Connection] = []
        self._running = Group()

    def run(self, begin_ns: int) -> None:
        """Send every arrival at its due time, then wait for the replies."""
        alarm = Alarm()
        try:
            for arrival in self._arrivals:
                self._start(arrival, begin_ns + arrival.due_ns, alarm)
            self._running.join(self._drain_s)
        finally:
            alarm.close()
            self._running.kill()
            for connection in self._idle:
                connection.close()

    def warm(self, connections: int) -> None:
        """Open connections before the first arrival, so that no handshake lies within a latency."""
        warmed = Group()
        for _ in range(connections):
            warmed.spawn(lambda: self._idle.append(self._connect()))
        warmed.join()

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        return len(self._running)

    def _start(self, arrival: Arrival, due_ns: int, alarm: Alarm) -> None:
        chosen = self._prepare(arrival)
        alarm.wait_until(due_ns)
        if self._may_go(due_ns + int(self._cell.stage.max_lag_s * 1e9)):
            self._running.start(gevent.Greenlet(self._one, chosen, due_ns))
        else:
            self._drop(chosen, due_ns)

    def _may_go(self, latest_ns: int) -> bool:
        """Whether a request may start before `latest_ns`; waits for one that ends, if too many are under way."""
        left_s = (latest_ns - time.monotonic_ns()) / 1e9
        return left_s >= 0 and self._free.acquire(timeout=left_s or None)

    def _one(self, chosen: Chosen, due_ns: int) -> None:
        connection = self._idle.pop() if self._idle else self._connect()
        try:
            self._send(connection, chosen, due_ns)
        finally:
            self._idle.append(connection)
            self._free.release()


def share_of(most: int, share: tuple[int, int]) -> int:
    """Worker k's part of a limit that n workers keep together; at least 1."""
    k, n = share
    return max(1, most // n + (k < most % n))
