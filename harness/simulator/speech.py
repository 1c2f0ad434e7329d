"""What passes between the service and the speakers of the wire protocols: what was asked, the reply, its events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

from harness.errors import UNREADABLE
from harness.questions.asking import stem_of
from harness.questions.judging import parts_of
from harness.workloads.echo import code_asked

Family = Literal[
    "openai", "azure", "anthropic", "aws", "google", "cohere", "mistral", "ollama", "jina", "infinity", "tei"
]
Act = Literal["reset", "close", "stall"]


class Refused(Exception):  # noqa: N818  (it is the request that is at fault)
    """The request is not what the dialect wants; the message says why."""


class Event(NamedTuple):
    """One step of a reply: bytes to write, and how many tokens (or items) of generated content they carry.

    No bytes with tokens: time passes in silence. An act is done instead of writing.
    """

    data: bytes
    tokens: int = 0
    act: Act | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, read. `input_tokens` counts words of all texts. `texts` is kept for embeddings (the batch) and
    rankings (the query, then the documents) only. `code` is what the reply is asked to begin with, `question` the
    graded question that is asked; `judged`: the prompt and the reply of which marks are wanted. `messages`: the texts
    of a chat, for a cache. `tool`: the function that is to be called. `structured`: JSON is wanted."""

    model: str
    input_tokens: int
    stream: bool = False
    max_tokens: int | None = None
    texts: tuple[str, ...] | None = None
    ranked: bool = False
    include_usage: bool = False
    framed: bool = True  # Gemini: server-sent events rather than one JSON array
    dimensions: int = 0
    base64: bool = False
    top: int | None = None
    return_documents: bool = True
    code: str | None = None
    question: str | None = None
    judged: tuple[str, str] | None = None
    messages: tuple[str, ...] = ()
    tool: str | None = None
    structured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply to be spoken: `reasoning_tokens` of thought, then `text_tokens` of answer.

    `cut` says that it ended because the cap was reached; `first_word` is where in the word list it begins. `answer`:
    the words of the answer, where they are not of the list.
    """

    id: str
    created: int
    asked: Asked
    first_word: int = 0
    reasoning_tokens: int = 0
    text_tokens: int = 0
    cached_tokens: int = 0
    tokens_per_chunk: int = 1
    show_reasoning: bool = True
    cut: bool = False
    answer: tuple[str, ...] | None = None

    @property
    def model(self) -> str:
        """The model that was asked for."""
        return self.asked.model

    @property
    def output_tokens(self) -> int:
        """What is billed."""
        return self.reasoning_tokens + self.text_tokens

    @property
    def content_events(self) -> int:
        """How many events will carry content or pass in silence."""
        return -(-self.reasoning_tokens // self.tokens_per_chunk) - (-self.text_tokens // self.tokens_per_chunk)

    def reasoning(self) -> Iterator[tuple[bytes, int]]:
        """The thought, chunk by chunk, each with its number of tokens; characters that JSON leaves alone."""
        return _pieces(self.first_word + 1, self.reasoning_tokens, self.tokens_per_chunk)

    def text(self) -> Iterator[tuple[bytes, int]]:
        """The answer, in the same way, as it stands within a JSON string. It begins with the code that was asked for:
        two tokens, if there are as many."""
        if self.answer is not None:
            return _joined(self.answer[: self.text_tokens], self.tokens_per_chunk)
        return _pieces(self.first_word, self.text_tokens, self.tokens_per_chunk, self.asked.code)

    def whole_reasoning(self) -> str:
        """The thought that is shown."""
        return b"".join(text for text, _ in self.reasoning()).decode() if self.show_reasoning else ""

    def whole_text(self) -> str:
        """The answer, as it is read."""
        if self.answer is not None:
            return "".join(self.answer[: self.text_tokens])
        return b"".join(text for text, _ in self.text()).decode()


@dataclass(frozen=True)
class Speaker:
    """How one dialect reads requests and speaks replies.

    read: body and query of the path -> Asked; raises Refused. whole: the body of a reply that is not streamed.
    stream: the events of one that is, or None when the dialect has none. error_event: an error in a stream.
    content_type: of a stream. headers: what the headers of a reply say of it.
    """

    family: Family
    read: Callable[[bytes, dict[str, str]], Asked]
    whole: Callable[[Reply], bytes]
    stream: Callable[[Reply], Iterator[Event]] | None = None
    error_event: Callable[[Reply, str], bytes] = lambda _reply, _message: b""
    content_type: str = "text/event-stream; charset=utf-8"
    headers: Callable[[Reply], list[tuple[str, str]]] = lambda _reply: []


WORDS = (  # noqa: SIM905  (easier to read than a hundred literals)
    "the a of and to in is that it for was on are as with his they at be this from have or by one had not but "
    "what all were when we there can an your which their said if do will each about how up out them then she "
    "many some so these would other into has more her two like him see time could no make than first been its who "
    "now people my made over did down only way find use may water long little very after words called just most"
).split()
_FIRST = [word.encode() for word in WORDS]
_LATER = [b" " + word for word in _FIRST]
_COUNT = len(WORDS)


def _pieces(first: int, tokens: int, per_chunk: int, code: str | None = None) -> Iterator[tuple[bytes, int]]:
    begin = [_FIRST[first % _COUNT]] if code is None else _halves(code, tokens)
    for start in range(0, tokens, per_chunk):
        count = min(per_chunk, tokens - start)
        words = [_LATER[(first + index) % _COUNT] for index in range(start, start + count)]
        for index, word in enumerate(begin[start : start + count]):
            words[index] = word
        yield (words[0] if count == 1 else b"".join(words)), count


def _joined(words: tuple[str, ...], per_chunk: int) -> Iterator[tuple[bytes, int]]:
    for start in range(0, len(words), per_chunk):
        piece = words[start : start + per_chunk]
        yield quoted("".join(piece))[1:-1], len(piece)


def _halves(code: str, tokens: int) -> list[bytes]:
    """A code as one or two tokens."""
    data = code.encode()
    return [data] if tokens < 2 else [data[: len(data) // 2], data[len(data) // 2 :]]


def code_in(texts: list[str]) -> str | None:
    """The code that the reply is to begin with, by the last of the texts that asks for one."""
    return next((code for text in reversed(texts) if (code := code_asked(text))), None)


def question_in(texts: list[str]) -> str | None:
    """The graded question that is asked, by the last of the texts."""
    return stem_of(texts[-1]) if texts else None


def judged_in(texts: list[str]) -> tuple[str, str] | None:
    """Prompt and reply of which the last of the texts wants marks."""
    return parts_of(texts[-1]) if texts else None


def count_words(texts: list[str]) -> int:
    """The tokens of a prompt: its words between white space."""
    return sum(len(text.split()) for text in texts)


def asked_of_chat(
    texts: list[str],
    *,
    model: str,
    stream: bool,
    max_tokens: int | None,
    structured: bool = False,
    tool: str | None = None,
    include_usage: bool = False,
    framed: bool = True,
) -> Asked:
    """What a chat asks, of which `texts` are all, in their order; the rest is as each dialect says it."""
    return Asked(
        model=model,
        input_tokens=count_words(texts),
        stream=stream,
        max_tokens=max_tokens,
        include_usage=include_usage,
        framed=framed,
        code=code_in(texts),
        question=question_in(texts),
        judged=judged_in(texts),
        messages=tuple(texts),
        tool=tool,
        structured=structured,
    )


encode = msgspec.json.encode


def named_event(name: bytes, data: bytes) -> bytes:
    """A server-sent event that has a name."""
    return b"event: " + name + b"\ndata: " + data + b"\n\n"


def quoted(text: str) -> bytes:
    """`text` as a JSON string."""
    return encode(text)


def read_json(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """The decoded body. Raises Refused."""
    try:
        return decoder.decode(body)
    except UNREADABLE as fault:
        raise Refused(f"Invalid request body: {fault}") from fault


class Part(msgspec.Struct):
    """One part of a message; parts without text count no tokens."""

    text: str | None = None


Content = str | list[Part] | None


def texts_of(*contents: Content) -> list[str]:
    """The texts in the contents of messages, in their order."""
    return [text for content in contents for text in _texts_in(content)]


def _texts_in(content: Content) -> list[str]:
    if content is None:
        return []
    return [content] if isinstance(content, str) else [part.text for part in content if part.text is not None]
