"""Runs a command with all its descendants on one core, and writes down what they used.

`python benchmarks/pinned.py CORE OUT COMMAND...`; OUT gets `{"cpu_s", "wall_s", "exit_code"}`.
Orphans are adopted (PR_SET_CHILD_SUBREAPER), so that no process of the tree is left out of the sum. This wrapper's own
CPU is not counted. It imports nothing of the project: it starts in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Run the command; returns its exit code."""
    core, out, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.sched_setaffinity(0, {int(core)})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the benchmark itself is asked, and then sends SIGTERM
    begin_s = time.monotonic()
    process = subprocess.Popen(command)  # noqa: S603  (the benchmark's own command)
    signal.signal(signal.SIGTERM, lambda *_: _kill(os.getpid()))
    exit_code = process.wait()
    wall_s = time.monotonic() - begin_s
    _wait_for_orphans()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": wall_s,
        "exit_code": exit_code,
    }
    Path(out).write_text(json.dumps(report), encoding="utf-8")
    return exit_code


def _kill(pid: int) -> None:
    """End all descendants. Those whose parent dies before them are adopted, and found as the benchmark asks again."""
    with suppress(OSError):  # it may have ended just now
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
            _kill(int(child))
            os.kill(int(child), signal.SIGKILL)


def _wait_for_orphans() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    sys.exit(main())
