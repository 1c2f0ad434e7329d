"""Amazon Bedrock's Converse: `POST {base}/model/{model}/converse-stream`, or `/converse`.

A stream is binary (`harness/streams/aws_stream.py`): messages whose name says what they are. `messageStop` ends the
reply, `metadata` follows with usage and the server's own time. An exception may come as a message after status 200. Of
a failed request the header `x-amzn-errortype` names the type. Requests are signed (SigV4) where the target has `aws`;
else the key is sent as it is, which Bedrock takes of its own API keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from harness.dialects.json_fields import (
    UNDECODABLE,
    bearer,
    error_event,
    post,
    quoted,
    undecodable,
    unread,
    whole_reply,
)
from harness.dialects.json_fields import (
    read_error as read_any_error,
)
from harness.dialects.messages import bedrock_messages
from harness.dialects.wanted import bedrock_wanted
from harness.dialects.wire import Ask, Delta, Dialect, ErrorReply, HttpRequest, Unsigned, WireError
from harness.sample import ServerTime, Usage

_EXCEPTION, _ERROR = "exception:", "error:"  # how the framing names what is no event


class _ToolUse(msgspec.Struct, gc=False):
    input: msgspec.Raw = msgspec.Raw(b"")  # in a stream a string, which is a piece of JSON; else the JSON itself


class _ReasoningText(msgspec.Struct, gc=False):
    text: str | None = None


class _Reasoning(msgspec.Struct, rename="camel"):
    text: str | None = None
    reasoning_text: _ReasoningText | None = None


class _Block(msgspec.Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None


class _Usage(msgspec.Struct, rename="camel"):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None


class _Metrics(msgspec.Struct, rename="camel"):
    latency_ms: int | None = None


class _Event(msgspec.Struct, rename="camel"):
    delta: _Block | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None
    metrics: _Metrics | None = None
    error: Any = None


class _Message(msgspec.Struct, gc=False):
    content: list[_Block]


class _Output(msgspec.Struct, gc=False):
    message: _Message


class _Reply(msgspec.Struct, rename="camel"):
    output: _Output
    stop_reason: str | None = None
    usage: _Usage | None = None
    metrics: _Metrics | None = None


_event_decoder = msgspec.json.Decoder(_Event)
_reply_decoder = msgspec.json.Decoder(_Reply)
_REFUSALS = frozenset({"guardrail_intervened", "content_filtered"})
_FAILURES = frozenset({"malformed_model_output", "malformed_tool_use"})


def build(ask: Ask) -> HttpRequest:
    """The request: one user message of one block. A key of several parts is for signing and not sent."""
    config: dict[str, Any] = {}
    if ask.max_tokens is not None:
        config["maxTokens"] = ask.max_tokens
    if ask.temperature is not None:
        config["temperature"] = ask.temperature
    fields: dict[str, Any] = {"messages": bedrock_messages(ask), **bedrock_wanted(ask)}
    fields |= {"inferenceConfig": config} if config else {}
    path = f"/model/{quote(ask.model, safe='')}/{'converse-stream' if ask.stream else 'converse'}"
    key = {} if ask.key is None or " " in ask.key.strip() else bearer(ask.key)
    request = post(path, ask, fields, key, streamed=False)
    accept = "application/vnd.amazon.eventstream" if ask.stream else "application/json"
    return HttpRequest(path, request.headers | {"accept": accept}, request.body)


def sign(request: Unsigned) -> dict[str, str]:
    """The headers that sign a request, by botocore. They hold for five minutes around this moment. Host and type of
    the content are signed, other headers may change on their way."""
    from botocore.auth import SigV4Auth  # noqa: PLC0415  (an extra)
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    parts = request.key.split(" ")
    key_id, secret = parts[:2] if len(parts) > 1 else ("", parts[0])
    signed = {name: request.headers[name] for name in ("host", "content-type") if name in request.headers}
    aws = AWSRequest(method=request.method, url=request.url, data=request.body, headers=signed)
    credentials = Credentials(key_id, secret, parts[2] if len(parts) > 2 else None)
    SigV4Auth(credentials, "bedrock", request.region).add_auth(aws)
    return {name.lower(): value for name, value in aws.headers.items() if name.lower() not in signed}


def read(event: str, data: bytes) -> Delta:
    """What one message says. Events of unknown names say nothing."""
    if event.startswith(_EXCEPTION):
        return Delta(error=WireError(event.removeprefix(_EXCEPTION), read_error(data).error.message))
    if event.startswith(_ERROR):
        return Delta(error=WireError(event.removeprefix(_ERROR), quoted(data)))
    try:
        said = _event_decoder.decode(data)
    except UNDECODABLE as fault:
        return unread(event, data, fault)
    if event == "error" or said.error:
        return error_event(data)
    match event:
        case "contentBlockDelta":
            return _delta([said.delta or _Block()], streamed=True)
        case "messageStop":
            return _stopped(said.stop_reason)
        case "metadata":
            return Delta(usage=_usage(said.usage), server=_server_time(said.metrics))
        case "":
            return undecodable(data, ValueError("an event without a type"))
        case _:
            return Delta()


def read_whole(body: bytes) -> Delta:
    """What a reply says that was not streamed."""
    return whole_reply(_reply_decoder, body, _whole)


def _whole(reply: _Reply) -> Delta:
    content, stopped = _delta(reply.output.message.content, streamed=False), _stopped(reply.stop_reason)
    return msgspec.structs.replace(
        stopped,
        text=content.text,
        reasoning=content.reasoning,
        tool_arguments=content.tool_arguments,
        usage=_usage(reply.usage),
        server=_server_time(reply.metrics),
        items=1,
    )


def _delta(blocks: list[_Block], *, streamed: bool) -> Delta:
    thoughts = [block.reasoning_content for block in blocks if block.reasoning_content is not None]
    uses = [bytes(block.tool_use.input) for block in blocks if block.tool_use is not None]
    return Delta(
        text="".join(block.text or "" for block in blocks),
        reasoning="".join(each.text or (each.reasoning_text and each.reasoning_text.text) or "" for each in thoughts),
        tool_arguments="".join(_piece(use) if streamed else use.decode("utf-8", "replace") for use in uses),
    )


def _piece(raw: bytes) -> str:
    """The text of a JSON string."""
    try:
        return msgspec.json.decode(raw or b'""', type=str)
    except UNDECODABLE:
        return ""


def _stopped(reason: str | None) -> Delta:
    failed = reason in _FAILURES
    return Delta(
        finish=reason,
        end=True,
        refused=reason in _REFUSALS,
        error=WireError(reason or "", "the model's output could not be used") if failed else None,
    )


def _usage(usage: _Usage | None) -> Usage | None:
    """`inputTokens` leaves out what was read from a cache or written to it; where the total shows that it does not, it
    stands as it is."""
    if usage is None:
        return None
    given, output = usage.input_tokens, usage.output_tokens
    read_tokens, written = usage.cache_read_input_tokens, usage.cache_write_input_tokens
    beside = (read_tokens or 0) + (written or 0)
    within = given is not None and output is not None and usage.total_tokens == given + output
    return Usage(
        source="provider",
        input_tokens=given if given is None or within else given + beside,
        output_tokens=output,
        cached_tokens=read_tokens,
        cache_write_tokens=written,
    )


def _server_time(metrics: _Metrics | None) -> ServerTime | None:
    if metrics is None or metrics.latency_ms is None:
        return None
    return ServerTime(source="latencyMs", total_ns=metrics.latency_ms * 1_000_000)


class _Failure(msgspec.Struct, gc=False):
    kind: str | None = msgspec.field(default=None, name="__type")
    message: str | None = msgspec.field(default=None, name="Message")


_failure_decoder = msgspec.json.Decoder(_Failure)
_SKEWED = re.compile(r"signature (?:expired|not yet current)", re.IGNORECASE)


def read_error(body: bytes) -> ErrorReply:
    """What the body of a failed response says. A signature that is too old, or not valid yet, comes of a clock that is
    wrong: it is given the type that AWS has for that elsewhere."""
    error = read_any_error(body).error
    try:
        failure = _failure_decoder.decode(body)
    except UNDECODABLE:
        return ErrorReply(error)
    if failure.message is not None:
        error = read_any_error(msgspec.json.encode({"message": failure.message})).error
    kind = quoted((failure.kind or error.type).rpartition("#")[2].encode("utf-8", "replace"))
    return ErrorReply(WireError("RequestTimeTooSkewed" if _SKEWED.search(error.message) else kind, error.message))


def read_headers(headers: Mapping[str, str]) -> Delta:
    """The type of an error: `ThrottlingException:http://...`."""
    kind = headers.get("x-amzn-errortype", "").partition(":")[0].rpartition("#")[2]
    return Delta(error=WireError(quoted(kind.encode("utf-8", "replace")), "")) if kind else Delta()


DIALECT = Dialect(
    name="bedrock-converse",
    kind="chat",
    build=build,
    read=read,
    read_whole=read_whole,
    read_error=read_error,
    key_env="AWS_SECRET_ACCESS_KEY",
    framing="aws-event-stream",
    read_headers=read_headers,
    sign=sign,
)
