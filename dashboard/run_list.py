"""The runs below a folder that somebody may want to watch: those that are going on, and the latest that ended."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from harness.errors import UNREADABLE
from harness.rundir import RunDir

MOST = 30
QUIET_S = 60.0  # without a line in any file, a run that says it is running has died

State = Literal["running", "ended", "died", "waiting"]


@dataclass(frozen=True)
class Listed:
    """A run directory. `name`: its place below the root, `PLAN/START-ID`; `ended`: what run.json says of the end."""

    name: str
    plan: str
    started_utc: str
    state: State
    ended: str | None
    report: bool


class _RunJson(msgspec.Struct):
    plan: str = ""
    started_utc: str = ""
    ended: str | None = None


def latest(root: Path, most: int = MOST) -> list[Listed]:
    """The latest runs by when they began, those that go on first. Their folders' names begin with the time."""
    found: list[tuple[str, str]] = []
    for plan in folders(root):
        found += [(name, plan) for name in folders(root / plan)]
    found.sort(reverse=True)
    listed = [each for name, plan in found[: 2 * most] if (each := listed_of(root, f"{plan}/{name}")) is not None]
    return sorted(listed[:most], key=lambda each: each.state != "running")


def folders(path: Path) -> list[str]:
    """The names of the folders in a folder, without hidden ones and without links, which may lead elsewhere."""
    try:
        with os.scandir(path) as entries:
            return [
                each.name for each in entries if not each.name.startswith(".") and each.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []


def listed_of(root: Path, name: str) -> Listed | None:
    """What is known of one run; None where that is no run directory."""
    run_dir = RunDir(root / name)
    try:
        record = msgspec.json.decode(run_dir.run_json.read_bytes(), type=_RunJson)
    except (OSError, *UNREADABLE):
        if not run_dir.plan.exists() and not run_dir.monitor.exists():
            return None
        record = _RunJson(plan=name.partition("/")[0])
    return Listed(
        name=name,
        plan=record.plan or name.partition("/")[0],
        started_utc=record.started_utc,
        state=_state(run_dir, record.ended),
        ended=record.ended,
        report=run_dir.report.exists(),
    )


def _state(run_dir: RunDir, ended: str | None) -> State:
    if ended not in (None, "running"):
        return "ended"
    return "running" if time.time() - _changed_s(run_dir) < QUIET_S else "died"


def _changed_s(run_dir: RunDir) -> float:
    """When anything was last written, by the system's clock."""
    latest_s = 0.0
    for path in (run_dir.run_json, run_dir.health, run_dir.monitor, run_dir.journals, run_dir.locust_logs):
        with suppress(OSError):
            latest_s = max(latest_s, path.stat().st_mtime)
    for path in run_dir.journals.glob("*.jsonl"):
        with suppress(OSError):
            latest_s = max(latest_s, path.stat().st_mtime)
    return latest_s
