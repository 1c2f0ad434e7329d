"""Whatever the bytes and wherever they are cut, the events are the same, and what is written can be read back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.records.stream_event import StreamEvent
from harness.sse import SseReader

BOMS = st.sampled_from([b"", b"\xef\xbb\xbf"])
LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
SYNTAX = [b"data", b"data:", b"data: ", b"event: e", b":", b" ", b"\r", b"\n", b"\r\n", b"\n\n", b"data: x\n\n"]
OTHER = [b"\xef\xbb\xbf", b"x", "é".encode(), "\u2028".encode(), "\u0085".encode(), b"\xff", b"\x00", b"id: 1\n"]
FRAGMENTS = st.sampled_from([*SYNTAX, *OTHER])
STREAMS = st.lists(FRAGMENTS | st.binary(max_size=8), max_size=30).map(b"".join)
TEXT = st.binary(max_size=40).filter(lambda value: b"\r" not in value and b"\n" not in value)
NAMES = st.text(max_size=8).filter(lambda name: "\r" not in name and "\n" not in name)
EVENTS = st.lists(
    st.builds(StreamEvent, NAMES, st.lists(TEXT, min_size=1, max_size=4).map(b"\n".join)), min_size=1, max_size=6
)


def read(chunks: list[bytes]) -> tuple[list[StreamEvent], bool, bytes]:
    reader = SseReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return events + reader.flush(), reader.pending, reader.stray


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    edges = sorted(place % (len(raw) + 1) for place in places)
    return [raw[start:end] for start, end in zip([0, *edges], [*edges, len(raw)], strict=True)]


def written(event: StreamEvent, line_end: bytes) -> bytes:
    name = [b"event: " + event.event.encode("utf-8")] if event.event else []
    lines = [*name, *(b"data: " + line for line in event.data.split(b"\n")), b"", b""]
    return line_end.join(lines)


@given(STREAMS, st.lists(st.integers(0, 1000), max_size=12))
def test_any_cut_of_any_stream_gives_the_same(raw: bytes, places: list[int]) -> None:
    assert read(cut(raw, places)) == read([raw])


@given(EVENTS, LINE_ENDS, BOMS, st.lists(st.integers(0, 1000), max_size=6))
def test_events_that_are_written_are_read_back(
    events: list[StreamEvent],
    line_end: bytes,
    bom: bytes,
    places: list[int],
) -> None:
    raw = bom + b"".join(written(event, line_end) for event in events)
    assert read(cut(raw, places)) == (events, False, b"")
