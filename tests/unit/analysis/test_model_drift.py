"""Whether a model is still the same, told from its answers in two runs whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from analysis.answers.model_drift import ModelDrift, drifts
from analysis.samples import Samples
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
