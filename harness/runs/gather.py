"""Bringing together on the master's host what the workers of other hosts have recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.handover.planned import lost_workers, read_late
from harness.journals.redis_client import REDIS_URL
from harness.rundir import RunDir
from harness.runs.endings import end_all
from harness.runs.swarm import Swarm

_FOOTER = b'{"type":"footer"'
_LAST_LINES_S = 50.0  # for workers to ship their last lines after Locust has ended
_DRAIN_S = 8.0
_QUIET_S = 10.0  # a worker that was killed is started again, and ships what the other had not
_HEALTH = "health-*.jsonl"


@contextmanager
def collector_of(run_dir: RunDir, swarm: Swarm, missing: list[str]) -> Iterator[None]:
    """The collector for as long as the block lasts, and until the journals of all workers have come to their end, if
    workers on other hosts ship them. One that dies is started again: what it wrote is its memory."""
    if not swarm.expected or swarm.redis is None:
        yield
        return
    process = _start(run_dir, swarm.redis)
    try:
        yield
        end_s = time.monotonic() + _LAST_LINES_S
        while _more_may_come(run_dir, swarm.expected) and time.monotonic() < end_s:
            if process.poll() is not None:
                process = _start(run_dir, swarm.redis)
            time.sleep(0.2)
    finally:
        end_all([process], signal.SIGTERM, _DRAIN_S)
        gather_health(run_dir)
        missing += [f"{name}: its journal has not come to its end" for name in open_journals(run_dir, swarm.expected)]


def _more_may_come(run_dir: RunDir, workers: int) -> bool:
    """Whether a journal is open that belongs to a worker which lives; or, if it was lost, which grew lately."""
    lost = {name for repeat in _begun(run_dir) for name in lost_workers(run_dir, repeat)}
    still_open = set(open_journals(run_dir, workers))
    if still_open - lost:
        return True
    grown_s = max((path.stat().st_mtime for path in run_dir.journals.glob("*.jsonl")), default=0.0)
    return bool(still_open) and time.time() - grown_s < _QUIET_S


def _start(run_dir: RunDir, url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "harness.journals.collect", "--run", run_dir.name, "--folder", str(run_dir.root)]
    with (run_dir.locust_logs / "collect.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {REDIS_URL: url},  # not in the process list: it may hold a password
            start_new_session=True,
        )


def wait_for_journals(run_dir: RunDir, swarm: Swarm) -> None:
    """Until the journals of past repeats are here, if they come from other hosts; some seconds at most."""
    end_s = time.monotonic() + _DRAIN_S
    while swarm.redis and open_journals(run_dir, swarm.expected) and time.monotonic() < end_s:
        time.sleep(0.2)


def open_journals(run_dir: RunDir, workers: int) -> list[str]:
    """The workers, of every repeat that has begun, whose journal is not here or has no last line. Those that came late
    count once they have had load."""
    names = [f"r{repeat}-w{k}" for repeat in _begun(run_dir) for k in range(workers)]
    names += [name for repeat in _begun(run_dir) for name in read_late(run_dir, repeat)]
    return [name for name in names if not _ended(run_dir.journal(name))]


def _begun(run_dir: RunDir) -> list[int]:
    return sorted(int(path.stem.partition("_")[0][1:]) for path in run_dir.locust_logs.glob("r*_locustfile.py"))


def _ended(path: Path) -> bool:
    try:
        with path.open("rb") as journal:
            journal.seek(max(0, path.stat().st_size - 4096))
            return _FOOTER in journal.read()
    except OSError:
        return False


def gather_health(run_dir: RunDir) -> None:
    """Rows that came as journals of their own become part of health.jsonl. Done again, it adds nothing twice."""
    for path in sorted(run_dir.journals.glob(_HEALTH)):
        lines = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        with run_dir.health.open("ab") as health:
            health.writelines(lines)
        path.rename(run_dir.locust_logs / path.name)
