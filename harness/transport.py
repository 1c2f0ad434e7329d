"""One kept-alive HTTP/1.1 connection on gevent sockets that stamps every read before anything is parsed.

`Connection.send` writes a request; `Connection.receive` yields one `Piece` for each read that held bytes of the body.
What goes wrong is raised as `TransportFault`, which carries its `ErrorKind` and how far the response had come.
No proxy, no redirect, no retry, no decompression: `accept-encoding: identity` is sent, and a body that is encoded
all the same is refused as a protocol error rather than miscounted.
"""

from __future__ import annotations

import errno
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

import gevent
import gevent.socket
import gevent.ssl
import httptools

from harness.errors import ErrorKind
from harness.plan import Timeouts

_READ_BYTES = 65536
_MAX_HEADER_BYTES = 131_072
MAX_BODY_BYTES = 64 * 1024 * 1024


class TransportFault(Exception):  # noqa: N818  (data about an attempt; it becomes a sample)
    """An attempt failed below the dialect. `kind` is its place in the taxonomy."""

    def __init__(self, kind: ErrorKind, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True)
class Endpoint:
    """Where a target listens: what a base URL says of the connection."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def endpoint_of(url: str) -> Endpoint:
    """The endpoint of an http:// or https:// URL."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    return Endpoint(parts.hostname or "", parts.port or (443 if tls else 80), tls)


