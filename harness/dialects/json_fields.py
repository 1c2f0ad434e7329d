"""What the dialects share: the JSON body of a request, and what the JSON of an error says.

Nothing here raises on bad bytes: the replies of a provider under load are not to be trusted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from harness.dialects.wire import Ask, Delta, ErrorReply, HttpRequest, WireError

Json = Any
T = TypeVar("T")

# What msgspec raises on bytes that are not the wanted JSON (nesting deeper than its limit is a RecursionError).
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_MESSAGE_CHARS = 500
_QUOTED_CHARS = 200
_READ_CHARS = 4096  # of a message of any length
_MOST_ERROR_BYTES = 8_000_000  # JSON of any shape takes some twenty times its length when it is decoded

# Types and codes that only say that there was an error: another field of the same error says more.
_VAGUE = frozenset(
    {"", "error", "api_error", "unknown_error", "invalid_request_error", "invalid_argument", "requests", "tokens"}
)
_CODE = re.compile(r"^\W?([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b")

# Providers quote keys, whole or masked, in their error messages.
_KEYS = re.compile(
    r"(?P<said>\bbearer\s+|\bapi[ _-]?key(?: provided)?\s*[:=]\s*)\S+"
    r"|\b(?:sk|pk|rk|jina|gsk|xai)[-_][\w*-]{4,}"
    r"|\bAIza[\w*-]{4,}"
    r"|[^\s*]{0,64}\*{3}\S*",
    re.IGNORECASE,
)


def post(path: str, ask: Ask, fields: dict[str, Json], key_header: dict[str, str], *, streamed: bool) -> HttpRequest:
    """The request that asks `fields` of `path`, the user's own fields merged over them."""
    accept = "text/event-stream" if streamed else "application/json"
    headers = {"content-type": "application/json", "accept": accept, **key_header}
    return HttpRequest(path, headers, msgspec.json.encode(merged(fields, ask.body)))


def merged(defaults: dict[str, Json], patch: dict[str, Json]) -> dict[str, Json]:
    """`patch` laid over `defaults` as RFC 7396 says: objects are merged, other values replaced, None deletes."""
    result = dict(defaults)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            below = result.get(name)
            result[name] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[name] = value
    return result


def bearer(key: str | None) -> dict[str, str]:
    """The header that carries `key` as OpenAI and Jina want it; none without a key."""
    return {} if key is None else {"authorization": f"Bearer {key.strip()}"}


def undecodable(data: bytes, fault: Exception) -> Delta:
    """What is said by an event or a body that a dialect's decoder refused: an error in another shape, or nothing."""
    try:
        value = _decoded(data)
    except UNDECODABLE:
        return Delta(malformed=f"not JSON: {quoted(data)!r}")
    error = error_in(value)
    return Delta(malformed=f"unexpected JSON: {fault}") if error is None else Delta(error=error)


def unread(event: str, data: bytes, fault: Exception) -> Delta:
    """`undecodable` for an event of a stream: an error says so by its name, and one without data is a sign of life."""
    if event == "error":
        return error_event(data)
    return undecodable(data, fault) if data.strip() else Delta()


def whole_reply(
    decoder: msgspec.json.Decoder[T],
    body: bytes,
    said: Callable[[T], Delta | None],
    missing: str = "",
    failed: Callable[[bytes], ErrorReply] | None = None,
) -> Delta:
    """What a reply says that was not streamed: an error, or what `said` makes of it, or (None) that it is `missing`.

    `failed`: how the protocol reads its errors, where `read_error` knows less.
    """
    try:
        reply = decoder.decode(body)
    except UNDECODABLE as fault:
        return undecodable(body, fault)
    if getattr(reply, "error", None):
        return Delta(error=(failed or read_error)(body).error)
    return said(reply) or undecodable(body, ValueError(missing))


def error_event(data: bytes) -> Delta:
    """What an event says that its protocol, or one of its fields, marks as an error."""
    return Delta(error=read_error(data).error)


def no_stream(_event: str, _data: bytes) -> Delta:
    """The `read` of a dialect that has no streamed replies."""
    return Delta(malformed="a streamed reply where the dialect has none")


def read_error(body: bytes) -> ErrorReply:
    """What the body of a failed response says; a body that is no known JSON is quoted under no type."""
    try:
        value = _decoded(body)
    except UNDECODABLE:
        return ErrorReply(WireError("", quoted(body)))
    return ErrorReply(error_in(value) or WireError("", quoted(body)))


def _decoded(data: bytes) -> Json:
    if len(data) > _MOST_ERROR_BYTES:
        raise msgspec.DecodeError(f"{len(data)} bytes: too long for an error")
    return msgspec.json.decode(data)


def error_in(value: Json) -> WireError | None:
    """The error that decoded JSON holds in any of the shapes that providers use, or None.

    Known: `{"error": {...}}`, `{"error": "text"}`, the same in a list, `{"detail": ...}` as text or as a list of
    violations, and an object that is itself an error: `{"object": "error", ...}` or one with a `message`.
    """
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return None
    inner = value.get("error")
    if isinstance(inner, dict) and inner:
        return WireError(_type_of(inner), _text(inner.get("message")) or _text(inner))
    if isinstance(inner, str) and inner:
        return WireError(_type_of(value), _text(inner))
    if value.get("detail"):
        return _error_of_detail(value)
    if value.get("object") == "error" or value.get("type") == "error" or isinstance(value.get("message"), str):
        return WireError(_type_of(value), _text(value.get("message")) or _text(value))
    return None


def _error_of_detail(value: dict[str, Json]) -> WireError:
    detail = value["detail"]
    if isinstance(detail, dict):
        return WireError(_type_of(detail) or _type_of(value), _text(detail.get("message")) or _text(detail))
    if isinstance(detail, str):
        return WireError(_type_of(value) or _code_in(detail), _text(detail))
    first = detail[0] if isinstance(detail, list) else None
    return WireError(_type_of(first) if isinstance(first, dict) else "", _text(detail))


def _code_in(text: str) -> str:
    """The code that a sentence begins with, such as `AUTH_INVALID_API_KEY`, or the one that it paraphrases."""
    match = _CODE.match(text)
    if match:
        return match[1]
    return "insufficient_balance" if "balance" in text.lower() else ""


def _type_of(error: dict[str, Json]) -> str:
    """The machine-readable word that says most: code, type, status, or the reason in Google's details."""
    reasons = [detail.get("reason") for detail in _objects(error.get("details"))]
    fields = [error.get(name) for name in ("code", "type", "error_type", "status")]
    words = [word for word in [*fields, *reasons] if isinstance(word, str) and not word.isdigit()]
    telling = [word for word in words if word.lower() not in _VAGUE]
    return quoted((telling or words or [""])[0].encode("utf-8", "replace"))


def _objects(value: Json) -> list[dict[str, Json]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Json) -> str:
    if value is None or value == "":
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return scrubbed(_printable(text[:_READ_CHARS]))[:_MESSAGE_CHARS]


def quoted(data: bytes) -> str:
    """The first 200 printable characters of bytes of any kind, white space folded, keys removed."""
    return scrubbed(_printable(data[:_READ_CHARS].decode("utf-8", "replace")))[:_QUOTED_CHARS]


def _printable(text: str) -> str:
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def scrubbed(text: str) -> str:
    """`text` without what looks like a key or a masked key."""
    return _KEYS.sub(lambda match: (match["said"] or "") + "[key]", text)
