"""Simulated providers that answer questions: how often they are right is what was configured."""

from __future__ import annotations

import pytest

from analysis.answers.answers import graded
from harness.questions.own_questions import own_questions
from harness.records.question import Question
from harness.simulator.judge import marks_for
from harness.simulator.skill import Answer, Skill, answer_to

QUESTIONS = own_questions(600, 3)


def _said(answer: Answer) -> str:
    return "".join(answer.words)


def _share_right(skill: Skill, in_flight: int = 1) -> float:
    answers = [answer_to(skill, "s", question, number, in_flight) for number, question in enumerate(QUESTIONS)]
    return sum(bool(answer.right) for answer in answers) / len(answers)


@pytest.mark.parametrize("accuracy", [0.0, 0.6, 0.95, 1.0])
@pytest.mark.parametrize("steadiness", [0.0, 1.0])
def test_it_is_right_as_often_as_was_said(accuracy: float, steadiness: float) -> None:
    share = _share_right(Skill(accuracy=accuracy, steadiness=steadiness))
    assert share == pytest.approx(accuracy, abs=4 * (accuracy * (1 - accuracy) / len(QUESTIONS)) ** 0.5)


def test_it_is_worse_when_busy() -> None:
    skill = Skill(accuracy=0.9, busy_accuracy=0.5, busy_in_flight=10)
    assert _share_right(skill, 10) == _share_right(skill, 1) > 0.85
    assert _share_right(skill, 11) < 0.6


def test_a_steady_provider_says_the_same_again_and_another_does_not() -> None:
    for steadiness, least, most in ((1.0, 1.0, 1.0), (0.0, 0.0, 0.5)):
        skill = Skill(steadiness=steadiness)
        same = [
            answer_to(skill, "s", question, 1, 1).words == answer_to(skill, "s", question, 2, 1).words
            for question in QUESTIONS
        ]
        assert least <= sum(same) / len(same) <= most


def test_what_it_means_is_what_is_read() -> None:
    """Replies in every wording are graded as they were meant."""
    for number, question in enumerate(QUESTIONS):
        answer = answer_to(Skill(steadiness=0.0), "s", question, number, 1)
        assert graded(_said(answer), question).correct is answer.right, (_said(answer), question)


def test_refusals_and_unclear_replies_are_no_answers() -> None:
    for skill in (Skill(refusals=1.0), Skill(unclear=1.0)):
        for number, question in enumerate(QUESTIONS[:200]):
            answer = answer_to(skill, "s", question, number, 1)
            assert answer.right is None
            if question.kind == "choice":
                assert graded(_said(answer), question).correct is None, (_said(answer), question)


def test_words_are_safe_inside_json() -> None:
    question = Question(id="x", subject="s", kind="text", stem="?", answer='say "no"\\\n', references=('say "no"\\\n',))
    said = _said(answer_to(Skill(accuracy=1.0), "s", question, 1, 1))
    assert not set('"\\\n') & set(said)


def test_a_simulated_judge_marks_what_answers_above_what_does_not() -> None:
    good = [marks_for("red green blue", "red green blue", "s", number).words[1] for number in range(40)]
    bad = [marks_for("red green blue", "one two two two", "s", number).words[1] for number in range(40)]
    assert sum(int(each.strip(" ,")) for each in good) > sum(int(each.strip(" ,")) for each in bad) + 100
