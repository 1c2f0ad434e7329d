"""One pure file per wire protocol, and `DIALECTS`, all of them by name."""

from __future__ import annotations

from harness.dialects import (
    anthropic_batches,
    anthropic_messages,
    azure_openai,
    bedrock_converse,
    cohere_chat,
    google_batches,
    google_generate,
    infinity_embeddings,
    infinity_rerank,
    jina_embeddings,
    jina_rerank,
    mistral,
    ollama,
    openai_batches,
    openai_chat,
    openai_embeddings,
    openai_responses,
    tei_embeddings,
    tei_rerank,
    vertex,
)
from harness.dialects.wire import Dialect

DIALECTS: dict[str, Dialect] = {
    module.DIALECT.name: module.DIALECT
    for module in (
        openai_chat,
        openai_responses,
        azure_openai,
        anthropic_messages,
        bedrock_converse,
        google_generate,
        vertex,
        cohere_chat,
        mistral,
        ollama,
        openai_embeddings,
        jina_embeddings,
        infinity_embeddings,
        tei_embeddings,
        jina_rerank,
        infinity_rerank,
        tei_rerank,
        openai_batches,
        anthropic_batches,
        google_batches,
    )
}
