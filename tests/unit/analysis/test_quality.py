"""Quality of runs in virtual time, whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from analysis.quality import replies_of
from analysis.summarise import summarise, windows_of
from analysis.summary import Summary
from harness.plan_file import plan_of
from harness.records.question import Question, read_questions
from harness.rundir import RunDir
from harness.sample import Sample, encode
from harness.sample import decode as decode_line
from harness.simulator.config import config_from
from harness.simulator.offline import play_offline


def _run(folder: Path, skill: dict[str, Any], **workload: Any) -> RunDir:
    document = {
        "name": "quality",
        "seed": 4,
        "repeats": 2,
        "warmup_s": 0,
        "targets": [{"name": "t", "dialect": "openai-chat", "base_url": "sim://p", "model": "m"}],
        "workloads": [{"kind": "chat", "name": "w", "questions": "own:300", "output_tokens": 128} | workload],
        "stages": [{"concurrency": 2, "duration_s": 30}, {"concurrency": 16, "duration_s": 10}],
        "simulator": {
            "providers": {
                "p": {"dialects": ["openai-chat"], "ttft": 0.1, "itl": 0.005, "skill": {"questions": "own:300"} | skill}
            }
        },
    }
    run_dir = RunDir(folder / "quality" / "one")
    plan = plan_of(document, "test")
    play_offline(plan, config_from(plan.simulator), run_dir)
    return run_dir


def _summary(run_dir: RunDir) -> Summary:
    return summarise(run_dir)[0]


def test_accuracy_holds_the_truth_and_is_counted_by_question(tmp_path: Path) -> None:
    summary = _summary(_run(tmp_path, {"accuracy": 0.8, "steadiness": 1.0}))
    for result in summary.results:
        found = result.quality
        assert found is not None
        assert found.accuracy is not None
        assert found.accuracy.ci95 is not None
        low, high = found.accuracy.ci95
        assert low is not None and high is not None
        assert low <= 0.8 <= high
        assert found.graded + found.ungraded == found.replies == result.outcomes["ok"]
        assert found.questions == 300
        assert found.effective_n is not None
        assert found.effective_n < 320, "the same answer again is not another answer"
        assert set(found.by_subject) >= {"arithmetic", "logic"}
        assert found.macro_f1 == pytest.approx(0.8, abs=0.08)


def test_a_fall_under_load_is_found_and_none_is_claimed_without_one(tmp_path: Path) -> None:
    (falls,) = _summary(_run(tmp_path / "a", {"busy_accuracy": 0.6, "busy_in_flight": 8})).quality_under_load
    assert falls.verdict == "falls"
    assert falls.accuracy is not None
    assert falls.accuracy.value == pytest.approx(-0.2, abs=0.08)
    assert (falls.lowest, falls.highest) == ("2 users", "16 users")
    (steady,) = _summary(_run(tmp_path / "b", {})).quality_under_load
    assert steady.verdict == "no change shown"


def test_refusals_and_unclear_replies_are_in_no_accuracy(tmp_path: Path) -> None:
    found = _summary(_run(tmp_path, {"accuracy": 1.0, "refusals": 0.2, "unclear": 0.1})).results[0].quality
    assert found is not None
    assert found.accuracy is not None
    assert found.accuracy.value == 1.0
    assert found.refused.value == pytest.approx(0.2, abs=0.04)
    assert found.ungraded / found.replies == pytest.approx(0.3, abs=0.05)
    assert found.accuracy_of_all is not None
    assert found.accuracy_of_all.value == pytest.approx(0.7, abs=0.05)


def test_prompts_asked_again_are_compared(tmp_path: Path) -> None:
    result = _summary(_run(tmp_path, {"steadiness": 0.9}, ask_times=10)).results[0]
    found = result.quality.consistency if result.quality else None
    assert found is not None
    assert found.replies > found.prompts * 5
    assert 0.8 < (found.exact.value or 0) < 0.95
    assert found.answer is not None
    assert (found.answer.value or 0) >= (found.exact.value or 0)
    assert found.similarity is None


def test_grades_stand_beside_the_samples(tmp_path: Path) -> None:
    run_dir = _run(tmp_path, {"unclear": 0.1})
    summary, samples = summarise(run_dir)
    questions = {each.id: each for each in read_questions(run_dir.questions("w"))}
    table = samples.table
    assert {"answer", "correct"} <= set(table.columns)
    row = table[table["correct"] == 1].iloc[0]
    question: Question = questions[row["prompt_id"].removeprefix("w-")]
    assert question.kind != "choice" or row["answer"] == question.answer
    assert table["correct"].isna().sum() > 0
    assert summary.results[0].attempted


def test_a_reply_that_was_cut_or_that_declines_is_counted_as_such(tmp_path: Path) -> None:
    run_dir = _run(tmp_path, {})
    path = next(run_dir.journals.glob("*.jsonl"))
    lines = [decode_line(line) for line in path.read_bytes().splitlines()]
    samples = [line for line in lines if isinstance(line, Sample)]
    changed = {
        id(samples[0]): {"finish_reason": "length"},
        id(samples[1]): {"text": "I'm sorry, but I can't help with that."},
    }
    path.write_bytes(b"".join(encode(msgspec.structs.replace(line, **changed.get(id(line), {}))) for line in lines))
    found = _summary(run_dir).results[0].quality
    assert found is not None
    assert round((found.cut.value or 0) * found.replies) == 1
    assert round((found.refused.value or 0) * found.replies) == 1


def test_a_reply_whose_question_is_not_kept_is_ungraded(tmp_path: Path) -> None:
    run_dir = _run(tmp_path, {"accuracy": 1.0})
    path = run_dir.questions("w")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:20]))
    found = _summary(run_dir).results[0].quality
    assert found is not None
    assert 0 < found.graded < found.replies
    assert found.ungraded == found.replies - found.graded
    assert found.macro_f1 is not None


def test_a_run_without_kept_text_has_no_quality(tmp_path: Path) -> None:
    run_dir = _run(tmp_path, {}, questions=None)
    summary, samples = summarise(run_dir)
    assert summary.results[0].quality is None
    assert "correct" not in samples.table
    plan = plan_of(msgspec.yaml.decode(run_dir.plan.read_bytes()), "copy")
    assert not replies_of(windows_of(plan, samples)[0][1]).texts[0]
