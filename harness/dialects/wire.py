"""The records that cross a dialect's border: what is asked, the HTTP request it becomes, what an event says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

from harness.errors import ErrorKind
from harness.records.dialect_names import Kind
from harness.records.stream_event import Framing
from harness.sample import ServerTime, Usage


@dataclass(frozen=True)
class Turn:
    """What was said earlier in a conversation, and by whom."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True)
class Image:
    """A picture beside a prompt: a PNG in base64 (`data`), or where the provider finds it (`url`)."""

    data: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Tool:
    """A function that a reply may call; `parameters` is a JSON Schema."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """One request in the harness's own words, free of any protocol.

    `texts` holds the prompt (chat: one text; embeddings: the batch; rerank: the query, then the documents; batch: the
    prompts of a job). `max_tokens` and `temperature` matter for chat and batch, `stream` for chat only.
    `body` holds further fields of the user's for the JSON body (of a job: of each prompt's). A `key` of several parts,
    as AWS has, has them in one text, with blanks between: id, secret, session token.
    Of a chat: `history` is what was said before, oldest first; `images` stand beside the prompt; one of the `tools` is
    to be called; the reply is to be JSON of a `schema`.
    """

    model: str
    texts: tuple[str, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    stream: bool = True
    key: str | None = field(default=None, repr=False)
    body: dict[str, Any] = field(default_factory=dict)
    history: tuple[Turn, ...] = ()
    images: tuple[Image, ...] = ()
    tools: tuple[Tool, ...] = ()
    schema: dict[str, Any] | None = None


@dataclass(frozen=True)
class HttpRequest:
    """A request ready to send: `path` is appended to the target's base URL; `headers` include the key."""

    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes
    method: Literal["POST", "GET"] = "POST"


@dataclass(frozen=True)
class Unsigned:
    """A request that is to be signed: where it goes, all of its headers, and with which key (see `Ask`)."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    key: str = field(repr=False)
    region: str


@dataclass(frozen=True)
class WireError:
    """An error in the provider's own words: its machine-readable type or code, and its message."""

    type: str
    message: str


