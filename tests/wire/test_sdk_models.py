"""The recorded replies are true to the providers: their own SDKs accept what the dialects read.

Left out are replies of servers that go beyond the provider's schema, and those that are broken on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.sse import SseReader

HERE = Path(__file__).parent

TRUE_STREAMS = {
    "openai-chat": ("plain", "usage_details", "tool_call", "refusal", "no_end", "crlf", "utf8"),
    "openai-responses": (
        "plain",
        "usage_details",
        "reasoning",
        "tool_call",
        "refusal",
        "incomplete",
        "error_after_200",
    ),
    "anthropic-messages": ("plain", "usage_details", "reasoning", "tool_call", "refusal", "max_tokens", "utf8"),
    "google-generate": ("plain", "usage_details", "reasoning", "tool_call", "safety", "blocked_prompt"),
}
TRUE_BODIES = {
    "openai-chat": ("plain", "tool_call", "refusal"),
    "openai-responses": ("plain", "tool_call", "refusal", "incomplete"),
    "anthropic-messages": ("plain", "tool_call", "refusal"),
    "google-generate": ("plain", "tool_call", "blocked", "safety"),
    "openai-embeddings": ("one", "batch"),
}

# What the SDKs skip before they parse.
NOT_MODELLED = (b"[DONE]", b'{"type":"ping"}')


def validator(dialect: str, *, streamed: bool) -> Callable[[bytes], Any]:
    """What the provider's SDK makes of one event, or of one whole reply. Imported here: the SDKs load slowly."""
    from pydantic import TypeAdapter  # noqa: PLC0415

    if dialect == "google-generate":
        from google.genai import types as google  # noqa: PLC0415

        return google.GenerateContentResponse.model_validate_json
    if dialect == "anthropic-messages":
        from anthropic import types as anthropic  # noqa: PLC0415

        return TypeAdapter[Any](anthropic.RawMessageStreamEvent if streamed else anthropic.Message).validate_json
    from openai import types as openai  # noqa: PLC0415
    from openai.types import chat, responses  # noqa: PLC0415

    kinds: dict[tuple[str, bool], Any] = {
        ("openai-chat", True): chat.ChatCompletionChunk,
        ("openai-chat", False): chat.ChatCompletion,
        ("openai-responses", True): responses.ResponseStreamEvent,
        ("openai-responses", False): responses.Response,
        ("openai-embeddings", False): openai.CreateEmbeddingResponse,
    }
    return TypeAdapter[Any](kinds[dialect, streamed]).validate_json


@pytest.mark.parametrize("dialect", sorted(TRUE_STREAMS))
def test_the_sdk_accepts_every_event_of_the_recorded_streams(dialect: str) -> None:
    accepts = validator(dialect, streamed=True)
    for name in TRUE_STREAMS[dialect]:
        events = SseReader().feed((HERE / dialect / f"{name}.sse").read_bytes())
        assert events
        for event in events:
            if event.data not in NOT_MODELLED:
                accepts(event.data)


@pytest.mark.parametrize("dialect", sorted(TRUE_BODIES))
def test_the_sdk_accepts_the_recorded_whole_replies(dialect: str) -> None:
    accepts = validator(dialect, streamed=False)
    for name in TRUE_BODIES[dialect]:
        accepts((HERE / dialect / f"whole_{name}.json").read_bytes())
