"""One client's connection: HTTP/1.1 requests in, one at a time, and a `Play` for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httptools

from harness.simulator.play import Play, reset
from harness.simulator.response import Request
from harness.simulator.service import Service

_MOST_HEAD_BYTES = 64 * 1024
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """A plain protocol rather than streams: nothing stands between a due event and the socket."""

    def __init__(self, service: Service, open_connections: set[Connection]) -> None:
        self._service = service
        self._open = open_connections
        self._most_body_bytes = service.config.max_body_bytes
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._play: Play | None = None
        self._complete: list[Request] = []
        self._close_after = False
        self._read_ns = 0
        self._in_head = True
        self._head_bytes = 0
        self._requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected. asyncio has set TCP_NODELAY."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)  # paused as soon as the kernel takes no more: stamps stay true
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came: stamped before they are parsed."""
        self._read_ns = time.monotonic_ns()
        self._head_bytes = self._head_bytes + len(data) if self._in_head else 0
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._give_up()
            return
        if self._in_head and self._head_bytes > _MOST_HEAD_BYTES:
            self._give_up()
        elif self._complete and self._play is None:
            self._begin(self._complete.pop())

    def connection_lost(self, exc: Exception | None) -> None:
        """The client left, or we closed."""
        del exc
        self._open.discard(self)
        if self._play is not None:
            self._play.end(self._play.response.outcome if self._play.stalled else "client_closed")

    def pause_writing(self) -> None:
        """The kernel's buffer is full."""
        if self._play is not None:
            self._play.pause()

    def resume_writing(self) -> None:
        """It has room again."""
        if self._play is not None:
            self._play.resume()

    def stop(self) -> None:
        """The server ends: so does this connection."""
        if self._play is not None:
            self._play.end("stopped")
        self._transport.abort()

    def crash(self, fault: str) -> None:
        """Reset the connection, as the kernel does for a process that died; the truth blames `fault`."""
        if self._play is not None:
            self._play.response.truth.fault = fault
            self._play.end(f"fault:{fault}")
        reset(self._transport)

    def _give_up(self) -> None:
        """What came is no HTTP: say so if nothing else is being said, and close."""
        if self._play is None and not self._transport.is_closing():
            self._transport.write(_BAD_REQUEST)
        self._transport.close()

    def _begin(self, request: Request) -> None:
        response = self._service.answer(request)
        response.close = response.close or self._close_after
        self._play = Play(response, self._transport, self._ended)
        self._play.start()

    def _ended(self, play: Play, outcome: str) -> None:
        self._play = None
        self._service.ended(play.response, play.generated, outcome)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins. One that begins before the last was answered is not served: the connection closes."""
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._in_head = True
        if self._play is not None:
            self._play.response.close = True

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """All headers are read; the client may be waiting to be told to go on."""
        self._in_head = False
        if self._headers.get("expect", "").lower() == "100-continue" and self._play is None:
            self._transport.write(_CONTINUE)

    def on_body(self, data: bytes) -> None:
        """A piece of the body; what is too much is dropped."""
        self._body_bytes += len(data)
        if self._body_bytes <= self._most_body_bytes:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """The request is read to its end."""
        self._in_head = True
        self._head_bytes = 0
        if self._play is not None or self._complete:
            return
        self._close_after = not self._parser.should_keep_alive()
        self._complete.append(
            Request(
                method=self._parser.get_method().decode("latin-1"),
                target=self._url.decode("latin-1"),
                headers=self._headers,
                body=b"".join(self._body),
                received_ns=self._read_ns,
                too_large=self._body_bytes > self._most_body_bytes,
                place=self._requests,
            )
        )
        self._requests += 1


def connections(service: Service) -> tuple[Callable[[], Connection], set[Connection]]:
    """A protocol factory for `create_server`, and the set of its connections that are open."""
    open_connections: set[Connection] = set()
    return lambda: Connection(service, open_connections), open_connections
