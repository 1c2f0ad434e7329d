"""One event of a streamed reply, and what every reader of a stream has. How bytes are cut is the framing's matter."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

Framing = Literal["sse", "ndjson", "aws-event-stream"]


class StreamEvent(msgspec.Struct, frozen=True, gc=False):
    """One event: its name ("" when it has none), and its data."""

    event: str
    data: bytes


class EventTooLarge(Exception):  # noqa: N818  (a fact about the stream, named like one)
    """One event, or one line, is longer than the reader's limit. The reader is of no use afterwards."""


class BrokenFrame(Exception):  # noqa: N818
    """What came is not of the framing, and where the next event begins cannot be told."""


class StreamReader(Protocol):
    """Cuts a byte stream into events. One for each response."""

    @property
    def between(self) -> bool:
        """Whether nothing is held: the next byte begins an event."""

    @property
    def stray(self) -> bytes:
        """What is no part of the framing, up to 4 KiB, such as a web page or a bare JSON error."""

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """The events that `chunk` completes. Raises EventTooLarge, or BrokenFrame."""

    def flush(self) -> list[StreamEvent]:
        """At the end of the stream: what is an event all the same."""
