"""Cohere chat, version 2: `POST {base}/v2/chat`.

Each event names its `type`. Text, thinking, tool plans and arguments come in deltas; `message-end` ends the stream and
tells the finish reason and the usage, `[DONE]` may follow. Of the two usages that it tells, `billed_units` counts,
which leaves out what Cohere itself adds to a prompt. A finish reason `ERROR` or `TIMEOUT` is an error after status 200.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.dialects.json_fields import (
    UNDECODABLE,
    bearer,
    error_event,
    post,
    read_error,
    undecodable,
    unread,
    whole_reply,
)
from harness.dialects.messages import openai_messages
from harness.dialects.wanted import cohere_wanted
from harness.dialects.wire import Ask, Delta, Dialect, HttpRequest, WireError
from harness.sample import Usage


class _Counts(msgspec.Struct, gc=False):
    input_tokens: float | None = None
    output_tokens: float | None = None


class _Usage(msgspec.Struct, gc=False):
    billed_units: _Counts | None = None
    tokens: _Counts | None = None
    cached_tokens: float | None = None


class _Function(msgspec.Struct, gc=False):
    arguments: str | None = None


class _ToolCall(msgspec.Struct, gc=False):
    function: _Function | None = None


class _Part(msgspec.Struct, gc=False):
    text: str | None = None
    thinking: str | None = None


class _Message(msgspec.Struct, gc=False):
    content: _Part | list[_Part] | None = None
    tool_plan: str | None = None
    tool_calls: _ToolCall | list[_ToolCall] | None = None


class _Told(msgspec.Struct, gc=False):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: _Usage | None = None
    error: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    delta: _Told | None = None
    error: Any = None


class _Reply(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: str | None = None
    usage: _Usage | None = None


_event_decoder = msgspec.json.Decoder(_Event)
_reply_decoder = msgspec.json.Decoder(_Reply)
_NOTHING = Delta()
_FAILED = ("ERROR", "TIMEOUT")
_END = "message-end"


def build(ask: Ask) -> HttpRequest:
    """The request: one user message."""
    fields: dict[str, Any] = {"model": ask.model, "messages": openai_messages(ask), **cohere_wanted(ask)}
    if ask.max_tokens is not None:
        fields["max_tokens"] = ask.max_tokens
    if ask.temperature is not None:
        fields["temperature"] = ask.temperature
    fields["stream"] = ask.stream
    return post("/v2/chat", ask, fields, bearer(ask.key), streamed=ask.stream)


def read(event: str, data: bytes) -> Delta:
    """What one event says. Its type stands in its data; the event's name stands in for a missing one."""
    if data.strip() == b"[DONE]":
        return _NOTHING
    try:
        said = _event_decoder.decode(data)
    except UNDECODABLE as fault:
        return unread(event, data, fault)
    if event == "error" or said.error:
        return error_event(data)
    kind = said.type or event
    if not kind:
        return undecodable(data, ValueError("no type"))
    if said.delta is None:
        return Delta(end=True) if kind == _END else _NOTHING
    return _delta(said.delta, end=kind == _END, whole=False)


def read_whole(body: bytes) -> Delta:
    """What a reply says that was not streamed."""
    return whole_reply(_reply_decoder, body, _whole)


def _whole(reply: _Reply) -> Delta:
    told = _Told(message=reply.message, finish_reason=reply.finish_reason, usage=reply.usage)
    return _delta(told, end=True, whole=True)


def _delta(told: _Told, *, end: bool, whole: bool) -> Delta:
    message = told.message or _Message()
    parts = message.content if isinstance(message.content, list) else [message.content or _Part()]
    calls = message.tool_calls if isinstance(message.tool_calls, list) else [message.tool_calls or _ToolCall()]
    failed = told.finish_reason in _FAILED
    return Delta(
        text="".join(part.text or "" for part in parts),
        reasoning=(message.tool_plan or "") + "".join(part.thinking or "" for part in parts),
        tool_arguments="".join(call.function.arguments or "" for call in calls if call.function is not None),
        finish=told.finish_reason,
        usage=_usage(told.usage),
        error=WireError(told.finish_reason or "", told.error or "the reply ended with an error") if failed else None,
        end=end,
        items=1 if whole else 0,
    )


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None:
        return None
    counts = usage.billed_units or usage.tokens or _Counts()
    return Usage(
        source="provider",
        input_tokens=_whole_number(counts.input_tokens),
        output_tokens=_whole_number(counts.output_tokens),
        cached_tokens=_whole_number(usage.cached_tokens),
    )


def _whole_number(count: float | None) -> int | None:
    return None if count is None or not abs(count) < 1e15 else int(count)


DIALECT = Dialect(
    name="cohere-chat",
    kind="chat",
    build=build,
    read=read,
    read_whole=read_whole,
    read_error=read_error,
    key_env="CO_API_KEY",
)
