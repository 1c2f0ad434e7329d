"""Azure OpenAI: `POST /openai/deployments/{deployment}/chat/completions?api-version=...`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from harness.simulator import speak_openai_chat
from harness.simulator.speech import Asked, Event, Refused, Reply, Speaker, encode

_SAFE: dict[str, Any] = {
    name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")
}
_KNOWS_OBFUSCATION = "2025"  # a version refuses what came after it


def read(body: bytes, query: dict[str, str]) -> Asked:
    """What a request asks; `query` holds the deployment as `model`. Raises Refused."""
    if "api-version" not in query:
        raise Refused("Missing required query parameter: api-version")
    if query["api-version"] < _KNOWS_OBFUSCATION and b'"include_obfuscation"' in body:
        raise Refused("Unrecognized request argument supplied: stream_options.include_obfuscation")
    named = body if b'"model"' in body else b'{"model":"",' + body.lstrip()[1:]
    return replace(speak_openai_chat.read(named, query), model=query["model"])


def stream(reply: Reply) -> Iterator[Event]:
    """How the prompt was filtered, in a chunk without choices; then OpenAI's stream."""
    filtered = [{"prompt_index": 0, "content_filter_results": _SAFE}]
    chunk = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": filtered}
    yield Event(b"data: " + encode(chunk) + b"\n\n")
    yield from speak_openai_chat.stream(reply)


SPEAKER = Speaker("azure", read, speak_openai_chat.whole, stream, speak_openai_chat.error_event)
