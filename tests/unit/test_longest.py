"""How long a repeat may take before its launcher ends it."""

from __future__ import annotations

from pathlib import Path

from harness.allowances.allowance import Purse
from harness.launch import expected_s, longest_s
from harness.plan_file import dump_plan, plan_of
from harness.rundir import RunDir
from harness.runs.swarm import Swarm, commands

PLAN = plan_of(
    {
        "name": "p",
        "repeats": 1,
        "targets": [{"name": "t", "dialect": "openai-chat", "base_url": "http://127.0.0.1:1/v1", "model": "m"}],
        "workload": {"kind": "chat"},
        "stages": [{"concurrency": 1, "duration_s": 5}],
    },
    "plan",
)


def test_a_repeat_is_not_ended_while_its_master_still_waits_for_workers(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.locust_logs.mkdir(parents=True)
    run_dir.plan.write_text(dump_plan(PLAN))
    for swarm in (Swarm(local=2), Swarm(expected=2)):
        (master, *_) = commands(PLAN, run_dir, 1, swarm, None, Purse())
        waits_s = float(master.words[master.words.index("--expect-workers-max-wait") + 1])
        assert longest_s(PLAN, swarm) > waits_s + expected_s(PLAN)
