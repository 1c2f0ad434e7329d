"""The wire protocols that a target may have, by name, and what each of them does."""

from __future__ import annotations

from typing import Literal

Kind = Literal["chat", "embeddings", "rerank", "batch"]
KIND_OF_DIALECT: dict[str, Kind] = {
    "openai-chat": "chat",
    "openai-responses": "chat",
    "azure-openai": "chat",
    "anthropic-messages": "chat",
    "bedrock-converse": "chat",
    "google-generate": "chat",
    "vertex": "chat",
    "cohere-chat": "chat",
    "mistral": "chat",
    "ollama": "chat",
    "openai-embeddings": "embeddings",
    "jina-embeddings": "embeddings",
    "infinity-embeddings": "embeddings",
    "tei-embeddings": "embeddings",
    "jina-rerank": "rerank",
    "infinity-rerank": "rerank",
    "tei-rerank": "rerank",
    "openai-batches": "batch",
    "anthropic-batches": "batch",
    "google-batches": "batch",
}
GENERATING: frozenset[Kind] = frozenset({"chat", "batch"})  # the kinds whose replies are generated text
DialectName = Literal[
    "openai-chat",
    "openai-responses",
    "azure-openai",
    "anthropic-messages",
    "bedrock-converse",
    "google-generate",
    "vertex",
    "cohere-chat",
    "mistral",
    "ollama",
    "openai-embeddings",
    "jina-embeddings",
    "infinity-embeddings",
    "tei-embeddings",
    "jina-rerank",
    "infinity-rerank",
    "tei-rerank",
    "openai-batches",
    "anthropic-batches",
    "google-batches",
]
