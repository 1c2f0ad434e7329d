"""Ollama: `POST /api/chat`, a JSON object a line where the reply is streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from harness.simulator.speech import (
    Asked,
    Event,
    Refused,
    Reply,
    Speaker,
    asked_of_chat,
    encode,
    quoted,
    read_json,
)


class _Message(msgspec.Struct):
    role: str
    content: str = ""


class _Options(msgspec.Struct):
    num_predict: int | None = None


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    options: _Options | None = None
    format: str | dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Request)
_CREATED = "2025-01-01T00:00:00.000000Z"


def read(body: bytes, _query: dict[str, str]) -> Asked:
    """What a request asks. It is streamed unless it says otherwise. Raises Refused."""
    request: _Request = read_json(_decoder, body)
    if not request.messages:
        raise Refused("messages: at least one is needed")
    cap = None if request.options is None else request.options.num_predict
    texts = [message.content for message in request.messages]
    return asked_of_chat(
        texts,
        model=request.model,
        stream=request.stream is not False,
        max_tokens=cap if cap is not None and cap > 0 else None,  # -1: as long as it likes
        structured=isinstance(request.format, dict),
    )


def stream(reply: Reply) -> Iterator[Event]:
    """Thinking, content, and the last line with counts and times."""
    head = b'{"model":%b,"created_at":"%b","message":{"role":"assistant",' % (quoted(reply.model), _CREATED.encode())
    for text, tokens in reply.reasoning():
        line = head + b'"content":"","thinking":"' + text + b'"},"done":false}\n'
        yield Event(line if reply.show_reasoning else b"", tokens)
    for text, tokens in reply.text():
        yield Event(head + b'"content":"' + text + b'"},"done":false}\n', tokens)
    yield Event(encode(_last(reply, "")) + b"\n")


def whole(reply: Reply) -> bytes:
    """The body of a reply that is not streamed."""
    return encode(_last(reply, reply.whole_text(), reply.whole_reasoning()))


def _last(reply: Reply, text: str, thinking: str = "") -> dict[str, Any]:
    message = {"role": "assistant", "content": text} | ({"thinking": thinking} if thinking else {})
    return {
        "model": reply.model,
        "created_at": _CREATED,
        "message": message,
        "done": True,
        "done_reason": "length" if reply.cut else "stop",
        "total_duration": 3_000_000,
        "load_duration": 0,
        "prompt_eval_count": reply.asked.input_tokens,
        "prompt_eval_duration": 1_000_000,
        "eval_count": reply.output_tokens,
        "eval_duration": 2_000_000,
    }


def error_event(_reply: Reply, message: str) -> bytes:
    """An error inside a stream."""
    return encode({"error": message}) + b"\n"


SPEAKER = Speaker("ollama", read, whole, stream, error_event, content_type="application/x-ndjson")
