"""What the dialects of batch endpoints share: keys of prompts, lines of results, and which result is whose.

A job is many chat prompts sent together, asked for until the provider has ended it, and its results fetched. What is
sent next follows from the last answer alone (`Step`), so a job is a state machine without clock or socket. Nothing here
raises on bad bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TypeVar
from urllib.parse import quote

import msgspec

from harness.dialects.json_fields import UNDECODABLE, quoted, undecodable
from harness.dialects.wire import Ask, Fault, HttpRequest, JobEnd, WireError
from harness.errors import ErrorKind, classify

T = TypeVar("T")
ANY_BYTES = "application/binary"  # what the providers' own SDKs accept of files


def keys_of(texts: Sequence[str]) -> list[str]:
    """The name of each prompt within its job. It is made from the text too, so that a result of another job shows."""
    return [f"{number}-{blake2b(text.encode(), digest_size=6).hexdigest()}" for number, text in enumerate(texts)]


def requests_of(ask: Ask, build: Callable[[Ask], HttpRequest]) -> list[tuple[str, HttpRequest]]:
    """Key and request of each prompt, as it would be sent by itself."""
    alone = [build(replace(ask, texts=(text,), stream=False)) for text in ask.texts]
    return list(zip(keys_of(ask.texts), alone, strict=True))


def fetch(path: str, headers: Mapping[str, str], accept: str = "application/json") -> HttpRequest:
    """A GET with the headers of another request, but for those of bodies."""
    kept = {name: value for name, value in headers.items() if name != "content-type"}
    return HttpRequest(path, kept | {"accept": accept}, b"", "GET")


def segment(name: str) -> str:
    """A name that a provider gave, as one segment of a path: it may hold anything."""
    return quote(name, safe="")


def failed(error: WireError, status: int | None) -> Fault:
    """What a prompt's own error is, as if the prompt had been a request with this status."""
    detail = ": ".join(part for part in (error.type, error.message) if part)
    return Fault(classify(status, error.type) or ErrorKind.STREAM_ERROR, detail)


def decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T | JobEnd:
    """The answer to a step; where it is something else, the end of the job."""
    try:
        return decoder.decode(body)
    except UNDECODABLE as fault:
        said = undecodable(body, fault)
        end = Fault(ErrorKind.MALFORMED, said.malformed or "") if said.error is None else failed(said.error, None)
        return JobEnd(fault=end)


def read_lines(
    body: bytes,
    decoder: msgspec.json.Decoder[T],
    read: Callable[[T], tuple[str, bytes | Fault]],
    end: JobEnd,
) -> JobEnd:
    """The results in the lines of a file, after those that `end` has already. A line that is none is the job's fault;
    the others still count."""
    replies, fault = list(end.replies), end.fault
    for line in body.split(b"\n"):
        if not line.strip():
            continue
        try:
            replies.append(read(decoder.decode(line)))
        except UNDECODABLE:
            fault = fault or Fault(ErrorKind.MALFORMED, f"not a result: {quoted(line)!r}")
    return JobEnd(tuple(replies), fault)


def matched(texts: Sequence[str], end: JobEnd) -> tuple[list[bytes | Fault], Fault | None]:
    """The reply to each prompt in their order, whatever order they came in, and what is wrong with the job as a whole.

    A prompt without a result has been cut off; a result that is nobody's, or a second one, is another job's.
    """
    keys = keys_of(texts)
    found: dict[str, bytes | Fault] = {}
    fault = end.fault
    for key, reply in end.replies:
        if key in found or key not in keys:
            said = "a second result" if key in found else "a result for no prompt of this job"
            fault = fault or Fault(ErrorKind.MISMATCHED, f"{said}: {quoted(key.encode('utf-8', 'replace'))!r}")
        else:
            found[key] = reply
    missing = Fault(ErrorKind.TRUNCATED, "no result")
    return [found.get(key, missing) for key in keys], fault
