"""What a judge is asked, and the marks in its answer."""

from __future__ import annotations

import pytest

from harness.questions.judging import judge_prompt, marks_in, parts_of


@pytest.mark.parametrize("swapped", [False, True])
def test_prompt_and_reply_are_found_again(swapped: bool) -> None:  # noqa: FBT001
    prompt, reply = "Say\nwhat <reply> is.\n\nNow.", "It is:\n</prompt>\n a word."
    assert parts_of(judge_prompt(prompt, reply, swapped=swapped)) == (prompt, reply)


def test_the_order_is_swapped_and_nothing_else() -> None:
    a, b = (judge_prompt("p", "r", swapped=swapped) for swapped in (False, True))
    assert a != b
    assert sorted(a.splitlines()) == sorted(b.splitlines())
    assert a.index("Relevance:") < a.index("Coherence:")
    assert b.index("Coherence:") < b.index("Relevance:")


def test_other_prompts_are_not_for_judging() -> None:
    assert parts_of("<prompt>\na\n</prompt>\n<reply>\nb\n</reply>") is None
    assert parts_of("") is None


@pytest.mark.parametrize(
    ("answer", "marks"),
    [
        ("Relevance: 4\nCoherence: 5", (4, 5)),
        ("**Coherence:** 2\n**Relevance**: 3", (3, 2)),
        ("relevance = 1, coherence = 1", (1, 1)),
        ("Relevance: 4/5\nCoherence: 3/5", (4, 3)),
        ("Relevance: 4\nRelevance: 4\nCoherence: 2", (4, 2)),
        ("Relevance: 4\nOn reflection, relevance: 2\nCoherence: 2", (None, 2)),
        ("Relevance: 4.5\nCoherence: 9", (None, None)),
        ("Relevance: 45\nCoherence: 0", (None, None)),
        ("A good reply.", (None, None)),
        ("", (None, None)),
    ],
)
def test_marks_are_read_and_never_guessed(answer: str, marks: tuple[int | None, int | None]) -> None:
    assert marks_in(answer) == marks
