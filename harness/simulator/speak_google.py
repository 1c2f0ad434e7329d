"""Gemini: `POST /v1beta/models/{model}:generateContent`, and `:streamGenerateContent` with or without `alt=sse`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from harness.simulator.speech import (
    Asked,
    Event,
    Part,
    Refused,
    Reply,
    Speaker,
    asked_of_chat,
    encode,
    quoted,
    read_json,
    texts_of,
)


class _Content(msgspec.Struct):
    parts: list[Part] = []


class _GenerationConfig(msgspec.Struct, rename="camel"):
    max_output_tokens: int | None = None
    response_json_schema: dict[str, Any] | None = None


class _Request(msgspec.Struct, rename="camel"):
    contents: list[_Content]
    system_instruction: _Content | None = None
    generation_config: _GenerationConfig | None = None


_decoder = msgspec.json.Decoder(_Request)


def read(body: bytes, query: dict[str, str]) -> Asked:
    """What a request asks; `query` holds the path's `model` and `method` too. Raises Refused."""
    request: _Request = read_json(_decoder, body)
    if not request.contents:
        raise Refused("* GenerateContentRequest.contents: contents is not specified")
    cap = None if request.generation_config is None else request.generation_config.max_output_tokens
    if cap is not None and cap < 1:
        raise Refused("max_output_tokens must be positive.")
    system = [] if request.system_instruction is None else [request.system_instruction]
    return asked_of_chat(
        texts_of(*(content.parts for content in (*system, *request.contents))),
        model=query["model"],
        stream=query["method"] == "streamGenerateContent",
        max_tokens=cap,
        framed=query.get("alt") == "sse",
        structured=request.generation_config is not None and bool(request.generation_config.response_json_schema),
    )


def stream(reply: Reply) -> Iterator[Event]:
    """One response object an event, the last with `finishReason`: server-sent events, or the items of an array."""
    if reply.asked.framed:
        yield from (Event(b"data: " + data + b"\r\n\r\n" if data else b"", tokens) for data, tokens in _objects(reply))
        return
    before = b"["
    for data, tokens in _objects(reply):
        yield Event(before + data if data else b"", tokens)
        before = b",\r\n" if data else before
    yield Event(b"]")


def _objects(reply: Reply) -> Iterator[tuple[bytes, int]]:
    tail = b',"modelVersion":%b,"responseId":"%b"}' % (quoted(reply.model), reply.id.encode())
    begin, written = b'{"candidates":[{"content":{"parts":[{"text":"', 0
    thought = b'"thought":true}],"role":"model"},"index":0}],"usageMetadata":'
    for text, tokens in reply.reasoning():
        written += tokens
        usage = encode(_usage(reply, written, 0))
        yield (begin + text + b'",' + thought + usage + tail if reply.show_reasoning else b""), tokens
    written = 0
    finish = b'"}],"role":"model"},"finishReason":"%b","index":0}],"usageMetadata":' % _finish_reason(reply).encode()
    more = b'"}],"role":"model"},"index":0}],"usageMetadata":'
    for text, tokens in reply.text():
        written += tokens
        middle = more if written < reply.text_tokens else finish
        yield begin + text + middle + encode(_usage(reply, reply.reasoning_tokens, written)) + tail, tokens
    if not reply.text_tokens:
        yield begin + finish + encode(_usage(reply, reply.reasoning_tokens, 0)) + tail, 0


def whole(reply: Reply) -> bytes:
    """The body of a reply that is not streamed."""
    parts: list[dict[str, Any]] = []
    if reply.reasoning_tokens and reply.show_reasoning:
        parts.append({"text": reply.whole_reasoning(), "thought": True})
    if reply.text_tokens:
        parts.append({"text": reply.whole_text()})
    content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    return encode(
        {
            "candidates": [{"content": content, "finishReason": _finish_reason(reply), "index": 0}],
            "usageMetadata": _usage(reply, reply.reasoning_tokens, reply.text_tokens),
            "modelVersion": reply.model,
            "responseId": reply.id,
        }
    )


def _finish_reason(reply: Reply) -> str:
    return "MAX_TOKENS" if reply.cut else "STOP"


def _usage(reply: Reply, thoughts: int, candidates: int) -> dict[str, int]:
    """`candidatesTokenCount` leaves out the thoughts."""
    usage = {
        "promptTokenCount": reply.asked.input_tokens,
        "candidatesTokenCount": candidates,
        "totalTokenCount": reply.asked.input_tokens + thoughts + candidates,
    }
    if reply.reasoning_tokens:
        usage["thoughtsTokenCount"] = thoughts
    if reply.cached_tokens:
        usage["cachedContentTokenCount"] = reply.cached_tokens
    return usage


def error_event(reply: Reply, message: str) -> bytes:
    """An error inside a stream."""
    error = encode({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}})
    return b"data: " + error + b"\r\n\r\n" if reply.asked.framed else b",\r\n" + error + b"]"


SPEAKER = Speaker("google", read, whole, stream, error_event)
