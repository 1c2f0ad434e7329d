"""`tokenswarm monitor` by the real commands: a planted outage is told and ends, a kill in its middle loses and doubles
nothing; probes without a load run, their budget, and how they are gone on with."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from harness.alerting.alert_log import read_events
from harness.cli import main
from harness.records.monitor_record import Picture, read_picture
from harness.rundir import RunDir
from harness.sample import Sample, decode

ROOT = Path(__file__).parent.parent.parent
long = pytest.mark.skipif(not os.environ.get("TOKENSWARM_ALL_FAULTS"), reason="make test-robustness")
RULES = {
    "rules": [{"name": "down", "metric": "failures_in_row", "above": 2, "for_s": 0, "resolve_after_s": 1}],
    "sinks": [{"kind": "log"}],
}
PLAN = {
    "name": "watched",
    "repeats": 1,
    "warmup_s": 0,
    "targets": [
        {"name": "a", "dialect": "openai-chat", "base_url": "sim://openai-sim", "model": "m",
         "price": {"input": 1, "output": 2}}
    ],
    "workload": {"kind": "chat", "input_tokens": 20, "output_tokens": 4},
    "stages": [{"rate_rps": 10, "duration_s": 14}],
    # of the server's time: however late the load begins (up to 16 s), it meets the outage, and its end
    "simulator": {"providers": {"openai-sim": {"faults": [{"kind": "status_503", "start_s": 4, "duration_s": 12}]}}},
}  # fmt: skip


def _start(folder: Path, *words: object) -> subprocess.Popen[bytes]:
    """The real command, in a folder."""
    command = [sys.executable, "-m", "harness", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with (folder / f"{words[0]}.{time.monotonic_ns()}.err").open("wb") as err:
        return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=err, env=environment)


def _await(what: str, ready: Callable[[], object], timeout_s: float = 100) -> None:
    end_s = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < end_s, f"{what} did not come"
        time.sleep(0.05)


def _picture(run_dir: RunDir) -> Picture | None:
    return read_picture(run_dir.monitor)


def _states(run_dir: RunDir) -> list[str]:
    return [event.state for event in read_events(run_dir.alerts) if event.rule == "down"]


def _samples(run_dir: RunDir) -> list[Sample]:
    lines = (line for path in sorted(run_dir.journals.glob("*.jsonl")) for line in path.read_bytes().splitlines())
    return [record for record in map(decode, lines) if isinstance(record, Sample)]


@pytest.mark.timeout(400)
def test_a_planted_outage_is_told_once_though_the_monitor_is_killed_in_its_middle(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES))
    run = _start(tmp_path, "run", "plan.yaml")
    try:
        _await("the run", lambda: list(tmp_path.glob("runs/watched/*/run.json")))
        run_dir = RunDir(next(tmp_path.glob("runs/watched/*")))
        first = _start(tmp_path, "monitor", run_dir.root, "--alerts", "rules.yaml")
        _await("a picture", lambda: _picture(run_dir))
        picture = _picture(run_dir)
        _await("the outage", lambda: "firing" in _states(run_dir))
        first.kill()
        first.communicate()
        second = _start(tmp_path, "monitor", run_dir.root, "--alerts", "rules.yaml", "--json")
        said, _ = second.communicate(timeout=100)
        assert run.wait(60) in (0, 3)
    finally:
        run.kill()
        run.communicate()
    assert second.returncode == 0
    assert _states(run_dir) == ["firing", "resolved"]
    assert len({event.id for event in read_events(run_dir.alerts) if event.rule == "down"}) == 1
    assert picture is not None
    assert picture.state in ("running", "waiting")
    last = json.loads(said)
    assert last["state"] == "ended"
    assert last["alerts"] == []
    samples = _samples(run_dir)
    assert last["spend"]["requests"] == len(samples)
    outcomes = last["cells"][0]["windows"]["10m"]["outcomes"]
    assert outcomes["failed"] == sum(each.outcome == "failed" for each in samples) > 10


@pytest.mark.timeout(400)
def test_two_monitors_do_not_watch_one_run(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN | {"stages": [{"rate_rps": 2, "duration_s": 2}]}))
    words = ("monitor", "plan.yaml", "--target", "a", "--every", "0.2s", "--for", "10m")
    first = _start(tmp_path, *words)
    try:
        _await("a picture", lambda: list(tmp_path.glob("runs/watched-probe/*/monitor.json")))
        run_dir = RunDir(next(tmp_path.glob("runs/watched-probe/*")))
        second = _start(tmp_path, "monitor", run_dir.root)
        second.communicate(timeout=60)
        assert second.returncode == 2
        said = max(tmp_path.glob("monitor.*.err"), key=lambda path: path.name).read_text()
        assert "another monitor watches it" in said
        _await("samples", lambda: len(_samples(run_dir)) >= 5)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 143
    finally:
        first.kill()
        first.communicate()
    run = json.loads(run_dir.run_json.read_text())
    assert (run["mode"], run["ended"]) == ("probe", "interrupted")
    assert run_dir.monitor_state.exists()


@pytest.mark.timeout(400)
def test_probing_keeps_its_budget_over_a_kill_and_goes_on_in_its_directory(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN | {"simulator": {}}))
    words = ("monitor", "plan.yaml", "--target", "a", "--every", "0.2s", "--budget-requests", "30")
    first = _start(tmp_path, *words)
    _await("probes", lambda: sum(path.read_bytes().count(b'"ok"') for path in tmp_path.glob("runs/*/*/journal/*")) >= 5)
    first.kill()
    first.communicate()
    run_dir = RunDir(next(tmp_path.glob("runs/watched-probe/*")))
    second = _start(tmp_path, "monitor", "--resume", run_dir.root, "--json")
    said, _ = second.communicate(timeout=100)
    assert second.returncode == 0
    samples = _samples(run_dir)
    assert len(samples) == 30
    assert all(sample.outcome == "ok" for sample in samples)
    assert len({sample.worker for sample in samples}) == 2
    assert len({sample.prompt_id for sample in samples}) == 30
    last = json.loads(said)
    assert (last["mode"], last["state"], last["spend"]["requests"]) == ("probe", "ended", 30)
    assert "budget is used up" in json.loads(run_dir.run_json.read_text())["missing"][0]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("again", [False, pytest.param(True, marks=long)])
def test_a_full_disk_stops_neither_the_time_of_probing_nor_what_is_said_of_it(tmp_path: Path, *, again: bool) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN | {"simulator": {}}))
    words = [sys.executable, "-m", "harness", "monitor", "plan.yaml", "--target", "a", "--every", "0.2s"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    monitor = psutil.Popen(
        [*words, "--for", "60s" if again else "8s", "--json"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        _await("probes", lambda: sum(path.read_bytes().count(b'"ok"') for path in tmp_path.glob("runs/*/*/journal/*")))
        run_dir = RunDir(next(tmp_path.glob("runs/watched-probe/*")))
        for process in (monitor, *monitor.children(recursive=True)):
            process.rlimit(psutil.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))  # what a full disk is to a process
        asked = len(_samples(run_dir))
        first = monitor.stderr.readline() + monitor.stderr.readline()
        while "no probes are sent" not in first:
            line = monitor.stderr.readline()
            assert line, first
            first += line
        if again:
            monitor.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            _await("probes again", lambda: len(_samples(run_dir)) > asked + 3)
            monitor.send_signal(signal.SIGINT)
        out, said = monitor.communicate(timeout=100)
    finally:
        if monitor.poll() is None:
            monitor.kill()
    if again:
        assert monitor.returncode == 130
        return
    assert monitor.returncode == 3
    assert re.search(r"error: no probes were sent for \d+ s: the process that probes cannot record in ", said)
    assert "hint: free some space" in said
    assert "Traceback" not in first + said
    assert [each["code"] for each in json.loads(out)["findings"] if each["severity"] == "invalid"] == ["no-probes"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("monitor",), "nothing to watch"),
        (("monitor", "nowhere"), "no such folder"),
        (("monitor", "plan.yaml", "--target", "b"), "--target b: no such target"),
        (("monitor", "plan.yaml"), "plan.yaml: is no folder"),
        (("monitor", "plan.yaml", "--target", "a", "--every", "soon"), "no span of time"),
        (("monitor", "plan.yaml", "--target", "a", "--every", "0.01s"), "'0.01s' is less than 0.05 s"),
        (("monitor", "plan.yaml", "--target", "a", "--budget-usd", "nan"), "budget.usd: nan"),
        (("monitor", "plan.yaml", "--target", "a", "--once"), "--once: takes one look"),
        (("monitor", ".", "--for", "10s"), "--for: is for probing"),
        (("monitor", "--resume", ".", "--every", "1s"), "--every: is settled when a probing is begun"),
        (("monitor", ".", "--once", "--prices", "nowhere.yaml"), "nowhere.yaml: "),
        (("monitor", "--resume", "."), "does not say how to probe"),
        (("monitor", ".", "--alerts", "plan.yaml"), "plan.yaml"),
    ],
)
def test_what_cannot_be_watched_is_said_in_two_lines(
    words: tuple[str, ...],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tokenswarm", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error:")
    assert expected in first
    assert second.startswith("hint:")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.yaml"]
