"""Bytes of a `text/event-stream` -> events. Pure: no clock and no socket, so the caller stamps bytes before it feeds.

Lines end with CR, LF or CRLF as the HTML standard says, and with nothing else: U+2028, U+2029 and U+0085 are text.
Chunks may be cut anywhere, also between CR and LF or inside a character. Fields other than `event` and `data` are
ignored, as are comments.
"""

from __future__ import annotations

from harness.records.stream_event import EventTooLarge, StreamEvent

MAX_EVENT_BYTES = 16 * 1024 * 1024
MAX_STRAY_BYTES = 4096

_BOM = b"\xef\xbb\xbf"
_SILENT_FIELDS = (b"id", b"retry")


class SseReader:
    """Cuts a byte stream into events. Make one for each response."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._pieces: list[bytes] = []  # of the line that has not ended
        self._pieces_bytes = 0
        self._event = ""
        self._data: list[bytes] = []  # data lines of the event that has not ended
        self._data_bytes = 0
        self._after_cr = False
        self._between = True  # nothing of an event that has not ended is held
        self._at_start = True
        self._stray: list[bytes] = []
        self._stray_bytes = 0

    @property
    def pending(self) -> bool:
        """Whether bytes of a line that has not ended are held: a stream that stops here was cut inside a line."""
        return self._pieces_bytes > 0

    @property
    def between(self) -> bool:
        """Whether nothing is held: the next byte begins an event."""
        return self._between and not self._after_cr

    @property
    def stray(self) -> bytes:
        """What is no part of the protocol, up to 4 KiB: lines of unknown fields, and the line that has not ended.

        An HTML page, or a bare JSON error at the end of a stream, is found here.
        """
        return b"\n".join([*self._stray, b"".join(self._pieces)])[:MAX_STRAY_BYTES].strip()

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """The events that `chunk` completes. Raises EventTooLarge."""
        size = len(chunk)
        if (  # one event that is one line, between two others: what nearly every read of a stream brings
            self._between
            and chunk.startswith(b"data:")
            and chunk.find(b"\n") == size - 2
            and chunk.endswith(b"\n\n")
            and b"\r" not in chunk
            and size <= self._max
        ):
            self._at_start = self._after_cr = False
            return [StreamEvent("", chunk[6:-2] if chunk[5] == 0x20 else chunk[5:-2])]
        events = self._feed_any(chunk)
        self._between = not (self._pieces or self._data or self._event)
        return events

    def _feed_any(self, chunk: bytes) -> list[StreamEvent]:
        chunk = self._with_plain_newlines(chunk)
        lines = chunk.split(b"\n")
        rest = lines.pop()
        events = self._read_lines(lines) if lines else []
        if rest:
            self._hold(rest)
        return events

    def flush(self) -> list[StreamEvent]:
        """At the end of the stream: the event whose data lines ended but whose blank line never came, if any.

        A line that has not ended is not delivered; `pending` tells of it.
        """
        return [] if not self._data else [self._take()]

    def _with_plain_newlines(self, chunk: bytes) -> bytes:
        """`chunk` with every line end as LF; the LF of a CRLF that was cut in two is dropped."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _hold(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._pieces_bytes += len(piece)
        if self._pieces_bytes + self._data_bytes > self._max:
            raise EventTooLarge(f"an event is longer than {self._max} bytes")

    def _read_lines(self, lines: list[bytes]) -> list[StreamEvent]:
        if self._pieces:
            self._pieces.append(lines[0])
            lines[0] = b"".join(self._pieces)
            self._pieces = []
            self._pieces_bytes = 0
        if self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        events: list[StreamEvent] = []
        for line in lines:
            if line:
                self._read_line(line)
            elif self._data:
                events.append(self._take())
            else:
                self._event = ""
        return events

    def _read_line(self, line: bytes) -> None:
        if len(line) + self._data_bytes > self._max:
            raise EventTooLarge(f"an event is longer than {self._max} bytes")
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(line)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name and name not in _SILENT_FIELDS:
            self._keep_stray(line)

    def _keep_stray(self, line: bytes) -> None:
        if self._stray_bytes < MAX_STRAY_BYTES:
            self._stray.append(line[:MAX_STRAY_BYTES])
            self._stray_bytes += len(line) + 1

    def _take(self) -> StreamEvent:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        event = StreamEvent(self._event, data)
        self._event, self._data, self._data_bytes = "", [], 0
        return event
