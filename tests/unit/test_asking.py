"""The prompt of a question, and the question of a prompt; and questions as lines of a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.questions.asking import asked, stem_of
from harness.questions.own_questions import own_questions
from harness.records.question import Question, decode_questions, encode_questions, letters

ROOT = Path(__file__).parent.parent.parent
STEMS = st.text(min_size=1, max_size=200).map(str.strip).filter(bool)
TEXTS = st.text(min_size=1, max_size=60).filter(lambda text: bool(text.strip()))
QUESTIONS = st.builds(
    lambda stem, choices: Question(
        id="1", subject="s", kind="choice" if choices else "text", stem=stem, choices=tuple(choices), answer="A"
    ),
    STEMS,
    st.just([]) | st.lists(TEXTS, min_size=2, max_size=26),
)


def test_the_prompts_read_as_the_docs_print_them() -> None:
    docs = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    questions = [
        Question(
            id="1",
            subject="s",
            kind="choice",
            stem="What is the capital of France?",
            choices=("London", "Paris", "Rome", "Berlin"),
            answer="B",
        ),
        Question(id="2", subject="s", kind="number", stem="What is 15% of 240?", answer="36"),
        Question(id="3", subject="s", kind="text", stem="Who wrote Hamlet?", answer="William Shakespeare"),
    ]
    for question in questions:
        assert f"```\n{asked(question)}\n```" in docs


@given(QUESTIONS, st.text(max_size=40).filter(lambda text: "Question: " not in text), st.text(max_size=40))
def test_the_stem_is_found_again_whatever_stands_around(question: Question, before: str, after: str) -> None:
    assert stem_of(asked(question)) == question.stem
    assert stem_of(f"{before}\n{asked(question)}{after}") == question.stem


@given(st.text(max_size=200))
def test_a_prompt_that_asks_no_question_has_no_stem(text: str) -> None:
    assert stem_of(text) is None
    assert stem_of(f"Question: {text}") is None


def test_stems_that_look_like_prompts_are_found_whole() -> None:
    stem = "Which list is sorted?\n\nA) 1 2 3\nB) 3 2 1\n\nQuestion: which?"
    question = Question(id="1", subject="s", kind="choice", stem=stem, choices=("A", "B\n\nA) x"), answer="A")
    assert stem_of(asked(question)) == stem


def test_questions_are_read_back_from_their_lines() -> None:
    questions = own_questions(50, 3)
    assert decode_questions(encode_questions(questions)) == questions
    assert decode_questions(b"\n" + encode_questions(questions[:1]) + b"  \n") == questions[:1]
    assert decode_questions(b"") == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "line 2: "),
        (b"[]", "line 2: Expected `object`"),
        (b'{"id":"2","subject":"s","kind":"essay","stem":"?","answer":"A"}', r"line 2: .*kind"),
        (b'{"id":"2","subject":"s","kind":"text","stem":"?"}', "line 2: .*answer"),
        (
            b'{"id":"1","subject":"s","kind":"text","stem":"?","answer":"A"}',
            "line 2: question '1': an id that an earlier",
        ),
        (
            b'{"id":"2","subject":"s","kind":"choice","stem":"?","choices":["a","b"],"answer":"C"}',
            "the answer 'C': not the letter of one of 2 choices",
        ),
        (b'{"id":"2","subject":"s","kind":"choice","stem":"?","choices":["a","b"],"answer":""}', "the answer ''"),
        (b'{"id":"2","subject":"s","kind":"choice","stem":"?","choices":["a"],"answer":"A"}', "1 choices: a question"),
        (
            b'{"id":"2","subject":"s","kind":"text","stem":"?","choices":["a","b"],"answer":"A"}',
            "which only a question",
        ),
        (b"\xff", "line 2: "),
    ],
)
def test_a_torn_or_contradictory_line_is_named(line: bytes, said: str) -> None:
    first = b'{"id":"1","subject":"s","kind":"text","stem":"?","answer":"A"}\n'
    with pytest.raises(ValueError, match=said):
        decode_questions(first + line + b"\n")


def test_there_are_as_many_letters_as_in_the_alphabet() -> None:
    assert letters(0) == ""
    assert letters(4) == "ABCD"
    assert letters(26)[-1] == "Z"
    with pytest.raises(ValueError, match="27 choices"):
        letters(27)