@dataclass(slots=True)
class Response:
    """What has come of a response so far. Times are absolute monotonic nanoseconds."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    first_byte_ns: int | None = None
    last_read_ns: int | None = None
    body_bytes: int = 0
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """The body bytes of one read, and when that read returned."""

    t_ns: int
    data: bytes


class Connection:
    """A connection to one endpoint, opened when needed and kept between requests. For one greenlet at a time."""

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        self.endpoint = endpoint
        self.timeouts = timeouts
        self._socket: gevent.socket.socket | gevent.ssl.SSLSocket | None = None
        self._buffer = bytearray(_READ_BYTES)
        self._view = memoryview(self._buffer)

    def ready(self) -> bool:
        """Whether a connection stands that the other side has not closed."""
        if self._socket is None:
            return False
        try:
            gevent.socket.wait_read(self._socket.fileno(), timeout=0.0)
        except TimeoutError:
            return True
        self.close()  # readable while idle: closed, or bytes that nobody asked for
        return False

    def connect(self) -> None:
        """Open the connection, TLS included. Raises TransportFault."""
        self.close()
        where = f"{self.endpoint.host}:{self.endpoint.port}"
        try:
            with gevent.Timeout(self.timeouts.connect_s):
                self._socket = _open(self.endpoint)
        except gevent.Timeout as timeout:
            raise TransportFault(
                ErrorKind.CONNECT_TIMEOUT, f"{where}: no connection in {self.timeouts.connect_s:g} s"
            ) from timeout
        except gevent.socket.gaierror as error:
            raise TransportFault(ErrorKind.DNS, f"{self.endpoint.host}: {error.strerror}") from error
        except ssl.SSLError as error:
            raise TransportFault(ErrorKind.TLS, f"{where}: {_tls_reason(error)}") from error
        except OSError as error:
            raise TransportFault(_kind_of_connect(error), f"{where}: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the connection; a later request opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, head: bytes, body: bytes) -> None:
        """Write a request. Raises TransportFault."""
        assert self._socket is not None, "connect() comes before send()"
        try:
            self._socket.settimeout(self.timeouts.read_s)
            self._socket.sendall(head + body)
        except TimeoutError as error:
            raise TransportFault(ErrorKind.READ_TIMEOUT, "the request could not be written in time") from error
        except OSError as error:
            raise TransportFault(ErrorKind.RESET, f"while writing the request: {error.strerror or error}") from error

    def receive(self, response: Response, deadline_ns: int) -> Iterator[Piece]:
        """Read one response into `response`, yielding the body as it comes. Raises TransportFault.

        `deadline_ns` is when the whole attempt is given up. The stamp is taken when the read returns, before the
        HTTP parser sees the bytes. When the iterator ends, `response.complete` is true.
        """
        reader = _Reader(response)
        while not response.complete:
            count, t_ns = self._read(response, deadline_ns)
            if count == 0:
                reader.end()
                break
            response.last_read_ns = t_ns
            if response.first_byte_ns is None:
                response.first_byte_ns = t_ns
            data = reader.feed(bytes(self._view[:count]))
            if data:
                response.body_bytes += len(data)
                if response.body_bytes > MAX_BODY_BYTES:
                    raise TransportFault(ErrorKind.PROTOCOL, f"a body of more than {MAX_BODY_BYTES} bytes")
                yield Piece(t_ns, data)
        if not reader.keep_alive:
            self.close()

    def _read(self, response: Response, deadline_ns: int) -> tuple[int, int]:
        assert self._socket is not None
        left_s = (deadline_ns - time.monotonic_ns()) / 1e9
        if left_s <= 0:
            raise TransportFault(ErrorKind.TOTAL_TIMEOUT, f"not complete in {self.timeouts.total_s:g} s")
        self._socket.settimeout(min(self.timeouts.read_s, left_s))
        try:
            count = self._socket.recv_into(self._view)
            return count, time.monotonic_ns()
        except TimeoutError as error:
            raise TransportFault(*self._timeout_of(response, left_s)) from error
        except OSError as error:
            kind = ErrorKind.RESET if response.body_bytes == 0 else ErrorKind.TRUNCATED
            raise TransportFault(kind, f"while reading: {error.strerror or error}") from error

    def _timeout_of(self, response: Response, left_s: float) -> tuple[ErrorKind, str]:
        if left_s <= self.timeouts.read_s:
            return ErrorKind.TOTAL_TIMEOUT, f"not complete in {self.timeouts.total_s:g} s"
        if response.body_bytes:
            return ErrorKind.STALLED, f"no byte for {self.timeouts.read_s:g} s after {response.body_bytes} bytes"
        return ErrorKind.READ_TIMEOUT, f"no byte of the body for {self.timeouts.read_s:g} s"


class _Reader:
    """One response through httptools: bytes in, `Response` filled, body out."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.keep_alive = False
        self._head_bytes = 0
        self._parts: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> bytes:
        """Parse one read; return the body bytes in it. Raises TransportFault."""
        if self.response.status is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise TransportFault(ErrorKind.PROTOCOL, f"not HTTP/1.1: {error}") from error
        if self.response.status is None and self._head_bytes > _MAX_HEADER_BYTES:
            raise TransportFault(ErrorKind.PROTOCOL, f"headers of more than {_MAX_HEADER_BYTES} bytes")
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        return body

    def end(self) -> None:
        """The other side closed. Right only where nothing but the close ends the body. Raises TransportFault."""
        response = self.response
        if response.first_byte_ns is None:
            raise TransportFault(ErrorKind.RESET, "closed before any byte of the response")
        framed = "content-length" in response.headers or "transfer-encoding" in response.headers
        if response.status is None or framed:
            raise TransportFault(ErrorKind.TRUNCATED, f"closed after {response.body_bytes} bytes of the body")
        response.complete = True

    # httptools calls these back.
    def on_header(self, name: bytes, value: bytes) -> None:
        self.response.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:  # 1xx: the response proper follows
            self.response.status = status
            encoding = self.response.headers.get("content-encoding", "identity")
            if encoding.lower() != "identity":
                raise TransportFault(ErrorKind.PROTOCOL, f"content-encoding {encoding[:40]} was not asked for")
        else:
            self.response.headers.clear()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if self.response.status is not None:
            self.response.complete = True
            self.keep_alive = self._parser.should_keep_alive()


def _open(endpoint: Endpoint) -> gevent.socket.socket | gevent.ssl.SSLSocket:
    plain = gevent.socket.create_connection((endpoint.host, endpoint.port))
    try:
        plain.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        if not endpoint.tls:
            return plain
        return _tls_context().wrap_socket(plain, server_hostname=endpoint.host)
    except BaseException:
        plain.close()
        raise


@lru_cache(maxsize=1)
def _tls_context() -> gevent.ssl.SSLContext:
    """One context a process, made at the first use: after any fork. Certificates are verified."""
    context = gevent.ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _tls_reason(error: ssl.SSLError) -> str:
    verify = getattr(error, "verify_message", "")
    return f"certificate not accepted: {verify}" if verify else str(error.reason or error)


def _kind_of_connect(error: OSError) -> ErrorKind:
    if error.errno == errno.ECONNRESET:
        return ErrorKind.RESET
    return ErrorKind.CONNECT_TIMEOUT if error.errno == errno.ETIMEDOUT else ErrorKind.CONNECT
