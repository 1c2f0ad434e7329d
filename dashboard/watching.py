"""Monitors that the dashboard starts for runs that somebody looks at, where none watches; they end when nobody looks.

The figures of the live page are those of `tokenswarm monitor`, and of nothing else: a run whose monitor was started
elsewhere is shown by that one's `monitor.json`. A run may be from anywhere, and looking at it must not run the commands
nor ask the URLs that its plan names: of the plan's alerts the rules are judged, and only the log is told.
"""

from __future__ import annotations

import atexit
import contextlib
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil
import yaml

from harness.errors import UsageFault
from harness.plan_file import read_plan
from harness.records.alert_record import LogSink, Reports
from harness.rundir import RunDir, write_whole
from harness.runs.endings import end_all

FRESH_S = 6.0  # a picture that is older is nobody's who still watches
AGAIN_S = 20.0  # before another is started where one ended
UNWATCHED_S = 45.0
FOLDER = Path(".dashboard", "watch")
_GENTLE = 5  # load may be made on this machine
_GRACE_S = 10.0


@dataclass
class _Watched:
    process: subprocess.Popen[bytes]
    started_s: float
    looked_s: float


@dataclass
class Watch:
    """The monitors of one dashboard. Threads may share it. Times in s of the monotonic clock.

    `root`: the folder of runs; `unwatched_s`: how long a monitor goes on after somebody looked last.
    """

    root: Path
    unwatched_s: float = UNWATCHED_S
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _sweeping: bool = False

    def __post_init__(self) -> None:
        atexit.register(self.end)

    def look(self, run_dir: RunDir) -> None:
        """Somebody looks at a run that goes on: see that somebody watches it."""
        now_s, name = time.monotonic(), str(run_dir.root)
        with self._lock:
            known = self._watched.get(name)
            if known is not None:
                known.looked_s = now_s
            waits = known is not None and (known.process.poll() is None or now_s - known.started_s < AGAIN_S)
            if not waits and not is_fresh(run_dir):
                try:
                    self._watched[name] = _Watched(_started(self.root, run_dir), now_s, now_s)
                except UsageFault:  # its plan is not there yet, or damaged: the next look tries again
                    return
                if not self._sweeping:
                    self._sweeping = True
                    threading.Thread(target=self._sweep, daemon=True, name="monitors nobody looks at").start()

    def trouble(self, run_dir: RunDir) -> str:
        """Why there is no picture yet."""
        with self._lock:
            known = self._watched.get(str(run_dir.root))
        if known is None:
            return "No monitor can watch it: its plan.yaml cannot be read."
        if known.process.poll() is None:
            return "A monitor is starting."
        try:
            path = _beside(self.root, run_dir, "log")
            said = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            said = []
        first = next((line for line in reversed(said) if line.startswith("error: ")), said[-1] if said else "")
        return f"The monitor ended: {first.removeprefix('error: ')[:300] or 'it said nothing'}"

    def watching(self) -> list[int]:
        """The processes that run for us."""
        with self._lock:
            return [each.process.pid for each in self._watched.values() if each.process.poll() is None]

    def end(self) -> None:
        """End all of them."""
        with self._lock:
            end_all([each.process for each in self._watched.values()], signal.SIGTERM, _GRACE_S)
            self._watched.clear()

    def _sweep(self) -> None:
        while True:
            time.sleep(1.0)
            with self._lock:
                now_s = time.monotonic()
                for name, each in list(self._watched.items()):
                    if now_s - each.looked_s > self.unwatched_s:
                        end_all([each.process], signal.SIGTERM, _GRACE_S)
                        del self._watched[name]
                if not self._watched:
                    self._sweeping = False
                    return


def is_fresh(run_dir: RunDir) -> bool:
    """Whether somebody wrote the picture of a run within the last seconds."""
    try:
        return time.time() - run_dir.monitor.stat().st_mtime < FRESH_S
    except OSError:
        return False


def _beside(root: Path, run_dir: RunDir, kind: str) -> Path:
    """A file about the watching of a run: not in the run's own folder, where a link may lead anywhere."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{run_dir.root.parent.name}_{run_dir.root.name}.{kind}"


def _started(root: Path, run_dir: RunDir) -> subprocess.Popen[bytes]:
    """Raises UsageFault: the run has no plan that can be read."""
    alerts = read_plan(str(run_dir.plan)).alerts
    quiet = msgspec.structs.replace(alerts, sinks=(LogSink(),), reports=Reports())
    rules = _beside(root, run_dir, "yaml")
    write_whole(rules, yaml.safe_dump(msgspec.to_builtins(quiet), allow_unicode=True).encode())
    with _beside(root, run_dir, "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "harness", "monitor", str(run_dir.root), "--alerts", str(rules)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process(process.pid).nice(_GENTLE)
    return process
