"""However a response is cut into reads, its body is the same and its end is seen with its last byte, not before."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harness.sockets.http_framing import Framing

CHUNK = st.binary(min_size=1, max_size=40) | st.sampled_from(
    [b"data: x\n\n", b"data: x\r\n\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"{}\r\n", b"0", b"\r\n"]
)
END = st.sampled_from([b"0\r\n\r\n", b"0\r\nx-checksum: 1\r\n\r\n", b"000;last\r\n\r\n"])
CONTINUE = st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % len(data) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


def follow(reads: list[bytes]) -> tuple[bytes, int, Framing]:
    """The body, and after how many reads the end was seen, by the rule of the transport."""
    framing = Framing()
    held: list[bytes] = []
    body = b""
    for number, data in enumerate(reads, 1):
        held.append(data)
        if framing.quick and not framing.may_be_over(data):
            continue
        body += b"".join(framing.parse(each) for each in held)
        held.clear()
        if framing.complete:
            return body, number, framing
    raise AssertionError("the end was never seen")


@given(st.lists(CHUNK, max_size=8), END, CONTINUE, st.lists(st.integers(0, 10_000), max_size=12))
def test_a_chunked_body(chunks: list[bytes], end: bytes, before: bytes, places: list[int]) -> None:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    reads = cut(before + b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + framed + end, places)
    body, seen, framing = follow(reads)
    assert body == b"".join(chunks)
    assert seen == len(reads)
    assert framing.keep_alive
    assert framing.head.headers == {"transfer-encoding": "chunked"} | _trailer(end)


def _trailer(end: bytes) -> dict[str, str]:
    return {"x-checksum": "1"} if b"checksum" in end else {}


@given(st.binary(min_size=0, max_size=200), CONTINUE, st.lists(st.integers(0, 10_000), max_size=12))
def test_a_body_of_known_length(content: bytes, before: bytes, places: list[int]) -> None:
    reads = cut(before + b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(content), content), places)
    body, seen, _ = follow(reads)
    assert (body, seen) == (content, len(reads))


@given(st.binary(min_size=1, max_size=50))
def test_bytes_after_the_end_are_not_kept_for_the_next_response(junk: bytes) -> None:
    framing = Framing()
    assert framing.parse(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" + junk) == b"ok"
    assert framing.complete
