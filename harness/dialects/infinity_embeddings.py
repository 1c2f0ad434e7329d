"""Infinity (a server of open embedding models): `POST {base}/embeddings`, OpenAI's request and reply."""

from __future__ import annotations

from harness.dialects.json_fields import no_stream, read_error
from harness.dialects.openai_embeddings import build, read_whole
from harness.dialects.wire import Dialect

DIALECT = Dialect(
    name="infinity-embeddings",
    kind="embeddings",
    build=build,
    read=no_stream,
    read_whole=read_whole,
    read_error=read_error,
    key_env="INFINITY_API_KEY",
)
