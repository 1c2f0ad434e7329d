"""What is asked of a simulated provider in one dialect, said in its own words, and read again by the same dialect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.dialects import DIALECTS
from harness.dialects.wire import Ask
from harness.records.dialect_names import KIND_OF_DIALECT
from harness.simulator.config import BUILT_IN, Provider
from harness.simulator.routing import route_of
from harness.simulator.service import SPEAKERS
from harness.simulator.speech import Reply
from harness.streams.stream_readers import reader_of
from harness.workloads.structured import SCHEMA, valid

CHATS = sorted(name for name, kind in KIND_OF_DIALECT.items() if kind == "chat")
ANSWERS = [
    ('{"title":', ' "a \\"quoted\\"\\n one",', ' "count": 3,', ' "tags": []}'),
    ('{"title":', ' "é 😀 \\\\ \\u0007",', ' "count": 3,', ' "tags": ["x"]}'),
]


def provider_of(dialect: str) -> Provider:
    return next(each for each in BUILT_IN if dialect in each.dialects)


def said(dialect: str, ask: Ask, answer: tuple[str, ...], per_chunk: int) -> Iterator[str]:
    """The text that the dialect reads of what the simulator says to its request."""
    protocol, request = DIALECTS[dialect], DIALECTS[dialect].build(ask)
    route = route_of(f"/{provider_of(dialect).name}{request.path}", request.body, {p.name: p for p in BUILT_IN})
    assert route.dialect == dialect
    speaker = SPEAKERS[route.dialect]
    asked = speaker.read(request.body, route.query)
    assert asked.structured == (ask.schema is not None)
    tokens = len(answer)
    reply = Reply(id="i", created=1, asked=asked, text_tokens=tokens, tokens_per_chunk=per_chunk, answer=answer)
    if not ask.stream:
        yield protocol.read_whole(speaker.whole(reply)).text
        return
    assert speaker.stream is not None
    reader = reader_of(protocol.framing)
    events = [event for each in speaker.stream(reply) for event in reader.feed(each.data)]
    for event in [*events, *reader.flush()]:
        delta = protocol.read(event.event, event.data)
        assert delta.malformed is None and delta.error is None
        yield delta.text


@pytest.mark.parametrize("dialect", CHATS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("answer", ANSWERS, ids=["quotes", "other"])
def test_a_structured_reply_arrives_as_it_was_said(dialect: str, stream: bool, answer: tuple[str, ...]) -> None:  # noqa: FBT001
    ask = Ask(model="m", texts=("now",), stream=stream, schema=SCHEMA, max_tokens=9)
    for per_chunk in (1, 3):
        text = "".join(said(dialect, ask, answer, per_chunk))
        assert text == "".join(answer) and valid(text)


@pytest.mark.parametrize("dialect", CHATS)
def test_without_a_schema_none_is_seen(dialect: str) -> None:
    assert (
        "".join(said(dialect, Ask(model="m", texts=("now",), max_tokens=9), ("plain", ' "text"'), 1)) == 'plain "text"'
    )
