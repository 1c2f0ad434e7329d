"""Writing one response to a transport, each event on its due time, stamped just before the write.

The schedule is absolute: an event's due time is the one before it plus its own gap, however late that one was
written. Events without content follow at once; the first content event is due at the time to first content.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from harness.simulator.refusals import service_headers
from harness.simulator.response import Response
from harness.simulator.speech import Act, Event

BURST = 16  # writes of one response before the others get their turn
_PUNCTUAL_S = 1e-6
_NO_LINGER = struct.pack("ii", 1, 0)
_REASONS = {status.value: status.phrase for status in HTTPStatus} | {529: "Overloaded"}


def reset(transport: asyncio.Transport) -> None:
    """Break a connection off with a TCP RST."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


class Play:
    """One response being written. `on_end(play, outcome)` is called once, when it is over."""

    def __init__(self, response: Response, transport: asyncio.Transport, on_end: Callable[[Play, str], None]) -> None:
        self.response = response
        self.generated = 0
        self._transport = transport
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._paused = self._over = self._silent = False
        self._event: Event | None = None
        # The loop's clock is the same monotonic one.
        self._began = response.truth.received_ns * 1e-9 + response.network_s
        self._due = self._began + response.head_s
        self._prefix = b""

    def start(self) -> None:
        """Write what is due, and the rest when it is; first of all wait in line where there is one."""
        load = self.response.load
        later = partial(self._loop.call_soon, self._start_late)  # not at once: replies that take no time would nest
        if load is None or load.begin(self.response.truth.id, later):
            self._start()

    def _start_late(self) -> None:
        """It has waited in line: its own times begin now, if its client is still there."""
        if self._over:
            return
        truth = self.response.truth
        waited_s = self._loop.time() - truth.received_ns * 1e-9
        truth.queued_ns = round(waited_s * 1e9)
        self._began += waited_s
        self._due += waited_s
        self._start()

    def _start(self) -> None:
        if self.response.whole and self.response.byte_s is None:
            self._start_events()
        elif self._due > self._loop.time() + _PUNCTUAL_S:
            self._timer = self._loop.call_at(self._due, self._start_head)
        else:
            self._start_head()

    def pause(self) -> None:
        """The transport's buffer is not empty: write nothing."""
        self._paused = True

    def resume(self) -> None:
        """The transport takes writes again."""
        self._paused = False
        if not self._over and self._timer is None:
            self._timer = self._loop.call_soon(self._turn)

    def end(self, outcome: str) -> None:
        """It is over: nothing more is written."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_end(self, outcome)

    @property
    def stalled(self) -> bool:
        """Whether a fault made it stop writing, for a time or for ever."""
        return self._silent

    def _start_head(self) -> None:
        self._timer = None
        if self._transport.is_closing():
            return
        head = self._head()
        if self.response.byte_s is not None:
            self._dribble(head, self.response.byte_s)
            return
        self._transport.write(head)
        self._start_events()

    def _dribble(self, head: bytes, byte_s: float) -> None:
        """Write the first byte, and later the others."""
        self._timer = None
        if self._transport.is_closing():
            return
        self._transport.write(head[:1])
        if len(head) > 1:
            self._timer = self._loop.call_later(byte_s, self._dribble, head[1:], byte_s)
        else:
            self._start_events()

    def _start_events(self) -> None:
        self._advance()
        self._turn()

    def _turn(self) -> None:
        """Write events that are due, a burst at most, then come back when there is more to do."""
        self._timer = None
        loop, transport = self._loop, self._transport
        for _ in range(BURST):
            if self._paused or self._over or transport.is_closing():
                return
            event = self._event
            if event is None:
                self._finish()
                return
            if self._due > loop.time() + _PUNCTUAL_S:
                self._timer = loop.call_at(self._due, self._turn)
                return
            if event.act is None:
                self._write(event)
            elif self._do(event.act):
                return
            self._advance()
        self._timer = loop.call_soon(self._turn)

    def _advance(self) -> None:
        """Take the next event and set when it is due."""
        response = self.response
        event = self._event = next(response.events, None)
        if event is None or not event.tokens:
            return
        if self.generated == 0:
            self._due = max(self._due, self._began + response.first_s)
        else:
            factor = 1.0 if response.load is None else response.load.gap_factor
            self._due += response.gap_s() * event.tokens * factor * response.pace

    def _write(self, event: Event) -> None:
        data, truth = event.data, self.response.truth
        self.generated += event.tokens
        if not data:
            return
        if self.response.whole and truth.headers_ns is None:
            self._prefix = self._head()
        if self.response.length is None:
            data = b"%b%x\r\n%b\r\n" % (self._prefix, len(data), data)
        elif self._prefix:
            data = self._prefix + data
        self._prefix = b""
        if event.tokens:
            truth.content.append(len(truth.chunk_ns))
        truth.chunk_ns.append(time.monotonic_ns())
        self._transport.write(data)

    def _head(self) -> bytes:
        """The status line and headers; stamps them."""
        response, truth = self.response, self.response.truth
        truth.status = response.status
        truth.headers_ns = time.monotonic_ns()
        busy_ms = round((truth.headers_ns - truth.received_ns - response.network_s * 1e9) // 1e6)
        framing = (
            ("transfer-encoding", "chunked") if response.length is None else ("content-length", str(response.length))
        )
        headers = [
            ("content-type", response.content_type),
            framing,
            ("connection", "close" if response.close else "keep-alive"),
            *service_headers(response.family, truth.id, busy_ms),
            *response.headers,
        ]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"HTTP/1.1 {response.status} {_REASONS[response.status]}\r\n{lines}\r\n".encode("latin-1")

    def _do(self, act: Act) -> bool:
        """Carry out an act; whether the response is over, or waits for ever, with it."""
        if act == "stall":
            self._silent = True
            self._due += self.response.stall_s or 0.0
            return self.response.stall_s is None
        if act == "reset":
            reset(self._transport)
        else:
            self._transport.close()
        self.end(self.response.outcome)
        return True

    def _finish(self) -> None:
        response = self.response
        if response.length is None:
            self._transport.write(b"0\r\n\r\n")
        if response.close:
            self._transport.close()
        self.end(response.outcome)