class Delta(msgspec.Struct, frozen=True, gc=False):
    """What one event of a stream, or one whole reply, says. Empty fields: it says nothing of that.

    `end` is the protocol's own end marker (a stream without one was cut short); usages of several events are joined
    by `merge_usage`; `malformed` names why the bytes are not the dialect's. `server` is what the server says of its own
    time. `finish` is the provider's own word for why it stopped. `items` counts vectors, ranked documents or replies.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_arguments: str = ""
    finish: str | None = None
    usage: Usage | None = None
    error: WireError | None = None
    end: bool = False
    refused: bool = False
    items: int = 0
    fingerprint: str | None = None
    malformed: str | None = None
    server: ServerTime | None = None

    @property
    def content(self) -> bool:
        """Whether it carries generated content: text, reasoning, refusal or tool arguments."""
        return bool(self.text or self.reasoning or self.refusal or self.tool_arguments)


@dataclass(frozen=True)
class ErrorReply:
    """What the body and headers of a failed response say."""

    error: WireError
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Fault:
    """What went wrong with a job, or with one of its prompts."""

    kind: ErrorKind
    detail: str


@dataclass(frozen=True)
class JobEnd:
    """What a job came to: each reply under the key of its prompt, in the order they came, as the body of a whole reply
    or as what went wrong; and what went wrong with the job itself."""

    replies: tuple[tuple[str, bytes | Fault], ...] = ()
    fault: Fault | None = None


@dataclass(frozen=True)
class Step:
    """One request of a job, and what the body of its answer (of status 2xx) leads to: the next step, or the end.

    `job` is the provider's name for the job, once it has one. `poll`: it asks how the job fares, so not at once.
    """

    request: HttpRequest
    then: Callable[[bytes], Step | JobEnd]
    job: str | None = None
    poll: bool = False


@dataclass(frozen=True)
class Dialect:
    """A wire protocol as pure functions.

    build: Ask -> HttpRequest. read: the name and the data of one event of a stream -> Delta.
    read_whole: the body of a reply that was not streamed (of a job: of one prompt's reply) -> Delta.
    read_error: body of a non-2xx response -> ErrorReply.
    job: Ask -> the first step of a job, whose request is that of `build`; None where a request has one answer.
    None of them raises on bad bytes: a Delta says `malformed`, an ErrorReply quotes what came, a job ends with a Fault.
    `key_env` is the environment variable where the provider's own SDK looks for the key.
    framing: how a stream is cut into events, whose name and data `read` is given; SSE unless it says otherwise.
    read_headers: what the headers of any response (names in lower case) say beside its body: usage, the server's time,
    the type of an error. sign: what a request needs that depends on its whole URL; it is given the headers that will be
    sent, and its cost lies before the attempt.
    """

    name: str
    kind: Kind
    build: Callable[[Ask], HttpRequest]
    read: Callable[[str, bytes], Delta]
    read_whole: Callable[[bytes], Delta]
    read_error: Callable[[bytes], ErrorReply]
    key_env: str
    job: Callable[[Ask], Step] | None = None
    framing: Framing = "sse"
    read_headers: Callable[[Mapping[str, str]], Delta] | None = None
    sign: Callable[[Unsigned], dict[str, str]] | None = None


MOST_TOKENS = 10**12  # of one reply
MOST_NS = 10**17  # three years
Told = TypeVar("Told", Usage, ServerTime)


def believed(told: Told | None) -> Told | None:
    """What a provider counted or timed, without what is no number of tokens or nanoseconds: below 0, or beyond all
    reason. That is not measured; a reply is none the worse for it. None: nothing is left."""
    if told is None:
        return None
    most = MOST_TOKENS if isinstance(told, Usage) else MOST_NS
    numbers = {name: value for name in told.__struct_fields__ if isinstance(value := getattr(told, name), int)}
    wrong = dict.fromkeys(name for name, value in numbers.items() if not 0 <= value <= most)
    if not wrong:
        return told
    return msgspec.structs.replace(told, **wrong) if len(wrong) < len(numbers) else None


def merge_usage(earlier: Usage | None, later: Usage | None) -> Usage | None:
    """Field by field the later value where there is one: some protocols send the counts in parts.

    Of two counts of the input, or of a part of it, the larger stands: an event may repeat the input without what was
    cached of it.
    """
    if earlier is None or later is None:
        return later or earlier
    return Usage(
        source=later.source,
        input_tokens=_larger(earlier.input_tokens, later.input_tokens),
        output_tokens=_latest(earlier.output_tokens, later.output_tokens),
        reasoning_tokens=_latest(earlier.reasoning_tokens, later.reasoning_tokens),
        cached_tokens=_larger(earlier.cached_tokens, later.cached_tokens),
        cache_write_tokens=_larger(earlier.cache_write_tokens, later.cache_write_tokens),
    )


def added_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """Field by field the sum; what only one of them tells is that one's."""
    if one is None or other is None:
        return one or other
    return Usage(
        source=other.source,
        input_tokens=_sum(one.input_tokens, other.input_tokens),
        output_tokens=_sum(one.output_tokens, other.output_tokens),
        reasoning_tokens=_sum(one.reasoning_tokens, other.reasoning_tokens),
        cached_tokens=_sum(one.cached_tokens, other.cached_tokens),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return one + other if one is not None and other is not None else _latest(one, other)


def _latest(earlier: int | None, later: int | None) -> int | None:
    return earlier if later is None else later


def _larger(earlier: int | None, later: int | None) -> int | None:
    return max(earlier, later) if earlier is not None and later is not None else _latest(earlier, later)


_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?")


def join_url(base_url: str, path: str) -> str:
    """The URL of a request: `path` of an `HttpRequest` appended to the target's base URL.

    A version segment that would stand twice stands once, so that `https://host` and `https://host/v1` both reach
    `/v1/messages`. Queries of both are kept; a fragment is dropped.
    """
    base = urlsplit(base_url)
    below, _, query = path.partition("?")
    prefix = base.path.rstrip("/")
    below = "/" + below.lstrip("/")
    version = prefix.rpartition("/")[2]
    if _VERSION.fullmatch(version) and below.split("/")[1] == version:
        prefix = prefix.removesuffix("/" + version)
    queries = "&".join(part for part in (base.query, query) if part)
    return urlunsplit((base.scheme, base.netloc, prefix + below, queries, ""))
