"""How a question is asked: its prompt, word for word, and the question found again in a prompt."""

from __future__ import annotations

import re

from harness.records.question import Question, letters

_BEGIN = "Question: "
_CHOICES = "\n\nA) "
_ENDS = {
    "choice": 'You may reason first, briefly. End your reply with the line "Answer: X", where X is the letter of the '
    "one right choice.",
    "number": 'You may reason first, briefly. End your reply with the line "Answer: N", where N is the number alone, '
    "in digits.",
    "text": 'End your reply with the line "Answer: TEXT", where TEXT is the answer in as few words as possible.',
}
_BEGINNING = re.compile(rf"(?:\A|\n){_BEGIN}")


def asked(question: Question) -> str:
    """The prompt of a question. Each choice stands on one line behind its letter."""
    choices = "\n".join(
        f"{letter}) {' '.join(text.split())}"
        for letter, text in zip(letters(len(question.choices)), question.choices, strict=True)
    )
    body = f"{question.stem.strip()}\n\n{choices}" if choices else question.stem.strip()
    return f"{_BEGIN}{body}\n\n{_ENDS[question.kind]}"


def stem_of(prompt: str) -> str | None:
    """The stem of the question that a prompt asks, whatever stands before and after it; None: it asks none.

    The stem is as the question has it, but for white space around it. Text before the question must have no line that
    begins like one.
    """
    end, kind = max((prompt.rfind(f"\n\n{words}"), kind) for kind, words in _ENDS.items())
    begin = _BEGINNING.search(prompt)
    if end < 0 or begin is None or begin.end() > end:
        return None
    body = prompt[begin.end() : end]
    return body[: body.rindex(_CHOICES)] if kind == "choice" and _CHOICES in body else body
