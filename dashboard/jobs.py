"""Runs that the dashboard starts: each a process of `tokenswarm run`, which outlives the dashboard.

All that is known of a job stands in its folder below the runs root (`.dashboard/jobs/ID/`): the plan, what the process
said, and `job.json` with its number and when it began, since a number alone may be another process by now.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from harness.environment import now_utc
from harness.errors import UNREADABLE, UsageFault
from harness.plan import Plan
from harness.plan_file import dump_plan
from harness.rundir import RunDir, write_whole

FOLDER = Path(".dashboard", "jobs")
_SAID = "run directory: "  # what `tokenswarm run` says first on stderr
_TAIL = 4000  # characters of what a process said
_SAME_S = 0.05  # two readings of when one process began
# Whoever starts the dashboard in the background of a script hands an ignored SIGINT down, and with it no Stop.
_CODE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from harness.cli import main; main()"

State = Literal["running", "stopping", "complete", "degraded", "interrupted", "failed"]


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """`job.json`. `began_s`: when the process began, in s of the system's clock (psutil's `create_time`)."""

    pid: int
    began_s: float
    plan: str
    started_utc: str
    stop_asked_utc: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands now. `run`: the run's id once it has a run directory; `said`: the end of its stderr."""

    id: str
    plan: str
    started_utc: str
    state: State
    run: str | None
    said: str


_children: dict[int, subprocess.Popen[bytes]] = {}  # to be reaped by whoever started them


def start(runs_root: Path, plan: Plan, *, most: int = 1) -> str:
    """Start a plan that was checked; its id. Raises UsageFault where `most` jobs are running already."""
    with _alone(runs_root):
        running = [job for job in jobs(runs_root) if job.state in ("running", "stopping")]
        if len(running) >= most:
            names = ", ".join(job.plan for job in running)
            hint = "wait until it has ended, or stop it; `tokenswarm dashboard --jobs N` allows more"
            raise UsageFault(f"start: {len(running)} already running: {names}", hint)
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{stamp}-{secrets.token_hex(3)}"
        folder = runs_root / FOLDER / name
        folder.mkdir(parents=True)
        (folder / "plan.yaml").write_text(dump_plan(plan), encoding="utf-8")
        process = _launched(runs_root, folder)
        _children[process.pid] = process
        began_s = psutil.Process(process.pid).create_time()
        _note(folder, Started(pid=process.pid, began_s=began_s, plan=plan.name, started_utc=now_utc()))
    return name


def _launched(runs_root: Path, folder: Path) -> subprocess.Popen[bytes]:
    """In a session of its own: what ends the dashboard does not end the run."""
    words = ["run", str((folder / "plan.yaml").resolve()), "--out", str(runs_root.resolve())]
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", _CODE, *words],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )


def stop(runs_root: Path, name: str) -> None:
    """Ask a job to end as Ctrl-C does: nothing new is sent, what is under way ends. Raises UsageFault."""
    with _alone(runs_root):
        folder = _folder(runs_root, name)
        started = _started(folder)
        if started is None or not _alive(started):
            raise UsageFault(f"stop: {name}: has ended already", "its run directory has what was measured")
        if started.stop_asked_utc is None:
            _note(folder, msgspec.structs.replace(started, stop_asked_utc=now_utc()))
            with suppress(ProcessLookupError):
                os.kill(started.pid, signal.SIGINT)


def jobs(runs_root: Path) -> list[Job]:
    """All jobs, the latest first."""
    folder = runs_root / FOLDER
    names = sorted((each.name for each in folder.iterdir()), reverse=True) if folder.is_dir() else []
    found = (job_of(runs_root, name) for name in names)
    return [job for job in found if job is not None]


def job_of(runs_root: Path, name: str) -> Job | None:
    """One job; None where there is none of that name."""
    folder = _folder(runs_root, name)
    started = _started(folder)
    if started is None:
        return None
    said = _tail(folder / "stderr")
    run_dir = _run_dir(folder)
    root = runs_root.resolve()
    inside = run_dir is not None and run_dir.is_relative_to(root)
    return Job(
        id=name,
        plan=started.plan,
        started_utc=started.started_utc,
        state=_state(started, run_dir),
        run=str(run_dir.relative_to(root)) if run_dir is not None and inside else None,
        said=said,
    )


def _state(started: Started, run_dir: Path | None) -> State:
    if _alive(started):
        return "running" if started.stop_asked_utc is None else "stopping"
    if run_dir is None:
        return "failed"
    try:
        ended = msgspec.json.decode(RunDir(run_dir).run_json.read_bytes()).get("ended")
    except (OSError, *UNREADABLE, AttributeError):
        return "failed"
    found: State = ended if ended in ("complete", "degraded", "interrupted") else "failed"
    return found


def _run_dir(folder: Path) -> Path | None:
    """Where the run records, as its process said at its beginning."""
    with suppress(OSError), (folder / "stderr").open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith(_SAID):
                return Path(line.removeprefix(_SAID).strip()).resolve()
    return None


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode("utf-8", errors="replace").strip()
    except OSError:
        return ""


def _alive(started: Started) -> bool:
    child = _children.get(started.pid)
    if child is not None and child.poll() is not None:
        del _children[started.pid]
    try:
        process = psutil.Process(started.pid)
        same = abs(process.create_time() - started.began_s) < _SAME_S
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _folder(runs_root: Path, name: str) -> Path:
    """Raises UsageFault for what is no name of a job."""
    if not name or not all(each.isalnum() or each == "-" for each in name):
        raise UsageFault(f"job {name[:60]!r}: no such job", "choose one of the list")
    return runs_root / FOLDER / name


def _started(folder: Path) -> Started | None:
    try:
        return msgspec.json.decode((folder / "job.json").read_bytes(), type=Started)
    except (OSError, *UNREADABLE):
        return None


def _note(folder: Path, started: Started) -> None:
    write_whole(folder / "job.json", msgspec.json.encode(started))


@contextmanager
def _alone(runs_root: Path) -> Iterator[None]:
    """One at a time, also of several dashboards over one folder."""
    folder = runs_root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
