"""How well a simulated provider answers graded questions, and in what words.

What it knows is drawn once for each question, so that it makes the same mistakes again; `steadiness` says how often it
keeps to that. Its true accuracy is therefore the chance that it knows a question, and a set of questions is a sample.
"""

from __future__ import annotations

import random
import re
from functools import lru_cache
from typing import Annotated

import msgspec

from harness.plan import Count, Record, Share
from harness.records.question import Question, letters


class Skill(Record, frozen=True, kw_only=True):
    """`questions`: the set whose answers it can look up, as a workload names it. A question is known with the chance
    `accuracy`; while more than `busy_in_flight` requests are under way with the chance `busy_accuracy`, where that is
    given. A reply keeps to what the provider makes of the question with the chance `steadiness`, else all is drawn
    anew. `refusals` and `unclear` are the shares of replies that decline, and that name two answers."""

    questions: Annotated[str, msgspec.Meta(min_length=1)] = "own"
    accuracy: Share = 0.8
    busy_accuracy: Share | None = None
    busy_in_flight: Count = 20
    steadiness: Share = 1.0
    refusals: Share = 0.0
    unclear: Share = 0.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A reply to a question, word by word, and whether it is right (None: it does not decide)."""

    words: tuple[str, ...]
    right: bool | None


def question_known(skill: Skill, stem: str) -> Question | None:
    """The question of a skill's set that has this stem. Raises UsageFault where the set cannot be had."""
    return _by_stem(skill.questions).get(stem)


@lru_cache(maxsize=16)
def _by_stem(source: str) -> dict[str, Question]:
    from harness.questions.question_files import load_questions  # noqa: PLC0415  (most simulators are asked no questions)

    return {question.stem: question for question in load_questions(source)}


_CHOICE = (
    "{0}",
    "Answer: {0}",
    "The answer is ({0}).",
    "**{0}**",
    "{0}) {1}",
    "It must be {0}, since the others do not fit. Answer: {0}",
    "Let me think about each choice in turn. The one that holds is {1}. Answer: {0}",
)
_NUMBER = ("{0}", "Answer: {0}", "The result is {0}.", "Step by step this comes to {0}. Answer: {0}")
_TEXT = ("{0}", "Answer: {0}")
_REFUSAL = "I am sorry, but I cannot help with that question."
_UNSAFE = re.compile(r'["\\\x00-\x1f]')  # what JSON would escape


def answer_to(skill: Skill, seed: str, question: Question, number: int, in_flight: int) -> Answer:
    """The reply of a provider to its `number`-th request. `seed` is the provider's own; `in_flight`: the requests that
    are under way."""
    now = random.Random(f"{seed}/{number}/reply")
    said = now.random()
    if said < skill.refusals:
        return _spoken(_REFUSAL, None)
    if said < skill.refusals + skill.unclear:
        return _unclear(question, now)
    rng = now if now.random() >= skill.steadiness else random.Random(f"{seed}/knows/{question.id}")
    busy = skill.busy_accuracy is not None and in_flight > skill.busy_in_flight
    accuracy = skill.busy_accuracy if busy and skill.busy_accuracy is not None else skill.accuracy
    knows = rng.random() < accuracy
    wrong = _wrong(question, rng)
    return _worded(question, question.answer if knows else wrong, knows, rng)


def _worded(question: Question, answer: str, right: bool, rng: random.Random) -> Answer:  # noqa: FBT001
    if question.kind == "choice":
        text = question.choices[letters(len(question.choices)).index(answer)]
        return _spoken(rng.choice(_CHOICE).format(answer, text), right)
    return _spoken(rng.choice(_NUMBER if question.kind == "number" else _TEXT).format(answer), right)


def _wrong(question: Question, rng: random.Random) -> str:
    if question.kind == "choice":
        return rng.choice([each for each in letters(len(question.choices)) if each != question.answer])
    if question.kind == "number":
        return f"{float(question.answer.replace(',', '')) + rng.randint(1, 9):g}"
    return f"nothing of that kind {rng.randint(100, 999)}"


def _unclear(question: Question, rng: random.Random) -> Answer:
    if question.kind == "choice":
        first, second = rng.sample(letters(len(question.choices)), 2)
        return _spoken(f"It could be {first} or {second}.", None)
    return _spoken("That cannot be told from what is given.", None)


def _spoken(text: str, right: bool | None) -> Answer:  # noqa: FBT001
    first, *rest = _UNSAFE.sub("'", text).split(" ")
    return Answer(words=(first, *(f" {word}" for word in rest)), right=right)
