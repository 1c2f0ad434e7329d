"""Whether a model is still the same, told from its answers in two runs whose truth is known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.answers.model_drift import ModelDrift, _agreement, _verdict, drifts
from analysis.samples import Samples
from analysis.statistics import clusters
from analysis.summarise import summarise
from analysis.summary import Summary
from harness.plan_file import plan_of
from harness.rundir import RunDir
from harness.sample import Sample, decode, encode
from harness.simulator.config import config_from
from harness.simulator.offline import play_offline


def _run(folder: Path, seed: int, **skill: Any) -> RunDir:
    """`seed` is that of the order of questions and of what varies from reply to reply; the model is the same."""
    document = {
        "name": "drift",
        "seed": seed,
        "repeats": 1,
        "warmup_s": 0,
        "targets": [{"name": "t", "dialect": "openai-chat", "base_url": "sim://p", "model": "m"}],
        "workload": {"kind": "chat", "name": "w", "questions": "own:100", "ask_times": 4, "output_tokens": 64},
        "stages": [{"concurrency": 4, "duration_s": 25}],
        "simulator": {
            "seed": skill.pop("model", 1),
            "providers": {
                "p": {
                    "dialects": ["openai-chat"],
                    "ttft": 0.1,
                    "itl": 0.005,
                    "skill": {"questions": "own:100", "accuracy": 0.8, "steadiness": 0.9} | skill,
                }
            },
        },
    }
    run_dir = RunDir(folder / "drift" / f"run-{seed}")
    plan = plan_of(document, "test")
    play_offline(plan, config_from(plan.simulator), run_dir)
    return run_dir


def _only(earlier: tuple[Summary, Samples], later: tuple[Summary, Samples]) -> ModelDrift:
    (found,) = drifts(earlier, later)
    return found


def test_the_same_model_is_not_said_to_have_changed(tmp_path: Path) -> None:
    found = _only(summarise(_run(tmp_path, 1)), summarise(_run(tmp_path, 2)))
    assert found.verdict == "no change shown"
    assert found.questions == 100
    assert found.within is not None
    assert found.between == pytest.approx(found.within, abs=0.03)


def test_another_model_as_good_as_the_first_is_told_by_its_answers(tmp_path: Path) -> None:
    earlier, later = summarise(_run(tmp_path, 1)), summarise(_run(tmp_path, 2, model=7))
    accuracies = [summary.results[0].quality for summary, _ in (earlier, later)]
    assert all(found is not None and found.accuracy is not None for found in accuracies)
    found = _only(earlier, later)
    assert found.verdict == "changed"
    assert found.excess is not None
    assert (found.excess.value or 0) > 0.1


def test_a_new_fingerprint_is_a_change_and_a_run_without_questions_is_not_measured(tmp_path: Path) -> None:
    dirs = [_run(tmp_path, seed) for seed in (1, 2)]
    for run_dir, fingerprint in zip(dirs, ("fp_1", "fp_2"), strict=True):
        path = next(run_dir.journals.glob("*.jsonl"))
        lines = [decode(line) for line in path.read_bytes().splitlines()]
        told = (
            msgspec.structs.replace(line, fingerprint=fingerprint) if isinstance(line, Sample) else line
            for line in lines
        )
        path.write_bytes(b"".join(map(encode, told)))
    found = _only(summarise(dirs[0]), summarise(dirs[1]))
    assert (found.verdict, found.a_fingerprints, found.b_fingerprints) == ("changed", ("fp_2",), ("fp_1",))


ANSWERS = st.lists(st.sampled_from("ABC"), min_size=2, max_size=6)
BOTH = st.tuples(ANSWERS, ANSWERS)


def _judged(asked: Sequence[tuple[list[str], list[str]]], *, told: bool = False) -> str:
    ours, theirs = ({str(number): pair[side] for number, pair in enumerate(asked)} for side in (0, 1))
    within, between, names = _agreement(ours, theirs)
    return _verdict(clusters.mean(within - between, names), names, apart=False, told=told)


@given(st.lists(BOTH, min_size=1, max_size=5), st.booleans())
def test_answers_to_few_questions_never_carry_a_change(
    asked: list[tuple[list[str], list[str]]],
    told: bool,  # noqa: FBT001
) -> None:
    verdict = _judged(asked, told=told)
    assert verdict == "cannot tell" or (told and verdict == "no change shown")


@given(st.lists(st.tuples(st.integers(2, 6), st.integers(2, 6)), min_size=1, max_size=12))
def test_other_answers_to_every_question_are_a_change_from_six_questions_on(sizes: list[tuple[int, int]]) -> None:
    asked = [(["A"] * ours, ["B"] * theirs) for ours, theirs in sizes]
    assert _judged(asked) == ("changed" if len(asked) >= 6 else "cannot tell")
    assert _judged(asked, told=True) == _judged(asked), "a fingerprint that stays does not outweigh it"


@pytest.mark.parametrize("questions", [2, 3, 6, 10])
def test_the_same_model_is_rarely_said_to_have_changed(questions: int) -> None:
    """The share of 1,000 pairs of runs of one model: at most 5 %, beyond chance."""
    draw = random.Random(questions)
    found = []
    for _ in range(1000):
        sure = [draw.uniform(0.3, 1.0) for _ in range(questions)]
        sides = [[["A" if draw.random() < each else "B" for _ in range(3)] for each in sure] for _ in (0, 1)]
        found.append(_judged(list(zip(*sides, strict=True))))
    assert found.count("changed") <= 70
