"""A worker on another host: Locust workers, one for each repeat, until the master's run is over."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.handover.planned import DONE_FILE, MASTER_HOST, MET_FILE, OUT, REDIS
from harness.relay import Shipper
from harness.rundir import RunDir
from harness.runs.endings import end_all
from harness.runs.interrupts import held
from harness.runs.swarm import clean_environment, worker_command

_FIRST_CONTACT_S = 600.0
_NEXT_REPEAT_S = 120.0
_PAUSE_S = 0.3
_GRACE_S = 60.0
_RECENT_S = 24 * 3600
_SHIP_S = 15.0


@dataclass(frozen=True)
class Served:
    """How it ended: repeats served, and whether the master's last one was among them."""

    repeats: int
    done: bool
    interrupted: bool


def serve(master_host: str, port: int, out: Path, redis: str | None, tell: Callable[[str], None]) -> Served:
    """Serve one run of a master. Waits ten minutes for it to appear, and two for each next repeat; also for another
    run, when a master has died."""
    out.mkdir(parents=True, exist_ok=True)
    if redis:
        ship_rest(out, redis, tell)
    repeats = 0
    with tempfile.TemporaryDirectory(prefix="tokenswarm-worker-") as name:
        done, met = Path(name) / "done", Path(name) / "met"
        variables = {OUT: str(out.resolve()), MASTER_HOST: master_host, DONE_FILE: str(done), MET_FILE: str(met)}
        variables |= {REDIS: redis} if redis else {}
        last_s = time.monotonic()
        patience_s = _FIRST_CONTACT_S
        while not done.exists():
            if time.monotonic() - last_s > patience_s:
                tell(f"{master_host}:{port}: no master for {patience_s:.0f} s")
                return Served(repeats, done=False, interrupted=False)
            tell(f"waiting for the master at {master_host}:{port}")
            code = _one(worker_command(master_host, port), clean_environment(variables))
            if code != 0 and redis:
                ship_rest(out, redis, tell)
            if code is None:
                return Served(repeats, done=False, interrupted=True)
            if code == 2:
                return Served(repeats, done=False, interrupted=False)
            if met.exists():
                met.unlink()
                patience_s, last_s = _NEXT_REPEAT_S, time.monotonic()
                if code == 1:
                    tell("the master was lost; it may come back")
            repeats += code == 0
            time.sleep(_PAUSE_S)
    return Served(repeats, done=True, interrupted=False)


def ship_rest(out: Path, redis: str, tell: Callable[[str], None]) -> None:
    """Bring over what a worker that was killed had recorded and not shipped. What is there already costs nothing."""
    since_s = time.time() - _RECENT_S
    for path in sorted(out.glob("*/*/journal/r*-w*.jsonl")):
        run_dir = RunDir(path.parent.parent)
        if run_dir.run_json.exists() or path.stat().st_mtime < since_s:
            continue  # a master's own folder, or long past
        health = run_dir.root / f"health-{path.stem}.jsonl"
        shippers = [
            Shipper(redis, run_dir.name, each.stem, each)
            for each in (path, health)
            if each.exists() and each.stat().st_size
        ]
        for shipper in shippers:
            shipper.start()
        shipped = [shipper.stop(_SHIP_S) for shipper in shippers]
        if not all(shipped):
            tell(f"{path}: not all of it could be shipped; it stays there")


def _one(command: list[str], environment: dict[str, str]) -> int | None:
    """One Locust worker, to its end. None: the user stopped it; it has then drained."""
    group: list[subprocess.Popen[bytes]] = []
    try:
        with held():
            group.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)  # noqa: S603
            )
        return group[0].wait()
    except KeyboardInterrupt:
        end_all(group, signal.SIGINT, _GRACE_S)
        return None
