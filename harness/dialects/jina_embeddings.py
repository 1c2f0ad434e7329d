"""Jina embeddings: OpenAI's request and reply, with an error body of its own (`detail`).

Fields such as `task`, `dimensions`, `truncate` or `late_chunking` come from the target's `body`.
"""

from __future__ import annotations

from harness.dialects.json_fields import no_stream, read_error
from harness.dialects.openai_embeddings import build, read_whole
from harness.dialects.wire import Dialect

DIALECT = Dialect(
    name="jina-embeddings",
    kind="embeddings",
    build=build,
    read=no_stream,
    read_whole=read_whole,
    read_error=read_error,
    key_env="JINA_API_KEY",
)
