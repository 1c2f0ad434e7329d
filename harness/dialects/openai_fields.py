"""What OpenAI's own service wants otherwise than the servers that speak its protocol."""

from __future__ import annotations

import re
from typing import Any

from harness.dialects.wire import Ask

_OWN_MODEL = re.compile(r"(?:ft:)?(?:gpt-\d|chatgpt-|o\d)")


def is_own_model(model: str) -> bool:
    """Whether the name is one of OpenAI's hosted models (`gpt-5-mini`, `o3`, `ft:gpt-4o:...`; not `gpt-oss-20b`)."""
    return _OWN_MODEL.match(model) is not None


def token_limit(ask: Ask) -> dict[str, Any]:
    """The field of a chat request that caps the reply; nothing where the user's own body sets or deletes one.

    OpenAI's newer models refuse `max_tokens`, and both fields together are refused. Other servers all know
    `max_tokens`, while some pass over `max_completion_tokens` in silence and then generate without a limit.
    """
    if ask.max_tokens is None or not ask.body.keys().isdisjoint(("max_tokens", "max_completion_tokens")):
        return {}
    return {"max_completion_tokens" if is_own_model(ask.model) else "max_tokens": ask.max_tokens}


def without_obfuscation(model: str) -> dict[str, bool]:
    """The stream option that stops OpenAI's padding of events; several other servers refuse unknown options."""
    return {"include_obfuscation": False} if is_own_model(model) else {}
