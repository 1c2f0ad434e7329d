"""Text Embeddings Inference: `POST {base}/embed`. The reply is a list of vectors, and the usage stands in headers.

The server has one model: the target's `model` is a name for the reader. Fields such as `truncate`, `normalize` or
`prompt_name` come from the target's `body`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from harness.dialects.json_fields import bearer, no_stream, post, read_error, whole_reply
from harness.dialects.tei_headers import read_headers
from harness.dialects.wire import Ask, Delta, Dialect, HttpRequest

_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_EMPTY = (b"", b"[]", b"null")


def build(ask: Ask) -> HttpRequest:
    """The request: the texts as one batch."""
    fields: dict[str, Any] = {"inputs": list(ask.texts)}
    return post("/embed", ask, fields, bearer(ask.key), streamed=False)


def read_whole(body: bytes) -> Delta:
    """What the reply says: `items` is the number of vectors."""
    return whole_reply(_decoder, body, _embedded, "an item is no vector")


def _embedded(vectors: list[msgspec.Raw]) -> Delta | None:
    whole = all(bytes(vector)[:1] == b"[" and bytes(vector) not in _EMPTY for vector in vectors)
    return Delta(items=len(vectors), end=True) if whole else None


DIALECT = Dialect(
    name="tei-embeddings",
    kind="embeddings",
    build=build,
    read=no_stream,
    read_whole=read_whole,
    read_error=read_error,
    key_env="HF_TOKEN",
    read_headers=read_headers,
)
