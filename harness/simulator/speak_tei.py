"""Text Embeddings Inference: `POST /embed` and `POST /rerank`. What a request used stands in the headers."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.simulator.speak_vectors import scored, vector
from harness.simulator.speech import Asked, Refused, Reply, Speaker, count_words, encode, read_json

_MOST_TEXTS = 2048
_DIMENSIONS = 64


class _Embed(msgspec.Struct):
    inputs: str | list[str]
    normalize: bool | None = None
    truncate: bool | None = None


class _Rerank(msgspec.Struct):
    query: str
    texts: list[str]
    raw_scores: bool = False
    return_text: bool = False


_embed_decoder = msgspec.json.Decoder(_Embed)
_rerank_decoder = msgspec.json.Decoder(_Rerank)


def read_embed(body: bytes, _query: dict[str, str]) -> Asked:
    """What a request for vectors asks. Raises Refused."""
    request: _Embed = read_json(_embed_decoder, body)
    texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
    if not texts:
        raise Refused("`inputs` cannot be empty")
    if len(texts) > _MOST_TEXTS:
        raise Refused(f"batch size {len(texts)} > maximum allowed batch size {_MOST_TEXTS}")
    return Asked(model="tei", input_tokens=count_words(texts), texts=tuple(texts), dimensions=_DIMENSIONS)


def whole_embed(reply: Reply) -> bytes:
    """A list of vectors."""
    texts = (reply.asked.texts or ())[: reply.text_tokens]
    return encode([vector(text, reply.asked.dimensions).round(7).tolist() for text in texts])


def read_rerank(body: bytes, _query: dict[str, str]) -> Asked:
    """What a request for a ranking asks. Raises Refused."""
    request: _Rerank = read_json(_rerank_decoder, body)
    if not request.texts:
        raise Refused("`texts` cannot be empty")
    texts = (request.query, *request.texts)
    shown = request.return_text
    return Asked(model="tei", input_tokens=count_words([*texts]), texts=texts, ranked=True, return_documents=shown)


def whole_rerank(reply: Reply) -> bytes:
    """A list of places and scores, best first."""
    texts = (reply.asked.texts or ("",))[1:]
    ranks: list[dict[str, Any]] = [{"index": index, "score": score} for index, score in scored(reply)]
    return encode([each | {"text": texts[each["index"]]} for each in ranks] if reply.asked.return_documents else ranks)


def headers(reply: Reply) -> list[tuple[str, str]]:
    """Tokens, characters, and times in milliseconds."""
    texts = reply.asked.texts or ()
    return [
        ("x-compute-type", "cpu"),
        ("x-compute-characters", str(sum(map(len, texts)))),
        ("x-compute-tokens", str(reply.asked.input_tokens)),
        ("x-total-time", "3"),
        ("x-tokenization-time", "0"),
        ("x-queue-time", "1"),
        ("x-inference-time", "2"),
    ]


EMBEDDINGS = Speaker("tei", read_embed, whole_embed, headers=headers)
RERANK = Speaker("tei", read_rerank, whole_rerank, headers=headers)
