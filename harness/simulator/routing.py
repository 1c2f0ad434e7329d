"""Path -> dialect, and the provider where the path names one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from harness.records.dialect_names import DialectName
from harness.simulator.config import Provider

_PATHS: dict[str, tuple[DialectName, ...]] = {
    "/chat/completions": ("openai-chat", "mistral"),
    "/chat": ("cohere-chat",),
    "/api/chat": ("ollama",),
    "/embed": ("tei-embeddings",),
    "/responses": ("openai-responses",),
    "/messages": ("anthropic-messages",),
    "/embeddings": ("jina-embeddings", "openai-embeddings", "infinity-embeddings"),
    "/rerank": ("jina-rerank", "infinity-rerank", "tei-rerank"),
}
_JOBS: dict[str, tuple[str, tuple[DialectName, ...]]] = {  # the paths of batch endpoints, and what they do
    r"/messages/batches": ("create", ("anthropic-batches",)),
    r"/messages/batches/(?P<id>[^/]+)": ("status", ("anthropic-batches",)),
    r"/messages/batches/(?P<id>[^/]+)/results": ("results", ("anthropic-batches",)),
    r"/files": ("upload", ("openai-batches",)),
    r"/batches": ("create", ("openai-batches",)),
    r"/batches/(?P<id>[^/]+)": ("status", ("openai-batches", "google-batches")),
    r"/files/(?P<id>[^/]+)/content": ("results", ("openai-batches",)),
    r"/models/(?P<model>[^:/]+):batchGenerateContent": ("create", ("google-batches",)),
}
_VERSION = re.compile(r"^/v\d+(?:alpha|beta)?\d*(?=/)")
_GEMINI = re.compile(r"^/(?:.+/)?models/(?P<model>[^:]+):(?P<method>generateContent|streamGenerateContent)$")
_AZURE = re.compile(r"^/openai/deployments/(?P<model>[^/]+)/chat/completions$")
_BEDROCK = re.compile(r"^/model/(?P<model>[^/]+)/(?P<method>converse|converse-stream)$")
_OPENAI_MODEL = re.compile(rb'"model"\s*:\s*"text-embedding')
_NAMING: tuple[tuple[re.Pattern[str], DialectName], ...] = ((_AZURE, "azure-openai"), (_BEDROCK, "bedrock-converse"))
_TEI_TEXTS = re.compile(rb'"texts"\s*:')


@dataclass(frozen=True)
class Route:
    """Where a request goes. `query` holds the path's query, and for Gemini its `model` and `method`; of a batch
    endpoint `act` (create, upload, status, results) and the `id` of what it is about.

    Without a provider nothing speaks there; `dialect` is then the one whose way of saying so fits best.
    """

    provider: Provider | None
    dialect: DialectName
    query: dict[str, str]
    path: str  # without the provider's name and the query


def route_of(target: str, body: bytes, providers: Mapping[str, Provider]) -> Route:
    """The route of a request's target (path and query).

    `/NAME/...` goes to that provider. Other paths go to the first provider that speaks the path's dialect;
    `/v1/embeddings` is Jina's there, unless the model's name begins with `text-embedding`, as OpenAI's do.
    The version segment may be left out.
    """
    path, _, query_text = target.partition("?")
    query = dict(parse_qsl(query_text))
    named, path = _provider_in(path, providers)
    dialects, own = _dialects(path)
    candidates = [named] if named else list(providers.values())
    if not named and _OPENAI_MODEL.search(body):
        dialects = tuple(sorted(dialects, key=lambda each: not each.startswith("openai-")))
    if not named and _TEI_TEXTS.search(body):
        dialects = dialects[::-1]
    for dialect in dialects:
        for provider in candidates:
            if dialect in provider.dialects:
                return Route(provider, dialect, query | own, path)
    fallback = named.dialects[0] if named else "openai-chat"
    return Route(None, dialects[0] if dialects else fallback, query | own, path)


def _provider_in(path: str, providers: Mapping[str, Provider]) -> tuple[Provider | None, str]:
    name, slash, rest = path[1:].partition("/")
    provider = providers.get(name)
    return (None, path) if provider is None else (provider, slash + rest)


def _dialects(path: str) -> tuple[tuple[DialectName, ...], dict[str, str]]:
    bare = _VERSION.sub("", path)
    for pattern, (act, dialects) in _JOBS.items() if "batch" in bare or "/files" in bare else ():
        job = re.fullmatch(pattern, bare)
        if job is not None:
            named = {name: unquote(text) for name, text in job.groupdict().items()}
            return dialects[::-1] if "beta/" in path else dialects, {"act": act, **named}
    match = _GEMINI.match(bare)
    if match is not None:
        own: DialectName = "vertex" if "/publishers/google/" in bare else "google-generate"
        return (own,), {"model": unquote(match["model"]), "method": match["method"]}
    for naming, dialect in _NAMING:
        match = naming.match(bare)
        if match is not None:
            return (dialect,), {name: unquote(text) for name, text in match.groupdict().items()}
    return _PATHS.get(bare, ()), {}


def key_in(headers: Mapping[str, str], route: Route) -> str | None:
    """The key a request carries where its dialect wants it."""
    if route.dialect.startswith("anthropic-"):
        return headers.get("x-api-key") or _bearer(headers)  # its SDKs use one or the other
    if route.dialect == "azure-openai":
        return headers.get("api-key") or _bearer(headers)
    if route.dialect.startswith("google-"):
        return headers.get("x-goog-api-key") or route.query.get("key")
    express = headers.get("x-goog-api-key") if route.dialect == "vertex" else None
    return express or _bearer(headers)


def any_keys(headers: Mapping[str, str], target: str) -> set[str]:
    """The keys a request carries wherever a dialect may want one."""
    query = dict(parse_qsl(target.partition("?")[2]))
    named = [headers.get(name) for name in ("x-api-key", "api-key", "x-goog-api-key")]
    carried = (_bearer(headers), *named, query.get("key"))
    return {key for key in carried if key}


def _bearer(headers: Mapping[str, str]) -> str | None:
    """The key in `Authorization: Bearer ...`."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key else None
