"""Google Gemini: `POST {base}/v1beta/models/{model}:streamGenerateContent?alt=sse`, or `:generateContent`.

Each event is a whole response object; the one with a `finishReason` ends the content, and there is no other end
marker. Usage repeats and grows, so the last one counts. `candidatesTokenCount` leaves out the thoughts, which are
billed as output. A blocked prompt has `promptFeedback.blockReason` and no candidates.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from harness.dialects.json_fields import UNDECODABLE, post, quoted, undecodable, unread, whole_reply
from harness.dialects.json_fields import read_error as read_any_error
from harness.dialects.messages import google_contents
from harness.dialects.wanted import google_config, google_tools
from harness.dialects.wire import Ask, Delta, Dialect, ErrorReply, HttpRequest, WireError
from harness.sample import Usage


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None


class _FunctionCall(msgspec.Struct, gc=False):
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Code(msgspec.Struct, gc=False):
    code: str | None = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    function_call: _FunctionCall | None = None
    executable_code: _Code | None = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Reply(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Reply)
_NOTHING = Delta()
_NOT_FINISHED = ("", "FINISH_REASON_UNSPECIFIED")
_REFUSALS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "ESCALATION",
        "PUP_LIMITED_DISABLED",
    }
)
# The model's output could not be used; the service says so with status 200.
_FAILURES = frozenset({"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"})


def build(ask: Ask) -> HttpRequest:
    """The request: one content of one part. `model` may be a bare name or begin with `models/`."""
    config: dict[str, Any] = {}
    if ask.max_tokens is not None:
        config["maxOutputTokens"] = ask.max_tokens
    if ask.temperature is not None:
        config["temperature"] = ask.temperature
    config |= google_config(ask)
    fields: dict[str, Any] = {"contents": google_contents(ask), **google_tools(ask)}
    fields |= {"generationConfig": config} if config else {}
    method = "streamGenerateContent?alt=sse" if ask.stream else "generateContent"
    path = f"/v1beta/models/{quote(ask.model.removeprefix('models/'), safe='')}:{method}"
    key = {} if ask.key is None else {"x-goog-api-key": ask.key.strip()}
    return post(path, ask, fields, key, streamed=ask.stream)


def read(event: str, data: bytes) -> Delta:
    """What one event says."""
    try:
        reply = _decoder.decode(data)
    except UNDECODABLE as fault:
        return unread(event, data, fault)
    if event == "error" or reply.error:
        return Delta(error=read_error(data).error)
    if _says_nothing(reply):
        named = reply.model_version or reply.response_id
        return _NOTHING if named else undecodable(data, ValueError("no candidates"))
    return _delta(reply, whole=False)


def read_whole(body: bytes) -> Delta:
    """What a reply says that was not streamed."""
    return whole_reply(_decoder, body, _whole, "no candidates", read_error)


def _whole(reply: _Reply) -> Delta | None:
    return None if _says_nothing(reply) else _delta(reply, whole=True)


def _says_nothing(reply: _Reply) -> bool:
    return reply.candidates is None and reply.prompt_feedback is None and reply.usage_metadata is None


def _delta(reply: _Reply, *, whole: bool) -> Delta:
    text = reasoning = arguments = ""
    finish = message = None
    for candidate in reply.candidates or []:
        if candidate.finish_reason is not None and candidate.finish_reason not in _NOT_FINISHED:
            finish, message = candidate.finish_reason, candidate.finish_message
        for part in (candidate.content and candidate.content.parts) or []:
            if part.thought:
                reasoning += part.text or ""
            else:
                text += part.text or ""
            arguments += _tool_arguments(part)
    blocked = None if reply.prompt_feedback is None else reply.prompt_feedback.block_reason
    finish = finish or blocked
    return Delta(
        text=text,
        reasoning=reasoning,
        tool_arguments=arguments,
        finish=finish,
        usage=_usage(reply.usage_metadata),
        error=_failure(finish, message),
        end=whole or finish is not None,
        refused=blocked is not None or finish in _REFUSALS,
        items=1 if whole and reply.candidates else 0,
        fingerprint=reply.model_version,
    )


def _failure(finish: str | None, message: str | None) -> WireError | None:
    if finish is None or finish not in _FAILURES:
        return None
    return WireError(finish, quoted((message or "the model's output could not be used").encode("utf-8", "replace")))


def _tool_arguments(part: _Part) -> str:
    call = "" if part.function_call is None else bytes(part.function_call.args).decode("utf-8", "replace")
    return call + ("" if part.executable_code is None else part.executable_code.code or "")


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None or (usage.prompt_token_count is None and usage.candidates_token_count is None):
        return None  # Vertex tells of the traffic's kind alone until the last event
    return Usage(
        source="provider",
        input_tokens=_sum(usage.prompt_token_count, usage.tool_use_prompt_token_count),
        output_tokens=_sum(usage.candidates_token_count, usage.thoughts_token_count),
        reasoning_tokens=usage.thoughts_token_count,
        cached_tokens=usage.cached_content_token_count,
    )


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)


class _Violation(msgspec.Struct, rename="camel"):
    quota_id: str | None = None


class _Detail(msgspec.Struct, rename="camel"):
    retry_delay: str | None = None
    violations: list[_Violation] | None = None


class _Error(msgspec.Struct, gc=False):
    details: list[_Detail] | None = None


class _Body(msgspec.Struct, gc=False):
    error: _Error


_error_decoder = msgspec.json.Decoder(_Body | list[_Body])


def read_error(body: bytes) -> ErrorReply:
    """What the body of a failed response says, and how long its RetryInfo asks to wait. A quota of a day is told by
    its own name: the type is that of any rate limit, and the wait is short."""
    error, details = read_any_error(body).error, _details(body)
    names = [violation.quota_id or "" for detail in details for violation in detail.violations or []]
    of_a_day = next((name for name in names if "PerDay" in name), None)
    if of_a_day is not None:
        error = WireError(quoted(of_a_day.encode("utf-8", "replace")), error.message)
    return ErrorReply(error, _retry_delay_s(details))


def _details(body: bytes) -> list[_Detail]:
    try:
        reply = _error_decoder.decode(body)
    except UNDECODABLE:
        return []
    bodies = reply if isinstance(reply, list) else [reply]
    return [detail for one in bodies for detail in one.error.details or []]


def _retry_delay_s(details: list[_Detail]) -> float | None:
    """The `retryDelay` of google.rpc.RetryInfo, a count of seconds such as `38s` or `0.5s`."""
    delays = [detail.retry_delay for detail in details if detail.retry_delay]
    try:
        return max(0.0, float(delays[0].removesuffix("s"))) if delays else None
    except ValueError:
        return None


DIALECT = Dialect(
    name="google-generate",
    kind="chat",
    build=build,
    read=read,
    read_whole=read_whole,
    read_error=read_error,
    key_env="GEMINI_API_KEY",
)
