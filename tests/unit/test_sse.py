from __future__ import annotations

import pytest

from harness.records.stream_event import EventTooLarge, StreamEvent
from harness.sse import MAX_STRAY_BYTES, SseReader


def read(*chunks: bytes) -> list[StreamEvent]:
    reader = SseReader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + reader.flush()


@pytest.mark.parametrize(
    ("raw", "events"),
    [
        (b"data: a\n\n", [("", b"a")]),
        (b"data: a\r\n\r\n", [("", b"a")]),
        (b"data: a\r\r", [("", b"a")]),
        (b"data: a\r\n\n", [("", b"a")]),
        (b"data: a\n\r\n", [("", b"a")]),
        (b"data:a\n\n", [("", b"a")]),
        (b"data:  a \n\n", [("", b" a ")]),
        (b"data:\n\n", [("", b"")]),
        (b"data: \n\n", [("", b"")]),
        (b"data\n\n", [("", b"")]),
        (b"data: a\ndata: b\ndata\ndata:c\n\n", [("", b"a\nb\n\nc")]),
        (b"event: ping\ndata: {}\n\n", [("ping", b"{}")]),
        (b"data: {}\nevent: late\n\n", [("late", b"{}")]),
        (b"event: one\nevent: two\ndata: x\n\n", [("two", b"x")]),
        (b"event: one\nevent\ndata: x\n\n", [("", b"x")]),
        (b"event: none\n\ndata: x\n\n", [("", b"x")]),
        (b"event: \xff\ndata: x\n\n", [("\ufffd", b"x")]),
        (b": comment\n\ndata: x\n: comment\n\n", [("", b"x")]),
        (b"id: 1\nretry: 10\ndata: x\nunknown: y\n\n", [("", b"x")]),
        (b"dataset: no\nDATA: no\n data: no\n\n", []),
        (b"\xef\xbb\xbfdata: x\n\n", [("", b"x")]),
        (b"\xef\xbb\xbf\n\xef\xbb\xbfdata: x\n\n", []),
        (b"data: x\n\n\xef\xbb\xbfdata: y\n\n", [("", b"x")]),
        (b"\n\n\n", []),
        (b"", []),
        (b"data: a\n\ndata: b\n\n", [("", b"a"), ("", b"b")]),
        (b"data: a: b\n\n", [("", b"a: b")]),
    ],
)
def test_events_of_a_stream(raw: bytes, events: list[tuple[str, bytes]]) -> None:
    expected = [StreamEvent(*event) for event in events]
    assert read(raw) == expected
    assert read(*(raw[i : i + 1] for i in range(len(raw)))) == expected


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1e", "\x00"])
def test_nothing_but_cr_and_lf_ends_a_line(separator: str) -> None:
    text = f"a{separator}data: b".encode()
    assert read(b"data: " + text + b"\n\n") == [StreamEvent("", text)]


def test_an_event_is_given_as_soon_as_its_blank_line_is_there() -> None:
    reader = SseReader()
    assert reader.feed(b"data: a\n") == []
    assert reader.feed(b"\n") == [StreamEvent("", b"a")]
    assert reader.feed(b"data: b\r\n\r") == [StreamEvent("", b"b")]
    assert reader.feed(b"\ndata: c\n\n") == [StreamEvent("", b"c")]


def test_an_event_that_comes_alone_does_not_lose_what_was_held_before() -> None:
    assert read(b"event: named\n", b"data: x\n\n") == [StreamEvent("named", b"x")]
    assert read(b"data: a\n\n", b"\xef\xbb\xbfdata: b\n\n") == [StreamEvent("", b"a")]
    assert read(b"data: a\n", b"data: b\n\n") == [StreamEvent("", b"a\nb")]
    assert read(b"data: a", b"data: b\n\n") == [StreamEvent("", b"adata: b")]
    assert read(b"data: a\r\n\r", b"data: b\n\n") == [StreamEvent("", b"a"), StreamEvent("", b"b")]
    assert read(b"data: a\ndata: b\n\n", b"data: c\n\n") == [StreamEvent("", b"a\nb"), StreamEvent("", b"c")]


def test_flush_gives_an_event_without_its_blank_line_but_no_line_that_has_not_ended() -> None:
    reader = SseReader()
    assert reader.feed(b"data: [DONE]\n") == []
    assert not reader.pending
    assert reader.flush() == [StreamEvent("", b"[DONE]")]
    assert reader.flush() == []

    reader = SseReader()
    assert reader.feed(b"data: [DO") == []
    assert reader.pending
    assert reader.flush() == []
    assert reader.stray == b"data: [DO"


def test_nothing_is_pending_between_lines() -> None:
    reader = SseReader()
    assert not reader.pending
    for chunk, pending in ((b"da", True), (b"ta: x\r", False), (b"\n", False), (b"\n", False), (b": c", True)):
        reader.feed(chunk)
        assert reader.pending is pending


def test_stray_lines_are_kept_up_to_a_limit() -> None:
    reader = SseReader()
    reader.feed(b": comment\nid: 1\nretry: 5\nevent: x\ndata: y\n\n<html>\n")
    assert reader.stray == b"<html>"
    reader.feed(b"<p>\n" * 10_000 + b"z" * 10_000)
    assert len(reader.stray) == MAX_STRAY_BYTES and reader.stray.startswith(b"<html>\n<p>\n<p>")


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * 95 + b"\n\n"],
        [b"data: " + b"x" * 95],
        [b"data: ", b"x" * 50, b"x" * 45],
        [b"data: " + b"x" * 50 + b"\n", b"data: " + b"x" * 50 + b"\n"],
        [b"data: " + b"x" * 50 + b"\n", b"data: " + b"x" * 50],
        [b"<html>" + b"x" * 95],
        [b": " + b"x" * 99 + b"\n"],
    ],
)
def test_an_event_or_a_line_over_the_limit_is_refused(chunks: list[bytes]) -> None:
    reader = SseReader(max_event_bytes=100)
    *harmless, last = chunks
    for chunk in harmless:
        assert reader.feed(chunk) == []
    with pytest.raises(EventTooLarge, match="100 bytes"):
        reader.feed(last)


def test_the_limit_is_of_one_event_and_not_of_the_stream() -> None:
    reader = SseReader(max_event_bytes=100)
    event = b"data: " + b"x" * 94 + b"\n\n"
    assert len(reader.feed(event * 50)) == 50
    assert len([reader.feed(event[:60]), reader.feed(event[60:])][1]) == 1
    assert len(reader.feed(b": keep-alive\n" * 50 + event)) == 1
