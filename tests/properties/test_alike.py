"""Pieces that are taken for alike say what the dialect would have read of them."""

from __future__ import annotations

import json
from itertools import takewhile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.attempts.alike import alike
from harness.dialects import DIALECTS
from harness.dialects.wire import Delta
from harness.sse import SseReader

TEXTS = st.text(max_size=20)


def openai(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return f"data: {json.dumps({'id': 'x', 'model': 'm', 'choices': [choice]})}\n\n".encode()


def openai_raw(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    body = json.dumps({"id": text, "choices": [choice]}, ensure_ascii=False)
    return f"data: {body}\n\n".encode("utf-8", "replace")


def anthropic(text: str) -> bytes:
    body = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return f"event: content_block_delta\r\ndata: {json.dumps(body)}\r\n\r\n".encode()


def google(text: str) -> bytes:
    return f"data: {json.dumps({'candidates': [{'content': {'parts': [{'text': text}]}}]})}\n\n".encode()


WIRES = {
    "chat": (openai, "openai-chat"),
    "chat, text twice": (openai_raw, "openai-chat"),
    "anthropic": (anthropic, "anthropic-messages"),
    "google": (google, "google-generate"),
}


def read(piece: bytes, dialect: str) -> list[Delta]:
    return [DIALECTS[dialect].read(event.event, event.data) for event in SseReader().feed(piece)]


@pytest.mark.parametrize("wire", WIRES)
@given(first=TEXTS, second=TEXTS)
@example(first="word ", second="other ")
@example(first="m", second='a"b')
@example(first="x", second="y")
def test_what_is_alike_is_read_alike(wire: str, first: str, second: str) -> None:
    make, dialect = WIRES[wire]
    (delta,) = read(make(first), dialect)
    pattern = alike(make(first), delta, DIALECTS[dialect])
    if pattern is None:
        return
    events, chars, begin = pattern.take(make(second))
    if events:
        assert read(make(second), dialect) == [Delta(text=second, fingerprint=delta.fingerprint)]
        assert (events, chars, begin) == (1, len(second), len(make(second)))


@pytest.mark.parametrize("wire", WIRES)
@given(st.lists(TEXTS | st.sampled_from(["word ", "two words", "x"]), min_size=1, max_size=8))
def test_of_several_events_at_once_as_many_are_taken_as_are_certain(wire: str, texts: list[str]) -> None:
    make, dialect = WIRES[wire]
    (delta,) = read(make("first"), dialect)
    data = b"".join(make(text) for text in texts)
    pattern = alike(make("zero") + make("first"), delta, DIALECTS[dialect])
    if pattern is None:
        return
    events, chars, begin = pattern.take(data)
    assert data[:begin] == b"".join(make(text) for text in texts[:events])
    assert chars == sum(map(len, texts[:events]))
    assert [each.text for each in read(data[:begin], dialect)] == texts[:events]


@pytest.mark.parametrize("wire", WIRES)
@given(st.lists(TEXTS | st.sampled_from(["word ", "two words", "x", 'a"b', "\n"]), min_size=1, max_size=100))
def test_of_many_pieces_as_many_are_taken_as_are_one_event_each_for_certain(wire: str, texts: list[str]) -> None:
    make, dialect = WIRES[wire]
    (delta,) = read(make("first"), dialect)
    pattern = alike(make("first"), delta, DIALECTS[dialect])
    if pattern is None:
        return
    pieces = [(0, make("before")), *((k, make(text)) for k, text in enumerate(texts))]
    count, chars = pattern.run(pieces, 1)
    taken = [each for _, data in pieces[1 : 1 + count] for each in read(data, dialect)]
    assert [each.text for each in taken] == texts[:count]
    assert chars == sum(map(len, texts[:count]))
    certain = takewhile(
        lambda each: each.isascii() and each.isprintable() and not {*each} & {'"', "\\"} and each, texts
    )
    plain = list(certain)
    assert count == (0 if wire == "chat, text twice" else min(len(plain), 64))


@pytest.mark.parametrize("wire", ["chat", "anthropic", "google"])
def test_plain_words_are_found_alike(wire: str) -> None:
    make, dialect = WIRES[wire]
    (delta,) = read(make("word "), dialect)
    pattern = alike(make("word "), delta, DIALECTS[dialect])
    assert pattern is not None
    assert pattern.take(make("another, longer "))[:2] == (1, 16)
    for other in ("", "a\nb", 'say "x"', "back\\slash", "é"):
        assert pattern.take(make(other)) == (0, 0, 0)
    assert pattern.take(make("one") + make("three"))[:2] == (2, 8)
    assert pattern.take(make("one") + make("two")[:-1]) == (1, 3, len(make("one")))


@pytest.mark.parametrize("field", [{"finish_reason": "stop"}, {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}])
def test_an_event_that_says_more_is_no_pattern(field: dict[str, object]) -> None:
    choice = {"index": 0, "delta": {"content": "word"}, "finish_reason": field.get("finish_reason")}
    document = {"choices": [choice]} | {key: value for key, value in field.items() if key == "usage"}
    piece = f"data: {json.dumps(document)}\n\n".encode()
    (delta,) = read(piece, "openai-chat")
    assert alike(piece, delta, DIALECTS["openai-chat"]) is None
