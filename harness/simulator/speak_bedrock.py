"""Bedrock's Converse: `POST /model/{model}/converse`, and `/converse-stream` in AWS's event stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from harness.simulator.aws_frames import event, exception
from harness.simulator.speech import (
    Asked,
    Event,
    Part,
    Refused,
    Reply,
    Speaker,
    asked_of_chat,
    encode,
    read_json,
    texts_of,
)


class _Message(msgspec.Struct):
    role: str
    content: list[Part]


class _Config(msgspec.Struct, rename="camel"):
    max_tokens: int | None = None


class _Request(msgspec.Struct, rename="camel"):
    messages: list[_Message]
    system: list[Part] = []
    inference_config: _Config | None = None
    output_config: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Request)


def read(body: bytes, query: dict[str, str]) -> Asked:
    """What a request asks; `query` holds the path's `model` and `method` too. Raises Refused."""
    request: _Request = read_json(_decoder, body)
    if not request.messages:
        raise Refused("A conversation must start with a user message.")
    cap = None if request.inference_config is None else request.inference_config.max_tokens
    if cap is not None and cap < 1:
        raise Refused("Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: at least 1")
    return asked_of_chat(
        texts_of(request.system, *(message.content for message in request.messages)),
        model=query["model"],
        stream=query["method"] == "converse-stream",
        max_tokens=cap,
        structured="textFormat" in (request.output_config or {}),
    )


def stream(reply: Reply) -> Iterator[Event]:
    """A message a step; thought and answer are blocks of their own."""
    yield Event(event("messageStart", b'{"role":"assistant"}'))
    block = 0
    if reply.reasoning_tokens:
        for text, tokens in reply.reasoning():
            said = b'{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"%b"}}}' % text
            yield Event(event("contentBlockDelta", said) if reply.show_reasoning else b"", tokens)
        yield Event(event("contentBlockStop", b'{"contentBlockIndex":0}'))
        block = 1
    for text, tokens in reply.text():
        yield Event(
            event("contentBlockDelta", b'{"contentBlockIndex":%d,"delta":{"text":"%b"}}' % (block, text)), tokens
        )
    yield Event(event("contentBlockStop", b'{"contentBlockIndex":%d}' % block))
    yield Event(event("messageStop", b'{"stopReason":"%b"}' % _stop_reason(reply).encode()))
    yield Event(event("metadata", encode({"usage": _usage(reply), "metrics": {"latencyMs": 1}})))


def whole(reply: Reply) -> bytes:
    """The body of a reply that is not streamed."""
    content: list[dict[str, Any]] = []
    if reply.reasoning_tokens and reply.show_reasoning:
        content.append({"reasoningContent": {"reasoningText": {"text": reply.whole_reasoning()}}})
    if reply.text_tokens:
        content.append({"text": reply.whole_text()})
    return encode(
        {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": _stop_reason(reply),
            "usage": _usage(reply),
            "metrics": {"latencyMs": 1},
        }
    )


def _stop_reason(reply: Reply) -> str:
    return "max_tokens" if reply.cut else "end_turn"


def _usage(reply: Reply) -> dict[str, int]:
    """`inputTokens` leaves out what was read from the cache."""
    fresh = reply.asked.input_tokens - reply.cached_tokens
    total = reply.asked.input_tokens + reply.output_tokens
    usage = {"inputTokens": fresh, "outputTokens": reply.output_tokens, "totalTokens": total}
    return usage | ({"cacheReadInputTokens": reply.cached_tokens} if reply.cached_tokens else {})


def error_event(_reply: Reply, message: str) -> bytes:
    """An exception inside a stream."""
    return exception("modelStreamErrorException", encode({"message": message, "originalStatusCode": 500}))


SPEAKER = Speaker("aws", read, whole, stream, error_event, content_type="application/vnd.amazon.eventstream")
