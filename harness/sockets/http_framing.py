"""Where a response ends, told from raw reads: parse its head at once, and its body only when it may be over.

While a stream is running a read costs one look at its last bytes. `Framing.over` says when the end *may* have come;
then everything held is given to the HTTP parser, which knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import httptools

from harness.errors import ErrorKind

MAX_HEADER_BYTES = 131_072


class TransportFault(Exception):  # noqa: N818  (data about an attempt; it becomes a sample)
    """An attempt failed below the dialect. `kind` is its place in the taxonomy."""

    def __init__(self, kind: ErrorKind, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


@dataclass(slots=True)
class Head:
    """Status and headers of a response (names in lower case); `status` is None until they are whole."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Framing:
    """One response: bytes in the order of the reads, and what is known of its end."""

    __slots__ = (
        *("_body", "_head_bytes", "_left", "_parser", "_refused", "_second"),
        *("complete", "head", "keep_alive", "quick"),
    )

    def __init__(self) -> None:
        self.head = Head()
        self.complete = False
        self.keep_alive = False
        self.quick = False  # the end of the body can be told from its bytes: ask `may_be_over`, do not parse each read
        self._left: int | None = None  # bytes of the body to come, where its length is known
        self._head_bytes = 0
        self._second = False
        self._body: list[bytes] = []
        self._refused: str | None = None  # why a header will not do; no exception, which would hold its frames
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def may_be_over(self, data: bytes) -> bool:
        """Whether the response may end with this read, which comes after all earlier ones."""
        if self._left is not None:
            self._left -= len(data)
            return self._left <= 0
        if len(data) < 6:
            return True
        # The last chunk, or a trailer, ends with an empty line; a chunk of text that ends with one has two of them.
        return data.endswith(b"\r\n\r\n") and not data.endswith(b"\r\n\r\n\r\n")

    def parse(self, data: bytes) -> bytes:
        """Parse the next bytes; return those of the body among them. Raises TransportFault."""
        assert self._parser is not None, "no bytes after release()"
        if self.head.status is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:  # no HttpParserError: of a 101, which nobody asked for
            raise TransportFault(ErrorKind.PROTOCOL, "the server changed to another protocol unasked") from error
        except httptools.HttpParserError as error:
            if not self.complete:
                raise TransportFault(ErrorKind.PROTOCOL, self._refused or f"not HTTP/1.1: {error}") from error
            self.keep_alive = False  # bytes after the end, which nobody asked for
        if self.head.status is None and self._head_bytes > MAX_HEADER_BYTES:
            raise TransportFault(ErrorKind.PROTOCOL, f"headers of more than {MAX_HEADER_BYTES} bytes")
        if self._second:
            self.keep_alive = False
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        if self._left is not None and not self.quick:
            self._left -= len(body)  # what came along with the head
        self.quick = self.head.status is not None and not self.complete
        return body

    def end(self, received: int, body_bytes: int) -> None:
        """The other side closed. Right only where nothing but the close ends the body. Raises TransportFault."""
        if self.complete:
            return
        if received == 0:
            raise TransportFault(ErrorKind.RESET, "closed before any byte of the response")
        framed = "content-length" in self.head.headers or "transfer-encoding" in self.head.headers
        if self.head.status is None or framed:
            raise TransportFault(ErrorKind.TRUNCATED, f"closed after {body_bytes} bytes of the body")
        self.complete = True

    def release(self) -> None:
        """Let go of the parser, which refers back to here: nothing is left for the garbage collector to find."""
        self._parser = None

    # Called back by httptools; after the end, for a second response that nobody asked for.

    def on_message_begin(self) -> None:
        """A response begins."""
        self._second = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line, or one of a trailer, whose length no read bounds."""
        if self._second:
            return
        if self.head.status is not None:
            self._head_bytes += len(name) + len(value) + 4
            if self._head_bytes > MAX_HEADER_BYTES:
                self._refused = f"a trailer of more than {MAX_HEADER_BYTES} bytes"
                raise TransportFault(ErrorKind.PROTOCOL, self._refused)
        self.head.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is whole: how the body is framed."""
        assert self._parser is not None
        if self._second:
            return
        status = self._parser.get_status_code()
        headers = self.head.headers
        if status < 200:
            headers.clear()
            return
        self.head.status = status
        encoding = headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            self._refused = f"content-encoding {encoding[:40]} was not asked for"
            raise TransportFault(ErrorKind.PROTOCOL, self._refused)
        coding = headers.get("transfer-encoding", "chunked")
        if coding.strip().lower() not in ("chunked", "identity", ""):
            self._refused = f"transfer-encoding {coding[:40]} was not asked for"
            raise TransportFault(ErrorKind.PROTOCOL, self._refused)
        if "transfer-encoding" not in headers and headers.get("content-length", "").isdigit():
            self._left = int(headers["content-length"])

    def on_body(self, body: bytes) -> None:
        """A part of the body, without its framing."""
        if not self._second:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The response is whole."""
        if self.head.status is not None and self._parser is not None:
            self.keep_alive = self._parser.should_keep_alive() and not self.complete
            self.complete = True
