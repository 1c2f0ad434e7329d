"""What the simulator truly did: one JSON line a request, written when the request ended.

Outages stand in a file of their own beside it (`outages.outage_file`): a line here is a request and nothing else.

Times are nanoseconds of CLOCK_MONOTONIC (`time.monotonic_ns`), which all processes of one Linux host share: they
can be subtracted from a client's own stamps on that host, and from no other's.
"""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

import msgspec

from harness.errors import UNREADABLE, UsageFault


class Truth(msgspec.Struct, kw_only=True):
    """One request as the server saw it.

    id             also sent as `x-request-id` (Anthropic: `request-id`)
    received_ns    the last byte of the request was read
    queued_ns      how long it then waited in line; None: not at all
    headers_ns     just before the response's headers were written; None: never
    chunk_ns       just before each stream event, or the whole body, was written
    content        indices into `chunk_ns` of those that carry generated content, vectors or rankings
    end_ns         after the last write, or when the connection was given up
    outcome        complete | rejected | fault:KIND | client_closed | stopped (the server was)
    fault          kind of the fault that was chosen, whether or not it came to strike; `tcp_refuse` where the port's
                   crash cut the reply off
    input_tokens   all input, cached included; output_tokens and reasoning_tokens: generated until the end (None:
                   the dialect has none); where the outcome is complete they are what the reply's usage says
    items          replies, vectors or rankings sent
    right          whether the answer to a graded question was meant to be right (None: none was asked or decided)
    """

    id: str
    provider: str
    dialect: str
    path: str
    model: str = ""
    status: int | None = None
    received_ns: int
    queued_ns: int | None = None
    headers_ns: int | None = None
    chunk_ns: list[int] = []
    content: list[int] = []
    end_ns: int = 0
    outcome: str = ""
    fault: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    items: int | None = None
    right: bool | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Truth)


class TruthWriter:
    """Appends records to a file (None: writes nothing). A line is with the kernel when `write` returns."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else _opened(path)

    def write(self, record: msgspec.Struct) -> None:
        """Append one line."""
        if self._file is not None:
            self._file.write(_encoder.encode(record) + b"\n")

    def close(self) -> None:
        """Force the file to disk and close it."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()


def _opened(path: Path) -> FileIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab", buffering=0)
    except OSError as fault:
        raise UsageFault(f"--truth: {path}: cannot be written: {fault.strerror}", "name a writable file") from fault


def read_truth(path: Path) -> list[Truth]:
    """All requests in a truth file, in the order they ended; a torn last line is left out.

    Raises UsageFault when the file cannot be read or a line before the last is no truth.
    """
    try:
        *lines, torn = path.read_bytes().split(b"\n")
    except OSError as fault:
        raise UsageFault(f"{path}: cannot be read: {fault.strerror}", "name a simulator's truth file") from fault
    del torn
    return [_decoded(line, path, number) for number, line in enumerate(lines, 1) if line]


def _decoded(line: bytes, path: Path, number: int) -> Truth:
    try:
        return _decoder.decode(line)
    except UNREADABLE as fault:
        raise UsageFault(f"{path}:{number}: {fault}", "name a simulator's truth file") from fault
