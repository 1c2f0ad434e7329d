"""Infinity's ranking: `POST {base}/rerank`, Jina's request and reply."""

from __future__ import annotations

from harness.dialects.jina_rerank import build, read_whole
from harness.dialects.json_fields import no_stream, read_error
from harness.dialects.wire import Dialect

DIALECT = Dialect(
    name="infinity-rerank",
    kind="rerank",
    build=build,
    read=no_stream,
    read_whole=read_whole,
    read_error=read_error,
    key_env="INFINITY_API_KEY",
)
