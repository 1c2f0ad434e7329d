"""`tokenswarm run` on the real Locust and the simulator: the numbers against the truth, and what survives a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from conftest import BIN, FINISHED, ROOT, Command

from harness.sample import Sample, decode
from harness.simulator.truth import Truth, read_truth

PLAN = {
    "name": "two",
    "repeats": 3,
    "warmup_s": 0.5,
    "targets": [
        {"name": "openai-sim", "dialect": "openai-chat", "base_url": "sim://openai-sim", "model": "m"},
        {"name": "anthropic-sim", "dialect": "anthropic-messages", "base_url": "sim://anthropic-sim", "model": "m"},
    ],
    "workload": {"name": "chat", "input_tokens": 50, "output_tokens": 20},
    "stages": [{"concurrency": 20, "duration_s": 3}],
}


def _samples(run_dir: Path) -> list[Sample]:
    lines = [line for path in run_dir.glob("journal/*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]
    return [record for record in map(decode, lines) if isinstance(record, Sample)]


def _run_dir(done: subprocess.CompletedProcess[str], cwd: Path) -> Path:
    return cwd / done.stdout.splitlines()[-1]


@pytest.mark.alone
def test_a_run_of_two_targets_agrees_with_the_truth(tokenswarm: Command, tmp_path: Path) -> None:
    """Counts in CSV, samples and truth are equal; TTFT and E2E p50 are within 2 ms or 2 % of the truth."""
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    done = tokenswarm("run", "plan.yaml")
    assert done.returncode in FINISHED, done.stderr
    run_dir = _run_dir(done, tmp_path)
    summary = json.loads((run_dir / "summary.json").read_text())
    jsonschema.validate(summary, json.loads((ROOT / "docs" / "summary.schema.json").read_text()))
    assert (summary["validity"]["verdict"], summary["ended"]) == ("valid", "complete")
    samples, truth = _samples(run_dir), {each.id: each for each in read_truth(run_dir / "truth.jsonl")}
    assert {sample.request_id for sample in samples} == set(truth)
    assert len(samples) == len(truth) == sum(row["csv_requests"] for row in summary["reconciliation"])
    assert all(row["agree"] for row in summary["reconciliation"])
    for result in summary["results"]:
        own = [truth[str(sample.request_id)] for sample in samples if sample.target == result["target"]]
        _assert_close(result["ttft_s"]["p50"], float(np.median([_ttft_s(each) for each in own])))
        _assert_close(result["e2e_s"]["p50"], float(np.median([_e2e_s(each) for each in own])))
        assert result["ttft_s"]["cv"]["p50"] < 0.05
        assert result["attempted"] == sum(each["attempted"] for each in result["repeat_values"])
        assert 0 < result["warmup_attempts"] < result["attempted"]
    assert (run_dir / "report.html").stat().st_size > 1_000_000


def _ttft_s(truth: Truth) -> float:
    return (truth.chunk_ns[truth.content[0]] - truth.received_ns) / 1e9


def _e2e_s(truth: Truth) -> float:
    return (truth.chunk_ns[-1] - truth.received_ns) / 1e9


def _assert_close(measured: float, true: float) -> None:
    assert abs(measured - true) < max(0.002, 0.02 * true), f"measured {measured}, true {true}"


def test_analysis_can_be_repeated_and_gives_the_same_bytes(tokenswarm: Command, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        yaml.safe_dump(PLAN | {"repeats": 1, "stages": [{"concurrency": 2, "duration_s": 1}]})
    )
    run_dir = _run_dir(tokenswarm("run", "plan.yaml"), tmp_path)
    first = (run_dir / "summary.json").read_bytes()
    assert tokenswarm("analyze", run_dir, "--json").stdout.encode() == first
    assert (run_dir / "summary.json").read_bytes() == first
    assert tokenswarm("report", run_dir, "--out", "again.html").returncode in FINISHED
    assert tokenswarm("compare", run_dir).returncode in FINISHED


def test_a_worker_killed_at_once_loses_no_answered_request(tmp_path: Path) -> None:
    """kill -9 of a worker: what the truth says was answered before is in the journal; the run ends degraded."""
    plan = PLAN | {"repeats": 1, "stages": [{"concurrency": 20, "duration_s": 4}]}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    command = [str(BIN / "tokenswarm"), "run", "plan.yaml", "--workers", "2"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        journal = _wait_for_samples(tmp_path, "r1-w1", 30)
        pid = json.loads(journal.read_text().splitlines()[0])["pid"]
        os.kill(pid, signal.SIGKILL)
        killed_ns = time.monotonic_ns()
        out, err = run.communicate(timeout=100)
    run_dir = tmp_path / out.splitlines()[-1]
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["ended"] == "degraded", err
    assert {"not-complete", "worker-lost"} <= {finding["code"] for finding in summary["validity"]["findings"]}
    recorded = {sample.request_id for sample in _samples(run_dir)}
    margin_ns = 50_000_000  # bytes that the simulator wrote just before the kill may not have been read
    answered = [each for each in read_truth(run_dir / "truth.jsonl") if each.outcome == "complete"]
    before = {each.id for each in answered if (each.end_ns or 0) < killed_ns - margin_ns}
    assert len(before) > 20
    assert before <= recorded


def _wait_for_samples(folder: Path, worker: str, lines: int) -> Path:
    for _ in range(1500):
        for path in folder.glob(f"runs/*/*/journal/{worker}.jsonl"):
            if path.read_bytes().count(b"\n") > lines:
                return path
        time.sleep(0.1)
    pytest.fail("the run recorded nothing")


def test_ctrl_c_drains_keeps_all_samples_and_exits_130(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN | {"stages": [{"concurrency": 4, "duration_s": 60}]}))
    command = [str(BIN / "tokenswarm"), "run", "plan.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        _wait_for_samples(tmp_path, "r1-w0", 5)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    run_dir = tmp_path / out.splitlines()[-1]
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["ended"] == "interrupted"
    assert len(_samples(run_dir)) == len(read_truth(run_dir / "truth.jsonl"))
    assert all(row["csv_requests"] == row["samples_requests"] for row in summary["reconciliation"])
