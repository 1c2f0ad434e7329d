"""Azure OpenAI: `POST {base}/openai/deployments/{deployment}/chat/completions?api-version=...`.

`model` is the name of the deployment. What is said is OpenAI's chat, with chunks of its own: the first tells how the
prompt was filtered and has no choices; with an asynchronous filter others tell it of the text, and have no delta. A
prompt that was filtered is refused with status 400 and the code `content_filter`. The version is that of the target's
`query`. (The newer paths below `/openai/v1` are OpenAI's own: the dialect `openai-chat`.)
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from harness.dialects import openai_chat
from harness.dialects.json_fields import read_error
from harness.dialects.wire import Ask, Dialect, HttpRequest

_API_VERSION = "2024-10-21"  # the last one that is no preview; a target's `query` names another


def build(ask: Ask) -> HttpRequest:
    """OpenAI's request, at the deployment's path and with the key in `api-key`."""
    plain = openai_chat.build(replace(ask, key=None))
    path = f"/openai/deployments/{quote(ask.model, safe='')}/chat/completions?api-version={_API_VERSION}"
    key = {} if ask.key is None else {"api-key": ask.key.strip()}
    return HttpRequest(path, plain.headers | key, plain.body)


DIALECT = Dialect(
    name="azure-openai",
    kind="chat",
    build=build,
    read=openai_chat.read,
    read_whole=openai_chat.read_whole,
    read_error=read_error,
    key_env="AZURE_OPENAI_API_KEY",
)
