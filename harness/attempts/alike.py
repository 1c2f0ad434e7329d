"""Events that are like an earlier one but for their text: most of a stream, and they need no JSON.

Where two pieces of a stream have all bytes in common but those within one JSON string, and nothing in that string is
escaped, the dialect would read the same of both but for the text. That the bytes in question are the text, and that
nothing else depends on them, is not assumed: the dialect is asked, with another text in their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import msgspec

from harness.dialects.wire import Delta, Dialect
from harness.sse import SseReader

_PLAIN = re.compile(rb"[\x20\x21\x23-\x5b\x5d-\x7e]+").fullmatch  # ASCII without quote, backslash and controls
_LF, _CRLF = b"\n\n", b"\r\n\r\n"  # the end of an event
_OTHER = "quite another text"
_PLACES = 3
_RUN = 64  # pieces looked at together


@dataclass(frozen=True, slots=True)
class Alike:
    """What stands before and after the text of an event, its blank line included."""

    before: bytes
    after: bytes

    def run(self, pieces: Sequence[tuple[int, bytes]], first: int) -> tuple[int, int]:
        """How many pieces from `first` on are one such event each for certain (of the next 64 at most), and the
        characters of their texts."""
        before, after = self.before, self.after
        skip, end = len(before), -len(after)
        texts: list[bytes] = []
        for _, data in pieces[first : first + _RUN]:
            if not (data.startswith(before) and data.endswith(after)):
                break
            texts.append(data[skip:end])
        if not all(texts) or not _PLAIN(b"".join(texts)):
            texts = list(takewhile(_PLAIN, texts))
        return len(texts), sum(map(len, texts))

    def take(self, data: bytes) -> tuple[int, int, int]:
        """How many events at the beginning of the data are alike for certain, the characters of their text, and where
        the rest begins."""
        before, after, skip = self.before, self.after, len(self.before)
        events = chars = begin = 0
        while data.startswith(before, begin):
            text = begin + skip
            end = data.find(after, text)
            if end < 0 or not _PLAIN(data, text, end):
                break
            events, chars, begin = events + 1, chars + end - text, end + len(after)
        return events, chars, begin


def alike(piece: bytes, delta: Delta, dialect: Dialect) -> Alike | None:
    """What events like the last one of a piece have in common. The piece ends with that event, of which `delta` is what
    the dialect read. None: nothing is certain."""
    blank = _CRLF if piece.endswith(_CRLF) else _LF
    piece = piece[piece.rfind(blank, 0, -len(blank)) + len(blank) if blank in piece[: -len(blank)] else 0 :]
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
