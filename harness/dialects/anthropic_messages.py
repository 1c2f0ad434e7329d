"""Anthropic Messages: `POST {base}/v1/messages`.

A stream is `message_start` (usage of the input), blocks of content, `message_delta` (stop reason, usage of the
output) and `message_stop`, with any number of pings between. Counts in `message_delta` are cumulative. The
provider's `input_tokens` leaves out what was read from or written to a cache; ours does not.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from harness.dialects.json_fields import UNDECODABLE, post, quoted, undecodable, unread, whole_reply
from harness.dialects.json_fields import read_error as read_any_error
from harness.dialects.messages import anthropic_messages
from harness.dialects.wanted import anthropic_wanted
from harness.dialects.wire import Ask, Delta, Dialect, ErrorReply, HttpRequest, WireError
from harness.sample import Usage

API_VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 1024  # the protocol wants a limit in every request


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    input: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct, gc=False):
    type: str = ""
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None
    error: Any = None


class _Piece(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: _Piece | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: Any = None


_event_decoder = msgspec.json.Decoder(_Event)
_whole_decoder = msgspec.json.Decoder(_Message)
_NOTHING = Delta()
_END = Delta(end=True)


def build(ask: Ask) -> HttpRequest:
    """The request: one user message."""
    fields: dict[str, Any] = {
        "model": ask.model,
        "max_tokens": DEFAULT_MAX_TOKENS if ask.max_tokens is None else ask.max_tokens,
        "messages": anthropic_messages(ask),
        **anthropic_wanted(ask),
    }
    if ask.temperature is not None:
        fields["temperature"] = ask.temperature
    if ask.stream:
        fields["stream"] = True
    key = {} if ask.key is None else {"x-api-key": ask.key.strip()}
    return post("/v1/messages", ask, fields, {"anthropic-version": API_VERSION, **key}, streamed=ask.stream)


def read(event: str, data: bytes) -> Delta:
    """What one event says."""
    try:
        said = _event_decoder.decode(data)
    except UNDECODABLE as fault:
        return unread(event, data, fault)
    kind = said.type or event
    if kind == "content_block_delta":
        return _content(said.delta)
    if kind == "error" or said.error:
        return Delta(error=read_error(data).error)
    if kind == "content_block_start":
        block = said.content_block or _Block()
        return Delta(text=block.text or "", reasoning=block.thinking or "")
    if kind == "message_start":
        return _started(said.message)
    if kind == "message_delta":
        finish = None if said.delta is None else said.delta.stop_reason
        return Delta(finish=finish, usage=_usage(said.usage), refused=finish == "refusal")
    if kind == "message_stop":
        return _END
    return _NOTHING if kind else undecodable(data, ValueError("an event without type"))


def _content(piece: _Piece | None) -> Delta:
    """The content of a block's delta; a signature or a citation is none."""
    if piece is None:
        return Delta(malformed="unexpected JSON: content_block_delta without delta")
    return Delta(text=piece.text or "", reasoning=piece.thinking or "", tool_arguments=piece.partial_json or "")


def _started(message: _Message | None) -> Delta:
    """The usage at the start: its output tokens are a place-holder, so they are not measured."""
    if message is None:
        return Delta(malformed="unexpected JSON: message_start without message")
    if message.usage is not None:
        message.usage.output_tokens = None
    return Delta(usage=_usage(message.usage))


def read_whole(body: bytes) -> Delta:
    """What a reply says that was not streamed."""
    return whole_reply(_whole_decoder, body, _whole, "no content", read_error)


def _whole(reply: _Message) -> Delta | None:
    if reply.content is None or reply.type == "error":
        return None
    return Delta(
        text="".join(block.text or "" for block in reply.content),
        reasoning="".join(block.thinking or "" for block in reply.content),
        tool_arguments="".join(bytes(block.input).decode("utf-8", "replace") for block in reply.content),
        finish=reply.stop_reason,
        usage=_usage(reply.usage),
        end=True,
        refused=reply.stop_reason == "refusal",
        items=1,
    )


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None:
        return None
    parts = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
    counted = [part for part in parts if part is not None]
    details = usage.output_tokens_details
    return Usage(
        source="provider",
        input_tokens=sum(counted) if counted else None,
        output_tokens=usage.output_tokens,
        reasoning_tokens=None if details is None else details.thinking_tokens,
        cached_tokens=usage.cache_read_input_tokens,
        cache_write_tokens=usage.cache_creation_input_tokens,
    )


class _Details(msgspec.Struct, gc=False):
    error_code: str | None = None


class _Error(msgspec.Struct, gc=False):
    details: _Details | None = None


class _Failure(msgspec.Struct, gc=False):
    error: _Error


_failure_decoder = msgspec.json.Decoder(_Failure)
# What has the type of any bad request, and is told by its words alone.
_TOLD_BY_WORDS = (
    (re.compile(r"blocked by content filter", re.IGNORECASE), "content_filter"),
    (re.compile(r"credit balance is too low", re.IGNORECASE), "credit_balance_too_low"),
    (re.compile(r"reached your specified (?:\w+ )?API usage limit", re.IGNORECASE), "spend_limit_reached"),
)


def read_error(body: bytes) -> ErrorReply:
    """What the body of a failed response, or an event that is an error, says. The code of its details says more than
    its type: a month's budget that is spent has the type of a rate limit."""
    error = read_any_error(body).error
    code = _code_in_details(body)
    if code is None and error.type == "invalid_request_error":
        code = next((word for pattern, word in _TOLD_BY_WORDS if pattern.search(error.message)), None)
    return ErrorReply(error if code is None else WireError(code, error.message))


def _code_in_details(body: bytes) -> str | None:
    try:
        details = _failure_decoder.decode(body).error.details
    except UNDECODABLE:
        return None
    code = None if details is None else details.error_code
    return None if not code else quoted(code.encode("utf-8", "replace"))


DIALECT = Dialect(
    name="anthropic-messages",
    kind="chat",
    build=build,
    read=read,
    read_whole=read_whole,
    read_error=read_error,
    key_env="ANTHROPIC_API_KEY",
)
