"""Bytes of an `application/x-ndjson` stream -> events: one JSON value a line. Pure, as `harness/sse.py` is."""

from __future__ import annotations

from harness.records.stream_event import EventTooLarge, StreamEvent

MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_STRAY_BYTES = 4096


class JsonLinesReader:
    """Cuts a byte stream into lines. Events have no names; an empty line is none.

    A line ends with LF or CRLF. One that has not ended when the stream does was cut short and is no event: it is
    `stray`.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._pieces: list[bytes] = []  # of the line that has not ended
        self._bytes = 0

    @property
    def between(self) -> bool:
        """Whether nothing is held."""
        return not self._pieces

    @property
    def stray(self) -> bytes:
        """The line that has not ended."""
        return b"".join(self._pieces)[:MAX_STRAY_BYTES].strip()

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """The lines that `chunk` completes. Raises EventTooLarge."""
        *ended, rest = chunk.split(b"\n")
        events: list[StreamEvent] = []
        for line in ended:
            whole = self._taken(line).strip()
            if whole:
                events.append(StreamEvent("", whole))
        if rest:
            self._hold(rest)
        return events

    def flush(self) -> list[StreamEvent]:
        """None: a line that has not ended was cut."""
        return []

    def _taken(self, line: bytes) -> bytes:
        """The whole line whose last piece is `line`."""
        if self._pieces:
            self._hold(line)
            line = b"".join(self._pieces)
            self._pieces, self._bytes = [], 0
        elif len(line) > self._max:
            raise EventTooLarge(f"a line is longer than {self._max} bytes")
        return line

    def _hold(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._bytes += len(piece)
        if self._bytes > self._max:
            raise EventTooLarge(f"a line is longer than {self._max} bytes")
