"""Anthropic messages: `POST /v1/messages`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from harness.simulator.speech import (
    Asked,
    Content,
    Event,
    Refused,
    Reply,
    Speaker,
    asked_of_chat,
    encode,
    named_event,
    read_json,
    texts_of,
)

_SIGNATURE = "c2ltdWxhdGVk"


class _Message(msgspec.Struct):
    role: str
    content: Content


class _Request(msgspec.Struct):
    model: str
    max_tokens: int
    messages: list[_Message]
    system: Content = None
    stream: bool | None = None
    output_config: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Request)


def read(body: bytes, _query: dict[str, str]) -> Asked:
    """What a request asks. Raises Refused."""
    request: _Request = read_json(_decoder, body)
    if not request.messages:
        raise Refused("messages: at least one message is required")
    if request.max_tokens < 1:
        raise Refused("max_tokens: must be greater than or equal to 1")
    return asked_of_chat(
        texts_of(request.system, *(message.content for message in request.messages)),
        model=request.model,
        stream=bool(request.stream),
        max_tokens=request.max_tokens,
        structured=bool((request.output_config or {}).get("format")),
    )


def stream(reply: Reply) -> Iterator[Event]:
    """message_start, a ping, each content block from start to stop, message_delta, message_stop."""
    yield _event("message_start", {"message": _message(reply, [], None, 1)})
    yield _event("ping", {})
    index = 0
    if reply.reasoning_tokens and reply.show_reasoning:
        yield _block_start(0, {"type": "thinking", "thinking": "", "signature": ""})
        yield from _deltas(0, b'"thinking_delta","thinking"', reply.reasoning())
        signature = {"type": "signature_delta", "signature": _SIGNATURE}
        yield _event("content_block_delta", {"index": 0, "delta": signature})
        yield _event("content_block_stop", {"index": 0})
        index = 1
    else:
        yield from (Event(b"", tokens) for _, tokens in reply.reasoning())
    if reply.text_tokens:
        yield _block_start(index, {"type": "text", "text": ""})
        yield from _deltas(index, b'"text_delta","text"', reply.text())
        yield _event("content_block_stop", {"index": index})
    stop = {"stop_reason": _stop_reason(reply), "stop_sequence": None}
    yield _event("message_delta", {"delta": stop, "usage": _usage(reply, reply.output_tokens)})
    yield _event("message_stop", {})


def _event(kind: str, fields: dict[str, Any]) -> Event:
    return Event(named_event(kind.encode(), encode({"type": kind, **fields})))


def _block_start(index: int, block: dict[str, Any]) -> Event:
    return _event("content_block_start", {"index": index, "content_block": block})


def _deltas(index: int, kind: bytes, pieces: Iterator[tuple[bytes, int]]) -> Iterator[Event]:
    head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":%b:"' % (
        index,
        kind,
    )
    for text, tokens in pieces:
        yield Event(head + text + b'"}}\n\n', tokens)


def whole(reply: Reply) -> bytes:
    """The body of a reply that is not streamed."""
    blocks: list[dict[str, Any]] = []
    if reply.reasoning_tokens and reply.show_reasoning:
        blocks.append({"type": "thinking", "thinking": reply.whole_reasoning(), "signature": _SIGNATURE})
    if reply.text_tokens:
        blocks.append({"type": "text", "text": reply.whole_text()})
    return encode(_message(reply, blocks, _stop_reason(reply), reply.output_tokens))


def _message(reply: Reply, content: list[dict[str, Any]], stop: str | None, output_tokens: int) -> dict[str, Any]:
    return {
        "id": f"msg_{reply.id}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {**_usage(reply, output_tokens), "service_tier": "standard"},
    }


def _stop_reason(reply: Reply) -> str:
    return "max_tokens" if reply.cut else "end_turn"


def _usage(reply: Reply, output_tokens: int) -> dict[str, Any]:
    """`input_tokens` leaves out what was read from the cache; `output_tokens` counts all so far."""
    return {
        "input_tokens": reply.asked.input_tokens - reply.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": reply.cached_tokens,
        "output_tokens": output_tokens,
        "output_tokens_details": {"thinking_tokens": min(reply.reasoning_tokens, output_tokens)},
    }


def error_event(_reply: Reply, message: str) -> bytes:
    """An error inside a stream."""
    return _event("error", {"error": {"type": "overloaded_error", "message": message}}).data


SPEAKER = Speaker("anthropic", read, whole, stream, error_event)
