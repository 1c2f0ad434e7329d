"""The answer that a reply gives to a question, and whether it is right. Pure.

An answer is never guessed: a reply that gives none, several, or two that contradict each other is ungraded. The rules
stand in docs/quality.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.answers.answer_letters import letter_given
from analysis.answers.answer_numbers import number_given
from analysis.answers.answer_text import cleaned, spoken
from analysis.answers.answer_texts import text_given
from analysis.answers.answer_words import normalised, token_f1
from harness.inputs.numerals import Numeral, number_of, same, written
from harness.records.question import Question

_ROUNDED_DIGITS = 3  # an endless decimal counts when rounded to at least so many digits


@dataclass(frozen=True)
class Grade:
    """What a reply is worth. `answer` None: ungraded, then the others are None too. `correct`: of a choice, that it is
    the right letter; of a number, that it is equal; of a text, that it is a reference but for case, punctuation and
    articles. `f1`, of a text alone: how much it shares with the reference that it is closest to, 0 to 1."""

    answer: str | None
    correct: bool | None
    f1: float | None = None


def extracted(reply: str, question: Question) -> str | None:
    """The answer that a reply gives: a letter, a number in plain digits, a normalised text. None: ungraded."""
    text = cleaned(spoken(reply))
    if question.kind == "choice":
        return letter_given(text, question)
    if question.kind == "text":
        return text_given(text)
    number = number_given(text)
    return None if number is None else written(number)


def graded(reply: str, question: Question) -> Grade:
    """The grade of a reply."""
    answer = extracted(reply, question)
    if answer is None:
        return Grade(None, None)
    if question.kind == "choice":
        return Grade(answer, answer == question.answer)
    if question.kind == "number":
        return Grade(answer, _equal(answer, question.answer))
    references = question.references or (question.answer,)
    f1 = max(token_f1(answer, reference) for reference in references)
    return Grade(answer, any(normalised(answer) == normalised(reference) for reference in references), f1)


def _equal(answer: str, wanted: str) -> bool:
    got, right = number_of(answer), number_of(wanted)
    if got is None or right is None:
        return normalised(answer) == normalised(wanted)
    return same(got, right) or _rounded(answer, got, right)


def _rounded(answer: str, got: Numeral, right: Numeral) -> bool:
    """Whether a decimal is an endless fraction, rounded: 0.333 is 1/3."""
    if got.value is None or right.value is None or "/" not in written(right) or "/" in answer:
        return False
    places = len(answer.partition(".")[2])
    return len(answer.strip("-0.").replace(".", "")) >= _ROUNDED_DIGITS and got.value == round(right.value, places)
