"""OpenAI Chat Completions, and the many servers that speak it: `POST {base}/chat/completions`.

A stream is one `data:` object for each chunk and ends with `data: [DONE]`. The first chunk carries the role and no
content; with `include_usage` an extra last chunk carries the usage and no choices. Reasoning is not in OpenAI's
schema: other servers send `reasoning_content`, or `reasoning`, or both with the same text, or parts of content.
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
from harness.dialects.openai_fields import token_limit, without_obfuscation
from harness.dialects.wanted import openai_wanted
from harness.dialects.wire import Ask, Delta, Dialect, HttpRequest, WireError
from harness.sample import ServerTime, Usage


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's name for what was cached


class _Function(msgspec.Struct, gc=False):
    arguments: Any = None  # JSON as text; Mistral's SDK also knows it as JSON itself


class _ToolCall(msgspec.Struct, gc=False):
    function: _Function | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Message | None = None  # in a stream
    message: _Message | None = None  # in a whole reply
    finish_reason: str | None = None


class _Timings(msgspec.Struct, gc=False):
    """llama.cpp's own times, in milliseconds."""

    prompt_ms: float | None = None
    predicted_ms: float | None = None


class _Reply(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    object: str | None = None
    system_fingerprint: str | None = None
    timings: _Timings | None = None


_decoder = msgspec.json.Decoder(_Reply)
_NOTHING = Delta()
_END = Delta(end=True)
# Ends that are failures: Mistral, vLLM and OpenRouter; SGLang and vLLM; DeepSeek.
_FAILURES = frozenset({"error", "abort", "insufficient_system_resource"})


def build(ask: Ask) -> HttpRequest:
    """The request: one user message, the usage asked for, and the cap of the reply in the field that fits."""
    fields: dict[str, Any] = {"model": ask.model, "messages": openai_messages(ask), **openai_wanted(ask)}
    fields |= token_limit(ask)
    if ask.temperature is not None:
        fields["temperature"] = ask.temperature
    if ask.stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True, **without_obfuscation(ask.model)}}
    return post("/chat/completions", ask, fields, bearer(ask.key), streamed=ask.stream)


def read(event: str, data: bytes) -> Delta:
    """What one event says."""
    if data[:6] == b"[DONE]" and data.strip() == b"[DONE]":
        return _END
    try:
        reply = _decoder.decode(data)
    except UNDECODABLE as fault:
        return unread(event, data, fault)
    if event == "error" or reply.error or reply.object == "error":
        return error_event(data)
    if reply.choices is None and reply.usage is None and reply.timings is None:
        # An event with a name of its own, such as a ping, is none of ours; a chunk without choices is no chunk.
        return _NOTHING if event not in ("", "message") else undecodable(data, ValueError("no choices"))
    return _delta(reply)


def read_whole(body: bytes) -> Delta:
    """What a reply says that was not streamed."""
    return whole_reply(_decoder, body, _whole, "no choices")


def _whole(reply: _Reply) -> Delta | None:
    return _delta(reply, whole=True) if reply.choices and reply.object != "error" else None


def _delta(reply: _Reply, *, whole: bool = False) -> Delta:
    choices = reply.choices or []
    if len(choices) == 1 and _is_text_alone(choices[0]) and reply.usage is None and reply.timings is None:
        return Delta(text=choices[0].delta.content, fingerprint=reply.system_fingerprint)  # type: ignore[union-attr, arg-type]
    text = reasoning = refusal = arguments = ""
    finish = None
    for choice in choices:
        finish = choice.finish_reason or finish
        message = choice.message if whole else choice.delta
        if message is not None:
            said, thought = _text_and_reasoning(message)
            text += said
            reasoning += thought
            refusal += message.refusal or ""
            arguments += _tool_arguments(message)
    return Delta(
        text=text,
        reasoning=reasoning,
        refusal=refusal,
        tool_arguments=arguments,
        finish=finish,
        usage=None if reply.usage is None else _usage(reply.usage),
        error=WireError(finish, "the model ended with an error") if finish in _FAILURES else None,
        end=whole,
        refused=bool(refusal) or finish == "content_filter",
        items=1 if whole else 0,
        fingerprint=reply.system_fingerprint,
        server=None if reply.timings is None else _server_time(reply.timings),
    )


def _is_text_alone(choice: _Choice) -> bool:
    """Whether a chunk of a stream holds a piece of text and nothing else, as most of them do."""
    message = choice.delta
    return (
        message is not None
        and choice.finish_reason is None
        and type(message.content) is str
        and message.reasoning_content is None
        and message.reasoning is None
        and message.refusal is None
        and message.tool_calls is None
        and message.function_call is None
    )


def _text_and_reasoning(message: _Message) -> tuple[str, str]:
    """Visible text and reasoning. The two fields of reasoning hold the same text: it counts once."""
    reasoning = message.reasoning_content or message.reasoning or ""
    content = message.content
    if content is None or isinstance(content, str):
        return content or "", reasoning
    parts = [part for part in content if isinstance(part, dict)]
    text = "".join(_text_of(part.get("text")) for part in parts)
    return text, reasoning or "".join(_text_of(part.get("thinking")) for part in parts)


def _text_of(value: Any) -> str:
    """The text of a part of content: a string, or a list of parts."""
    if isinstance(value, list):
        return "".join(_text_of(part.get("text")) for part in value if isinstance(part, dict))
    return value if isinstance(value, str) else ""


def _tool_arguments(message: _Message) -> str:
    if not message.tool_calls and message.function_call is None:
        return ""
    calls = [call.function for call in message.tool_calls or []]
    given = [function.arguments for function in [*calls, message.function_call] if function is not None]
    return "".join(each if isinstance(each, str) else msgspec.json.encode(each).decode() for each in given if each)


def _server_time(timings: _Timings) -> ServerTime | None:
    prompt_ns, output_ns = _nanoseconds(timings.prompt_ms), _nanoseconds(timings.predicted_ms)
    if prompt_ns is None and output_ns is None:
        return None
    total_ns = None if prompt_ns is None or output_ns is None else prompt_ns + output_ns
    return ServerTime(source="timings", total_ns=total_ns, prompt_ns=prompt_ns, output_ns=output_ns)


def _nanoseconds(milliseconds: float | None) -> int | None:
    return None if milliseconds is None or not abs(milliseconds) < 1e12 else round(milliseconds * 1e6)


def _usage(usage: _Usage) -> Usage:
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    cache = usage.prompt_tokens_details or _PromptDetails()
    details = usage.completion_tokens_details
    reasoning = None if details is None else details.reasoning_tokens
    if prompt is not None and completion is not None and reasoning and usage.total_tokens is not None:
        # Some servers leave reasoning out of completion_tokens; the total tells.
        apart = usage.total_tokens == prompt + completion + reasoning
        completion += reasoning if apart else 0
    return Usage(
        source="provider",
        input_tokens=prompt,
        output_tokens=completion,
        reasoning_tokens=reasoning,
        cached_tokens=usage.prompt_cache_hit_tokens if cache.cached_tokens is None else cache.cached_tokens,
        cache_write_tokens=cache.cache_write_tokens,
    )


DIALECT = Dialect(
    name="openai-chat",
    kind="chat",
    build=build,
    read=read,
    read_whole=read_whole,
    read_error=read_error,
    key_env="OPENAI_API_KEY",
)
