"""Graded questions through the real command: what was read from replies is what the simulator meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import FINISHED, Command

from harness.simulator.truth import read_truth

pytestmark = pytest.mark.timeout(300)
TARGETS = {
    "openai": ("openai-chat", "openai-sim"),
    "responses": ("openai-responses", "openai-sim"),
    "anthropic": ("anthropic-messages", "anthropic-sim"),
    "google": ("google-generate", "google-sim"),
}
SKILL = {"questions": "own:120", "accuracy": 0.75, "steadiness": 0.8, "unclear": 0.05}


def plan(folder: Path, **more: Any) -> Path:
    targets = [
        {"name": name, "dialect": dialect, "base_url": f"sim://{provider}", "model": "m"}
        for name, (dialect, provider) in TARGETS.items()
    ]
    targets.append({"name": "jina", "dialect": "jina-embeddings", "base_url": "sim://jina-sim", "model": "e"})
    document = {
        "name": "quality",
        "repeats": 1,
        "warmup_s": 0,
        "targets": targets,
        "workload": {
            "kind": "chat",
            "name": "asked",
            "questions": "own:120",
            "ask_times": 3,
            "output_tokens": 128,
            "goals": ["quality.accuracy > 0.5", "quality.consistency.answer > 0.999"],
        },
        "stages": [{"concurrency": 6, "duration_s": 3}],
        "quality": {"embedder": "jina", "judge": "openai", "judged": 4},
        "simulator": {"providers": {name: {"skill": SKILL} for name in ("openai-sim", "anthropic-sim", "google-sim")}},
    }
    if more.get("quality") == {}:  # nobody helps: the target of embeddings then wants work of its own
        document["workloads"] = [document.pop("workload"), {"kind": "embeddings", "name": "vectors"}]
        document["targets"] = [targets[0], targets[-1]]
    path = folder / "plan.yaml"
    path.write_text(json.dumps(document | more))  # JSON is YAML
    return path


def run_of(done: Any, folder: Path) -> tuple[Path, dict[str, Any]]:
    assert done.returncode in FINISHED, done.stderr
    run_dir = folder / done.stdout.splitlines()[-1]
    return run_dir, json.loads((run_dir / "summary.json").read_text())


def test_every_answer_is_read_as_it_was_meant_in_every_dialect(tmp_path: Path, tokenswarm: Command) -> None:
    done = tokenswarm("run", plan(tmp_path), "--workers", 2)
    run_dir, summary = run_of(done, tmp_path)
    meant = {each.id: each.right for each in read_truth(run_dir / "truth.jsonl")}
    table = pd.read_parquet(run_dir / "samples.parquet")
    table = table[table["outcome"] == "ok"]
    for name in TARGETS:
        own = table[table["target"] == name]
        read = [None if pd.isna(each) else bool(each) for each in own["correct"]]
        assert len(own) > 20
        assert read == [meant[each] for each in own["request_id"]]
    for result in summary["results"]:
        found = result["quality"]
        assert found["graded"] + found["ungraded"] == found["replies"]
        assert 0.4 < found["accuracy"]["value"] < 1
        assert found["consistency"]["embedder"] == "jina"
        assert 0.3 < found["consistency"]["similarity"]["value"] <= 1.001
        assert found["marks"]["by"] == "judge openai"
        assert found["marks"]["replies"] >= 3
        assert [goal["met"] for goal in result["goals"]] == [True, False]
    page = (run_dir / "report.html").read_text()
    assert "the mean cosine of embeddings by jina" in page
    assert "accuracy" in done.stderr


def test_grading_again_asks_only_for_what_is_missing(tmp_path: Path, tokenswarm: Command) -> None:
    done = tokenswarm("run", plan(tmp_path, quality={}))
    run_dir, summary = run_of(done, tmp_path)
    assert summary["results"][0]["quality"]["consistency"]["similarity"] is None
    assert not (run_dir / "grades.jsonl").exists()
    refused = tokenswarm("grade", run_dir)
    assert refused.returncode == 2
    assert "nobody to ask" in refused.stderr
    first = tokenswarm("grade", run_dir, "--embedder", "jina", "--json")
    assert first.returncode in FINISHED, first.stderr
    asked = json.loads(first.stdout)
    assert asked["embedded"] > 0 == asked["marks"]
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["results"][0]["quality"]["marks"]["by"] == "embedder jina"
    before = (run_dir / "grades.jsonl").read_bytes()
    (run_dir / "grades.jsonl").write_bytes(before[: len(before) // 2])  # as if it had been broken off
    again = json.loads(tokenswarm("grade", run_dir, "--json").stdout)
    assert 0 < again["embedded"] < asked["embedded"]
    whole = sorted((run_dir / "grades.jsonl").read_bytes().splitlines())
    assert whole == sorted(before.splitlines())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quality": {"embedder": "openai"}}, "quality.embedder: 'openai': must name a target of kind `embeddings`"),
        ({"quality": {"judge": "nobody"}}, "quality.judge: 'nobody': must name a target of kind `chat`"),
        ({"workload": {"kind": "chat", "questions": "nowhere.jsonl"}}, "nowhere.jsonl"),
        ({"workload": {"kind": "chat", "questions": "own", "echo": True}}, "does not go with `questions`"),
    ],
)
def test_a_plan_that_cannot_be_graded_is_refused(
    change: dict[str, Any], said: str, tmp_path: Path, tokenswarm: Command
) -> None:
    done = tokenswarm("run", plan(tmp_path, **change))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_of_questions_is_asked_and_its_wrong_column_named(tmp_path: Path, tokenswarm: Command) -> None:
    rows = [
        {"question": f"What is {n} plus {n}?", "subject": "sums", "choices": ["1", str(2 * n), "x", "y"], "answer": 1}
        for n in range(2, 30)
    ]
    file = tmp_path / "sums.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    workload = {"kind": "chat", "name": "sums", "questions": "sums.jsonl", "output_tokens": 128}
    skill = {"questions": str(file), "accuracy": 1.0}
    providers = {name: {"skill": skill} for name in ("openai-sim", "anthropic-sim", "google-sim")}
    path = plan(tmp_path, workload=workload, simulator={"providers": providers}, targets=[
        {"name": "openai", "dialect": "openai-chat", "base_url": "sim://openai-sim", "model": "m"},
        {"name": "jina", "dialect": "jina-embeddings", "base_url": "sim://jina-sim", "model": "e"},
    ])  # fmt: skip
    _, summary = run_of(tokenswarm("run", path), tmp_path)
    found = summary["results"][0]["quality"]
    assert found["accuracy"]["value"] == 1.0
    assert list(found["by_subject"]) == ["sums"]
    file.write_text(file.read_text().replace('"answer": 1', '"answer": 7', 1))
    done = tokenswarm("run", path)
    assert done.returncode == 2
    assert "sums.jsonl" in done.stderr and "answer" in done.stderr and "7" in done.stderr


def test_turns_of_a_conversation_are_judged_each_by_its_own_prompt(tmp_path: Path, tokenswarm: Command) -> None:
    workload = {"turns": 3, "nonce": True, "keep_text": True, "input_tokens": 20, "output_tokens": 12}
    names = ("google", "openai")
    targets = [
        {"name": name, "dialect": TARGETS[name][0], "base_url": f"sim://{TARGETS[name][1]}", "model": "m"}
        for name in names
    ]
    quick = {"ttft": 0.02, "itl": 0.001}
    path = plan(
        tmp_path,
        targets=targets,
        workload=workload,
        stages=[{"concurrency": 1, "duration_s": 1}],
        quality={"judge": "openai", "judged": 6},
        simulator={"providers": {TARGETS[name][1]: quick for name in names}},
    )
    run_dir, _ = run_of(tokenswarm("run", path), tmp_path)
    marks = [json.loads(line) for line in (run_dir / "grades.jsonl").read_text().splitlines()]
    assert [each for each in marks if each["type"] == "mark" and each["target"] == "google"]
