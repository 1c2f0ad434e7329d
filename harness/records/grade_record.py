"""The lines of `grades.jsonl`: what an embedder and a judge said of the replies of a run, after its load was over."""

from __future__ import annotations

import hashlib

import msgspec


class Embedding(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="embedding"):
    """Where a reply lies in the space of an embedder: a vector of length 1."""

    embedder: str
    text_id: str
    vector: tuple[float, ...]


class Likeness(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="likeness"):
    """What the embedder alone tells of a reply: the cosine between prompt and reply, and the mean cosine between each
    sentence and the next (None: it has but one)."""

    embedder: str
    target: str
    workload: str
    text_id: str
    relevance: float
    coherence: float | None


class Mark(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="mark"):
    """What a judge said of a reply, 1 (bad) to 5 (very good); None: its answer held no such mark. `swapped`: it was
    asked for coherence first."""

    judge: str
    target: str
    workload: str
    text_id: str
    swapped: bool
    relevance: int | None
    coherence: int | None


Line = Embedding | Likeness | Mark

_decoder = msgspec.json.Decoder(Line)


def encode(line: Line) -> bytes:
    """One line, with its end."""
    return msgspec.json.encode(line) + b"\n"


def decode(line: bytes) -> Line:
    """The record in a line. Raises `msgspec.DecodeError`, or its `ValidationError`, where it is torn."""
    record: Line = _decoder.decode(line)
    return record


def text_id(text: str) -> str:
    """What stands for a text: 16 hexadecimal digits of its hash."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
