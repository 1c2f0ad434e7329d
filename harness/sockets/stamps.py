"""Stamps of received bytes: by the kernel where it can (Linux), else as they are read; all on the monotonic clock.

The kernel stamps a packet by the wall clock when it reaches the socket. The two clocks are slewed together and drift
apart only when the wall clock is stepped, so their offset is taken before and after each response: where it moved,
or where a stamp cannot be true, the program's own stamps stand for that response.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol

Kind = Literal["kernel", "user"]

_ANCILLARY_BYTES = 64  # CMSG_SPACE of three timespecs
_SOL_SOCKET = 1
_SO_TIMESTAMPING = 37
_RX_SOFTWARE = 1 << 3
_REPORT_SOFTWARE = 1 << 4
_unpack = struct.Struct("@qq").unpack_from
_STEP_NS = 1_000_000  # offsets that lie further apart: the wall clock was stepped
_EARLY_NS = 50_000  # how much the reading of the offset itself may be wrong
_TIGHT_NS = 5_000  # a reading of both clocks that took no longer was not interrupted


@dataclass(slots=True)
class Reads:
    """What the reads of one response brought, in order: the monotonic times when they returned, the bytes, and what the
    kernel said beside them. Columns of plain values, so that the garbage collector has nothing to walk."""

    t_ns: list[int] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    kernel: list[bytes] = field(default_factory=list)


class _Socket(Protocol):
    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


def ask_for_stamps(connection: _Socket) -> bool:
    """Have the kernel stamp what this socket receives. False where it cannot."""
    if not sys.platform.startswith("linux") or struct.calcsize("P") != 8:
        return False
    try:
        connection.setsockopt(_SOL_SOCKET, _SO_TIMESTAMPING, _RX_SOFTWARE | _REPORT_SOFTWARE)
    except OSError:
        return False
    return True


def wall_offset_ns() -> int:
    """Wall clock minus monotonic clock: the first reading that nothing interrupted, else the tightest of twenty."""
    best_ns, offset_ns = 1 << 62, 0
    for _ in range(20):
        before_ns = time.monotonic_ns()
        wall_ns = time.time_ns()
        after_ns = time.monotonic_ns()
        if after_ns - before_ns < best_ns:
            best_ns, offset_ns = after_ns - before_ns, wall_ns - (before_ns + after_ns) // 2
        if best_ns <= _TIGHT_NS:
            break
    return offset_ns


_buffer = bytearray(65536)  # for all connections: what a read brought is copied out at once
_buffers = (_buffer,)
_view = memoryview(_buffer)


def receiver(connection: Any, *, stamped: bool) -> Callable[[], tuple[bytes, bytes]]:
    """One read of a socket that does not block: its bytes, and what the kernel said beside them, unread; empty where it
    said nothing. Where it was asked for its stamps (`stamped`), nothing else was asked for."""
    return partial(_receive_stamped if stamped else _receive_plain, connection)


def _receive_stamped(connection: Any) -> tuple[bytes, bytes]:
    count, ancillary, _, _ = connection.recvmsg_into(_buffers, _ANCILLARY_BYTES)
    return bytes(_view[:count]), ancillary[0][2] if ancillary else b""


def _receive_plain(connection: Any) -> tuple[bytes, bytes]:
    return bytes(_view[: connection.recv_into(_buffer)]), b""


def arrivals_ns(reads: Reads, sent_ns: int, before_ns: int, after_ns: int) -> tuple[list[int], Kind]:
    """When each read's bytes arrived, monotonic, and who says so: the kernel for all of them, or the reads themselves.

    `before_ns` and `after_ns` are the clocks' offset at both ends of the response. A kernel's stamp must lie between
    the request's sending and the read, and no earlier than the one before it.
    """
    if abs(after_ns - before_ns) > _STEP_NS or b"" in reads.kernel:
        return reads.t_ns, "user"
    stamps: list[int] = []
    earliest_ns = sent_ns - _EARLY_NS
    for t_ns, stamp in zip(reads.t_ns, reads.kernel, strict=True):
        seconds, nanoseconds = _unpack(stamp)
        at_ns = seconds * 1_000_000_000 + nanoseconds - after_ns
        if not earliest_ns <= at_ns <= t_ns + _EARLY_NS:
            return reads.t_ns, "user"
        earliest_ns = at_ns = min(at_ns, t_ns)
        stamps.append(at_ns)
    return stamps, "kernel"
