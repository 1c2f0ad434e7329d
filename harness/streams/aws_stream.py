"""Bytes of an `application/vnd.amazon.eventstream` -> events, by botocore's own parser (the extra `bedrock`).

A message has headers and a payload, and two checksums, which are verified. Its name here is `:event-type`; that of an
exception is `exception:` with its type, and that of an error, whose headers say all, is `error:` with its code.
"""

from __future__ import annotations

import struct

from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

from harness.records.stream_event import BrokenFrame, StreamEvent

EXCEPTION = "exception:"
ERROR = "error:"
_MAX_STRAY_BYTES = 4096


class AwsStreamReader:
    """Cuts a byte stream into messages. The parser itself refuses a message of more than 24 MiB."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()
        self._held = 0  # bytes of the message that has not ended
        self._first = b""  # of the stream, for what is no stream at all
        self._any = False  # message was whole
        self._broken: BrokenFrame | None = None

    @property
    def between(self) -> bool:
        """Whether nothing is held."""
        return self._held == 0

    @property
    def stray(self) -> bytes:
        """How the stream began, where no message of it was whole."""
        return b"" if self._any else self._first.strip()

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """The messages that `chunk` completes. Raises BrokenFrame: a checksum is wrong, or a length too great. Where
        whole messages stand before that, it is raised by the next call."""
        if self._broken is not None:
            raise self._broken
        if not self._any and len(self._first) < _MAX_STRAY_BYTES:
            self._first += chunk[: _MAX_STRAY_BYTES - len(self._first)]
        self._held += len(chunk)
        self._buffer.add_data(chunk)
        events: list[StreamEvent] = []
        try:
            for message in self._buffer:
                self._any = True
                self._held -= message.prelude.total_length
                events.append(_event_of(message))
        except (ParserError, ValueError, LookupError, struct.error) as fault:
            self._broken = BrokenFrame(f"not an event stream of AWS: {fault}"[:200])
            if not events:
                raise self._broken from fault
        return events

    def flush(self) -> list[StreamEvent]:
        """None: a message that has not ended was cut. Raises BrokenFrame."""
        if self._broken is not None:
            raise self._broken
        return []


def _event_of(message: EventStreamMessage) -> StreamEvent:
    headers = {name: str(value) for name, value in message.headers.items()}
    kind = headers.get(":message-type", "event")
    if kind == "exception":
        return StreamEvent(EXCEPTION + headers.get(":exception-type", ""), message.payload)
    if kind == "error":
        return StreamEvent(ERROR + headers.get(":error-code", ""), headers.get(":error-message", "").encode())
    return StreamEvent(headers.get(":event-type", ""), message.payload)
