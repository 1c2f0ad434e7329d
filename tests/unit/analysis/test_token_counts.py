"""Samples whose tokens, events and characters are known -> the counts side by side, and where they contradict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from runs_on_disk import HOSTILE, MS, sample, steady, write_run
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from analysis.cells.token_counts import local_count, token_findings, tokens_of
from analysis.samples import load_samples
from analysis.summarise import summarise, windows_of
from analysis.summary import Finding, Tokens
from harness.plan_file import read_plan
from harness.rundir import RunDir
from harness.sample import Usage


def counted(run_dir: RunDir) -> tuple[Tokens, list[Finding]]:
    summary, _ = summarise(run_dir)
    (result,) = summary.results
    assert result.tokens is not None
    assert result.tokens_per_event == result.tokens.tokens_per_event
    return result.tokens, [finding for finding in summary.validity.findings if finding.code == "token-counts"]


def usage(output: int, reasoning: int | None = None) -> Usage:
    return Usage(source="provider", input_tokens=10, output_tokens=output, reasoning_tokens=reasoning)


def test_the_counts_of_known_samples(tmp_path: Path) -> None:
    """100 replies of 5 tokens in 5 events, 20 characters, 10 ms apart; 10 of them a second."""
    counts, findings = counted(write_run(tmp_path, steady(text_chars=20)))
    assert findings == []
    assert (counts.replies, counts.provider, counts.estimated, counts.missing) == (100, 100, 0, 0)
    assert (counts.billed, counts.reasoning, counts.visible) == (500, None, 500)
    assert (counts.events, counts.tokens_per_event, counts.odd_replies) == (500, 1, 0)
    assert (counts.chars, counts.chars_per_token) == (2000, 4)
    assert counts.chars_per_s == pytest.approx(200, rel=0.02)
    assert counts.chars_per_s_user == pytest.approx(4 / 0.01)  # 4 characters each 10 ms
    assert (counts.tokenizer, counts.local) == (None, None)


def test_replies_without_text_have_no_characters_which_was_measured(tmp_path: Path) -> None:
    """Calls of tools alone, in one of two repeats and in both."""
    again = [
        msgspec.structs.replace(each, repeat=2, seq=each.seq + 1000, text_chars=20) for each in steady(text_chars=0)
    ]
    half, _ = counted(write_run(tmp_path / "half", [*steady(text_chars=0), *again]))
    assert half.chars_per_s == pytest.approx(100, rel=0.02)
    none, _ = counted(write_run(tmp_path / "none", steady(text_chars=0)))
    assert (none.chars, none.chars_per_s) == (0, 0.0)


def test_reasoning_that_was_billed_and_not_sent_is_told_apart(tmp_path: Path) -> None:
    counts, findings = counted(write_run(tmp_path, steady(text_chars=20, usage=usage(105, 100))))
    assert findings == []
    assert (counts.billed, counts.reasoning, counts.visible) == (10_500, 10_000, 500)
    assert (counts.tokens_per_event, counts.chars_per_token) == (1, 4)


def test_reasoning_that_was_sent_is_in_the_events_and_not_in_the_text(tmp_path: Path) -> None:
    """The first three of five events are thought: 8 characters in the two visible tokens."""
    made = [sample(k, k * 100 * MS, text_chars=8, usage=usage(5, 3), first_text_ns=k * 100 * MS + 130 * MS)
            for k in range(110)]  # fmt: skip
    counts, findings = counted(write_run(tmp_path, made))
    assert findings == []
    assert (counts.tokens_per_event, counts.visible, counts.chars_per_token) == (1, 200, 4)


def test_reasoning_that_came_in_one_read_with_the_text_was_sent_all_the_same(tmp_path: Path) -> None:
    """The first text has the stamp of the first thought, but five events are those of three thoughts and two words."""
    counts, findings = counted(write_run(tmp_path, steady(text_chars=8, usage=usage(5, 3))))
    assert findings == []
    assert (counts.tokens_per_event, counts.odd_replies, counts.visible) == (1, 0, 200)


def test_tokens_packed_into_events_are_no_contradiction(tmp_path: Path) -> None:
    counts, findings = counted(write_run(tmp_path, steady(text_chars=80, usage=usage(20))))
    assert findings == []
    assert (counts.tokens_per_event, counts.odd_replies, counts.chars_per_token) == (4, None, 4)
    assert counts.chars_per_s_user == pytest.approx(4 / (0.04 / 19))


CONTRADICTIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"usage": None}, {}, "10 have no usage"),
    ({"usage": Usage(source="estimated", output_tokens=5)}, {}, "10 an estimated one"),
    ({}, {"usage": usage(3)}, "0.60 tokens per content event"),
    ({"usage": usage(50)}, {}, "10 replies have far more or fewer tokens than events"),
    ({}, {"text_chars": 100}, "20.00 characters per visible token"),
    ({}, {"text_chars": 3}, "0.60 characters per visible token"),
]


@pytest.mark.parametrize(("tenth", "every", "said"), CONTRADICTIONS)
def test_counts_that_contradict_are_told(
    tenth: dict[str, Any], every: dict[str, Any], said: str, tmp_path: Path
) -> None:
    each = {"text_chars": 20} | every
    made = [sample(k, k * 100 * MS, **(each | (tenth if k % 10 == 5 else {}))) for k in range(110)]
    _, findings = counted(write_run(tmp_path, made))
    assert [said in finding.saw for finding in findings] == [True]
    assert findings[0].why
    assert findings[0].hint


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A tokenizer of words, as a file."""
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "a": 1, "b": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_a_tokenizer_file_counts_texts_here(words: Path, tmp_path: Path) -> None:
    assert local_count(["a b c", "", "a"], str(words)) == [3, 0, 1]
    assert local_count(["a"], str(tmp_path / "none.json")) is None
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    assert local_count(["a"], str(bad)) is None


