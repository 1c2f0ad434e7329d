"""Events that are like an earlier one but for their text: most of a stream, and they need no JSON.

Where two pieces of a stream have all bytes in common but those within one JSON string, and nothing in that string is
escaped, the dialect would read the same of both but for the text. That the bytes in question are the text, and that
nothing else depends on them, is not assumed: the dialect is asked, with another text in their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from harness.dialects.wire import Delta, Dialect
from harness.sse import SseReader

_PLAIN = re.compile(rb"[\x20\x21\x23-\x5b\x5d-\x7e]+").fullmatch  # ASCII without quote, backslash and controls
_OTHER = "quite another text"
_PLACES = 3


@dataclass(frozen=True, slots=True)
class Alike:
    """What stands before and after the text, in pieces that hold one event each."""

    before: bytes
    after: bytes

    def chars(self, piece: bytes) -> int:
        """How many characters of text a piece brings; 0 where it is not alike, or not certain to be."""
        if not (piece.startswith(self.before) and piece.endswith(self.after)):
            return 0
        text = piece[len(self.before) : -len(self.after)]
        return len(text) if _PLAIN(text) else 0


def alike(piece: bytes, delta: Delta, dialect: Dialect) -> Alike | None:
    """What pieces like this one have in common. `delta` is what the dialect read of it. None: nothing is certain."""
    if not delta.text or delta != Delta(text=delta.text, fingerprint=delta.fingerprint):
        return None
    wanted = msgspec.structs.replace(delta, text=_OTHER)
    for begin, end in _places(piece, delta.text.encode()):
        before, after = piece[:begin], piece[end:]
        events = SseReader().feed(before + _OTHER.encode() + after)
        if len(events) == 1 and dialect.read(events[0].event, events[0].data) == wanted:
            return Alike(before, after)
    return None


def _places(piece: bytes, text: bytes) -> Iterator[tuple[int, int]]:
    """Where the text may stand as a whole JSON string."""
    at = -1
    for _ in range(_PLACES):
        at = piece.find(b'"' + text + b'"', at + 1)
        if at < 0:
            return
        yield at + 1, at + 1 + len(text)
