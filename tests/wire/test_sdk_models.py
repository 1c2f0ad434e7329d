"""The recorded replies are true to the providers: their own SDKs accept what the dialects read.

Left out are replies of servers that go beyond the provider's schema, and those that are broken on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.dialects import DIALECTS
from harness.dialects.wire import Ask, Image, Tool, Turn
from harness.records.stream_event import StreamEvent
from harness.streams.stream_readers import reader_of

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
    "google-generate": (
        *("plain", "usage_details", "reasoning", "tool_call", "safety", "blocked_prompt"),
        *("malformed_call", "finish_in_every_event", "escalation"),
    ),
    "bedrock-converse": ("plain", "cached", "reasoning", "reasoning_redacted", "tool_use", "guardrail", "max_tokens"),
    "cohere-chat": ("plain", "cached", "thinking", "tool_call", "citations", "max_tokens", "timeout"),
    "mistral": ("plain", "thinking", "tool_call", "tool_call_as_json", "model_error"),
    "ollama": ("plain", "thinking", "tool_call", "length", "prompt_all_cached", "loaded_without_text"),
    "vertex": ("plain", "reasoning", "tool_call", "safety"),
}
TRUE_BODIES = {
    "openai-chat": ("plain", "tool_call", "refusal"),
    "openai-responses": ("plain", "tool_call", "refusal", "incomplete"),
    "anthropic-messages": ("plain", "tool_call", "refusal"),
    "google-generate": ("plain", "tool_call", "blocked", "safety"),
    "openai-embeddings": ("one", "batch"),
    "infinity-embeddings": ("batch",),
    "azure-openai": ("plain",),
    "bedrock-converse": ("plain", "tool_use", "guardrail", "citations"),
    "cohere-chat": ("plain", "thinking", "tool_call"),
    "mistral": ("plain",),
    "ollama": ("plain", "thinking"),
    "vertex": ("plain",),
}

# What the SDKs skip before they parse.
NOT_MODELLED = (b"[DONE]", b'{"type":"ping"}')
SUFFIXES = {"sse": ".sse", "ndjson": ".ndjson", "aws-event-stream": ".bin"}


def validator(dialect: str, *, streamed: bool) -> Callable[[bytes], Any]:
    """What the provider's SDK makes of one event, or of one whole reply. Imported here: the SDKs load slowly."""
    from pydantic import TypeAdapter  # noqa: PLC0415

    if dialect in ("google-generate", "vertex"):
        from google.genai import types as google  # noqa: PLC0415

        return google.GenerateContentResponse.model_validate_json
    if dialect == "anthropic-messages":
        from anthropic import types as anthropic  # noqa: PLC0415

        return TypeAdapter[Any](anthropic.RawMessageStreamEvent if streamed else anthropic.Message).validate_json
    if dialect == "cohere-chat":
        from cohere.v2.types import v2chat_response, v2chat_stream_response  # noqa: PLC0415

        if streamed:
            return TypeAdapter[Any](v2chat_stream_response.V2ChatStreamResponse).validate_json
        return TypeAdapter[Any](v2chat_response.V2ChatResponse).validate_json
    if dialect == "mistral":
        from mistralai.client import models as mistral  # noqa: PLC0415

        return TypeAdapter[Any](mistral.CompletionChunk if streamed else mistral.ChatCompletionResponse).validate_json
    if dialect == "ollama":
        from ollama import ChatResponse  # noqa: PLC0415

        return ChatResponse.model_validate_json
    dialect = {"azure-openai": "openai-chat", "infinity-embeddings": "openai-embeddings"}.get(dialect, dialect)
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


def fits(shape: Any, value: Any) -> bool:
    """Whether JSON is what a shape of botocore's description of a service says: no other fields, no other words."""
    if shape.type_name == "structure":
        known = isinstance(value, dict) and value.keys() <= shape.members.keys()
        if getattr(shape, "is_document_type", False):
            return isinstance(value, dict)
        return known and all(fits(shape.members[name], each) for name, each in value.items())
    if shape.type_name == "list":
        return isinstance(value, list) and all(fits(shape.member, each) for each in value)
    if shape.type_name in ("integer", "long"):
        return isinstance(value, int)
    return isinstance(value, str) and (not getattr(shape, "enum", None) or value in shape.enum)


def bedrock(name: str) -> Any:
    from botocore.loaders import Loader  # noqa: PLC0415
    from botocore.model import ServiceModel  # noqa: PLC0415

    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).shape_for(name)


def recorded(dialect: str, name: str) -> list[StreamEvent]:
    framing = DIALECTS[dialect].framing
    events = reader_of(framing).feed((HERE / dialect / f"{name}{SUFFIXES[framing]}").read_bytes())
    assert events
    return [event for event in events if event.data not in NOT_MODELLED]


@pytest.mark.parametrize("dialect", sorted(TRUE_STREAMS.keys() - {"bedrock-converse"}))
def test_the_sdk_accepts_every_event_of_the_recorded_streams(dialect: str) -> None:
    accepts = validator(dialect, streamed=True)
    for name in TRUE_STREAMS[dialect]:
        for event in recorded(dialect, name):
            accepts(event.data)


@pytest.mark.parametrize("dialect", sorted(TRUE_BODIES.keys() - {"bedrock-converse"}))
def test_the_sdk_accepts_the_recorded_whole_replies(dialect: str) -> None:
    accepts = validator(dialect, streamed=False)
    for name in TRUE_BODIES[dialect]:
        accepts((HERE / dialect / f"whole_{name}.json").read_bytes())


def test_aws_describes_what_is_recorded_of_bedrock() -> None:
    """Left out of its description: the padding `p` of its events, and `serverToolUsage`."""
    events, reply = bedrock("ConverseStreamOutput"), bedrock("ConverseResponse")
    for name in TRUE_STREAMS["bedrock-converse"]:
        for event in recorded("bedrock-converse", name):
            said = json.loads(event.data)
            said.pop("p", None)
            assert fits(events.members[event.event], said), (name, event)
    for name in TRUE_BODIES["bedrock-converse"]:
        said = json.loads((HERE / "bedrock-converse" / f"whole_{name}.json").read_bytes())
        said["usage"].pop("serverToolUsage", None)
        assert fits(reply, said), name
    assert not fits(reply, {"stopReason": "stop"}) and not fits(reply, {"stop_reason": "end_turn"})


def test_aws_describes_what_bedrock_is_asked() -> None:
    tool = Tool("f", "does", {"type": "object"})
    image = Image(data="iVBORw0KGgo=")
    said = (Turn("user", "a"), Turn("assistant", "b"))
    asks = [
        Ask("m", ("c",), 9, 0.5, history=said, images=(image,), tools=(tool,)),
        Ask("m", ("c",), schema={"type": "object"}, stream=False),
    ]
    for ask in asks:
        body = json.loads(DIALECTS["bedrock-converse"].build(ask).body)
        body["modelId"] = ask.model
        body.get("inferenceConfig", {}).pop("temperature", None)  # a float, which `fits` need not know
        assert fits(bedrock("ConverseStreamRequest" if ask.stream else "ConverseRequest"), body), body
