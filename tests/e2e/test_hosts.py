"""Master and workers as on many hosts: the plan from the master, journals through a real Redis, nothing lost."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from child_processes import end, free_port
from conftest import BIN, FINISHED

from harness.sample import Outcome, Sample, decode
from harness.simulator.truth import read_truth

pytestmark = [
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="wants a redis-server"),
    pytest.mark.timeout(360),
]

PLAN = """
name: hosts
seed: 5
repeats: REPEATS
warmup_s: 0
targets: [{name: sim, dialect: openai-chat, base_url: "sim://p", model: m}]
workload: {kind: chat, input_tokens: 20, output_tokens: 8}
stages: STAGES
simulator: {providers: [{name: p, dialects: [openai-chat], ttft: 0.05, itl: 0.005}]}
"""


@pytest.fixture
def redis_url() -> Iterator[str]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            yield f"redis://127.0.0.1:{port}"
        finally:
            server.terminate()


@contextmanager
def started(folder: Path, name: str, redis: str | None, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A `tokenswarm run` with a home of its own; ended with its children if it still runs."""
    home = folder / name
    home.mkdir()
    env = {key: value for key, value in os.environ.items() if key != "TOKENSWARM_REDIS"}
    env |= {"TOKENSWARM_REDIS": redis} if redis else {}
    process = subprocess.Popen(
        [str(BIN / "tokenswarm"), "run", *words, "--out", str(home)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        end(process)


def plan_in(folder: Path, stages: str, repeats: int = 1) -> str:
    path = folder / "plan.yaml"
    path.write_text(PLAN.replace("STAGES", stages).replace("REPEATS", str(repeats)))
    return str(path)


def samples_of(run_dir: Path) -> list[Sample]:
    lines = [line for path in sorted(run_dir.glob("journal/*.jsonl")) for line in path.read_bytes().splitlines()]
    return [record for record in map(decode, lines) if isinstance(record, Sample)]


def csv_requests(run_dir: Path) -> int:
    with (run_dir / "locust_stats.csv").open() as file:
        return sum(int(row["Request Count"]) for row in csv.DictReader(file) if row["Name"] == "Aggregated")


def run_hosts(folder: Path, redis: str | None, plan: str) -> tuple[int, Path, dict[str, Any], str]:
    port = str(free_port())
    worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", port)
    master = ("--master", "--expect-workers", "2", "--master-port", port, "--master-bind-host", "127.0.0.1")
    with (
        started(folder, "a", redis, *worker) as a,
        started(folder, "b", redis, *worker) as b,
        started(folder, "m", redis, plan, *master) as leader,
    ):
        out, err = leader.communicate(timeout=240)
        assert a.wait(60) == 0
        assert b.wait(60) == 0
    run_dir = Path(out.splitlines()[-1])
    return leader.returncode, run_dir, json.loads((run_dir / "run.json").read_text()), err


def test_truth_samples_and_csv_agree_over_two_hosts_and_two_repeats(tmp_path: Path, redis_url: str) -> None:
    stages = "[{concurrency: 8, duration_s: 3}, {rate_rps: 40, arrival: poisson, duration_s: 3}]"
    code, run_dir, record, err = run_hosts(tmp_path, redis_url, plan_in(tmp_path, stages, repeats=2))
    assert code in FINISHED, err
    assert record["ended"] == "complete", record["missing"]
    samples = samples_of(run_dir)
    assert len(samples) == len({(sample.worker, sample.seq) for sample in samples}) > 100
    assert len(samples) == len(read_truth(run_dir / "truth.jsonl")) == csv_requests(run_dir)
    assert {sample.worker for sample in samples} == {"r1-w0", "r1-w1", "r2-w0", "r2-w1"}
    for worker in ("a", "b"):
        for path in (tmp_path / worker).glob("*/*/journal/*.jsonl"):
            assert (run_dir / "journal" / path.name).read_bytes() == path.read_bytes()
    rows = (run_dir / "health.jsonl").read_bytes().splitlines()
    assert {json.loads(line)["worker"] for line in rows} == {sample.worker for sample in samples}


def test_a_worker_that_is_killed_is_named_and_loses_no_answered_request(tmp_path: Path, redis_url: str) -> None:
    port = str(free_port())
    worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", port)
    master = ("--master", "--expect-workers", "2", "--master-port", port, "--master-bind-host", "127.0.0.1")
    plan = plan_in(tmp_path, "[{concurrency: 8, duration_s: 12}]")
    with (
        started(tmp_path, "a", redis_url, *worker),
        started(tmp_path, "b", redis_url, *worker),
        started(tmp_path, "m", redis_url, plan, *master) as leader,
    ):
        victim = _journal_owner(tmp_path / "a")
        os.kill(victim, signal.SIGKILL)
        out, err = leader.communicate(timeout=240)
    run_dir = Path(out.splitlines()[-1])
    record = json.loads((run_dir / "run.json").read_text())
    assert record["ended"] == "degraded", err
    assert any("was lost after" in each for each in record["missing"])
    written = sorted((tmp_path / "a").glob("*/*/journal/r1-w*.jsonl"))
    assert victim in {json.loads(path.read_bytes().splitlines()[0])["pid"] for path in written}
    for path in written:  # that of the killed process, and of the one that came in its place
        kept = (run_dir / "journal" / path.name).read_bytes()
        assert kept == path.read_bytes()[: len(kept)]
        assert kept.count(b"\n") == path.read_bytes().count(b"\n"), "every whole line came over"
    samples = samples_of(run_dir)
    assert len(samples) == len({(sample.worker, sample.seq) for sample in samples})
    assert sum(sample.outcome is Outcome.OK for sample in samples) > 300


def _journal_owner(home: Path) -> int:
    """The process that writes the journal, once it has written something."""
    for _ in range(1500):
        for path in home.glob("*/*/journal/*.jsonl"):
            lines = path.read_bytes().splitlines()
            if len(lines) > 50:
                return int(json.loads(lines[0])["pid"])
        time.sleep(0.1)
    pytest.fail("no journal was written")


def test_without_redis_journals_are_collected_by_hand(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, "[{concurrency: 4, duration_s: 3}]")
    code, run_dir, record, err = run_hosts(tmp_path, None, plan)
    assert code in FINISHED, err
    assert record["ended"] == "complete"
    assert f"tokenswarm collect FOLDER... --into {run_dir}" in err
    folders = [str(path.parent.parent) for path in sorted(tmp_path.glob("[ab]/*/*/journal/r1-w*.jsonl"))]
    assert len(folders) == 2
    command = [str(BIN / "tokenswarm"), "collect", *folders, "--into", str(run_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in FINISHED, done.stderr
    assert len(samples_of(run_dir)) == len(read_truth(run_dir / "truth.jsonl")) == csv_requests(run_dir)
    assert json.loads((run_dir / "summary.json").read_text())["results"][0]["attempted"] > 50


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--worker"], "no --master-host given"),
        (["plan.yaml", "--worker", "--master-host", "h"], "a worker gets its plan from the master"),
        ([], "no PLAN given"),
        (["suite:demo", "--master", "--redis", "http://x"], "redis"),
        (["suite:demo", "--master", "--master-bind-host", "203.0.113.7"], "cannot listen"),
    ],
)
def test_bad_usage_is_two_lines(words: list[str], said: str, tmp_path: Path) -> None:
    command = [str(BIN / "tokenswarm"), "run", *words, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    error, hint = done.stderr.strip().splitlines()
    assert said in error
    assert hint.startswith("hint: ")
