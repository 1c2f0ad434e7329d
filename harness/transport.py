"""One kept-alive HTTP/1.1 connection that stamps every read before anything is parsed.

While a response runs, its bytes are read by a callback of the event loop: no greenlet wakes up, nothing is decoded.
The greenlet that asked is woken once, when the response has ended or failed. What goes wrong is raised as
`TransportFault`, which carries its `ErrorKind`; how far the response had come stands in `Response`.
No proxy, no redirect, no retry, no decompression: a body that is encoded all the same is refused as a protocol error
rather than miscounted.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import gevent
import gevent.socket
from gevent.hub import Waiter
from gevent.monkey import get_original

from harness.errors import ErrorKind
from harness.loop.moderation import moderation
from harness.loop.turns import wake_in_turn
from harness.plan import Timeouts
from harness.sockets.endpoint import Endpoint, connected, kind_of_connect
from harness.sockets.held import MAX_RESPONSE_BYTES, Hold
from harness.sockets.http_framing import Framing, Head, TransportFault
from harness.sockets.stamps import (
    Kind,
    Reads,
    arrivals_ns,
    ask_for_stamps,
    receiver,
    wall_offset_ns,
)
from harness.sockets.tls import TlsChannel, tls_context, tls_reason

_AHEAD_S = 2.0  # for a connection that nobody waits for yet
_AT_ONCE_NS = 100_000_000
_LOOK_S = 0.05  # while a request cannot be written: whether it is answered already, or too late


Piece = tuple[int, bytes]  # when the bytes of one read arrived, and those of the body among them


@dataclass(slots=True)
class Response:
    """What has come of a response. Times are absolute monotonic nanoseconds; `stamps` says who took them."""

    head: Head = field(default_factory=Head)
    pieces: list[Piece] = field(default_factory=list)
    first_byte_ns: int | None = None
    last_byte_ns: int | None = None
    body_bytes: int = 0
    complete: bool = False
    stamps: Kind | None = None

    @property
    def body(self) -> bytes:
        """All of the body that came."""
        return b"".join(data for _, data in self.pieces)


class Connection:
    """A connection to one endpoint, opened when needed and kept between requests. For one greenlet at a time."""

    standing: ClassVar[int] = 0  # connections of this process that are open

    def __init__(
        self,
        endpoint: Endpoint,
        timeouts: Timeouts,
        *,
        kernel_stamps: bool = True,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        self.endpoint = endpoint
        self.timeouts = timeouts
        self._max_response_bytes = max_response_bytes
        self._kernel_stamps = kernel_stamps
        self._socket: Any = None  # the operating system's own socket, not blocking
        self._receive: Callable[[], tuple[bytes, bytes]] = _nothing
        self._tls: TlsChannel | None = None
        self._watcher: Any = None
        self._moderation = moderation()
        self._current: _Exchange | None = None
        self._served = 0
        self._ended_ns = 0  # of the last response
        self._closed_ns: int | None = None  # when an idle connection was seen closed
        self._keeps = True  # until the other side shows that it closes after each response

    def ready(self) -> bool:
        """Whether a connection stands that the other side has not closed."""
        if self._socket is None:
            return False
        if not self._keeps or self._is_closed():
            self.close()
            return False
        return True

    def connect(self, most_s: float = math.inf) -> None:
        """Open the connection, TLS included, in `most_s` or in `connect_s`. Raises TransportFault."""
        self.close()
        most_s = min(most_s, self.timeouts.connect_s)
        where = f"{self.endpoint.host}:{self.endpoint.port}"
        try:
            with gevent.Timeout(most_s):
                self._open()
        except gevent.Timeout as timeout:
            raise TransportFault(ErrorKind.CONNECT_TIMEOUT, f"{where}: no connection in {most_s:g} s") from timeout
        except (gevent.socket.gaierror, UnicodeError) as error:  # UnicodeError: no name at all, such as `a..b`
            reason = getattr(error, "strerror", error)
            raise TransportFault(ErrorKind.DNS, f"{self.endpoint.host}: {reason}") from error
        except ssl.SSLError as error:
            raise TransportFault(ErrorKind.TLS, f"{where}: {tls_reason(error)}") from error
        except OSError as error:
            raise TransportFault(kind_of_connect(error), f"{where}: {error.strerror or error}") from error

    def connect_ahead(self) -> None:
        """Open it before its first request, so that no handshake lies within a latency. A fault is left for that
        request to meet, whose sample then tells of it; so is a host that does not answer soon: until there is a
        request, nothing is measured of it."""
        try:
            self.connect(_AHEAD_S)
        except TransportFault:
            self.close()

    def close(self) -> None:
        """Close the connection; a later request opens a new one."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        if self._socket is not None:
            self._socket.close()
            self._socket = self._tls = None
            Connection.standing -= 1
        self._served = 0
        self._closed_ns = None

    def ask(self, request: bytes, response: Response, deadline_ns: int) -> None:
        """Write a request and read its response into `response`. Raises TransportFault.

        `deadline_ns` is when the whole attempt is given up.
        """
        assert self._socket is not None, "connect() comes before ask()"
        if self._served == 0 and self._tls is None and self._spoke_first():
            self.close()
            raise TransportFault(ErrorKind.PROTOCOL, "a response before the request")
        exchange = _Exchange(self.timeouts, deadline_ns, Hold(self._max_response_bytes))
        follows_ns = time.monotonic_ns() - self._ended_ns
        before_ns = wall_offset_ns()
        sent_ns = time.monotonic_ns()
        self._current = exchange
        try:
            self._send(request, exchange)
            exchange.wait()
        finally:
            self._current = None
            exchange.stop()
            exchange.fill(response, sent_ns, before_ns)
            if exchange.ended and not exchange.reads.t_ns:
                self._learn(follows_ns)
            self._served += response.complete
            self._moderation.ended += 1
            self._ended_ns = time.monotonic_ns()
            if not (response.complete and exchange.written and exchange.framing.keep_alive):
                self.close()

    def _is_closed(self) -> bool:
        """Whether the other side has closed, or sent bytes that nobody asked for, while the connection was idle."""
        if self._closed_ns is None and not self._is_over():
            return False
        self._learn((self._closed_ns or time.monotonic_ns()) - self._ended_ns)
        return True

    def _is_over(self) -> bool:
        try:
            if self._tls is not None:
                return self._tls.over()
            self._socket.recv(1)  # its end, or a byte that nobody asked for
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def _spoke_first(self) -> bool:
        """Whether something came on a new connection before anything was asked: it answers nothing."""
        try:
            return bool(self._socket.recv(1, gevent.socket.MSG_PEEK))
        except OSError:
            return False

    def _learn(self, after_ns: int) -> None:
        """From a close that came `after_ns` after the last response. A server that closes at once after its first
        response, and did not say that it would, does it again: its next connections are not kept.

        A request that crossed the close is lost. It is recorded as the failure that it is, and not sent twice.
        """
        if self._served == 1 and after_ns < _AT_ONCE_NS:
            self._keeps = False

    def _open(self) -> None:
        plain = connected(self.endpoint)
        self._socket = get_original("socket", "socket")(fileno=plain.detach())
        Connection.standing += 1
        try:
            self._socket.settimeout(0)
            self._socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            if self.endpoint.tls:
                self._tls = TlsChannel(self._socket, tls_context(), self.endpoint.host)
                self._tls.shake_hands()
            stamped = self._kernel_stamps and ask_for_stamps(self._socket)
            self._receive = receiver(self._socket, stamped=stamped)
            self._watcher = gevent.get_hub().loop.io(self._socket.fileno(), 1)
            self._watcher.start(self._on_readable)
        except BaseException:
            self.close()
            raise

    def _send(self, request: bytes, exchange: _Exchange) -> None:
        """Write the request, or as much of it as the other side takes before its response has ended."""
        view = memoryview(request if self._tls is None else self._tls.seal(request))
        try:
            while view and not exchange.done:
                try:
                    view = view[self._socket.send(view) :]
                except BlockingIOError:
                    exchange.wait_to_write(self._socket.fileno())
        except OSError as error:
            if not exchange.reads.t_ns:  # a refusal may come before the whole request was written
                raise TransportFault(ErrorKind.RESET, f"while writing the request: {error}") from error
        exchange.written = not view

    def _on_readable(self) -> None:
        """The event loop's callback: one read. It must not raise, nor switch but to the greenlet that waits."""
        exchange = self._current
        if exchange is None:  # idle: closed by the other side; the next request finds out
            if self._tls is None or self._is_over():
                self._watcher.stop()
                self._closed_ns = time.monotonic_ns()
            return
        try:
            data, stamp = self._receive()
            t_ns = time.monotonic_ns()
            if stamp:
                self._moderation.reads += 1
            if self._tls is not None and data:
                data = self._tls.open(data)
                if not data:
                    return
        except BlockingIOError:
            return
        except OSError as error:
            self._watcher.stop()
            exchange.break_off(f"while reading: {error.strerror or error}")
            return
        if not data:
            self._watcher.stop()
        exchange.take(t_ns, data, stamp)


