"""Shipping side of the relay: a worker's journal goes through Redis to the collecting host, while the run goes on.

What Redis does never touches the run. The journal on this worker's disk is the write-ahead log; a greenlet reads what
it gained and puts it into a stream. Where it stands is kept in Redis with the stream itself (see
`harness.journals.collect`), so after any fault, of Redis, of the network or of this process, it goes on from there, or
from what the collecting host acknowledged when Redis lost everything.

In a Locust process sockets are monkey-patched, so waiting for Redis lets the event loop run. In a process that is not
patched every round is given to gevent's pool of threads instead.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from pathlib import Path
from typing import Any

import gevent
import redis
from gevent import monkey
from gevent.event import Event

from harness.journals.collect import TTL_S, field_of, first_line, keys_of, opened, whole_lines
from harness.journals.redis_client import TIMEOUT_S, connect, redacted_url, told
from harness.journals.relay_entries import read_acked, read_end

_BATCH = 1 << 18  # bytes in one entry, unless a single line is longer
_WINDOW = 1 << 22  # bytes sent and not acknowledged
_MOST_ENTRIES = 64  # the same, in entries: so a stream nobody reads stays small at any rate
_IDLE_S = 0.2
_BUSY_S = 0.02
_MOST_PAUSE_S = 5.0
_log = logging.getLogger(__name__)


class Shipper:
    """Ships one worker's journal from `start` to `stop`. `faults` counts the rounds in which Redis failed.

    Raises UsageFault when `url` is no Redis URL or `worker` cannot be a file's name; whether Redis is there does not
    matter. `timeout_s` bounds each answer of Redis.
    """

    def __init__(self, url: str, run: str, worker: str, path: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self.faults = 0
        self._shown_url = redacted_url(url)
        self._client: Any = connect(url, timeout_s)
        self._keys = keys_of(run)
        self._worker = worker
        field_of(worker, b"")
        self._path = path
        self._field = ""
        self._acked = 0
        self._asks: int | None = None
        self._sent = 0
        self._outstanding: deque[tuple[int, bytes]] = deque()  # (where the entry ends in the journal, its number)
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._stopping = Event()
        self._end_s = 0.0
        self._ended = False

    def start(self) -> None:
        """Begin, in a greenlet."""
        self._greenlet = gevent.spawn(self._ship)

    def stop(self, drain_s: float) -> bool:
        """Ship the rest of the journal, for `drain_s` at most, and end. True when all its whole lines are acknowledged
        by the collecting host."""
        self._end_s = time.monotonic() + drain_s
        self._stopping.set()
        if self._greenlet is not None:
            self._greenlet.join(drain_s)
            self._greenlet.kill()
        self._ended = True  # for a round that a thread is still in
        done = self._complete()
        self._client.close()
        return done

    def _ship(self) -> None:
        in_a_row = 0
        while True:
            try:
                pause_s = self._round_aside()
                if in_a_row:
                    _log.warning("redis: %s: it is back; shipping from byte %d", self._shown_url, self._sent)
                in_a_row = 0
            except (redis.RedisError, OSError) as error:
                if not in_a_row:
                    _log.warning("redis: %s: %s; %s keeps all", self._shown_url, told(error, self._client), self._path)
                in_a_row += 1
                self.faults += 1
                pause_s = min(_MOST_PAUSE_S, _IDLE_S * 2 ** min(in_a_row, 10))
            if not self._stopping.wait(pause_s):
                continue
            if self._complete() or time.monotonic() >= self._end_s:
                return
            gevent.sleep(min(pause_s, _BUSY_S))

    def _round_aside(self) -> float:
        """One round that does not hold up the event loop."""
        if monkey.is_module_patched("socket"):
            return self._round()
        outcome: float | Exception = gevent.get_hub().threadpool.apply(self._round_or_fault)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _round_or_fault(self) -> float | Exception:
        """What a round raises, as its value: the pool would print it."""
        try:
            return self._round()
        except (redis.RedisError, OSError) as error:
            return error

    def _round(self) -> float:
        """Learn where things stand and send what there is to send. Returns how long to pause, in seconds."""
        if not self._begun():
            return _IDLE_S
        before = self._acked
        self._learn(*self._look())
        while not self._ended and (batch := self._next_batch()):
            self._send(batch)
            if len(batch) < _BATCH / 2:
                break  # what came meanwhile can wait
        return _BUSY_S if self._window_full and self._acked > before else _IDLE_S

    @property
    def _window_full(self) -> bool:
        return self._sent - self._acked >= _WINDOW or len(self._outstanding) >= _MOST_ENTRIES

    def _begun(self) -> bool:
        """Whether there is a journal with a whole first line, which names it."""
        if not self._field and self._path.exists():
            with opened(self._path) as file:
                line = first_line(file)
            self._field = field_of(self._worker, line) if line else ""
        return bool(self._field)

    def _complete(self) -> bool:
        """Whether every whole line of the journal is acknowledged."""
        try:
            with opened(self._path) as file:
                return self._acked >= whole_lines(file)
        except FileNotFoundError:
            return not self._field

    def _look(self) -> tuple[bytes | None, bytes | None]:
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hget(self._keys.acked, self._field)
            pipeline.hget(self._keys.sent, self._field)
            acked, sent = pipeline.execute()
        return acked, sent

    def _learn(self, acked: bytes | None, sent: bytes | None) -> None:
        """Take over what Redis says. Where it knows of nothing sent, it was restarted empty: go back to what is
        acknowledged. The collecting host asks when something was lost in another way."""
        asked = False
        told = read_acked(acked)
        if told is not None:
            self._acked, asks = told
            asked = self._asks is not None and asks > self._asks
            self._asks = asks
        self._sent = max(self._acked, read_end(sent) or 0)
        self._outstanding = deque(each for each in self._outstanding if self._acked < each[0] <= self._sent)
        if asked:
            self._go_back()

    def _go_back(self) -> None:
        with self._client.pipeline() as pipeline:
            if self._outstanding:
                pipeline.xdel(self._keys.journal, *(number for _, number in self._outstanding))
            pipeline.hset(self._keys.sent, self._field, self._acked)
            pipeline.execute()
        self._outstanding.clear()
        self._sent = self._acked

    def _next_batch(self) -> bytes:
        """The next whole lines to send; b"" when there are none, or too much is on its way."""
        if self._window_full:
            return b""
        size = _BATCH
        with opened(self._path) as file:
            while True:
                data = os.pread(file, size, self._sent)
                end = data.rfind(b"\n") + 1
                if end or len(data) < size:
                    return data[:end]
                size *= 2  # a single line is longer

    def _send(self, batch: bytes) -> None:
        """Put an entry into the stream and note it as sent, both or neither; learn what was acknowledged meanwhile."""
        end = self._sent + len(batch)
        worker, _, identity = self._field.partition(":")
        entry = {"worker": worker, "journal": identity, "offset": self._sent, "data": batch}
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.xadd(self._keys.journal, entry)
            pipeline.hset(self._keys.sent, self._field, end)
            pipeline.expire(self._keys.journal, TTL_S)
            pipeline.expire(self._keys.sent, TTL_S)
            pipeline.hget(self._keys.acked, self._field)
            number, *_, acked = pipeline.execute()
        self._outstanding.append((end, number))
        self._learn(acked, b"%d" % end)
