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
_WORDS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])")
_MEANT = re.compile(
    r"keys?|tokens?|secrets?|auth|authori[sz]ation|authentication|bearer|cookies?|credentials?|password|passwd|pwd"
    r"|signature|sig|code",
    re.IGNORECASE,
)
_OF_NO_SECRET = ("cache", "idempotency", "partition", "routing", "sort")  # keys of another kind
_FORMS = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|rk|gsk|xai|jina|hf|gh[po]|glpat|pplx|nvapi|r8|tgp)[-_](?=[\w-]*\d)[\w-]{16,}"
    r"|AIza[\w-]{20,}|A[KS]IA[A-Z0-9]{16}|xox[a-z]-[\w-]{10,}|eyJ[\w-]{10,}\.[\w.-]{10,})"
)
_PIECE = re.compile(r"[A-Za-z0-9+/]{36,}={0,2}|[A-Za-z0-9]{20,}")
_URL_USER = re.compile(r"(?<=//)[^/\s@]+(?=@)")


def is_credential(name: str) -> bool:
    """Whether a header or field of this name carries a secret."""
    return _CREDENTIAL.fullmatch(name) is not None


def may_be_credential(name: str, value: str) -> bool:
    """Whether a header or field that ends like one of a secret (`x-token`, `sig`) holds one: a long text without blanks
    that no word is. What stands in ${NAME} is not looked at."""
    words = [word for word in _WORDS.split(name) if word]
    if not words or not _MEANT.fullmatch(words[-1]) or (len(words) > 1 and words[-2].lower() in _OF_NO_SECRET):
        return False
    said = (_NAMED.sub("", value).split() or [""])[-1]
    mixed = any(letter.isalpha() for letter in said) and any(letter.isdigit() for letter in said)
    return (len(said) >= 16 and mixed) or holds_key(said)


def looks_like_key(text: str) -> bool:
    """Whether somebody wrote the key itself where the name of its variable belongs."""
    mixed = any(letter.islower() for letter in text) and any(letter.isdigit() for letter in text)
    return (len(text) >= 20 and mixed and any(letter.isupper() or letter in "-." for letter in text)) or holds_key(text)


def holds_key(text: str) -> bool:
    """Whether a part of a text has the form of a key: that of a provider's, or letters and digits as if drawn."""
    return has_form_of_key(text) or any(_drawn(found[0]) for found in _PIECE.finditer(text))


def has_form_of_key(text: str) -> bool:
    """Whether a part of a text begins as the keys of a provider do, and goes on as long."""
    return _FORMS.search(text) is not None


def masked(text: str) -> str:
    """What somebody wrote, as it may be shown in an error: without what has the form of a key, or stands before the
    host of a URL."""
    text = _FORMS.sub("[key]", _URL_USER.sub("***", text))
    return _PIECE.sub(lambda found: "[key]" if _drawn(found[0]) else found[0], text)


def _drawn(piece: str) -> bool:
    """Whether a run of letters and digits is no word: digits among the letters, or longer than words are."""
    if "/" in piece or "+" in piece:
        kinds = (str.isupper, str.islower, str.isdigit)
        return all(any(map(kind, piece)) for kind in kinds) and sum(map(str.isdigit, piece)) > 1
    return re.search(r"[A-Za-z]\d+[A-Za-z]", piece) is not None or (len(piece) >= 24 and not piece.isdigit())


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


def secrets_of_environment() -> tuple[str, ...]:
    """The values of all variables whose names say that they hold a secret, and the users and passwords of URLs in
    others: what a program or library that was started from here may repeat."""
    named = [value for name, value in os.environ.items() if _MEANT.fullmatch(_WORDS.split(name)[-1])]
    users = [part for value in os.environ.values() for user in _URL_USER.findall(value) for part in user.split(":", 1)]
    return tuple(secret for secret in (*named, *users) if len(secret) >= _PART)


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
