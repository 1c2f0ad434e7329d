"""What a target may be: the rules of its address, its headers, and of secrets, which never stand in a plan."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from harness.inputs.loopback import is_loopback
from harness.inputs.secrecy import is_credential, looks_like_key, variables_in
from harness.plan import Target

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME_IT = "name the environment variable that holds it: `key_env: NAME`, or ${NAME} within the header's value"


class Wrong(NamedTuple):
    """What breaks which rule. `shown`: the value, where it may be shown."""

    key: str
    shown: str | None
    rule: str
    hint: str


def wrong_in(target: Target) -> Iterator[Wrong]:
    """All that is wrong with a target."""
    yield from _wrong_url(target.base_url)
    for name, value in target.headers.items():
        yield from _wrong_header(name, value, may_hold_secrets=target.simulated)
    for path in [*_credentials_in(target.body, "body"), *_credentials_in(target.query, "query")]:
        yield Wrong(path, None, "a secret must not stand in a plan", _NAME_IT)
    for path in _credentials_in(target.query, "query"):
        yield Wrong(path, None, "a secret must not stand in a plan", _NAME_IT)
    if target.key_env is not None and looks_like_key(target.key_env):
        yield Wrong("key_env", None, "looks like a key itself", "name the environment variable that holds it")


def _wrong_url(url: str) -> Iterator[Wrong]:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        yield Wrong("base_url", None, "the port must be 1 to 65535", "such as http://127.0.0.1:8080/v1")
        return
    secret = "@" in url or "?" in url or "#" in url
    if parts.scheme not in ("http", "https", "sim") or not parts.hostname:
        shown = None if secret else url
        yield Wrong("base_url", shown, "must be http://, https:// or sim://NAME", "such as https://api.openai.com/v1")
    elif secret:
        shown = f"{parts.scheme}://{parts.hostname}..."
        yield Wrong("base_url", shown, "no user, password, query or fragment", "a key is named by `key_env`")
    elif not (url.isascii() and url.isprintable()) or " " in url:
        yield Wrong("base_url", ascii(url), "only plain characters, others as %XX", "such as https://host/v1")


def _wrong_header(name: str, value: str, *, may_hold_secrets: bool) -> Iterator[Wrong]:
    key = f"headers.{ascii(name[:60])[1:-1]}"
    if not _TOKEN.fullmatch(name):
        yield Wrong(key, None, "not the name of a header", "letters, digits and hyphens, such as x-team")
    elif not value.isprintable() or not _latin(value):
        yield Wrong(key, None, "the value must be printable, on one line", "such as {x-team: blue}")
    elif is_credential(name) and not variables_in([value]) and not may_hold_secrets:
        yield Wrong(key, None, "a secret must not stand in a plan", _NAME_IT)


def _latin(text: str) -> bool:
    return all(ord(letter) < 256 for letter in text)


def _credentials_in(value: Any, path: str) -> Iterator[str]:
    """The paths of fields whose names say that they hold a secret, and whose values are texts."""
    if isinstance(value, dict):
        for name, inner in value.items():
            below = f"{path}.{name}"
            if isinstance(inner, str) and inner and is_credential(str(name)):
                yield below
            yield from _credentials_in(inner, below)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _credentials_in(inner, f"{path}[{index}]")


def travels_in_clear(target: Target) -> bool:
    """Whether the target's key would be sent unencrypted to another machine."""
    carries = target.key_env is not None or bool(variables_in(target.headers.values()))
    return carries and target.base_url.startswith("http://") and not is_loopback(target.base_url)
