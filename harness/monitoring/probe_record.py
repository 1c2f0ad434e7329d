"""How targets are probed without a load run, and how far that has come: `probe.json` and `probe_state.json`."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec

from harness.errors import UNREADABLE, UsageFault
from harness.plan import Plan, Stage
from harness.rundir import RunDir, write_whole

LONGEST_S = 1e9
LEAST_EVERY_S = 0.05
PART_S = 900.0
PART_BYTES = 5_000_000


class Probing(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: each target and workload once `every_s`, a tenth more or less, for `for_s` (None: until it is
    ended). `fresh`: each time on a new connection. `part_s`: how long a journal is appended to before the next one."""

    schema: int = 1
    every_s: Annotated[float, msgspec.Meta(ge=LEAST_EVERY_S)] = 20.0
    for_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    fresh: bool = False
    part_s: Annotated[float, msgspec.Meta(gt=0)] = PART_S


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is: the number of the last part, requests sent in all, and the USD of those whose cost is known; the
    others count with the most that they can cost. `left_s`: of `for_s`."""

    part: int = 0
    requests: int = 0
    usd: float = 0.0
    left_s: float | None = None


def read_probing(path: Path) -> Probing:
    """What `probe.json` asks for. Raises UsageFault."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Probing)
    except (OSError, *UNREADABLE) as error:
        raise UsageFault(
            f"{path}: does not say how to probe: {error}", "start it from a plan, with --target"
        ) from error


def read_progress(path: Path) -> Progress:
    """How far it is; nothing where there is no such file. Raises UsageFault where it cannot be read: what has been
    spent would not be known."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Progress)
    except FileNotFoundError:
        return Progress()
    except (OSError, *UNREADABLE) as error:
        raise UsageFault(f"{path}: does not say what was spent: {error}", "probe in a new directory") from error


def write_record(path: Path, record: msgspec.Struct) -> None:
    """Write one of the two. Raises OSError."""
    write_whole(path, msgspec.json.encode(record) + b"\n")


@contextmanager
def alone(run_dir: RunDir, patience_s: float = 90.0) -> Iterator[None]:
    """While the block lasts no other process probes in the directory; one that is just ending is waited for. Raises
    UsageFault where another goes on for so long."""
    lock = os.open(run_dir.probe_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    end_s = time.monotonic() + patience_s
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > end_s:
                    message = f"{run_dir.root}: another process probes in it"
                    raise UsageFault(message, "end the monitor that started it first") from error
                time.sleep(0.1)
        yield
    finally:
        os.close(lock)


def probe_plan(plan: Plan, names: Sequence[str], probing: Probing) -> Plan:
    """The plan as it is probed: the named targets alone, the workloads that they can run, and one open stage of all of
    the time. Raises UsageFault."""
    known = [target.name for target in plan.targets]
    for name in names:
        if name not in known:
            raise UsageFault(f"--target {name}: no such target in the plan", f"there are: {', '.join(known)}")
    targets = tuple(target for target in plan.targets if target.name in names)
    kinds = {target.kind for target in targets}
    stage = Stage(
        name="probe",
        rate_rps=1 / probing.every_s,
        duration_s=probing.for_s or LONGEST_S,
        max_in_flight=2,
        max_lag_s=max(1.0, probing.every_s),
    )
    workloads = tuple(
        msgspec.structs.replace(workload, stages=(), ask_times=1)
        for workload in plan.workloads
        if workload.kind in kinds
    )
    if not workloads:
        raise UsageFault(f"--target {names[0]}: no workload of the plan is for it", "name another target")
    return msgspec.structs.replace(plan, targets=targets, workloads=workloads, stages=(stage,), repeats=1, warmup_s=0.0)
