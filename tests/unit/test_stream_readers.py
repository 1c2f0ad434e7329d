"""Lines of JSON and AWS's messages, cut anywhere and made of anything."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from itertools import pairwise
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records.stream_event import BrokenFrame, EventTooLarge, StreamEvent, StreamReader
from harness.simulator.aws_frames import event, exception, frame
from harness.streams.aws_stream import AwsStreamReader
from harness.streams.json_lines import MAX_STRAY_BYTES, JsonLinesReader
from harness.streams.stream_readers import reader_of

VALUES = st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(), max_size=3)


def pieces_of(raw: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    return [raw[begin:end] for begin, end in pairwise(places)]


def read(reader: StreamReader, pieces: list[bytes]) -> list[StreamEvent]:
    return [each for piece in pieces for each in reader.feed(piece)] + reader.flush()


@given(st.lists(VALUES, max_size=6), st.lists(st.integers(0, 10**6), max_size=8), st.sampled_from([b"\n", b"\r\n"]))
def test_lines_are_the_same_however_they_are_cut(values: list[object], cuts: list[int], end: bytes) -> None:
    lines = [json.dumps(value, ensure_ascii=False).encode() for value in values]
    reader = JsonLinesReader()
    events = read(reader, pieces_of(b"".join(line + end for line in lines), cuts))
    assert events == [StreamEvent("", line) for line in lines]
    assert reader.between and reader.stray == b""


def test_a_line_that_does_not_end_is_no_event_and_is_stray() -> None:
    reader = reader_of("ndjson")
    assert reader.feed(b'{"a":1}\n{"b"') == [StreamEvent("", b'{"a":1}')]
    assert not reader.between and reader.stray == b'{"b"' and reader.flush() == []


@pytest.mark.parametrize(
    "chunks", [[b"x" * 101], [b"x" * 60, b"x" * 60], [b"x" * 101 + b"\n"], [b"x" * 60, b"x" * 60 + b"\n"]]
)
def test_a_line_without_end_is_given_up(chunks: list[bytes]) -> None:
    reader = JsonLinesReader(max_line_bytes=100)
    with pytest.raises(EventTooLarge, match="100 bytes"):
        read(reader, chunks)
    assert len(reader.stray) <= MAX_STRAY_BYTES


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=20), st.binary(max_size=50)), max_size=5),
    st.lists(st.integers(0, 10**6), max_size=8),
)
def test_messages_are_the_same_however_they_are_cut(said: list[tuple[str, bytes]], cuts: list[int]) -> None:
    raw = b"".join(event(name, payload) for name, payload in said)
    reader = AwsStreamReader()
    assert read(reader, pieces_of(raw, cuts)) == [StreamEvent(name, payload) for name, payload in said]
    assert reader.between and reader.stray == b""


def test_exceptions_and_errors_are_named_as_such() -> None:
    error = frame({":message-type": "error", ":error-code": "C", ":error-message": "m"}, b"")
    events = AwsStreamReader().feed(exception("throttlingException", b"{}") + error)
    assert events == [StreamEvent("exception:throttlingException", b"{}"), StreamEvent("error:C", b"m")]


@given(st.binary(max_size=200), st.lists(st.integers(0, 10**6), max_size=4))
def test_any_bytes_are_read_or_refused(raw: bytes, cuts: list[int]) -> None:
    reader = AwsStreamReader()
    try:
        read(reader, pieces_of(raw, cuts))
    except BrokenFrame:
        assert len(reader.stray) <= len(raw)


@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_bit_that_is_turned_is_found(place: int, bit: int) -> None:
    raw = bytearray(event("contentBlockDelta", b'{"delta":{"text":"Hello"}}'))
    raw[place % len(raw)] ^= 1 << bit
    with pytest.raises(BrokenFrame):
        AwsStreamReader().feed(bytes(raw) + b"\0" * 400)


@pytest.mark.parametrize("total", [0, 1, 4, 11, 12, 15, 16, 2**31, 2**32 - 1])
@pytest.mark.parametrize("headers", [0, 1, 2**17 + 1, 2**32 - 1])
def test_lengths_beyond_measure_neither_hang_nor_fill_memory(total: int, headers: int) -> None:
    prelude = struct.pack(">II", total, headers)
    raw = prelude + struct.pack(">I", crc32(prelude)) + b"\0" * 1000
    with suppress(BrokenFrame):
        AwsStreamReader().feed(raw)
