"""How alike replies to one prompt are."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.answers.consistency import alike, consistency_of
from analysis.answers.opinions import Opinions
from harness.records.grade_record import text_id


def test_alike_is_the_share_of_equal_pairs() -> None:
    assert alike(["a", "a", "a"]) == 1
    assert alike(["a", "a", "b"]) == pytest.approx(1 / 3)
    assert alike(["a", "b", "c", "d"]) == 0
    assert alike([None, None]) == 0, "what could not be read agrees with nothing"
    assert alike(["a", "a", None, None]) == pytest.approx(1 / 6)


def test_each_prompt_counts_once() -> None:
    prompts = ["p", "p", "q", "q", "q", "q", "alone"]
    texts = ["x", " x\n", "a", "b", "c", "d", "z"]
    found = consistency_of(prompts, texts, ["1", "1", "2", "2", "3", "3", "4"], Opinions())
    assert found is not None
    assert (found.prompts, found.replies) == (2, 6)
    assert found.exact.value == pytest.approx(0.5)
    assert found.answer is not None
    assert found.answer.value == pytest.approx((1 + 1 / 3) / 2)
    assert found.similarity is None
    assert found.embedder is None


def test_similarity_is_the_mean_cosine_of_pairs_and_names_its_embedder() -> None:
    texts = ["north", "east", "north-east"]
    vectors = dict(zip(map(text_id, texts), ([0.0, 1.0], [1.0, 0.0], [0.5**0.5, 0.5**0.5]), strict=True))
    opinions = Opinions("maps", {key: np.array(value) for key, value in vectors.items()})
    found = consistency_of(["p"] * 3, list(texts), None, opinions)
    assert found is not None
    assert found.similarity is not None
    assert found.similarity.value == pytest.approx(2 * 0.5**0.5 / 3)
    assert found.embedder == "maps"
    assert found.answer is None


def test_prompts_asked_once_have_none() -> None:
    assert consistency_of(["a", "b"], ["x", "y"], None, Opinions()) is None
    assert consistency_of(["a", "a"], ["x", None], None, Opinions()) is None