def test_nothing_is_fetched_to_count_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("it tried to fetch a tokenizer")

    monkeypatch.setattr("socket.socket.connect", connect)
    monkeypatch.setattr("socket.getaddrinfo", connect)
    for cache in (str(tmp_path), ""):
        monkeypatch.setenv("TIKTOKEN_CACHE_DIR", cache)
        assert local_count(["hello"], "o200k_base") is None
        assert local_count(["hello"], "gpt-4") is None
    assert local_count(["hello"], "nobody-knows-this") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "doubts"), [("a b a b a", 0), ("a b a", 1)])
def test_a_local_count_stands_beside_the_providers(text: str, doubts: int, words: Path, tmp_path: Path) -> None:
    """Replies of five tokens whose text was kept: five words, or three."""
    own = {"name": "t", "dialect": "openai-chat", "base_url": "http://h/v1", "model": HOSTILE, "tokenizer": str(words)}
    run_dir = write_run(tmp_path / "run", steady(text_chars=20), targets=[own])
    samples, plan = load_samples(run_dir), read_plan(str(run_dir.plan))
    ((cell, windows),) = windows_of(plan, samples)
    samples.table["text"] = pd.array([text if k % 2 else None for k in range(110)], dtype="string")
    counts = tokens_of(windows, cell.target)
    assert counts is not None
    assert (counts.tokenizer, counts.local_replies) == ("tokenizer.json", 50)
    assert counts.local == 50 * len(text.split())
    assert counts.local_ratio == pytest.approx(len(text.split()) / 5)
    result = msgspec.structs.replace(summarise(run_dir)[0].results[0], tokens=counts)
    assert len(token_findings([result])) == doubts
    words.unlink()
    gone = tokens_of(windows, cell.target)
    assert gone is not None
    assert gone.local is None
    assert len(token_findings([msgspec.structs.replace(result, tokens=gone)])) == 1
