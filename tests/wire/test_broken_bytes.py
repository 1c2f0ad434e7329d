"""No reply, however broken, makes a dialect raise; and what is broken is never taken for an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dialects import DIALECTS
from harness.dialects.wire import Delta, Dialect, ErrorReply, HttpRequest, WireError
from harness.streams.stream_readers import reader_of

HERE = Path(__file__).parent
CHAT = sorted(name for name, dialect in DIALECTS.items() if dialect.kind == "chat")
every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=9), below, max_size=3),
    max_leaves=8,
)
EVENT_NAMES = st.sampled_from(
    [
        *("", "error", "message", "ping", "message_start", "message_stop", "response.completed", "message-end"),
        *("contentBlockDelta", "messageStop", "metadata", "exception:throttlingException", "error:Code"),
    ]
)


def recorded(dialect: str) -> list[Any]:
    """The JSON of every recorded event and body of a dialect: what a broken one is made of."""
    folder = HERE / dialect
    streams = [path for path in sorted(folder.iterdir()) if path.suffix in (".sse", ".ndjson", ".bin")]
    framing = DIALECTS[dialect].framing
    events = [event.data for path in streams for event in reader_of(framing).feed(path.read_bytes())]
    bodies = [path.read_bytes() for path in sorted([*folder.glob("whole_*"), *folder.glob("failed_*")])]
    values = []
    for raw in [*events, *bodies]:
        try:
            values.append(json.loads(raw))
        except ValueError:
            continue
    return values


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, below in items for inner in places(below, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


RECORDED = {name: recorded(name) for name in DIALECTS}


def check(dialect: Dialect, event: str, data: bytes) -> None:
    said, whole, failed = dialect.read(event, data), dialect.read_whole(data), dialect.read_error(data)
    for delta in (said, whole):
        assert isinstance(delta, Delta)
        for text in (delta.text, delta.reasoning, delta.refusal, delta.tool_arguments):
            assert isinstance(text, str)
        if delta.malformed is not None:
            assert delta.malformed and not (delta.content or delta.end or delta.items)
    assert isinstance(failed, ErrorReply)
    assert len(failed.error.message) <= 500 and len(failed.error.type) <= 200


@every_dialect
@given(event=EVENT_NAMES | st.text(max_size=9), data=st.binary(max_size=60))
def test_any_bytes(dialect: Dialect, event: str, data: bytes) -> None:
    check(dialect, event, data)


@every_dialect
@given(event=EVENT_NAMES, value=JSON)
def test_any_json(dialect: Dialect, event: str, value: Any) -> None:
    check(dialect, event, json.dumps(value).encode())


@every_dialect
@given(event=EVENT_NAMES, new=JSON, choice=st.integers(0, 10**6), place=st.integers(0, 10**6))
def test_a_recorded_reply_with_any_value_in_any_place(
    dialect: Dialect, event: str, new: Any, choice: int, place: int
) -> None:
    value = RECORDED[dialect.name][choice % len(RECORDED[dialect.name])]
    paths = places(value)
    check(dialect, event, json.dumps(replaced(value, paths[place % len(paths)], new)).encode())


@every_dialect
@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"error":' * 5_000,
        b'{"error":' * 900 + b"1" + b"}" * 900,
        b'{"choices":' + b"[" * 100_000,
        b'{"delta":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"error":{"message":"\xff"}}',
        b'{"error":"\\ud800"}',
        b'{"error":' + b"9" * 5_000 + b"}",
        b'{"usage":{"prompt_tokens":1e400}}',
        b"\xef\xbb\xbf{}",
        b"null",
        b'"[DONE]"',
    ],
    ids=lambda data: repr(data[:16]),
)
def test_bytes_that_are_hard_on_a_parser(dialect: Dialect, data: bytes) -> None:
    check(dialect, "", data)
    check(dialect, "error", data)


@pytest.mark.parametrize("dialect", CHAT)
@pytest.mark.parametrize("data", [b"[]", b"{}", b"null", b"7", b'"text"', b"<html>", b"{", b"[DONE", b"\x1f\x8b\x08"])
def test_what_is_no_reply_is_malformed_and_says_why(dialect: str, data: bytes) -> None:
    for delta in (DIALECTS[dialect].read("", data), DIALECTS[dialect].read_whole(data)):
        assert delta == Delta(malformed=delta.malformed) and delta.malformed


@pytest.mark.parametrize("dialect", sorted(set(DIALECTS) - set(CHAT)))
def test_a_stream_from_a_dialect_without_one_is_malformed(dialect: str) -> None:
    assert DIALECTS[dialect].read("", b"{}").malformed


@pytest.mark.parametrize("dialect", CHAT)
def test_an_event_without_data_is_a_sign_of_life(dialect: str) -> None:
    assert DIALECTS[dialect].read("", b"") == DIALECTS[dialect].read("", b" ") == Delta()
    assert DIALECTS[dialect].read_whole(b"").malformed


@pytest.mark.parametrize("dialect", CHAT)
def test_an_event_named_error_is_an_error_whatever_it_holds(dialect: str) -> None:
    read = DIALECTS[dialect].read
    assert read("error", b"overloaded") == Delta(error=WireError("", "overloaded"))
    assert read("error", b'{"code":"x1"}') == Delta(error=WireError("", '{"code":"x1"}'))
    assert read("", b'{"error":{"type":"t","message":"m"}}') == Delta(error=WireError("t", "m"))


def test_the_name_of_an_event_stands_in_for_a_missing_type() -> None:
    assert DIALECTS["anthropic-messages"].read("message_stop", b"{}") == Delta(end=True)
    ended = DIALECTS["openai-responses"].read("response.incomplete", b'{"response":{}}')
    assert ended == Delta(end=True, finish="incomplete")
    failed = DIALECTS["openai-responses"].read("response.failed", b'{"response":{}}')
    assert failed.end and failed.error is not None


def test_a_response_whose_status_is_failed_is_an_error_under_any_name() -> None:
    data = b'{"type":"response.completed","response":{"status":"failed","error":{"code":"c","message":"m"}}}'
    assert DIALECTS["openai-responses"].read("", data) == Delta(end=True, finish="failed", error=WireError("c", "m"))


def test_an_unspecified_finish_reason_is_not_the_end() -> None:
    data = b'{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"FINISH_REASON_UNSPECIFIED"}]}'
    assert DIALECTS["google-generate"].read("", data) == Delta(text="a")


def test_a_request_does_not_show_its_headers() -> None:
    assert "secret" not in repr(HttpRequest("/", {"x-api-key": "secret"}, b""))
