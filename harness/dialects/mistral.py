"""Mistral: `POST {base}/chat/completions`, OpenAI's chat with fewer fields.

A field that it does not know is refused (422), `stream_options` among them: the usage comes with the last chunk anyway.
Content may come in parts, of which some are thinking. `finish_reason` is `error` where the model failed.
"""

from __future__ import annotations

from typing import Any

from harness.dialects import openai_chat
from harness.dialects.json_fields import bearer, post, read_error
from harness.dialects.messages import openai_messages
from harness.dialects.wanted import openai_wanted
from harness.dialects.wire import Ask, Dialect, HttpRequest


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


DIALECT = Dialect(
    name="mistral",
    kind="chat",
    build=build,
    read=openai_chat.read,
    read_whole=openai_chat.read_whole,
    read_error=read_error,
    key_env="MISTRAL_API_KEY",
)
