"""Targets of a plan that help to judge: texts in, vectors or answers out. Nothing here is timed."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
import numpy as np
import numpy.typing as npt

from harness.attempts.prepare import headers_of, url_of
from harness.attempts.rate_limits import retry_after_s
from harness.dialects import DIALECTS
from harness.dialects.wire import Ask
from harness.errors import UNREADABLE, UsageFault
from harness.inputs.secrecy import hidden, secrets_of
from harness.plan import Target

Vectors = npt.NDArray[np.float64]
_TRIES = 4
_PAUSE_S = 1.0
_TIMEOUT_S = 120.0  # between two bytes
_MOST_S = 600.0
_MOST_BYTES = 16 * 1024 * 1024


class HelpRefused(Exception):  # noqa: N818  (the helper's fault, and told as such)
    """A helper did not answer; the message says what it said."""


def embedded(client: httpx.Client, target: Target, key: str | None, texts: Sequence[str]) -> Vectors:
    """A row for each text, of length 1. Raises HelpRefused."""
    body = _asked(client, target, key, tuple(texts), None)
    try:
        rows = msgspec.json.decode(body)["data"]
        vectors = np.array([_vector(row["embedding"]) for row in rows], dtype=np.float64)
    except (*UNREADABLE, KeyError, TypeError, ValueError) as fault:
        raise _refused(target, key, f"no embeddings in its reply: {fault}") from None
    if vectors.shape[:1] != (len(texts),) or vectors.ndim != 2:
        raise HelpRefused(f"{target.name}: {len(vectors)} embeddings for {len(texts)} texts")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1.0), dtype=np.float64)


def answered(client: httpx.Client, target: Target, key: str | None, prompt: str, max_tokens: int) -> str:
    """What a chat target replies. Raises HelpRefused."""
    body = _asked(client, target, key, (prompt,), max_tokens)
    said = DIALECTS[target.dialect].read_whole(body)
    if said.error is not None or said.malformed is not None:
        raise _refused(target, key, f"{said.error.type if said.error else said.malformed}")
    return said.text


def _vector(given: Any) -> Any:
    """Numbers, or base64 of 32-bit floats, least significant byte first."""
    return np.frombuffer(base64.b64decode(given), dtype="<f4") if isinstance(given, str) else given


def _asked(client: httpx.Client, target: Target, key: str | None, texts: tuple[str, ...], cap: int | None) -> bytes:
    """The body of a good reply; what is refused for a time is asked again, some times."""
    ask = Ask(model=target.model, texts=texts, max_tokens=cap, temperature=0.0, stream=False, key=key, body=target.body)
    request = DIALECTS[target.dialect].build(ask)
    url = url_of(target, request)
    said = "no answer"
    for attempt in range(_TRIES):
        headers = headers_of(target, request, key) | {"accept-encoding": "identity"}
        try:
            with client.stream("POST", url, headers=headers, content=request.body, timeout=_TIMEOUT_S) as reply:
                body = _bounded(target, key, reply)
        except httpx.HTTPError as fault:
            said = f"{type(fault).__name__}: {fault}"
            time.sleep(_PAUSE_S)
            continue
        if reply.status_code == 200:
            return body
        error = DIALECTS[target.dialect].read_error(body).error
        said = f"HTTP {reply.status_code} {error.type[:60]}".strip()  # its message might repeat the key
        if reply.status_code not in (408, 409, 429) and reply.status_code < 500:
            break
        if attempt < _TRIES - 1:
            time.sleep(min(60.0, retry_after_s(dict(reply.headers), time.time()) or _PAUSE_S * 2**attempt))
    raise _refused(target, key, said)


def _refused(target: Target, key: str | None, said: str) -> HelpRefused:
    """What a helper said, or what was made of it, without the secrets that it was sent."""
    return HelpRefused(hidden(f"{target.name}: {said}", secrets_of(key, target.headers)))


def _bounded(target: Target, key: str | None, reply: httpx.Response) -> bytes:
    """The body of a reply that is neither packed (a few bytes can become gigabytes) nor too long nor endless. Raises
    HelpRefused."""
    encoding = reply.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise _refused(target, key, f"content-encoding {encoding[:40]!a} was not asked for")
    end_s = time.monotonic() + _MOST_S
    body = bytearray()
    for piece in reply.iter_raw():
        body += piece
        if len(body) > _MOST_BYTES:
            raise HelpRefused(f"{target.name}: a reply of more than {_MOST_BYTES} bytes")
        if time.monotonic() > end_s:
            raise HelpRefused(f"{target.name}: not complete in {_MOST_S:g} s")
    return bytes(body)


def named(targets: Sequence[Target], name: str) -> Target:
    """The target of that name. Raises UsageFault."""
    found = next((target for target in targets if target.name == name), None)
    if found is None:
        raise UsageFault(f"quality: {name}: no such target", f"there are: {', '.join(each.name for each in targets)}")
    return found
