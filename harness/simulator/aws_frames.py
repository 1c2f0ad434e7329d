"""Messages of AWS's event stream, written by its specification: `application/vnd.amazon.eventstream`.

A message is: its length and that of its headers (each 32 bits), the CRC-32 of these eight bytes, the headers, the
payload, and the CRC-32 of all before. A header is a name and a value of type 7 (a string), each with its length before.
"""

from __future__ import annotations

import struct
from zlib import crc32

_STRING = 7


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message."""
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return message + struct.pack(">I", crc32(message))


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", _STRING, len(value)) + value


def event(name: str, payload: bytes) -> bytes:
    """A message that is an event of JSON."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, payload)


def exception(name: str, payload: bytes) -> bytes:
    """A message that ends the stream with an exception."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, payload)
