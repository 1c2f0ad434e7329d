"""Cohere chat, version 2: `POST /v2/chat`."""

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


class _Message(msgspec.Struct):
    role: str
    content: Content = None


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool = False
    max_tokens: int | None = None
    response_format: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Request)


def read(body: bytes, _query: dict[str, str]) -> Asked:
    """What a request asks. Raises Refused."""
    request: _Request = read_json(_decoder, body)
    if not request.messages:
        raise Refused("invalid request: messages must be at least 1 message long.")
    if request.max_tokens is not None and request.max_tokens < 1:
        raise Refused("invalid request: max_tokens must be at least 1.")
    return asked_of_chat(
        texts_of(*(message.content for message in request.messages)),
        model=request.model,
        stream=request.stream,
        max_tokens=request.max_tokens,
        structured="json_schema" in (request.response_format or {}),
    )


def stream(reply: Reply) -> Iterator[Event]:
    """Start of the message; a block of thinking and one of text, each with its start and end; the end, with usage."""
    message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield Event(_event("message-start", {"id": reply.id, "delta": {"message": message}}))
    block = 0
    if reply.reasoning_tokens and reply.show_reasoning:
        yield Event(_started(0, {"type": "thinking", "thinking": ""}))
    for text, tokens in reply.reasoning():
        said = b'{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"%b"}}}}' % text
        yield Event(named_event(b"content-delta", said) if reply.show_reasoning else b"", tokens)
    if reply.reasoning_tokens and reply.show_reasoning:
        yield Event(_event("content-end", {"index": 0}))
        block = 1
    yield Event(_started(block, {"type": "text", "text": ""}))
    for text, tokens in reply.text():
        said = b'{"type":"content-delta","index":%d,"delta":{"message":{"content":{"text":"%b"}}}}' % (block, text)
        yield Event(named_event(b"content-delta", said), tokens)
    yield Event(_event("content-end", {"index": block}))
    yield Event(_event("message-end", {"delta": {"finish_reason": _finish_reason(reply), "usage": _usage(reply)}}))
    yield Event(b"data: [DONE]\n\n")


def _started(index: int, content: dict[str, Any]) -> bytes:
    return _event("content-start", {"index": index, "delta": {"message": {"content": content}}})


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return named_event(name.encode(), encode({"type": name, **fields}))


def whole(reply: Reply) -> bytes:
    """The body of a reply that is not streamed."""
    content: list[dict[str, Any]] = []
    if reply.reasoning_tokens and reply.show_reasoning:
        content.append({"type": "thinking", "thinking": reply.whole_reasoning()})
    if reply.text_tokens:
        content.append({"type": "text", "text": reply.whole_text()})
    message = {"role": "assistant", "content": content}
    return encode({"id": reply.id, "message": message, "finish_reason": _finish_reason(reply), "usage": _usage(reply)})


def _finish_reason(reply: Reply) -> str:
    return "MAX_TOKENS" if reply.cut else "COMPLETE"


def _usage(reply: Reply) -> dict[str, Any]:
    """`tokens` counts what Cohere adds to the prompt as well."""
    given, output = reply.asked.input_tokens, reply.output_tokens
    usage: dict[str, Any] = {
        "billed_units": {"input_tokens": given, "output_tokens": output},
        "tokens": {"input_tokens": given + 3, "output_tokens": output + 2},
    }
    return usage | ({"cached_tokens": reply.cached_tokens} if reply.cached_tokens else {})


def error_event(_reply: Reply, message: str) -> bytes:
    """An error inside a stream: it ends with that."""
    return _event("message-end", {"delta": {"finish_reason": "ERROR", "error": message}})


SPEAKER = Speaker("cohere", read, whole, stream, error_event)
