"""No reply, whatever it is, makes the extraction fail or take long; an answer is always one that the question has."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analysis.answers.answer_claims
import analysis.answers.answer_cues
import analysis.answers.answer_letters
import analysis.answers.answer_numbers
import analysis.answers.answer_options
import analysis.answers.answer_text
import analysis.answers.answer_texts
import analysis.answers.answer_words
import analysis.answers.choice_text
import harness.inputs.numerals
from analysis.answers.answers import extracted, graded
from harness.inputs.numerals import number_of, numerals, same, written
from harness.records.question import Question

CHOICE = Question(
    id="1", subject="s", kind="choice", stem="Which is not so?", choices=("A cow", "12", "Vitamin C", "no"), answer="A"
)
NUMBER = Question(id="2", subject="s", kind="number", stem="How many?", answer="12")
TEXT = Question(id="3", subject="s", kind="text", stem="Who?", answer="Anna", references=("Anna", "the baker"))
QUESTIONS = st.sampled_from([CHOICE, NUMBER, TEXT])
FRAGMENTS = st.sampled_from(
    [
        *(
            "Answer",
            ": ",
            "answer is ",
            "A",
            "B",
            "(",
            ")",
            "\\boxed{",
            "}",
            "{",
            '"',
            "answer",
            "not ",
            " or ",
            ", ",
            "is ",
        ),
        *(
            "correct",
            ". ",
            "\n",
            "**",
            "_",
            "`",
            "~~",
            "$",
            "####",
            "####  ",
            "<think>",
            "</think>",
            "<answer>",
            "</answer>",
        ),
        *(
            "12",
            "1,234",
            " 000",
            "1e9",
            "/",
            "%",
            "=",
            "+",
            "-",
            "^",
            "²",
            "½",
            "wait, ",
            "so ",
            "A cow",
            "vitamin c",
            "no ",
        ),
        *(
            "答案是",
            "选",
            "\\frac{1}{2}",
            "\\text{",
            "\u200b",
            "\u202e",
            "🅰",
            "Ａ",
            "ﷺ",
            "\x00",
            "x ",
            "if ",
            "the ",
            "✅",
        ),
    ]
)
REPLIES = st.lists(FRAGMENTS | st.text(max_size=8), max_size=40).map("".join)
JUNK = st.tuples(st.lists(FRAGMENTS | st.text(max_size=5), min_size=1, max_size=5).map("".join)).map(
    lambda pieces: (pieces[0] or "A") * (100_000 // max(1, len(pieces[0])))
)
MODULES = (
    *(
        analysis.answers.answer_claims,
        analysis.answers.answer_cues,
        analysis.answers.answer_letters,
        analysis.answers.answer_numbers,
    ),
    *(
        analysis.answers.answer_options,
        analysis.answers.answer_text,
        analysis.answers.answer_texts,
        analysis.answers.answer_words,
    ),
    *(analysis.answers.choice_text, harness.inputs.numerals),
)


def steps_of(work: Callable[[], object]) -> int:
    """How many lines of Python a call runs."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@given(REPLIES, QUESTIONS)
@settings(max_examples=400)
def test_a_grade_is_made_of_any_reply(reply: str, question: Question) -> None:
    grade = graded(reply, question)
    assert (grade.answer is None) == (grade.correct is None)
    if question.kind == "choice":
        assert grade.answer in (None, "A", "B", "C", "D")
    if question.kind == "number" and grade.answer is not None:
        assert number_of(grade.answer) is not None
    if question.kind == "text" and grade.answer is not None:
        assert grade.f1 is not None and 0 <= grade.f1 <= 1
        assert not grade.correct or grade.f1 == 1


