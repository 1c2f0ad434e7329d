"""Ranking by Text Embeddings Inference: `POST {base}/rerank`. The reply is a list of places and scores; the usage
stands in headers."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.dialects.json_fields import bearer, no_stream, post, read_error, whole_reply
from harness.dialects.tei_headers import read_headers
from harness.dialects.wire import Ask, Delta, Dialect, HttpRequest


class _Rank(msgspec.Struct, gc=False):
    index: int
    score: float


_decoder = msgspec.json.Decoder(list[_Rank])


def build(ask: Ask) -> HttpRequest:
    """The request: the first text is the query, the others are ranked."""
    query, *documents = ask.texts
    fields: dict[str, Any] = {"query": query, "texts": documents}
    return post("/rerank", ask, fields, bearer(ask.key), streamed=False)


def read_whole(body: bytes) -> Delta:
    """What the reply says: `items` is the number of ranked texts."""
    return whole_reply(_decoder, body, lambda ranks: Delta(items=len(ranks), end=True))


DIALECT = Dialect(
    name="tei-rerank",
    kind="rerank",
    build=build,
    read=no_stream,
    read_whole=read_whole,
    read_error=read_error,
    key_env="HF_TOKEN",
    read_headers=read_headers,
)
