"""Embeddings of OpenAI, Jina and Infinity (`POST /v1/embeddings`), and the latter's rankings (`POST /v1/rerank`).

A text's vector is the sum of the vectors of its words, normalised: texts that share words lie near each other.
A document's score is the cosine of its vector and the query's, so that rankings can be right or wrong.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.simulator.speech import Asked, Refused, Reply, Speaker, count_words, encode, read_json

_MOST_TEXTS = 2048
_USUAL_DIMENSIONS = 64
Vector = NDArray[np.float64]


class _Embed(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int] | dict[str, Any]]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=8192)] | None = None
    encoding_format: str | None = None
    embedding_type: Any = None


_embed_decoder = msgspec.json.Decoder(_Embed)


def read_embed(body: bytes, _query: dict[str, str]) -> Asked:
    """What an embeddings request asks: one text, several, or token numbers. Raises Refused."""
    request: _Embed = read_json(_embed_decoder, body)
    texts, tokens = _texts_and_tokens(request.input)
    if not 1 <= len(texts) <= _MOST_TEXTS:
        raise Refused(f"Invalid 'input': expected 1 to {_MOST_TEXTS} items, got {len(texts)}.")
    return Asked(
        model=request.model,
        input_tokens=tokens,
        texts=tuple(texts),
        dimensions=request.dimensions or _USUAL_DIMENSIONS,
        base64="base64" in (request.encoding_format, request.embedding_type),
    )


def _texts_and_tokens(given: str | list[Any]) -> tuple[list[str], int]:
    """The texts, and their tokens: words, or token numbers where those were sent."""
    if isinstance(given, str) or (given and all(isinstance(one, int) for one in given)):
        given = [given]
    texts = [_text(one) for one in given]
    return texts, count_words(texts)


def _text(one: Any) -> str:
    if isinstance(one, list):
        return " ".join(map(str, one))
    return str(one.get("text", "")) if isinstance(one, dict) else str(one)


def whole_embed(reply: Reply) -> bytes:
    """The body of an embeddings reply."""
    asked = reply.asked
    vectors = [vector(text, asked.dimensions) for text in asked.texts or ()]
    data = [
        {"object": "embedding", "index": index, "embedding": _written(one, as_base64=asked.base64)}
        for index, one in enumerate(vectors[: reply.text_tokens])
    ]
    usage = {"prompt_tokens": asked.input_tokens, "total_tokens": asked.input_tokens}
    return encode({"object": "list", "data": data, "model": asked.model, "usage": usage})


def _written(one: Vector, *, as_base64: bool) -> str | list[float]:
    return base64.b64encode(one.astype("<f4").tobytes()).decode() if as_base64 else one.round(7).tolist()


def vector(text: str, dimensions: int) -> Vector:
    """The text's vector, of length 1; the same on every machine."""
    total: Vector = np.sum([_word_vector(word, dimensions) for word in text.split() or [""]], axis=0)
    norm = float(np.linalg.norm(total))
    unit: Vector = total / (norm or 1.0)
    return unit


@lru_cache(maxsize=8192)
def _word_vector(word: str, dimensions: int) -> Vector:
    seed = int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest())
    drawn: Vector = np.random.default_rng(seed).standard_normal(dimensions)
    return drawn


class _Rerank(msgspec.Struct):
    model: str
    query: str | dict[str, Any]
    documents: list[str | dict[str, Any]]
    top_n: Annotated[int, msgspec.Meta(ge=1)] | None = None
    return_documents: bool | None = None


_rerank_decoder = msgspec.json.Decoder(_Rerank)


def read_rerank(body: bytes, _query: dict[str, str]) -> Asked:
    """What a ranking request asks. Raises Refused."""
    request: _Rerank = read_json(_rerank_decoder, body)
    if not request.documents:
        raise Refused("documents: at least one document is required")
    texts = [_text(request.query), *map(_text, request.documents)]
    return Asked(
        model=request.model,
        input_tokens=count_words(texts),
        texts=tuple(texts),
        ranked=True,
        top=request.top_n,
        return_documents=request.return_documents is not False,
    )


def whole_rerank(reply: Reply) -> bytes:
    """The body of a ranking: best document first."""
    documents = (reply.asked.texts or ("",))[1:]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": score} for index, score in scored(reply)]
    if reply.asked.return_documents:
        results = [{**result, "document": {"text": documents[result["index"]]}} for result in results]
    tokens = reply.asked.input_tokens
    usage = {"total_tokens": tokens, "prompt_tokens": tokens}
    return encode({"model": reply.asked.model, "object": "list", "usage": usage, "results": results})


def scored(reply: Reply) -> list[tuple[int, float]]:
    """Place and score of each document that is wanted, best first."""
    query, *documents = reply.asked.texts or ("",)
    wanted = vector(query, _USUAL_DIMENSIONS)
    scores = [round(float(vector(text, _USUAL_DIMENSIONS) @ wanted), 6) for text in documents]
    order = sorted(range(len(documents)), key=lambda index: -scores[index])[: reply.text_tokens]
    return [(index, scores[index]) for index in order]


OPENAI_EMBEDDINGS = Speaker("openai", read_embed, whole_embed)
JINA_EMBEDDINGS = Speaker("jina", read_embed, whole_embed)
JINA_RERANK = Speaker("jina", read_rerank, whole_rerank)
INFINITY_EMBEDDINGS = Speaker("infinity", read_embed, whole_embed)
INFINITY_RERANK = Speaker("infinity", read_rerank, whole_rerank)
