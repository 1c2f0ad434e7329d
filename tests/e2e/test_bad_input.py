"""Misuse: one clear line and a hint, the right exit code, no traceback, nothing lost."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import FINISHED, Command

TARGET = {"name": "t", "dialect": "openai-chat", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
PLAN: dict[str, Any] = {
    "name": "bad",
    "repeats": 1,
    "warmup_s": 0,
    "targets": [TARGET],
    "workload": {"kind": "chat", "output_tokens": 5},
    "stages": [{"concurrency": 1, "duration_s": 1}],
}


def _assert_two_lines(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 2, done.stderr
    error, hint = done.stderr.strip().splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")


def _write(folder: Path, **changes: Any) -> None:
    (folder / "plan.yaml").write_text(yaml.safe_dump(PLAN | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"stages": [{"rate_rps": -1, "duration_s": 1}]},
        {"targets": [{**TARGET, "base_url": "https://api.example.com/v1", "key_env": "NO_SUCH_KEY_VARIABLE"}]},
        {"workload": {"goals": ["speed > 9"]}},
        {"targets": [{**TARGET, "base_url": "sim://no-such-provider"}], "simulator": {"nonsense": 1}},
    ],
)
def test_a_bad_plan_is_refused(changes: dict[str, Any], tokenswarm: Command, tmp_path: Path) -> None:
    _write(tmp_path, **changes)
    done = tokenswarm("run", "plan.yaml")
    assert "Traceback" not in done.stderr
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("error: ") == done.stderr.count("hint: ") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "missing.yaml"),
        ("check",),
        ("frobnicate",),
        ("run", "suite:demo", "--workers", "0"),
        ("analyze", "nothing-here"),
        ("analyze", "empty"),
        ("analyze", "other"),
        ("analyze", "folder"),
        ("report", "folder"),
        ("simulate", "missing.yaml"),
    ],
)
def test_bad_usage_is_two_lines(arguments: tuple[str, ...], tokenswarm: Command, tmp_path: Path) -> None:
    (tmp_path / "empty_stats.csv").write_text("")
    (tmp_path / "other_stats.csv").write_text("a,b\n1,2\n")
    (tmp_path / "folder").mkdir()
    _assert_two_lines(tokenswarm(*arguments))


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ({"base_url": "http://127.0.0.1:9/v1"}, "connect"),
        ({"base_url": "http://no-such-host.invalid/v1"}, "dns"),
        ({"base_url": "sim://openai-sim", "headers": {"authorization": "Bearer wrong"}}, "auth"),
        ({"base_url": "sim://openai-sim", "headers": {"x-sim-fault": "html"}}, "malformed"),
    ],
)
def test_a_target_that_never_works_ends_invalid_with_its_errors_recorded(
    target: dict[str, Any], error: str, tokenswarm: Command, tmp_path: Path
) -> None:
    _write(tmp_path, targets=[{**TARGET, **target}])
    done = tokenswarm("run", "plan.yaml")
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    run_dir = tmp_path / done.stdout.splitlines()[-1]
    (result,) = json.loads((run_dir / "summary.json").read_text())["results"]
    assert set(result["errors"]) == {error}
    assert result["outcomes"].get("ok", 0) == 0


def test_a_cut_csv_gives_the_rows_that_are_whole(tokenswarm: Command, tmp_path: Path) -> None:
    head = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Requests/s,50%,99%\n"
    (tmp_path / "cut_stats.csv").write_text(head + "GET,/a,10,1,5,5.5,1.0,5,9\nGET,/b,7")
    done = tokenswarm("analyze", "cut", "--json")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert [(result["target"], result["attempted"]) for result in results] == [("/a", 10)]
    assert results[0]["e2e_s"]["p50"] == 0.005


def test_a_torn_journal_of_a_run_that_died_is_analysed_and_says_so(tokenswarm: Command, tmp_path: Path) -> None:
    _write(tmp_path, targets=[{**TARGET, "base_url": "sim://openai-sim"}])
    run_dir = tmp_path / tokenswarm("run", "plan.yaml").stdout.splitlines()[-1]
    (journal,) = run_dir.glob("journal/*.jsonl")
    data = journal.read_bytes()
    lines = data.splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-2]) + lines[-2][:40])
    (run_dir / "run.json").unlink()
    done = tokenswarm("analyze", run_dir, "--json")
    assert done.returncode in FINISHED, done.stderr
    summary = json.loads(done.stdout)
    assert summary["ended"] == "died"
    assert summary["validity"]["verdict"] != "valid"
    assert sum(row["samples_requests"] for row in summary["reconciliation"]) == len(lines) - 3
