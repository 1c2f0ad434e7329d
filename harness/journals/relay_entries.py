"""What the relay finds in Redis, read: anybody may have written there, so what is none of ours is told, not raised."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

FIELD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}:[0-9a-f]{16}")
_WHOLE = re.compile(rb"\d{1,18}")


@dataclass(frozen=True)
class Entry:
    """Whole lines of a journal from byte `offset` on. `field`: WORKER:JOURNAL."""

    field: str
    offset: int
    data: bytes


def read_entry(fields: Mapping[bytes, bytes]) -> Entry | None:
    """One entry of the stream; None: it is none of ours."""
    worker, journal = fields.get(b"worker", b""), fields.get(b"journal", b"")
    field = f"{worker.decode('utf-8', 'replace')}:{journal.decode('utf-8', 'replace')}"
    offset, data = read_end(fields.get(b"offset")), fields.get(b"data", b"")
    if offset is None or not FIELD.fullmatch(field) or not data.endswith(b"\n"):
        return None
    return Entry(field, offset, data)


def read_ends(sent: Mapping[bytes, bytes]) -> dict[str, int]:
    """Up to which byte each journal was sent, by WORKER:JOURNAL; what is no such pair is left out."""
    ends = {name.decode("utf-8", "replace"): read_end(end) for name, end in sent.items()}
    return {name: end for name, end in ends.items() if end is not None and FIELD.fullmatch(name)}


def read_end(value: bytes | None) -> int | None:
    """A count of bytes; None: there is none, or something else stands there."""
    return int(value) if value is not None and _WHOLE.fullmatch(value) else None


def read_acked(value: bytes | None) -> tuple[int, int] | None:
    """`SIZE ASKS`: what the collecting host has of a journal, and how often it asked for more; None: not told."""
    size, asks = (read_end(part) for part in [*(value or b"").split(b" ", 1), b""][:2])
    return None if size is None or asks is None else (size, asks)
