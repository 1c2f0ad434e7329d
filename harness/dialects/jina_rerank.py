"""Jina reranker, and the servers that speak it: `POST {base}/rerank`."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.dialects.json_fields import bearer, no_stream, post, read_error, whole_reply
from harness.dialects.openai_embeddings import InputUsage
from harness.dialects.wire import Ask, Delta, Dialect, HttpRequest


class _Result(msgspec.Struct, gc=False):
    index: int
    relevance_score: float


class _Reply(msgspec.Struct, gc=False):
    results: list[_Result] | None = None
    usage: InputUsage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Reply)


def build(ask: Ask) -> HttpRequest:
    """The request: the first text is the query, the others are the documents."""
    query, *documents = ask.texts
    fields: dict[str, Any] = {"model": ask.model, "query": query, "documents": documents}
    return post("/rerank", ask, fields, bearer(ask.key), streamed=False)


def read_whole(body: bytes) -> Delta:
    """What the reply says: `items` is the number of ranked documents."""
    return whole_reply(_decoder, body, _ranked, "no results")


def _ranked(reply: _Reply) -> Delta | None:
    if reply.results is None:
        return None
    usage = None if reply.usage is None else reply.usage.normalised()
    return Delta(items=len(reply.results), usage=usage, end=True)


DIALECT = Dialect(
    name="jina-rerank",
    kind="rerank",
    build=build,
    read=no_stream,
    read_whole=read_whole,
    read_error=read_error,
    key_env="JINA_API_KEY",
)
