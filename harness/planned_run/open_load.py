"""Open load in one worker: arrivals on absolute due times, whether or not earlier replies have come.

Nothing is forgotten. An arrival that finds too many requests under way waits; one that could not be sent within the
stage's `max_lag_s` becomes a `dropped` sample; the response time of the others counts from when they were due.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.pool import Group

from harness.arrivals import Arrival
from harness.attempts.prepare import Prepared
from harness.cells import Cell
from harness.loop.alarm import Alarm
from harness.transport import Connection

_AHEAD = 64  # requests made before their time
_FEW = 8  # seldom, so that what is sent is not followed by work each time: that would keep close arrivals apart
_SPARE_NS = 1_000_000  # the first must be so far off that others may be made


class OpenLoad:
    """A worker's part of one open cell.

    `arrivals` are due relative to `begin_ns` (monotonic). `prepare` makes the request of one, ahead of its time; `send`
    performs it on a connection (request, when it was due, when it is too late); `drop` records one that was never sent.
    `connect` makes a connection that is not open yet: what `warm` has not opened is opened within the attempt that
    needs it. They are kept, and the last one used is used first. `most` requests may be under way.
    `drain_s` is how long those may take that are under way after the last arrival; what then still runs is cut off, and
    recorded as cancelled.
    """

    def __init__(
        self,
        cell: Cell,
        arrivals: Iterator[Arrival],
        most: int,
        drain_s: float,
        connect: Callable[[], Connection],
        prepare: Callable[[Arrival], Prepared],
        send: Callable[[Connection, Prepared, int, int], None],
        drop: Callable[[Prepared, int], None],
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
        self._refills = True
        self._ended_ns: int | None = None
        self._fault: Exception | None = None
        self._warming = Group()
        self._ready: deque[tuple[Arrival, Prepared]] = deque()
        self._running = Group()
        self._leader: gevent.Greenlet[..., object] | None = None
        self._all_sent = Event()

    def run(self, begin_ns: int) -> None:
        """Send every arrival at its due time, until `end`, then wait for the replies. Raises what went wrong here."""
        alarm = Alarm()
        try:
            self._lead_on(begin_ns, alarm)
            self._all_sent.wait()
            self._drop_due(begin_ns)
            self._running.join(self._drain_s)
        finally:
            alarm.close()
            self.close()
            self._drop_due(begin_ns)
        if self._fault is not None:
            raise self._fault

    def close(self) -> None:
        """Cut off what is under way, and close the connections."""
        self._running.kill()
        self._warming.kill()
        while self._idle:
            self._idle.pop().close()

    def _lead_on(self, begin_ns: int, alarm: Alarm) -> None:
        leader: gevent.Greenlet[..., object] = gevent.Greenlet(self._lead, begin_ns, alarm)
        self._leader = leader
        self._running.start(leader)

    def _lead(self, begin_ns: int, alarm: Alarm) -> None:
        """Wait until the next arrival is due, then send it from this very greenlet, while another waits for the one
        after it: nothing stands between the alarm and the request."""
        led_on = False
        try:
            while self._ended_ns is None and self._look_ahead(begin_ns):
                arrival, prepared = self._ready[0]  # it stays there until it is known what becomes of it
                due_ns = begin_ns + arrival.due_ns
                alarm.wait_until(due_ns)
                latest_ns = due_ns + int(self._cell.stage.max_lag_s * 1e9)
                goes = self._ended_ns is None and self._may_go(latest_ns)
                if self._ended_ns is not None:
                    break
                self._ready.popleft()
                if goes:
                    self._lead_on(begin_ns, alarm)
                    led_on = True
                    self._one(prepared, due_ns, latest_ns)
                    break
                self._drop(prepared, due_ns)
        except Exception as fault:
            self._fault = self._fault or fault
            self.end()
            raise
        finally:
            if not led_on:
                self._all_sent.set()

    def _drop_due(self, begin_ns: int) -> None:
        """Record what was due before the end and waits still: nothing of it is sent any more."""
        until_ns = (time.monotonic_ns() if self._ended_ns is None else self._ended_ns) - begin_ns
        for arrival, prepared in self._left():
            if arrival.due_ns > until_ns:
                return
            self._drop(prepared, begin_ns + arrival.due_ns)
            gevent.sleep(0)

    def _left(self) -> Iterator[tuple[Arrival, Prepared]]:
        """What has not been sent, in order."""
        while self._ready:
            yield self._ready.popleft()
        for arrival in self._arrivals:
            yield arrival, self._prepare(arrival)

    def _look_ahead(self, begin_ns: int) -> bool:
        """Make many of the next requests when few are left, and there is time; whether there is one more to send."""
        ready = self._ready
        self._refills = self._refills or len(ready) < _FEW
        while self._refills and not (ready and begin_ns + ready[0][0].due_ns - time.monotonic_ns() < _SPARE_NS):
            arrival = next(self._arrivals, None)
            if arrival is not None:
                ready.append((arrival, self._prepare(arrival)))
            self._refills = arrival is not None and len(ready) < _AHEAD
            gevent.sleep(0)
        return bool(ready)

    def end(self) -> None:
        """Send nothing more."""
        self._ended_ns = self._ended_ns or time.monotonic_ns()

    def warm(self, connections: int) -> None:
        """Begin to open connections before the first arrival, so that no handshake lies within a latency. The schedule
        waits for none of them: a host that does not answer shows in its samples."""
        for _ in range(connections):
            self._warming.spawn(self._open_one)

    def _open_one(self) -> None:
        connection = self._connect()
        connection.connect_ahead()
        self._idle.append(connection)

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        leads = self._leader is not None and self._leader in self._running
        return len(self._running) - leads

    def _may_go(self, latest_ns: int) -> bool:
        """Whether a request may start before `latest_ns`; waits for one that ends, if too many are under way."""
        left_s = (latest_ns - time.monotonic_ns()) / 1e9
        return left_s >= 0 and self._free.acquire(timeout=left_s or None)

    def _one(self, prepared: Prepared, due_ns: int, latest_ns: int) -> None:
        connection = self._idle.pop() if self._idle else self._connect()
        try:
            self._send(connection, prepared, due_ns, latest_ns)
        finally:
            self._idle.append(connection)
            self._free.release()


def share_of(most: int, share: tuple[int, int]) -> int:
    """Worker k's part of a limit that n workers keep together; at least 1."""
    k, n = share
    return max(1, most // n + (k < most % n))
