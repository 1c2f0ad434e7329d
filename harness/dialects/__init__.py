"""One pure file per wire protocol, and `DIALECTS`, all of them by name."""

from __future__ import annotations

from harness.dialects import (
    anthropic_batches,
    anthropic_messages,
    google_batches,
    google_generate,
    jina_embeddings,
    jina_rerank,
    openai_batches,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from harness.dialects.wire import Dialect

DIALECTS: dict[str, Dialect] = {
    module.DIALECT.name: module.DIALECT
    for module in (
        openai_chat,
        openai_responses,
        anthropic_messages,
        google_generate,
        openai_embeddings,
        jina_embeddings,
        jina_rerank,
        openai_batches,
        anthropic_batches,
        google_batches,
    )
}
