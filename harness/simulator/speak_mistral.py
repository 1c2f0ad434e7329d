"""Mistral: `POST /v1/chat/completions`, with the usage in the last chunk, and fields it does not know refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from harness.simulator import speak_openai_chat
from harness.simulator.speech import Asked, Event, Refused, Reply, Speaker, encode, quoted, read_json


class _Known(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    messages: list[Any]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stream: bool | None = None
    stop: Any = None
    random_seed: int | None = None
    metadata: Any = None
    response_format: Any = None
    tools: Any = None
    tool_choice: Any = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    n: int | None = None
    prediction: Any = None
    parallel_tool_calls: bool | None = None
    prompt_mode: str | None = None
    reasoning_effort: str | None = None
    prompt_cache_key: str | None = None
    guardrails: Any = None
    safe_prompt: bool | None = None
    min_tokens: int | None = None
    repetition_penalty: float | None = None
    top_k: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    prompt_logprobs: bool | None = None
    top_prompt_logprobs: int | None = None
    service_tier: str | None = None


_decoder = msgspec.json.Decoder(_Known)


def read(body: bytes, query: dict[str, str]) -> Asked:
    """What a request asks. Raises Refused."""
    read_json(_decoder, body)
    asked = speak_openai_chat.read(body, query)
    if asked.max_tokens is not None and asked.max_tokens > 1_000_000:
        raise Refused("Prompt contains more tokens than the model's context")
    return replace(asked, tool=None)  # it plays no calls


def stream(reply: Reply) -> Iterator[Event]:
    """Role chunk, thinking in parts of content, text, and a last chunk with finish reason and usage; `[DONE]`."""
    head = (
        b'data: {"id":"%b","object":"chat.completion.chunk","created":%d,"model":%b,"choices":[{"index":0,"delta":{'
        % (
            reply.id.encode(),
            reply.created,
            quoted(reply.model),
        )
    )
    end = b'},"finish_reason":null}]}\n\n'
    yield Event(head + b'"role":"assistant","content":""' + end)
    for text, tokens in reply.reasoning():
        part = b'"content":[{"type":"thinking","thinking":[{"type":"text","text":"%b"}]}]' % text
        yield Event(head + part + end if reply.show_reasoning else b"", tokens)
    for text, tokens in reply.text():
        yield Event(head + b'"content":"' + text + b'"' + end, tokens)
    last = b'"content":""},"finish_reason":"%b"}],"usage":' % speak_openai_chat.finish_reason(reply).encode()
    yield Event(head + last + encode(_usage(reply)) + b"}\n\n")
    yield Event(b"data: [DONE]\n\n")


def whole(reply: Reply) -> bytes:
    """The body of a reply that is not streamed."""
    text: Any = reply.whole_text()
    if reply.reasoning_tokens and reply.show_reasoning:
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": reply.whole_reasoning()}]}
        text = [thinking, {"type": "text", "text": text}]
    message = {"role": "assistant", "content": text, "tool_calls": None}
    choice = {"index": 0, "message": message, "finish_reason": speak_openai_chat.finish_reason(reply)}
    return encode(
        {
            "id": reply.id,
            "object": "chat.completion",
            "created": reply.created,
            "model": reply.model,
            "choices": [choice],
            "usage": _usage(reply),
        }
    )


def _usage(reply: Reply) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": reply.asked.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.asked.input_tokens + reply.output_tokens,
    }
    return usage | ({"prompt_tokens_details": {"cached_tokens": reply.cached_tokens}} if reply.cached_tokens else {})


SPEAKER = Speaker("mistral", read, whole, stream, speak_openai_chat.error_event)
