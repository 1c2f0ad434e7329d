"""OpenAI embeddings: `POST {base}/embeddings`. The vectors are counted, not decoded."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.dialects.json_fields import bearer, no_stream, post, read_error, whole_reply
from harness.dialects.wire import Ask, Delta, Dialect, HttpRequest
from harness.sample import Usage


class InputUsage(msgspec.Struct, gc=False):
    """The usage of a reply without output, whose input is the total. It is what Jina bills, and some servers give it
    alone."""

    prompt_tokens: int | None = None
    total_tokens: int | None = None

    def normalised(self) -> Usage:
        """The same in the harness's words; output tokens are not measured where there are none."""
        known = [count for count in (self.prompt_tokens, self.total_tokens) if count is not None]
        return Usage(source="provider", input_tokens=max(known, default=None))


class _Vector(msgspec.Struct, gc=False):
    embedding: msgspec.Raw = msgspec.Raw()
    embeddings: msgspec.Raw = msgspec.Raw()  # Jina, one vector for each token

    @property
    def present(self) -> bool:
        """Whether there is a vector: numbers, base64, or an object of several."""
        return bytes(self.embedding or self.embeddings) not in (b"", b"[]", b'""', b"{}", b"null")


class _Reply(msgspec.Struct, gc=False):
    data: list[_Vector] | None = None
    usage: InputUsage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Reply)


def build(ask: Ask) -> HttpRequest:
    """The request: the texts as one batch, in the encoding that the server prefers."""
    fields: dict[str, Any] = {"model": ask.model, "input": list(ask.texts)}
    return post("/embeddings", ask, fields, bearer(ask.key), streamed=False)


def read_whole(body: bytes) -> Delta:
    """What the reply says: `items` is the number of vectors."""
    return whole_reply(_decoder, body, _embedded, "no data")


def _embedded(reply: _Reply) -> Delta | None:
    if reply.data is None:
        return None
    if not all(vector.present for vector in reply.data):
        return Delta(malformed="unexpected JSON: data without an embedding")
    usage = None if reply.usage is None else reply.usage.normalised()
    return Delta(items=len(reply.data), usage=usage, end=True)


DIALECT = Dialect(
    name="openai-embeddings",
    kind="embeddings",
    build=build,
    read=no_stream,
    read_whole=read_whole,
    read_error=read_error,
    key_env="OPENAI_API_KEY",
)
