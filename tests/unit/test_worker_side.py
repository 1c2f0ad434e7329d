"""One worker's side of a planned run: when an open cell begins, by this host's clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

AHEAD_S = 3  # this host's wall clock before the master's
SCRIPT = """
import sys, time
from pathlib import Path
from types import SimpleNamespace

from harness.planned_run.worker_side import WorkerSide  # first: with it comes locust, which patches sockets

import gevent
from harness.handover.planned import Assignment
from harness.plan import Plan, Stage, Target, Workload
from harness.rundir import RunDir

def message(**data):
    return SimpleNamespace(data=data)

ahead_ns = int(sys.argv[2]) * 10**9
target = Target(name="t", dialect="openai-chat", base_url="http://127.0.0.1:1/v1", model="m")
plan = Plan(name="p", targets=(target,), workloads=(Workload(),), stages=(Stage(rate_rps=1, duration_s=1),))
side = WorkerSide(Assignment(RunDir(Path(sys.argv[1])), plan, 1, None))
wanted_ns = time.monotonic_ns()
side.on_begin(message(step=0, wall_ns=time.time_ns() - ahead_ns))
side.on_pong(message(mono_ns=time.monotonic_ns(), master_ns=time.time_ns() - ahead_ns))
side.on_share(message(k=0, n=1), SimpleNamespace(runner=None))
gevent.sleep(0.01)
print((side.begin_ns[0] - wanted_ns) / 1e9)
"""


def test_the_first_open_cell_begins_by_the_clock_of_the_master_though_it_is_named_before_the_clocks_are_compared(
    tmp_path: Path,
) -> None:
    words = [sys.executable, "-c", SCRIPT, str(tmp_path), str(AHEAD_S)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert abs(float(done.stdout)) < AHEAD_S / 2
