"""The question: what is asked of a provider where answers are graded. `questions.jsonl` of a run holds them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from harness.errors import UNREADABLE, UsageFault

Kind = Literal["choice", "number", "text"]

COPY_SUFFIX = ".questions.jsonl"  # of a set that a run directory keeps
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question with what counts as its answer.

    `id` is unique in its set; `subject` groups questions, such as the subject of MMLU. `stem` is the question itself,
    with any text that it is about. `choices` of a `choice` are lettered A, B, C and so on. `answer` is the letter of
    the right choice; of a `number` the number as text; of a `text` the first reference. `references` of a `text`: every
    answer that counts, where there are several.
    """

    id: str
    subject: str
    kind: Kind
    stem: str
    choices: tuple[str, ...] = ()
    answer: str
    references: tuple[str, ...] = ()


def letters(count: int) -> str:
    """The letters of so many choices. Raises ValueError where the alphabet has fewer."""
    if not 0 <= count <= len(_LETTERS):
        raise ValueError(f"{count} choices: at most {len(_LETTERS)} have a letter")
    return _LETTERS[:count]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Question)


def encode_questions(questions: Iterable[Question]) -> bytes:
    """`questions.jsonl`: one JSON line a question."""
    return b"".join(_encoder.encode(question) + b"\n" for question in questions)


def decode_questions(data: bytes) -> tuple[Question, ...]:
    """The questions in such lines; empty ones are skipped. Raises ValueError, which names the line and what is wrong
    with it."""
    found: dict[str, Question] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            question = _decoder.decode(line)
        except UNREADABLE as error:
            raise ValueError(f"line {number}: {error}") from error
        wrong = _wrong(question) or ("an id that an earlier line has" if question.id in found else None)
        if wrong:
            raise ValueError(f"line {number}: question {question.id!r}: {wrong}")
        found[question.id] = question
    return tuple(found.values())


def _wrong(question: Question) -> str | None:
    """What contradicts itself in a question."""
    if question.kind != "choice":
        return "choices, which only a question of the kind 'choice' has" if question.choices else None
    if not 2 <= len(question.choices) <= len(_LETTERS):
        return f"{len(question.choices)} choices: a question has 2 to {len(_LETTERS)}"
    if len(question.answer) != 1 or question.answer not in letters(len(question.choices)):
        return f"the answer {question.answer!r}: not the letter of one of {len(question.choices)} choices"
    return None


def read_questions(path: Path) -> tuple[Question, ...]:
    """The set in a file that `encode_questions` wrote. Raises UsageFault."""
    hint = "a run directory keeps its questions: bring the file back"
    try:
        return decode_questions(path.read_bytes())
    except OSError as error:
        raise UsageFault(f"{path}: cannot be read: {error.strerror}", hint) from error
    except ValueError as error:
        raise UsageFault(f"{path}: {error}", hint) from error


def names_a_file(source: str) -> bool:
    """Whether a source of questions is a path."""
    return source != "own" and not source.startswith(("own:", "hf:"))
