"""What a target may be: the rules of its address, its headers, and of secrets, which never stand in a plan."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from harness.inputs.loopback import is_loopback
from harness.inputs.secrecy import (
    has_form_of_key,
    is_credential,
    looks_like_key,
    masked,
    may_be_credential,
    variables_in,
)
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
    yield from _wrong_names(target)
    for key, text in (("name", target.name), ("model", target.model)):
        if has_form_of_key(text):
            yield Wrong(key, None, "a secret must not stand in a plan", _NAME_IT)


def _wrong_names(target: Target) -> Iterator[Wrong]:
    """Keys where the names of variables belong."""
    aws = target.aws
    names = {"key_env": target.key_env} | (
        {} if aws is None else {"aws.key_id_env": aws.key_id_env, "aws.session_token_env": aws.session_token_env}
    )
    for header, value in target.headers.items():
        names |= {f"headers.{ascii(header[:60])[1:-1]}": name for name in variables_in([value]) if looks_like_key(name)}
    for key, name in names.items():
        if name is not None and looks_like_key(name):
            yield Wrong(key, None, "looks like a key itself", "name the environment variable that holds it")


def _wrong_url(url: str) -> Iterator[Wrong]:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        yield Wrong("base_url", None, "the port must be 1 to 65535", "such as http://127.0.0.1:8080/v1")
        return
    secret = "@" in url or "?" in url or "#" in url or "%40" in parts.netloc or has_form_of_key(url)
    if parts.scheme not in ("http", "https", "sim") or not parts.hostname:
        shown = None if secret else masked(url)
        yield Wrong("base_url", shown, "must be http://, https:// or sim://NAME", "such as https://api.openai.com/v1")
    elif secret and ("%40" in parts.netloc or has_form_of_key(url)):
        yield Wrong("base_url", None, "no user, password or key", "a key is named by `key_env`")
    elif secret:
        shown = f"{parts.scheme}://{parts.hostname}..."
        yield Wrong("base_url", shown, "no user, password, query or fragment", "a key is named by `key_env`")
    elif not (url.isascii() and url.isprintable()) or " " in url:
        yield Wrong("base_url", masked(ascii(url)), "only plain characters, others as %XX", "such as https://host/v1")


def _wrong_header(name: str, value: str, *, may_hold_secrets: bool) -> Iterator[Wrong]:
    key = f"headers.{ascii(name[:60])[1:-1]}"
    if not _TOKEN.fullmatch(name):
        yield Wrong(key, None, "not the name of a header", "letters, digits and hyphens, such as x-team")
    elif not value.isprintable() or not _latin(value):
        yield Wrong(key, None, "the value must be printable, on one line", "such as {x-team: blue}")
    elif not may_hold_secrets and _holds_secret(name, value):
        yield Wrong(key, None, "a secret must not stand in a plan", _NAME_IT)


def _holds_secret(name: str, value: str) -> bool:
    strict = is_credential(name) and not variables_in([value])
    return strict or may_be_credential(name, value) or has_form_of_key(value)


def _latin(text: str) -> bool:
    return all(ord(letter) < 256 for letter in text)


def _credentials_in(value: Any, path: str, name: str = "") -> Iterator[str]:
    """The paths of texts that are secrets by the name of their field, or by their form."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _credentials_in(inner, f"{path}.{masked(str(key))}", name if _strict(name) else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _credentials_in(inner, f"{path}[{index}]", name)
    elif isinstance(value, str) and value:
        secret = _strict(name) or may_be_credential(name, value) or has_form_of_key(value)
        yield from [path] * secret


def _strict(name: str) -> bool:
    return is_credential(name) or is_credential(name.removesuffix("s"))


def travels_in_clear(target: Target) -> bool:
    """Whether the target's key would be sent unencrypted to another machine."""
    carries = target.key_env is not None or bool(variables_in(target.headers.values()))
    return carries and target.base_url.startswith("http://") and not is_loopback(target.base_url)
