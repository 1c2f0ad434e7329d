"""Mistral: `POST {base}/chat/completions`, OpenAI's chat with fewer fields.

A field that it does not know is refused (422), `stream_options` among them: the usage comes with the last chunk anyway.
Content may come in parts, of which some are thinking. `finish_reason` is `error` where the model failed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.dialects import openai_chat
from harness.dialects.json_fields import bearer, post, read_error
from harness.dialects.messages import openai_messages
from harness.dialects.wanted import openai_wanted
from harness.dialects.wire import Ask, Delta, Dialect, HttpRequest, WireError


def build(ask: Ask) -> HttpRequest:
    """The request: one user message."""
    fields: dict[str, Any] = {"model": ask.model, "messages": openai_messages(ask), **openai_wanted(ask, "any")}
    if ask.max_tokens is not None:
        fields["max_tokens"] = ask.max_tokens
    if ask.temperature is not None:
        fields["temperature"] = ask.temperature
    if ask.stream:
        fields["stream"] = True
    return post("/chat/completions", ask, fields, bearer(ask.key), streamed=ask.stream)


def read(event: str, data: bytes) -> Delta:
    """What one event says."""
    return _told_of_failure(openai_chat.read(event, data))


def read_whole(body: bytes) -> Delta:
    """What a reply says that was not streamed."""
    return _told_of_failure(openai_chat.read_whole(body))


def _told_of_failure(delta: Delta) -> Delta:
    if delta.finish != "error":
        return delta
    return msgspec.structs.replace(delta, error=WireError("error", "the model ended with an error"))


DIALECT = Dialect(
    name="mistral",
    kind="chat",
    build=build,
    read=read,
    read_whole=read_whole,
    read_error=read_error,
    key_env="MISTRAL_API_KEY",
)
