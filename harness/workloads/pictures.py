"""Small pictures made here: PNG files of coloured stripes, no two alike."""

from __future__ import annotations

import base64
import random
import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_STRIPE = 16  # pixels


def png(width: int, height: int, seed: str) -> bytes:
    """A PNG of 8-bit RGB: horizontal stripes of colours drawn from the seed, so that the file stays small."""
    rng = random.Random(seed)  # noqa: S311  (a workload, not a secret)
    rows = []
    for begin in range(0, height, _STRIPE):
        colour = bytes(rng.randrange(256) for _ in range(3))
        rows += [b"\0" + colour * width] * min(_STRIPE, height - begin)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"".join(rows))) + _chunk(b"IEND", b"")
    return _SIGNATURE + body


def png_text(width: int, height: int, seed: str) -> str:
    """The same in base64."""
    return base64.b64encode(png(width, height, seed)).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
