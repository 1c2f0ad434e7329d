"""`tokenswarm capacity` against the simulator: the real command, real sockets, and the simulator's truth."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from conftest import Command

from harness.simulator.truth import read_truth


def plan(folder: Path, provider: dict[str, Any], **more: Any) -> Path:
    waits = {
        "ttft": {"kind": "lognormal", "median_s": 0.08, "sigma": 0.1},
        "itl": {"kind": "lognormal", "median_s": 0.005, "sigma": 0.1},
    }
    document = {
        "name": "search",
        "targets": [{"name": "sim", "dialect": "openai-chat", "base_url": "sim://p", "model": "m"}],
        "workload": {"kind": "chat", "name": "chat", "input_tokens": 20, "output_tokens": 8},
        "stages": [{"concurrency": 1, "duration_s": 1}],
        "slo": {"e2e_s": 2.0},
        "simulator": {"providers": [{"name": "p", "dialects": ["openai-chat"], **waits, **provider}]},
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(document | more))
    return path


def samples_of(run_dir: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for path in run_dir.glob("journal/*.jsonl") for line in path.read_text().splitlines()]
    return [line for line in lines if line["type"] == "sample"]


def test_a_limit_on_requests_at_once_is_found_and_all_is_recorded(tmp_path: Path, tokenswarm: Command) -> None:
    path = plan(tmp_path, {"limits": {"concurrency": 12}})
    done = tokenswarm("capacity", path, "--most", 100, "--json", "--out", tmp_path / "runs")
    assert done.returncode in (0, 3), done.stderr
    document = json.loads(done.stdout)
    answer, run_dir = document["answer"], Path(document["run_dir"])
    assert answer["reason"] == "found"
    assert 11 <= answer["capacity"] <= 12
    assert max(step["load"] for step in document["steps"]) <= 32  # far beyond is not asked for
    sent = samples_of(run_dir)
    assert len(sent) == document["requests"] == len(read_truth(run_dir / "truth.jsonl"))
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["search"]["answer"] == answer
    assert sum(result["attempted"] + result["warmup_attempts"] for result in summary["results"]) == len(sent)
    assert "Attainment and load" in (run_dir / "report.html").read_text()
    again = tokenswarm("analyze", run_dir, "--json")
    assert json.loads(again.stdout)["search"]["answer"] == answer


def test_users_of_a_search_hold_whole_conversations(tmp_path: Path, tokenswarm: Command) -> None:
    workload = {"kind": "chat", "name": "chat", "turns": 3, "input_tokens": 20, "output_tokens": 8}
    path = plan(tmp_path, {"ttft": 0.02, "itl": 0.001}, workload=workload)
    done = tokenswarm("capacity", path, "--spend-requests", 24, "--json", "--out", tmp_path / "runs")
    assert done.returncode in (0, 3), done.stderr
    asked = [each for each in samples_of(Path(json.loads(done.stdout)["run_dir"])) if each["outcome"] == "ok"]
    tokens = {(each["turn"], each["usage"]["input_tokens"]) for each in asked}
    assert tokens == {(1, 20), (2, 48), (3, 76)}, "each with all that was said before"
    assert len({each["prompt_id"] for each in asked}) == len(asked)


def test_a_limit_of_latency_is_found_near_the_known_one(tmp_path: Path, tokenswarm: Command) -> None:
    """E2E is 0.115 s times N / 10 beyond 10: with 0.115 x 2 x exp(1.645 x 0.09) s, about 20 requests fit."""
    path = plan(tmp_path, {"capacity": 10})
    done = tokenswarm("capacity", path, "--slo", "e2e_s=0.266", "--json", "--out", tmp_path / "runs")
    assert done.returncode in (0, 3), done.stderr
    answer = json.loads(done.stdout)["answer"]
    assert answer["reason"] in ("found", "client")
    assert answer["capacity"] == pytest.approx(20, rel=0.2)
    assert answer["low"] <= answer["capacity"] <= answer["high"]


def test_a_rate_is_searched_with_arrivals_on_a_schedule(tmp_path: Path, tokenswarm: Command) -> None:
    """10 at once, each for 0.115 s: no more than 87 a second."""
    path = plan(tmp_path, {"slots": 10})
    done = tokenswarm(
        "capacity", path, "--by", "rate", "--begin", 8, "--slo", "ttft_s=0.2", "--json", "--out", tmp_path / "runs"
    )
    assert done.returncode in (0, 3), done.stderr
    document = json.loads(done.stdout)
    assert document["answer"]["reason"] in ("found", "client")
    assert 55 < document["answer"]["capacity"] < 92
    assert all(sample["due_ns"] is not None for sample in samples_of(Path(document["run_dir"])))


def test_ctrl_c_keeps_everything_and_the_search_can_go_on(tmp_path: Path, tokenswarm: Command) -> None:
    path = plan(tmp_path, {"capacity": 10})
    words = [".venv/bin/tokenswarm", "capacity", str(path), "--slo", "e2e_s=0.266", "--out", str(tmp_path / "runs")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = ""
        while "load 8" not in line:
            line = process.stderr.readline()
            assert line, "it ended before"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    run_dir = Path(out.strip().splitlines()[-1])
    before = len(samples_of(run_dir))
    assert f"--resume {run_dir}" in err
    done = tokenswarm("capacity", "--resume", run_dir, "--json")
    assert done.returncode in (0, 3), done.stderr
    document = json.loads(done.stdout)
    assert document["requests"] == len(samples_of(run_dir)) > before
    assert document["answer"]["capacity"] == pytest.approx(20, rel=0.2)
    over = tokenswarm("capacity", "--resume", run_dir)
    assert over.returncode == 2
    assert "its search is over" in over.stderr


def test_kill_9_loses_no_answered_request_and_the_search_can_go_on(tmp_path: Path, tokenswarm: Command) -> None:
    path = plan(tmp_path, {"capacity": 10})
    words = [".venv/bin/tokenswarm", "capacity", str(path), "--slo", "e2e_s=0.266", "--out", str(tmp_path / "runs")]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "load 8" not in process.stderr.readline():
            pass
        process.kill()
    (run_dir,) = (tmp_path / "runs" / "search").iterdir()
    eventually_gone(str(run_dir))  # the simulator notices that its parent is gone
    assert len(samples_of(run_dir)) >= 20
    done = tokenswarm("capacity", "--resume", run_dir, "--spend-requests", 60, "--json")
    assert done.returncode in (0, 3), done.stderr
    document = json.loads(done.stdout)
    assert document["answer"]["reason"] == "budget"
    assert document["requests"] == 60


def eventually_gone(word: str) -> None:
    """Wait until no process has this in its command line."""
    for _ in range(100):
        if not any(word in " ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])):
            return
        time.sleep(0.1)
    pytest.fail(f"a process of {word} lives on")


def test_what_is_spent_is_bounded(tmp_path: Path, tokenswarm: Command) -> None:
    path = plan(tmp_path, {})
    done = tokenswarm("capacity", path, "--spend-requests", 30, "--out", tmp_path / "runs")
    assert done.returncode in (0, 3), done.stderr
    run_dir = Path(done.stdout.strip().splitlines()[-1])
    assert len(samples_of(run_dir)) == 30
    assert "what may be spent is spent" in done.stdout


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        ((), "no PLAN given", "--resume"),
        (("PLAN", "--slo", "e2e=1"), "--slo e2e=1", "e2e_s=2"),
        (("PLAN", "--slo", "e2e_s=-1"), "a number of seconds above 0", "e2e_s=2"),
        (("PLAN", "--target", "nobody"), "no such target", "there are: sim"),
        (("PLAN", "--begin", "9", "--most", "3"), "more than --most 3", "begin with"),
        (("PLAN", "--by", "rate", "--set", "workload.turns=2"), "workload chat has 2 turns", "--by concurrency"),
        (("PLAN", "--set", "slo={}"), "no limit to keep", "--slo e2e_s=2"),
        (("--resume", "nowhere"), "no search is kept here", "name the run directory"),
    ],
)
def test_bad_usage_is_two_lines(
    tmp_path: Path, tokenswarm: Command, words: tuple[str, ...], said: str, hint: str
) -> None:
    path = plan(tmp_path, {})
    done = tokenswarm("capacity", *(path if word == "PLAN" else word for word in words), "--out", tmp_path / "runs")
    assert done.returncode == 2
    first, second = done.stderr.strip().splitlines()[-2:]
    assert said in first
    assert hint in second
    assert not list(tmp_path.glob("runs/*/*"))
