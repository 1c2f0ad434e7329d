"""OpenAI Responses: `POST {base}/responses`.

Every event names its `type`. Content comes in `*.delta` events; the stream ends with `response.completed`,
`response.incomplete` or `response.failed`, which alone carry the usage. There is no `[DONE]`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.dialects.json_fields import (
    UNDECODABLE,
    bearer,
    error_event,
    error_in,
    post,
    read_error,
    undecodable,
    unread,
)
from harness.dialects.messages import responses_input
from harness.dialects.openai_fields import without_obfuscation
from harness.dialects.wanted import responses_wanted
from harness.dialects.wire import Ask, Delta, Dialect, HttpRequest, WireError
from harness.sample import Usage


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Response(msgspec.Struct, gc=False):
    status: str | None = None
    usage: _Usage | None = None
    error: Any = None
    incomplete_details: _Incomplete | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: Any = None
    response: _Response | None = None
    error: Any = None


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct, gc=False):
    type: str = ""
    content: list[_Part] | None = None
    summary: list[_Part] | None = None
    arguments: str | None = None
    input: str | None = None


class _Whole(_Response):
    output: list[_Item] | None = None


_event_decoder = msgspec.json.Decoder(_Event)
_whole_decoder = msgspec.json.Decoder(_Whole)
_NOTHING = Delta()
_TERMINAL = ("response.completed", "response.incomplete", "response.failed")
_REASONING = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
_ARGUMENTS = (
    "response.function_call_arguments.delta",
    "response.custom_tool_call_input.delta",
    "response.mcp_call_arguments.delta",
    "response.code_interpreter_call_code.delta",
    "response.shell_call_command.delta",
)


def build(ask: Ask) -> HttpRequest:
    """The request: the prompt as `input`."""
    fields: dict[str, Any] = {"model": ask.model, "input": responses_input(ask), **responses_wanted(ask)}
    if ask.max_tokens is not None:
        fields["max_output_tokens"] = ask.max_tokens
    if ask.temperature is not None:
        fields["temperature"] = ask.temperature
    if ask.stream:
        fields["stream"] = True
        options = without_obfuscation(ask.model)
        fields |= {"stream_options": options} if options else {}
    return post("/responses", ask, fields, bearer(ask.key), streamed=ask.stream)


def read(event: str, data: bytes) -> Delta:
    """What one event says."""
    try:
        said = _event_decoder.decode(data)
    except UNDECODABLE as fault:
        return unread(event, data, fault)
    kind = said.type or event
    if kind == "error" or said.error:
        return error_event(data)
    if kind in _TERMINAL:
        return (
            Delta(malformed=f"unexpected JSON: {kind} without response")
            if said.response is None
            else _ended(kind, said.response)
        )
    if not kind:
        return undecodable(data, ValueError("an event without type"))
    return _content(kind, said.delta)


def _content(kind: str, delta: Any) -> Delta:
    """The delta of an event that carries content; other events say nothing that is measured."""
    text_kind = kind == "response.output_text.delta"
    if not (text_kind or kind == "response.refusal.delta" or kind in _REASONING or kind in _ARGUMENTS):
        return _NOTHING
    if not isinstance(delta, str):
        return Delta(malformed=f"unexpected JSON: {kind} whose delta is no text")
    if text_kind:
        return Delta(text=delta)
    if kind in _REASONING:
        return Delta(reasoning=delta)
    return Delta(tool_arguments=delta) if kind in _ARGUMENTS else Delta(refusal=delta, refused=True)


def _ended(kind: str, response: _Response) -> Delta:
    finish = _finish(response) or kind.rpartition(".")[2]
    failed = kind == "response.failed" or response.status == "failed"
    return Delta(
        finish=finish,
        usage=_usage(response.usage),
        error=_failure(response) if failed else None,
        end=True,
        refused=finish == "content_filter",
    )


def read_whole(body: bytes) -> Delta:
    """What a reply says that was not streamed."""
    try:
        reply = _whole_decoder.decode(body)
    except UNDECODABLE as fault:
        return undecodable(body, fault)
    if reply.status == "failed" or (reply.error and reply.output is None):
        return Delta(error=_failure(reply), usage=_usage(reply.usage))
    if reply.output is None:
        return undecodable(body, ValueError("no output"))
    parts = [part for item in reply.output if item.type == "message" for part in item.content or []]
    thoughts = [item for item in reply.output if item.type == "reasoning"]
    refusal = "".join(part.refusal or "" for part in parts)
    finish = _finish(reply)
    return Delta(
        text="".join(part.text or "" for part in parts),
        reasoning="".join(part.text or "" for item in thoughts for part in (item.summary or []) + (item.content or [])),
        refusal=refusal,
        tool_arguments="".join((item.arguments or "") + (item.input or "") for item in reply.output),
        finish=finish,
        usage=_usage(reply.usage),
        end=True,
        refused=bool(refusal) or finish == "content_filter",
        items=1,
    )


def _finish(response: _Response) -> str | None:
    reason = None if response.incomplete_details is None else response.incomplete_details.reason
    return reason or response.status


def _failure(response: _Response) -> WireError:
    error = error_in({"error": response.error}) if response.error else None
    return error or WireError("", "the response failed without saying why")


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None:
        return None
    cache, out = usage.input_tokens_details or _InputDetails(), usage.output_tokens_details
    return Usage(
        source="provider",
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=None if out is None else out.reasoning_tokens,
        cached_tokens=cache.cached_tokens,
        cache_write_tokens=cache.cache_write_tokens,
    )


DIALECT = Dialect(
    name="openai-responses",
    kind="chat",
    build=build,
    read=read,
    read_whole=read_whole,
    read_error=read_error,
    key_env="OPENAI_API_KEY",
)
