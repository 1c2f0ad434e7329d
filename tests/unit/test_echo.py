"""Codes in prompts and replies: whose reply a text is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.plan import Workload
from harness.prompts import prompt
from harness.workloads.echo import code_asked, code_of, echo_of, instruction

WORDS = st.text(st.characters(blacklist_characters="0123456789"), max_size=60)
INDICES = st.integers(0, 10**9)


@given(INDICES, INDICES, WORDS, WORDS)
def test_a_reply_is_its_requests_own_anothers_or_nobodys(index: int, other: int, before: str, after: str) -> None:
    code, foreign = code_of(1, "w", index, "t"), code_of(1, "w", other, "u")
    assert echo_of(f"{before}{code}{after}", code) == "own"
    assert echo_of(f"{before}{foreign}{after}", code) == "other"
    assert echo_of(f"{code} {before} {foreign}", code) == "other"  # a part of it is another's
    assert echo_of(before + after, code) == "missing"


def test_every_request_has_a_code_of_its_own() -> None:
    codes = {code_of(7, "w", index, asker) for index in range(5000) for asker in ("a", "b")}
    assert len(codes) == 10_000


@given(st.integers(1, 400), st.floats(0, 1), INDICES)
def test_a_prompt_asks_for_its_code_at_its_end_and_keeps_its_length(length: int, share: float, index: int) -> None:
    made = prompt(3, Workload(input_tokens=length, prefix_share=share, echo=True), index, "t")
    (text,) = made.texts
    assert made.code is not None
    assert text.endswith(instruction(made.code))
    assert code_asked(text) == made.code
    assert len(text.split()) == max(length, 8)
    assert prompt(3, Workload(input_tokens=length), index, "t").code is None
