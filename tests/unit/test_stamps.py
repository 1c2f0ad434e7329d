"""Kernel stamps: true where the kernel gives them, never trusted where they cannot be."""

from __future__ import annotations

import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from socket import create_server, socket

import gevent
import pytest

from harness.plan import Timeouts
from harness.sockets.endpoint import endpoint_of
from harness.sockets.stamps import Reads, arrivals_ns, wall_offset_ns
from harness.transport import Connection, Response

GAP_S = 0.03
CHUNKS = 6


def stamp(wall_ns: int) -> bytes:
    return struct.pack("@qqqqqq", *divmod(wall_ns, 1_000_000_000), 0, 0, 0, 0)


def test_kernel_stamps_are_brought_onto_the_monotonic_clock() -> None:
    reads = Reads([2_000_000, 3_000_000], [b"a", b"b"], [stamp(1_900_000 + 10**12), stamp(2_950_000 + 10**12)])
    assert arrivals_ns(reads, 1_000_000, 10**12, 10**12) == ([1_900_000, 2_950_000], "kernel")


@pytest.mark.parametrize(
    ("first_wall_ns", "after_ns", "why"),
    [
        (1_900_000 + 10**12, 10**12 + 5 * 10**9, "the wall clock was stepped meanwhile"),
        (1_900_000 + 10**12 + 10**9, 10**12, "the stamp lies after the read"),
        (100_000 + 10**12, 10**12, "the stamp lies before the request"),
    ],
)
def test_a_stamp_that_cannot_be_true_leaves_the_response_to_the_reads(
    first_wall_ns: int, after_ns: int, why: str
) -> None:
    reads = Reads([2_000_000, 3_000_000], [b"a", b"b"], [stamp(first_wall_ns), stamp(2_950_000 + 10**12)])
    assert arrivals_ns(reads, 1_000_000, 10**12, after_ns) == ([2_000_000, 3_000_000], "user"), why


def test_one_read_without_a_stamp_leaves_the_response_to_the_reads() -> None:
    reads = Reads([2_000_000, 3_000_000], [b"a", b"b"], [stamp(1_900_000 + 10**12), b""])
    assert arrivals_ns(reads, 1_000_000, 10**12, 10**12)[1] == "user"


def test_the_offset_of_the_clocks_is_that_of_the_system() -> None:
    assert abs(wall_offset_ns() - (time.time_ns() - time.monotonic_ns())) < 50_000_000


def _pace(listener: socket) -> None:
    peer, _ = listener.accept()
    with peer:
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(CHUNKS):
            time.sleep(GAP_S)
            peer.sendall(b"4\r\nword\r\n")
        time.sleep(GAP_S)
        peer.sendall(b"0\r\n\r\n")


@contextmanager
def paced_server() -> Iterator[str]:
    with create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_pace, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


def gaps_while_the_loop_lags(*, kernel_stamps: bool) -> tuple[list[float], str | None]:
    """Gaps between chunks of a stream, in units of its true gap, read by a loop that is held up for half of one."""
    with paced_server() as url:
        connection = Connection(endpoint_of(url), Timeouts(), kernel_stamps=kernel_stamps)
        connection.connect()
        response = Response()
        hog = gevent.spawn(_hog)
        connection.ask(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", response, time.monotonic_ns() + 10**10)
        hog.kill()
        connection.close()
    times = [t_ns for t_ns, _ in response.pieces]
    return [(b - a) / 1e9 / GAP_S for a, b in pairwise(times)], response.stamps


def _hog() -> None:
    while True:
        time.sleep(GAP_S * 0.55)  # blocks the whole loop
        gevent.sleep(0.001)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kernel stamps are Linux's")
def test_kernel_stamps_stay_true_while_the_loop_lags() -> None:
    seen = []
    for _ in range(5):  # another process may hold up the server itself, and the wall clock be stepped meanwhile
        gaps, kind = gaps_while_the_loop_lags(kernel_stamps=True)
        if kind == "kernel" and len(gaps) == CHUNKS - 1 and all(0.75 < gap < 1.35 for gap in gaps):
            return
        seen.append((kind, gaps))
    pytest.fail(f"stamps and gaps {seen} instead of kernel and 1")


def test_without_kernel_stamps_the_samples_say_so() -> None:
    _, kind = gaps_while_the_loop_lags(kernel_stamps=False)
    assert kind == "user"
