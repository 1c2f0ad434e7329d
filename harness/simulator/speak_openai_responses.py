"""OpenAI responses: `POST /v1/responses`."""

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

Json = dict[str, Any]


class _Item(msgspec.Struct):
    content: Content = None


class _Form(msgspec.Struct):
    type: str


class _Text(msgspec.Struct):
    format: _Form | None = None


class _Request(msgspec.Struct):
    model: str
    input: str | list[_Item]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    text: _Text | None = None


_decoder = msgspec.json.Decoder(_Request)


def read(body: bytes, _query: dict[str, str]) -> Asked:
    """What a request asks. Raises Refused."""
    request: _Request = read_json(_decoder, body)
    if request.max_output_tokens is not None and request.max_output_tokens < 1:
        raise Refused("Invalid 'max_output_tokens': integer below minimum value.")
    items = [request.input] if isinstance(request.input, str) else [item.content for item in request.input]
    return asked_of_chat(
        texts_of(request.instructions, *items),
        model=request.model,
        stream=bool(request.stream),
        max_tokens=request.max_output_tokens,
        structured=_json_wanted(request.text),
    )


def _json_wanted(text: _Text | None) -> bool:
    return text is not None and text.format is not None and text.format.type == "json_schema"


class _Numbered:
    """Events of one stream, each with the next sequence number."""

    def __init__(self) -> None:
        self._number = 0

    def event(self, kind: str, fields: Json) -> Event:
        """An event that carries no content."""
        body = encode({"type": kind, "sequence_number": self._next(), **fields})
        return Event(named_event(kind.encode(), body))

    def deltas(self, kind: str, ids: Json, pieces: Iterator[tuple[bytes, int]]) -> Iterator[Event]:
        """One event for each piece of text."""
        head = b'event: %b\ndata: {"type":"%b",%b,"sequence_number":' % (
            kind.encode(),
            kind.encode(),
            encode(ids)[1:-1],
        )
        for text, tokens in pieces:
            yield Event(b'%b%d,"delta":"%b"}\n\n' % (head, self._next(), text), tokens)

    def _next(self) -> int:
        self._number += 1
        return self._number - 1


def stream(reply: Reply) -> Iterator[Event]:
    """The official order: created, in_progress, each output item from added to done, completed or incomplete."""
    numbered = _Numbered()
    begun = {"response": _response(reply, "in_progress", [])}
    yield numbered.event("response.created", begun)
    yield numbered.event("response.in_progress", begun)
    items = []
    if reply.reasoning_tokens and reply.show_reasoning:
        items.append(_reasoning_item(reply))
        yield from _reasoning_events(reply, numbered, items[0])
    else:
        yield from (Event(b"", tokens) for _, tokens in reply.reasoning())
    items.append(_message_item(reply))
    yield from _message_events(reply, numbered, items[-1], len(items) - 1)
    status = "incomplete" if reply.cut else "completed"
    yield numbered.event(f"response.{status}", {"response": _response(reply, status, items)})


def _reasoning_events(reply: Reply, numbered: _Numbered, item: Json) -> Iterator[Event]:
    at: Json = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    part = item["content"][0]
    begun = {"id": item["id"], "type": "reasoning", "summary": [], "content": [], "status": "in_progress"}
    yield numbered.event("response.output_item.added", {"output_index": 0, "item": begun})
    yield numbered.event("response.content_part.added", {**at, "part": {**part, "text": ""}})
    yield from numbered.deltas("response.reasoning_text.delta", at, reply.reasoning())
    yield numbered.event("response.reasoning_text.done", {**at, "text": part["text"]})
    yield numbered.event("response.content_part.done", {**at, "part": part})
    yield numbered.event("response.output_item.done", {"output_index": 0, "item": item})


def _message_events(reply: Reply, numbered: _Numbered, item: Json, index: int) -> Iterator[Event]:
    at = {"item_id": item["id"], "output_index": index, "content_index": 0}
    part = item["content"][0]
    begun = {**item, "status": "in_progress", "content": []}
    yield numbered.event("response.output_item.added", {"output_index": index, "item": begun})
    yield numbered.event("response.content_part.added", {**at, "part": {**part, "text": ""}})
    yield from numbered.deltas("response.output_text.delta", {**at, "logprobs": []}, reply.text())
    yield numbered.event("response.output_text.done", {**at, "logprobs": [], "text": part["text"]})
    yield numbered.event("response.content_part.done", {**at, "part": part})
    yield numbered.event("response.output_item.done", {"output_index": index, "item": item})


def whole(reply: Reply) -> bytes:
    """The body of a reply that is not streamed."""
    thought = [_reasoning_item(reply)] if reply.reasoning_tokens and reply.show_reasoning else []
    return encode(_response(reply, "incomplete" if reply.cut else "completed", [*thought, _message_item(reply)]))


def _reasoning_item(reply: Reply) -> Json:
    content = [{"type": "reasoning_text", "text": reply.whole_reasoning()}]
    return {"id": f"rs_{reply.id}", "type": "reasoning", "summary": [], "content": content, "status": "completed"}


def _message_item(reply: Reply) -> Json:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": reply.whole_text()}
    status = "incomplete" if reply.cut else "completed"
    return {"id": f"msg_{reply.id}", "type": "message", "role": "assistant", "status": status, "content": [part]}


def _response(reply: Reply, status: str, output: list[Json]) -> Json:
    return {
        "id": f"resp_{reply.id}",
        "object": "response",
        "created_at": reply.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": None,
        "max_output_tokens": reply.asked.max_tokens,
        "metadata": {},
        "model": reply.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None if status == "in_progress" else _usage(reply),
        "user": None,
    }


def _usage(reply: Reply) -> Json:
    return {
        "input_tokens": reply.asked.input_tokens,
        "input_tokens_details": {"cached_tokens": reply.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        "total_tokens": reply.asked.input_tokens + reply.output_tokens,
    }


def error_event(_reply: Reply, message: str) -> bytes:
    """An error inside a stream."""
    error = {"type": "error", "sequence_number": 0, "code": "server_error", "message": message, "param": None}
    return named_event(b"error", encode(error))


SPEAKER = Speaker("openai", read, whole, stream, error_event)
