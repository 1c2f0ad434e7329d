"""Secrets: where they may stand, how they come in, and how they are cut out of what others say.

A plan names the environment variable, never the key: `key_env`, or `${NAME}` in the value of a header.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CREDENTIAL = re.compile(
    r"(?:proxy-)?authorization|(?:set-)?cookie|(?:.*[-_.])?(?:api|access|auth|secret|private|subscription)[-_]?(?:key|token)"
    r"|(?:.*[-_.])?(?:secret|password|passwd|credentials?)|x-goog-api-key|ocp-apim-subscription-key",
    re.IGNORECASE,
)
_PART = 8  # characters: a shorter part of a key tells too little to be cut out


def is_credential(name: str) -> bool:
    """Whether a header or field of this name carries a secret."""
    return _CREDENTIAL.fullmatch(name) is not None


def looks_like_key(text: str) -> bool:
    """Whether somebody wrote the key itself where the name of its variable belongs."""
    mixed = any(letter.islower() for letter in text) and any(letter.isdigit() for letter in text)
    return len(text) >= 20 and mixed and any(letter.isupper() or letter in "-." for letter in text)


def variables_in(values: Iterable[str]) -> list[str]:
    """The environment variables that header values name."""
    return list(dict.fromkeys(name for value in values for name in _NAMED.findall(value)))


def filled(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with the variables' values; of one that is not set, nothing."""
    return {name: _NAMED.sub(lambda found: os.environ.get(found[1], ""), value) for name, value in headers.items()}


def secrets_of(key: str | None, headers: Mapping[str, str]) -> tuple[str, ...]:
    """All that must not be repeated of what a request carries: its key, and what its headers take from variables."""
    named = [os.environ.get(name, "") for name in variables_in(headers.values())]
    return tuple(secret for secret in (key or "", *named) if secret)


def hidden(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, nor any part of one of 8 characters or more: some providers echo them."""
    for secret in secrets:
        parts = _parts(secret)
        if any(part in text for part in parts):
            text = _masked(text, parts)
    return text


def holds(text: str, secrets: Iterable[str]) -> bool:
    """Whether the text holds a part of a secret."""
    return any(part in text for secret in secrets for part in _parts(secret))


@lru_cache(maxsize=256)
def _parts(secret: str) -> frozenset[str]:
    size = min(_PART, len(secret))
    return frozenset(secret[begin : begin + size] for begin in range(len(secret) - size + 1))


def _masked(text: str, parts: frozenset[str]) -> str:
    """Every letter that belongs to one of the parts, as a star."""
    letters = list(text)
    size = len(next(iter(parts)))
    for begin in range(len(text) - size + 1):
        if text[begin : begin + size] in parts:
            letters[begin : begin + size] = "*" * size
    return "".join(letters)