CITIES = Question(
    id="4", subject="s", kind="choice", stem="Which?", choices=("Paris", "London", "Rome", "Berlin"), answer="A"
)
NEUTRAL = [
    *("Let me look at {}.", "Option {} is about something else.", "{}) {text}: a city in Europe.", "- {}: hm."),
    *("One might think the answer is {}.", "Could it be {}?", "Is it {text}?", "{text} is a city."),
    *("**{}** lies by a river.", "Between {} and D I see a difference.", "It is tempting to choose {}."),
    *("If it were {}, the river would be another.", "Then there is {text}."),
]
DENIALS = ["I can rule out {}.", "{} is wrong.", "Not {}.", "The answer is not {}."]
GIVEN = [
    *("Answer: {}", "**Answer:** {}) {text}", "Final answer: {text}", "\\boxed{{{}}}", "The answer is {}."),
    *("Answer: ({}).", '{{"answer": "{}"}}'),
]


def about(form: str, letter: str) -> str:
    return form.format(letter, text=CITIES.choices["ABCD".index(letter)])


def discussions(forms: list[str]) -> st.SearchStrategy[str]:
    """Sentences on the choices behind one on none: a reply that began with a choice would give that."""
    lines = st.lists(st.builds(about, st.sampled_from(forms), st.sampled_from("ABCD")), max_size=6)
    return lines.map(lambda each: "\n".join(["These are the thoughts.", *each]))


@given(discussions(NEUTRAL + DENIALS), st.sampled_from(GIVEN), st.sampled_from("ABCD"))
@settings(max_examples=400)
def test_an_answer_is_found_behind_any_discussion(discussion: str, form: str, letter: str) -> None:
    assert extracted(f"{discussion}\n\n{about(form, letter)}", CITIES) == letter


@given(discussions(NEUTRAL), st.sampled_from("ABCD"), st.sampled_from("ABCD"))
def test_two_answers_are_none_unless_one_is_taken_back(discussion: str, one: str, other: str) -> None:
    both = f"Answer: {one}\n{discussion}\nAnswer: {other}"
    assert extracted(both, CITIES) == (one if one == other else None)
    assert extracted(f"Answer: {one}\n\nWait, that is not right.\n\nAnswer: {other}", CITIES) == other


@given(discussions(NEUTRAL + DENIALS))
@settings(max_examples=400)
def test_discussion_alone_is_no_answer(discussion: str) -> None:
    assert extracted(discussion, CITIES) is None


@given(JUNK, QUESTIONS)
@settings(max_examples=20)
def test_a_long_reply_takes_a_bounded_number_of_steps(junk: str, question: Question) -> None:
    assert steps_of(lambda: extracted(junk, question)) < 3_000_000


@given(st.fractions(max_denominator=1000), st.booleans())
def test_a_number_that_is_written_is_read_back(value: Any, percent: bool) -> None:  # noqa: FBT001
    number = harness.inputs.numerals.Numeral(0, 0, value, percent)
    read = number_of(written(number))
    assert read is not None and same(read, number)


@given(st.integers(-(10**15), 10**15), st.sampled_from([",", " ", "'", "\u00a0", "\u202f"]))
def test_thousands_may_be_set_apart(value: int, gap: str) -> None:
    text = f"{value:,}".replace(",", gap)
    read = number_of(text)
    assert read is not None and read.value == value


@given(REPLIES)
def test_numbers_stand_where_they_are_said_to(text: str) -> None:
    end = 0
    for number in numerals(text):
        assert end <= number.start < number.end <= len(text)
        end = number.end


def unbounded(pattern: Any) -> list[str]:
    """The repeats of a parsed pattern that have no bound."""
    found = []
    for operation, argument in pattern:
        name = str(operation)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _, most, inner = argument
            found += [name] if int(most) > 20_000 else []
            found += unbounded(inner)
        elif name == "BRANCH":
            found += [each for branch in argument[1] for each in unbounded(branch)]
        elif name == "SUBPATTERN":
            found += unbounded(argument[3])
        elif name in ("ASSERT", "ASSERT_NOT"):
            found += unbounded(argument[1])
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_pattern_repeats_without_a_bound(module: Any) -> None:
    patterns = [value for value in vars(module).values() if hasattr(value, "pattern")]
    patterns += [cue.words for cue in vars(module).get("CUES", ())]
    parser = __import__("re")._parser
    for pattern in patterns:
        assert not unbounded(parser.parse(pattern.pattern, pattern.flags & ~32)), pattern.pattern
