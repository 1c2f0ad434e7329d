"""One worker's side of a planned run: when an open cell begins, and what is ready by then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.allowances.allowance import Purse
from harness.handover.planned import to_environment
from harness.plan_file import dump_plan, plan_of
from harness.rundir import RunDir

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


READ_BY = """
from locust import events
from locust.env import Environment

from harness.arrivals import _read_once
from locustfiles import planned

environment = Environment(user_classes=[user for _, user in planned.STEPS], events=events)
events.init.fire(environment=environment, runner=environment.create_local_runner(), web_ui=None)
print(_read_once.cache_info().currsize)
"""


def test_a_process_alone_has_read_its_trace_before_the_load_begins(tmp_path: Path) -> None:
    """To read it at the first arrival would make all of the first second late."""
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"timestamp": 0, "input_length": 20, "output_length": 4}\n')
    target = {"name": "t", "dialect": "openai-chat", "base_url": "http://127.0.0.1:1/v1", "model": "m"}
    stage = {"arrival": "trace", "trace": str(trace), "duration_s": 3}
    plan = plan_of({"name": "p", "targets": [target], "workload": {"kind": "chat"}, "stages": [stage]}, "plan")
    run_dir = RunDir(tmp_path / "p" / "run")
    run_dir.locust_logs.mkdir(parents=True)
    run_dir.plan.write_text(dump_plan(plan))
    env = os.environ | to_environment(run_dir, 1, (0, 1), None, Purse())
    done = subprocess.run(
        [sys.executable, "-c", READ_BY], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "1\n", done.stderr
