"""Ollama: `POST {base}/api/chat`. A stream is one JSON object a line (NDJSON).

The object with `done` ends the stream and tells the counts and the server's own times, in nanoseconds. An error may
come as a line of its own after status 200. Other fields, such as `think`, `keep_alive` or more `options`, come from the
target's `body`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from harness.dialects.json_fields import UNDECODABLE, bearer, post, undecodable, unread, whole_reply
from harness.dialects.json_fields import read_error as read_any_error
from harness.dialects.messages import ollama_messages
from harness.dialects.wanted import ollama_wanted
from harness.dialects.wire import Ask, Delta, Dialect, ErrorReply, HttpRequest, WireError
from harness.sample import ServerTime, Usage


class _Function(msgspec.Struct, gc=False):
    arguments: msgspec.Raw = msgspec.Raw(b"")


class _ToolCall(msgspec.Struct, gc=False):
    function: _Function | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Reply(msgspec.Struct, gc=False):
    message: _Message | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_duration: int | None = None
    eval_duration: int | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Reply)


def build(ask: Ask) -> HttpRequest:
    """The request: one user message. Ollama streams unless it is told not to."""
    options: dict[str, Any] = {}
    if ask.max_tokens is not None:
        options["num_predict"] = ask.max_tokens
    if ask.temperature is not None:
        options["temperature"] = ask.temperature
    fields: dict[str, Any] = {"model": ask.model, "messages": ollama_messages(ask), "stream": ask.stream}
    fields |= ollama_wanted(ask)
    fields |= {"options": options} if options else {}
    request = post("/api/chat", ask, fields, bearer(ask.key), streamed=False)
    accept = "application/x-ndjson" if ask.stream else "application/json"
    return HttpRequest(request.path, request.headers | {"accept": accept}, request.body)


def read(event: str, data: bytes) -> Delta:
    """What one line of a stream says."""
    try:
        reply = _decoder.decode(data)
    except UNDECODABLE as fault:
        return unread(event, data, fault)
    if event == "error" or reply.error:
        return Delta(error=read_error(data).error)
    if reply.message is None and not reply.done:
        return undecodable(data, ValueError("no message"))
    return _delta(reply, whole=False)


def read_whole(body: bytes) -> Delta:
    """What a reply says that was not streamed."""
    return whole_reply(_decoder, body, _whole, "no message", read_error)


def _whole(reply: _Reply) -> Delta | None:
    return None if reply.message is None else _delta(reply, whole=True)


def _delta(reply: _Reply, *, whole: bool) -> Delta:
    message = reply.message or _Message()
    calls = [call.function for call in message.tool_calls or [] if call.function is not None]
    done = bool(reply.done)
    return Delta(
        text=message.content or "",
        reasoning=message.thinking or "",
        tool_arguments="".join(bytes(call.arguments).decode("utf-8", "replace") for call in calls),
        finish=reply.done_reason,
        usage=_usage(reply),
        end=done or whole,
        items=1 if whole else 0,
        server=_server_time(reply) if done else None,
    )


def _usage(reply: _Reply) -> Usage | None:
    """`prompt_eval_count` is missing where the whole prompt was in the cache: then it is not known."""
    if reply.prompt_eval_count is None and reply.eval_count is None:
        return None
    return Usage(source="provider", input_tokens=reply.prompt_eval_count, output_tokens=reply.eval_count)


def _server_time(reply: _Reply) -> ServerTime | None:
    """Loading the model stands for the queue: the request waits for it."""
    if reply.total_duration is None:
        return None
    return ServerTime(
        source="ollama",
        total_ns=reply.total_duration,
        queue_ns=reply.load_duration,
        prompt_ns=reply.prompt_eval_duration,
        output_ns=reply.eval_duration,
    )


_USED_UP = re.compile(r"\b(?:session|hourly|daily|weekly|monthly) usage limit\b")


def read_error(body: bytes) -> ErrorReply:
    """What the body of a failed response, or a line that is an error, says. It has no type; that what a plan of its
    cloud includes is used up stands in its words."""
    reply = read_any_error(body)
    if reply.error.type or not _USED_UP.search(reply.error.message):
        return reply
    return ErrorReply(WireError("usage_limit", reply.error.message))


DIALECT = Dialect(
    name="ollama",
    kind="chat",
    build=build,
    read=read,
    read_whole=read_whole,
    read_error=read_error,
    key_env="OLLAMA_API_KEY",
    framing="ndjson",
)
