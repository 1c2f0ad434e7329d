"""Marks of a judge, twice each, and what an embedder tells in its absence."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.answers.opinions import marks_of, read_opinions
from harness.records.grade_record import Embedding, Likeness, Line, Mark, encode, text_id


def _mark(text: str, order: str, relevance: int | None, coherence: int | None) -> Mark:
    place = {"judge": "j", "target": "t", "workload": "w", "text_id": text_id(text)}
    return Mark(**place, swapped=order == "swapped", relevance=relevance, coherence=coherence)


def _written(folder: Path, lines: list[Line], torn: bytes = b"") -> Path:
    path = folder / "grades.jsonl"
    path.write_bytes(b"".join(map(encode, lines)) + torn)
    return path


def test_marks_are_means_of_both_orders_and_tell_the_judges_noise(tmp_path: Path) -> None:
    lines: list[Line] = [
        _mark("a", "usual", 5, 4),
        _mark("a", "swapped", 3, 4),
        _mark("b", "usual", 1, 2),
        _mark("b", "swapped", 1, None),
    ]
    found = marks_of("t", "w", ["p", "q", "r"], ["a", "b", None], read_opinions(_written(tmp_path, lines, b'{"type"')))
    assert found is not None
    assert found.by == "judge j"
    assert found.replies == 2
    assert found.relevance.value == pytest.approx((0.75 + 0.0) / 2)
    assert found.coherence is not None
    assert found.coherence.value == pytest.approx((0.75 + 0.25) / 2)
    assert found.order_bias == pytest.approx((-0.5 + 0 + 0) / 3)
    assert found.noise == pytest.approx(0.2041, abs=1e-3)  # sd of (-0.5, 0, 0) over the root of 2
    assert found.unread == 1


def test_without_a_judge_the_embedder_stands_in_and_is_named(tmp_path: Path) -> None:
    lines: list[Line] = [
        Embedding(embedder="e", text_id=text_id("a"), vector=(1.0, 0.0)),
        Likeness(embedder="e", target="t", workload="w", text_id=text_id("a"), relevance=0.4, coherence=None),
    ]
    opinions = read_opinions(_written(tmp_path, lines))
    found = marks_of("t", "w", ["p"], ["a"], opinions)
    assert found is not None
    assert (found.by, found.relevance.value, found.coherence, found.noise) == ("embedder e", 0.4, None, None)
    assert opinions.embedder == "e"


def test_nobody_was_asked(tmp_path: Path) -> None:
    assert marks_of("t", "w", ["p"], ["a"], read_opinions(tmp_path / "missing.jsonl")) is None
