"""Answers taken from replies: a table of realistic replies, and what the grades say."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from analysis.answers.answer_words import normalised, token_f1
from analysis.answers.answers import Grade, extracted, graded
from harness.records.question import Kind, Question

TABLE = Path(__file__).parent.parent / "answer_replies.jsonl"
HELD_OUT = Path(__file__).parent.parent / "answer_replies_held_out.jsonl"


class Row(msgspec.Struct, forbid_unknown_fields=True):
    kind: Kind
    stem: str
    reply: str
    want: str | None
    choices: tuple[str, ...] = ()


def rows_of(path: Path) -> list[Row]:
    return [msgspec.json.decode(line, type=Row) for line in path.read_bytes().splitlines()]


def question_of(row: Row) -> Question:
    return Question(id="1", subject="s", kind=row.kind, stem=row.stem, choices=row.choices, answer="A")


def wrong_in(rows: list[Row]) -> list[tuple[Row, str | None]]:
    read = [(row, extracted(row.reply, question_of(row))) for row in rows]
    return [(row, got) for row, got in read if got != row.want]


def test_nearly_every_reply_of_the_table_is_read_rightly_and_no_ambiguous_one_is_guessed() -> None:
    rows = rows_of(TABLE)
    wrong = wrong_in(rows)
    for row, got in wrong:
        print(f"{row.reply!r}: wanted {row.want!r}, got {got!r}")  # noqa: T201
    assert len(rows) >= 140
    assert sum(row.want is None for row in rows) >= 30
    assert len({(row.stem, row.choices, row.reply, row.kind) for row in rows}) == len(rows)
    assert not [row for row, got in wrong if row.want is None or got is not None], "guessed"
    assert len(wrong) <= 0.01 * len(rows)


def test_replies_that_were_written_after_the_rules_are_read_too() -> None:
    wrong = wrong_in(rows_of(HELD_OUT))
    for row, got in wrong:
        print(f"{row.reply!r}: wanted {row.want!r}, got {got!r}")  # noqa: T201
    assert not [row for row, got in wrong if row.want is None or got is not None], "guessed"
    assert len(wrong) <= 1


@pytest.mark.parametrize("letter", "ABCD")
@pytest.mark.parametrize(
    "form",
    [
        *("{}", "({})", "{}.", "**{}**", "Answer: {}", "The answer is {}.", "\\boxed{{{}}}", "Option {}", "答案是{}"),
        *(
            "I choose {}.",
            '{{"answer": "{}"}}',
            "{} is correct.",
            "It must be {}.",
            "So the answer is ({})",
            "Hmm, not quite. No, {}.",
        ),
    ],
)
def test_every_letter_is_read_in_every_form_the_article_too(form: str, letter: str) -> None:
    question = Question(
        id="1", subject="s", kind="choice", stem="?", choices=("red", "green", "blue", "grey"), answer="A"
    )
    assert extracted(form.format(letter), question) == letter


def test_letters_beyond_the_choices_are_no_answers() -> None:
    two = Question(id="1", subject="s", kind="choice", stem="?", choices=("red", "green"), answer="A")
    assert extracted("Answer: C", two) is None
    assert extracted("Answer: B", two) == "B"


def test_a_reply_of_any_length_is_read_at_both_ends() -> None:
    question = Question(id="1", subject="s", kind="choice", stem="?", choices=("red", "green"), answer="A")
    noise = "All of this is beside the point. " * 10_000
    assert extracted(f"{noise}\n\nAnswer: B", question) == "B"
    assert extracted(f"B\n\n{noise}", question) == "B"


def test_choices_are_right_wrong_or_ungraded() -> None:
    question = Question(id="1", subject="s", kind="choice", stem="?", choices=("red", "green"), answer="B")
    assert graded("Answer: B", question) == Grade("B", correct=True)
    assert graded("Answer: A", question) == Grade("A", correct=False)
    assert graded("A or B", question) == Grade(None, None)


@pytest.mark.parametrize(
    ("wanted", "reply", "correct"),
    [
        ("42", "Answer: 42.0", True),
        ("42", "Answer: 41", False),
        ("1234", "Answer: 1,234", True),
        ("1,234", "Answer: 1234", True),
        ("0.5", "Answer: 50%", True),
        ("50", "Answer: 50%", True),
        ("50%", "Answer: 0.5", True),
        ("0.5", "Answer: 5%", False),
        ("3/4", "Answer: 0.75", True),
        ("1/3", "Answer: 0.333", True),
        ("1/3", "Answer: 0.3", False),
        ("2/3", "Answer: 0.667", True),
        ("2/3", "Answer: 0.666", False),
        ("3.14159", "Answer: 3.14", False),
        ("-7", "Answer: 7", False),
        ("-7", "Answer: minus 7", True),
    ],
)
def test_numbers_are_compared_by_value(wanted: str, reply: str, correct: bool) -> None:  # noqa: FBT001
    question = Question(id="1", subject="s", kind="number", stem="?", answer=wanted)
    assert graded(reply, question).correct is correct
    assert graded("no number here", question) == Grade(None, None)


def test_text_is_exact_but_for_case_articles_and_marks_and_f1_takes_the_closest_reference() -> None:
    question = Question(
        id="1", subject="s", kind="text", stem="?", answer="the Eiffel Tower", references=("the Eiffel Tower", "Eiffel")
    )
    assert graded("Answer: Eiffel tower.", question) == Grade("eiffel tower", correct=True, f1=1.0)
    assert graded("Answer: Eiffel", question).correct is True
    half = graded("Answer: the tall Eiffel Tower in Paris", question)
    assert half.correct is False
    assert half.f1 is not None
    assert math.isclose(half.f1, 2 * 2 / (5 + 2))
    assert graded("I don't know.", question) == Grade(None, None)


def test_without_references_the_answer_is_the_reference() -> None:
    question = Question(id="1", subject="s", kind="text", stem="?", answer="Anna")
    assert graded("Answer: anna", question) == Grade("anna", correct=True, f1=1.0)
    assert graded("Answer: Bruno", question) == Grade("bruno", correct=False, f1=0.0)


@pytest.mark.parametrize(
    ("answer", "reference", "f1"),
    [
        ("the cat", "a cat", 1.0),
        ("cat cat dog", "cat dog", 2 * 2 / (3 + 2)),  # a word counts as often as it stands there
        ("dog", "cat", 0.0),
        ("", "", 1.0),
        ("the", "a", 1.0),  # articles alone leave nothing on either side
        ("cat", "", 0.0),
        ("北京市", "北京", 2 * 2 / (3 + 2)),
        ("U.S. army", "us Army", 1.0),
    ],
)
def test_f1_is_that_of_squad(answer: str, reference: str, f1: float) -> None:
    assert math.isclose(token_f1(answer, reference), f1)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The  Eiffel-Tower!", "eiffel tower"),
        ("1,234.5", "1234.5"),
        ("3.5%", "3.5%"),
        ("-7", "-7"),
        ("C++ and C#", "c++ and c#"),
        ("Ｆｕｌｌ　width", "full width"),
        ("Theatre", "theatre"),
        ("Straße", "strasse"),
    ],
)
def test_normalising_keeps_what_makes_another_number(text: str, plain: str) -> None:
    assert normalised(text) == plain