class _Exchange:
    """One request on its way: what was read for it, and the greenlet that waits for the end."""

    def __init__(self, timeouts: Timeouts, deadline_ns: int, hold: Hold) -> None:
        self.reads = Reads()
        self.framing = Framing()
        self.ended = False  # by the other side
        self.done = False
        self.written = False  # the request, to its end
        self._bodies: list[bytes] = []  # of the reads parsed so far, one each
        self._body_bytes = 0
        self._held = 0
        self._hold = hold
        self._fault: tuple[ErrorKind, str] | None = None  # an exception would hold its frames, and they all this
        self._timeouts = timeouts
        self._deadline_ns = deadline_ns
        self._began_ns = time.monotonic_ns()
        self._waiter: Any = Waiter()
        self._timer: Any = None

    def take(self, t_ns: int, data: bytes, stamp: bytes) -> None:
        """One read; no bytes mean that the other side closed."""
        if not data:
            self._end()
            return
        held = self._held + len(data)
        if held > self._hold.allowed and not self._may_hold(held):
            return
        self._held = held
        reads = self.reads
        reads.t_ns.append(t_ns)
        reads.data.append(data)
        reads.kernel.append(stamp)
        if self.framing.quick and not self.framing.may_be_over(data):
            return
        self._parse()
        if self.framing.complete or self._fault is not None:
            self._finish()

    def _may_hold(self, held: int) -> bool:
        """Whether there is room for a large response. Where there is none it is given up as it stands."""
        refused = None if self._fault is not None else self._hold.more(held)
        if refused is not None:
            self._parse()
            self._fault = self._fault or (ErrorKind.MALFORMED, refused)
            self._finish()
        return self._fault is None

    def break_off(self, why: str) -> None:
        """The connection failed."""
        self._parse()
        if not self.framing.complete and self._fault is None:
            kind = ErrorKind.TRUNCATED if self._body_bytes else ErrorKind.RESET
            self._fault = kind, why
        self._finish()

    def wait_to_write(self, file: int) -> None:
        """Until more of the request can be written, or the response has ended already. Raises TransportFault."""
        since_ns = time.monotonic_ns()
        while not self.done:
            with suppress(TimeoutError):
                gevent.socket.wait_write(file, timeout=_LOOK_S)
                return
            now_ns = time.monotonic_ns()
            if now_ns >= self._deadline_ns:
                raise TransportFault(*self._timeout(silent=False))
            if now_ns - since_ns >= self._timeouts.read_s * 1e9:
                raise TransportFault(ErrorKind.READ_TIMEOUT, "the request could not be written in time")

    def wait(self) -> None:
        """Until the response has ended. Raises TransportFault."""
        self._arm()
        self._waiter.get()
        if self._fault is not None:
            raise TransportFault(*self._fault)

    def stop(self) -> None:
        """No more reads are taken."""
        self.done = True
        self._hold.release()
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def fill(self, response: Response, sent_ns: int, before_ns: int) -> None:
        """Give what came to the response, with the best stamps there are."""
        self._parse()
        self.framing.release()
        response.head = self.framing.head
        response.body_bytes = self._body_bytes
        response.complete = self.framing.complete and self._fault is None
        if not self.reads.t_ns:
            return
        stamps, response.stamps = arrivals_ns(self.reads, sent_ns, before_ns, wall_offset_ns())
        response.first_byte_ns, response.last_byte_ns = stamps[0], stamps[-1]
        bodies = zip(stamps, self._bodies, strict=False)  # after a fault, not every read was parsed
        response.pieces = [piece for piece in bodies if piece[1]]

    def _parse(self) -> None:
        """Give all that is held to the parser. A fault is kept, the first one only."""
        try:
            while self._fault is None and len(self._bodies) < len(self.reads.data):
                number = len(self._bodies)
                body = self.framing.parse(self.reads.data[number])
                self.reads.data[number] = b""  # a large response is not held twice
                self._bodies.append(body)
                self._body_bytes += len(body)
        except TransportFault as fault:
            self._fault = fault.kind, fault.detail

    def _end(self) -> None:
        self.ended = True
        self._parse()
        try:
            if self._fault is None:
                self.framing.end(self._held, self._body_bytes)
        except TransportFault as fault:
            self._fault = fault.kind, fault.detail
        self._finish()

    def _finish(self) -> None:
        if not self.done:
            self.done = True
            wake_in_turn(self._waiter)

    def _arm(self) -> None:
        """One timer for the whole response: when it fires it looks whether anything came since."""
        due_ns = min(self._deadline_ns, self._last_ns() + int(self._timeouts.read_s * 1e9))
        self._timer = gevent.get_hub().loop.timer(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
        self._timer.start(self._on_timer, update=True)

    def _last_ns(self) -> int:
        return self.reads.t_ns[-1] if self.reads.t_ns else self._began_ns

    def _on_timer(self) -> None:
        if self.done:
            return
        now_ns = time.monotonic_ns()
        silent = now_ns - self._last_ns() >= self._timeouts.read_s * 1e9
        if not silent and now_ns < self._deadline_ns:
            self._timer.close()
            self._arm()
            return
        self._parse()
        if not self.framing.complete and self._fault is None:
            self._fault = self._timeout(silent=silent and now_ns < self._deadline_ns)
        self._finish()

    def _timeout(self, *, silent: bool) -> tuple[ErrorKind, str]:
        if not silent:
            return ErrorKind.TOTAL_TIMEOUT, f"not complete in {self._timeouts.total_s:g} s"
        if self._body_bytes:
            return ErrorKind.STALLED, f"no byte for {self._timeouts.read_s:g} s after {self._body_bytes} bytes"
        return ErrorKind.READ_TIMEOUT, f"no byte of the body for {self._timeouts.read_s:g} s"


def _nothing() -> tuple[bytes, bytes]:
    raise AssertionError("connect() comes before reading")
