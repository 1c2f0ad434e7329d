"""Azure OpenAI: `POST {base}/openai/deployments/{deployment}/chat/completions?api-version=...`.

`model` is the name of the deployment. What is said is OpenAI's chat, with chunks of its own: the first tells how the
prompt was filtered and has no choices; with an asynchronous filter others tell it of the text, and have no delta. A
prompt that was filtered is refused with status 400 and the code `content_filter`. The version is that of the target's
`query`. (The newer paths below `/openai/v1` are OpenAI's own: the dialect `openai-chat`.)

A version refuses fields that it does not know. The one below knows `max_completion_tokens` and `include_usage`, but not
OpenAI's newer `include_obfuscation`, so that is not sent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from harness.dialects import openai_chat
from harness.dialects.json_fields import read_error
from harness.dialects.wire import Ask, Dialect, HttpRequest

_API_VERSION = "2024-10-21"  # the last one that is no preview; a target's `query` names another


def build(ask: Ask) -> HttpRequest:
    """OpenAI's request, at the deployment's path and with the key in `api-key`."""
    plain = openai_chat.build(replace(ask, key=None, body=_unobscured(ask.body) if ask.stream else ask.body))
    path = f"/openai/deployments/{quote(ask.model, safe='')}/chat/completions?api-version={_API_VERSION}"
    key = {} if ask.key is None else {"api-key": ask.key.strip()}
    return HttpRequest(path, plain.headers | key, plain.body)


def _unobscured(body: dict[str, Any]) -> dict[str, Any]:
    """The user's own fields, and that there is no word of obfuscation unless they speak of it."""
    options = body.get("stream_options", {})
    if not isinstance(options, dict):
        return body
    return body | {"stream_options": {"include_obfuscation": None, **options}}


DIALECT = Dialect(
    name="azure-openai",
    kind="chat",
    build=build,
    read=openai_chat.read,
    read_whole=openai_chat.read_whole,
    read_error=read_error,
    key_env="AZURE_OPENAI_API_KEY",
)
