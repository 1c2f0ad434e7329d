"""Running one client beside the simulator, each on a core of its own, and watching both."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from harness.simulator.process import running

_HERE = Path(__file__).parent
_SAMPLE_EVERY_S = 0.25
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_DIED = 70


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What `pinned` saw of a client's whole process tree."""

    cpu_s: float
    wall_s: float
    exit_code: int


class Moment(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The tree at one moment (monotonic clock): CPU spent since its start, and the sum of the most memory that each
    process then alive has had resident."""

    at_ns: int
    cpu_s: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class Cores:
    """Which core the simulator has, and which the client. The same one where there is but one."""

    simulator: int
    client: int


def choose_cores() -> Cores:
    """The first and the last core this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[-1])


def allow_many_sockets() -> None:
    """Raise the limit of open files as far as it goes; children inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def simulator(config: Path, truth: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A simulator on this process's core (children inherit the affinity): its URL and its process."""
    before = {child.pid for child in psutil.Process().children()}
    with running(config, truth) as url:
        (process,) = (child for child in psutil.Process().children() if child.pid not in before)
        yield url, process


def run_pinned(
    command: list[str], core: int, folder: Path, variables: dict[str, str], limit_s: float
) -> tuple[Spent, list[Moment]]:
    """Run `command` in `folder` on `core` until it ends, sampling its tree; after `limit_s` it is killed.

    Its output goes to `folder/log`.
    """
    report = folder / "spent.json"
    wrapped = [sys.executable, "-S", str(_HERE / "pinned.py"), str(core), str(report), *command]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  (commands of the benchmark's own)
            wrapped, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | variables
        )
        moments = _watch(process, limit_s)
    if not report.exists():
        return Spent(cpu_s=0.0, wall_s=limit_s, exit_code=_DIED), moments
    return msgspec.json.decode(report.read_bytes(), type=Spent), moments


def _watch(process: subprocess.Popen[bytes], limit_s: float) -> list[Moment]:
    moments = []
    until_s = time.monotonic() + limit_s
    try:
        while process.poll() is None:
            if time.monotonic() > until_s:
                process.terminate()  # again and again: what it has adopted since has to go too
            moments.append(_moment(process.pid))
            time.sleep(_SAMPLE_EVERY_S)
    finally:
        while process.poll() is None:
            process.terminate()
            time.sleep(_SAMPLE_EVERY_S)
    return moments


def _moment(wrapper: int) -> Moment:
    at_ns = time.monotonic_ns()
    ticks = peak_bytes = 0
    for pid in _descendants(wrapper):
        with suppress(OSError, IndexError, ValueError):  # it may have ended just now
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # its own, and that of the children it has waited for
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            peak_bytes += int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024
    ticks += _waited_ticks(wrapper)
    return Moment(at_ns=at_ns, cpu_s=ticks / _TICKS_PER_S, peak_rss_bytes=peak_bytes)


def _waited_ticks(pid: int) -> int:
    with suppress(OSError, IndexError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return int(fields[13]) + int(fields[14])
    return 0


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208  (names are all that is wanted)
            children = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii").split()
            for child in map(int, children):
                yield child
                yield from _descendants(child)
