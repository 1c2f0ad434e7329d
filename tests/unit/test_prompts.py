"""Prompts: the right length, the same for every target, different where they should differ."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.plan import Workload
from harness.prompts import prompt


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6), st.integers(1, 2000), st.floats(0, 1))
def test_a_prompt_has_the_words_asked_for_and_depends_on_its_arguments_alone(
    seed: int, index: int, length: int, share: float
) -> None:
    workload = Workload(input_tokens=length, prefix_share=share)
    made = prompt(seed, workload, index)
    assert len(made.texts[0].split()) == length
    assert made == prompt(seed, workload, index)


def test_unique_prompts_differ_and_others_repeat() -> None:
    unique = Workload(input_tokens=100)
    repeated = Workload(input_tokens=100, unique_prompts=False)
    assert len({prompt(1, unique, index).texts for index in range(200)}) == 200
    assert len({prompt(1, repeated, index).texts for index in range(200)}) == 32


def test_a_shared_prefix_is_common_to_all_prompts() -> None:
    workload = Workload(kind="embeddings", input_tokens=100, prefix_share=0.5, batch=3)
    texts = [text.split() for index in range(5) for text in prompt(1, workload, index).texts]
    assert len({tuple(words[:50]) for words in texts}) == 1
    assert len({tuple(words[50:]) for words in texts}) == 15


def test_seed_zero_is_a_seed() -> None:
    assert prompt(0, Workload(), 1) == prompt(0, Workload(), 1) != prompt(1, Workload(), 1)


def test_a_rerank_prompt_is_a_query_and_its_documents() -> None:
    made = prompt(1, Workload(kind="rerank", batch=4), 0)
    assert len(made.texts) == 5
    assert made.max_tokens is None


def test_two_targets_get_prompts_alike_in_length_but_not_in_their_first_words() -> None:
    workload = Workload(input_tokens="U(50,200)")
    for index in range(20):
        a, b = (prompt(1, workload, index, asker).texts[0].split() for asker in "ab")
        assert len(a) == len(b)
        assert a[8:16] != b[8:16], "the words after the instruction"
        assert a[16:] == b[16:]
        assert prompt(1, workload, index, "a").max_tokens == prompt(1, workload, index, "b").max_tokens
