"""Who comes to a run on many hosts, and when: late workers, workers of another version, a master that came back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import BIN, FINISHED, ROOT
from test_hosts import csv_requests, free_port, plan_in, redis_url, samples_of, started

from harness.sample import Sample, decode
from harness.simulator.process import running
from harness.simulator.truth import read_truth

__all__ = ["redis_url"]  # the fixture
pytestmark = [
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="wants a redis-server"),
    pytest.mark.timeout(300),
]


def until(met: Callable[[], bool], what: str, limit_s: float = 120) -> None:
    end_s = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < end_s, f"never came: {what}"
        time.sleep(0.1)


def recorded(home: Path) -> int:
    """Bytes of journals under a worker's home."""
    return sum(path.stat().st_size for path in home.glob("*/*/journal/*.jsonl"))


def whole_lines(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def test_a_worker_that_comes_late_takes_part_and_its_journal_is_waited_for(tmp_path: Path, redis_url: str) -> None:
    port = str(free_port())
    worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", port)
    master = ("--master", "--expect-workers", "1", "--master-port", port, "--master-bind-host", "127.0.0.1")
    plan = plan_in(tmp_path, "[{concurrency: 6, duration_s: 25}, {rate_rps: 20, arrival: poisson, duration_s: 3}]")
    with (
        started(tmp_path, "a", redis_url, *worker) as a,
        started(tmp_path, "m", redis_url, plan, *master) as leader,
    ):
        until(lambda: recorded(tmp_path / "a") > 2000, "load on the first worker")
        with started(tmp_path, "b", redis_url, *worker) as b:
            out, err = leader.communicate(timeout=240)
            assert [each.wait(60) for each in (a, b)] == [0, 0]
    run_dir = Path(out.splitlines()[-1])
    record = json.loads((run_dir / "run.json").read_text())
    assert record["ended"] == "complete", f"{record['missing']} {err}"
    samples = samples_of(run_dir)
    assert {sample.worker for sample in samples} == {"r1-w0", "r1-w1"}
    assert {sample.worker for sample in samples if sample.stage == 1} == {"r1-w0"}, "a schedule is not shared out anew"
    assert len(samples) == len(read_truth(run_dir / "truth.jsonl")) == csv_requests(run_dir)
    prompts = [(sample.stage, sample.prompt_id) for sample in samples]
    assert len(prompts) == len(set(prompts)), "no prompt is sent twice"
    for name in ("a", "b"):
        for path in (tmp_path / name).glob("*/*/journal/*.jsonl"):
            assert (run_dir / "journal" / path.name).read_bytes() == path.read_bytes()


def test_a_worker_of_another_version_is_refused_and_the_others_are_not_held_up(tmp_path: Path, redis_url: str) -> None:
    other = tmp_path / "other"
    for package in ("harness", "analysis", "locustfiles"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    init = other / "harness" / "__init__.py"
    init.write_text(init.read_text().replace("__version__ = ", "__version__ = 'of-long-ago-' + "))
    port = str(free_port())
    worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", port)
    master = ("--master", "--expect-workers", "1", "--master-port", port, "--master-bind-host", "127.0.0.1")
    plan = plan_in(tmp_path, "[{concurrency: 2, duration_s: 2}]")
    with started(tmp_path, "m", redis_url, plan, *master) as leader:
        until(lambda: any((tmp_path / "m").glob("*/*/run.json")), "the master")
        old = subprocess.run(
            [sys.executable, "-m", "harness", "run", *worker, "--out", str(tmp_path / "old")],
            env=os.environ | {"PYTHONPATH": str(other)},
            cwd=other,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert old.returncode == 1
        assert "error: this worker has tokenswarm of-long-ago-" in old.stderr
        assert "hint: install tokenswarm" in old.stderr
        assert not list((tmp_path / "old").glob("*/*/journal/*.jsonl"))
        with started(tmp_path, "a", redis_url, *worker) as a:
            out, err = leader.communicate(timeout=100)
            assert a.wait(60) == 0
    assert leader.returncode in FINISHED, err
    record = json.loads((Path(out.splitlines()[-1]) / "run.json").read_text())
    assert record["ended"] == "complete", record["missing"]


def test_the_simulator_of_a_run_does_not_outlive_whoever_started_it(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, "[{concurrency: 1, duration_s: 5}]")
    with started(tmp_path, "m", None, plan) as leader:
        until(lambda: recorded(tmp_path / "m") > 2000, "load")
        children = psutil.Process(leader.pid).children()
        (simulator,) = [each for each in children if "harness.simulator" in each.cmdline()]
        leader.kill()
        assert not psutil.wait_procs([simulator], timeout=60)[1]
        for each in children:
            if each.is_running():
                each.kill()


def test_after_a_master_was_killed_its_workers_serve_the_next_and_both_runs_are_told_right(
    tmp_path: Path, redis_url: str
) -> None:
    """Everything of the first master but the collector goes down at once; another starts at the same address."""
    port = str(free_port())
    worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", port)
    master = ("--master", "--expect-workers", "2", "--master-port", port, "--master-bind-host", "127.0.0.1")
    truth = tmp_path / "truth.jsonl"
    with (
        running(None, truth) as url,
        started(tmp_path, "a", redis_url, *worker) as a,
        started(tmp_path, "b", redis_url, *worker) as b,
    ):
        long = plan_in(tmp_path, "[{concurrency: 6, duration_s: 60}]").replace(".yaml", "-1.yaml")
        Path(long).write_text((tmp_path / "plan.yaml").read_text().replace("sim://p", f"{url}/v1"))
        with started(tmp_path, "m1", redis_url, long, *master) as first:
            until(lambda: min(recorded(tmp_path / name) for name in "ab") > 20_000, "load")
            locust = [each for each in psutil.Process(first.pid).children() if "--master" in each.cmdline()]
            first.kill()
            for each in locust:
                each.kill()
        short = long.replace("-1.yaml", "-2.yaml")
        Path(short).write_text(Path(long).read_text().replace("duration_s: 60", "duration_s: 3"))
        with started(tmp_path, "m2", redis_url, short, *master) as second:
            out, err = second.communicate(timeout=240)
            assert [each.wait(60) for each in (a, b)] == [0, 0]
    assert second.returncode in FINISHED, err
    run_dir = Path(out.splitlines()[-1])
    record = json.loads((run_dir / "run.json").read_text())
    assert record["ended"] == "complete", f"{record['missing']} {err}"
    assert len(samples_of(run_dir)) == csv_requests(run_dir) > 50, "what workers reported of the first is not counted"
    (died,) = (tmp_path / "m1").glob("*/*")
    written = {path.name: whole_lines(path) for path in tmp_path.glob(f"[ab]/*/{died.name}/journal/*.jsonl")}
    assert len(written) == 2
    until(lambda: {path.name: path.read_bytes() for path in (died / "journal").glob("r*")} == written, "the rest", 30)
    everything = [decode(line) for data in written.values() for line in data.splitlines()]
    assert len(read_truth(truth)) == sum(isinstance(each, Sample) for each in everything) + len(samples_of(run_dir))
    words = [str(BIN / "tokenswarm"), "analyze", str(died), "--json"]
    told = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode in FINISHED, told.stderr
    codes = {finding["code"] for finding in json.loads(told.stdout)["validity"]["findings"]}
    assert "not-complete" in codes
    for each in psutil.process_iter(["cmdline"]):  # the collector of the dead master goes on for a minute
        if "harness.journals.collect" in (each.info["cmdline"] or []) and str(died) in each.info["cmdline"]:
            each.send_signal(signal.SIGTERM)
