"""Runs that the dashboard starts: they outlive it, one at a time, are stopped as by Ctrl-C, and say why they failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashboard.jobs import FOLDER, Job, job_of, jobs, start, stop
from dashboard.watching import Watch, is_fresh
from harness.alerting.alert_log import read_events
from harness.errors import UsageFault
from harness.plan_file import plan_of
from harness.rundir import RunDir
from harness.sample import Outcome, Sample, decode

pytestmark = pytest.mark.timeout(400)  # several waits of 90 s
SLOW = {"providers": {"slow-sim": {"dialects": ["openai-chat"], "ttft": 0.4}}}
PLAN: dict[str, Any] = {
    "name": "started",
    "repeats": 2,
    "warmup_s": 0,
    "targets": [{"name": "slow-sim", "dialect": "openai-chat", "base_url": "sim://slow-sim", "model": "m"}],
    "workload": {"input_tokens": 20, "output_tokens": 5},
    "stages": [{"concurrency": 2, "duration_s": 60}],
    "simulator": SLOW,
}
ANOTHER = """
import json, signal, sys
from pathlib import Path
from dashboard.jobs import start
from harness.plan_file import plan_of
signal.signal(signal.SIGINT, signal.SIG_IGN)
print(start(Path(sys.argv[1]), plan_of(json.loads(sys.argv[2]), "plan")))
"""


def _wait(root: Path, name: str, met: Callable[[Job], bool]) -> Job:
    end = time.monotonic() + 90
    while True:
        job = job_of(root, name)
        assert job is not None
        if met(job):
            return job
        assert time.monotonic() < end, job
        time.sleep(0.1)


def _samples(run_dir: Path) -> list[Sample]:
    lines = [line for path in run_dir.glob("journal/*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]
    return [sample for line in lines if line.endswith(b"\n") and isinstance(sample := decode(line), Sample)]


def test_a_run_outlives_who_started_it_and_is_stopped_softly(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ANOTHER, str(tmp_path), json.dumps(PLAN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    name = done.stdout.strip()  # whoever started it has ended, and ignored Ctrl-C
    job = _wait(tmp_path, name, lambda job: job.run is not None)
    assert (job.state, job.plan) == ("running", "started")
    with pytest.raises(UsageFault, match="1 already running: started"):
        start(tmp_path, plan_of(PLAN, "plan"))
    run_dir = tmp_path / str(job.run)
    _wait(tmp_path, name, lambda _: len(_samples(run_dir)) > 2)
    stop(tmp_path, name)
    assert _wait(tmp_path, name, lambda job: job.state not in ("running", "stopping")).state == "interrupted"
    samples = _samples(run_dir)
    assert {sample.outcome for sample in samples} == {Outcome.OK}, "what was under way came to its end"
    assert {sample.repeat for sample in samples} == {1}
    assert RunDir(run_dir).report.exists()
    with pytest.raises(UsageFault, match="has ended already"):
        stop(tmp_path, name)


def test_a_run_that_cannot_begin_says_why(tmp_path: Path) -> None:
    broken = PLAN | {"simulator": {"providers": {"slow-sim": {"ttft": "soon"}}}}
    name = start(tmp_path, plan_of(broken, "plan"))
    job = _wait(tmp_path, name, lambda job: job.state != "running")
    assert job.state == "failed"
    assert "error: the simulator did not start" in job.said
    assert [each.id for each in jobs(tmp_path)] == [name]


def test_a_number_that_is_another_process_by_now_is_not_the_job(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER / "20260101T000000Z-abc"
    folder.mkdir(parents=True)
    record = {"pid": os.getpid(), "began_s": 1.0, "plan": "old", "started_utc": "2026-01-01T00:00:00Z"}
    (folder / "job.json").write_text(json.dumps(record))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(UsageFault, match="has ended already"):
        stop(tmp_path, folder.name)
    assert signal.getsignal(signal.SIGINT) is before
    for name in ("../20260101T000000Z-abc", "", "a/b", "."):
        with pytest.raises(UsageFault, match="no such job"):
            job_of(tmp_path, name)


def test_a_monitor_watches_while_somebody_looks_and_no_longer(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    rule = {"name": "any", "metric": "attempted@10s", "above": 0, "for_s": 0}
    alerts = {"rules": [rule], "sinks": [{"kind": "command", "argv": ["touch", str(marker)]}]}
    name = start(tmp_path, plan_of(PLAN | {"alerts": alerts}, "plan"))
    run_dir = RunDir(tmp_path / str(_wait(tmp_path, name, lambda job: job.run is not None).run))
    watch = Watch(tmp_path, unwatched_s=3.0)
    try:
        end = time.monotonic() + 90
        while not any(event.state == "firing" for event in read_events(run_dir.alerts)):
            watch.look(run_dir)
            assert len(watch.watching()) <= 1
            assert time.monotonic() < end, watch.trouble(run_dir)
            time.sleep(0.1)
        assert is_fresh(run_dir)
        while watch.watching():  # nobody looks any more
            assert time.monotonic() < end
            time.sleep(0.1)
        assert not marker.exists(), "to look at a run runs nothing that its plan names"
        job = job_of(tmp_path, name)
        assert job is not None and job.state == "running"
    finally:
        watch.end()
        stop(tmp_path, name)
        _wait(tmp_path, name, lambda job: job.state not in ("running", "stopping"))
