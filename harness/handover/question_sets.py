"""The questions of a run: a copy of every set stands in its run directory, for workers, for grading and for later."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from harness.errors import UsageFault
from harness.plan import Plan
from harness.plan_file import with_questions
from harness.questions.question_files import load_questions
from harness.records.question import encode_questions
from harness.rundir import RunDir

_MOST_BYTES = 32 << 20  # of all together, compressed: Locust sends them in one message


def write_questions(plan: Plan, run_dir: RunDir) -> None:
    """Copy the set of each workload into the run directory. Raises UsageFault where one cannot be had."""
    for workload in plan.workloads:
        if workload.questions is not None:
            path = run_dir.questions(workload.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_questions(load_questions(workload.questions)))


def with_copied_questions(plan: Plan, run_dir: RunDir) -> Plan:
    """The plan with each set taken from the run directory."""
    return with_questions(plan, lambda workload, _: str(run_dir.questions(workload)))


def packed_questions(plan: Plan, run_dir: RunDir) -> dict[str, bytes]:
    """The sets of a run, compressed, by workload. Raises UsageFault where they are too large to send."""
    named = [each.name for each in plan.workloads if each.questions is not None]
    found = {name: zlib.compress(run_dir.questions(name).read_bytes()) for name in named}
    size = sum(map(len, found.values()))
    if size > _MOST_BYTES:
        message = f"questions: {size >> 20} MiB compressed: at most {_MOST_BYTES >> 20} MiB go to other hosts"
        raise UsageFault(message, "ask a part of the set: write its rows into a file of their own")
    return found


def unpack_questions(questions: Mapping[str, bytes], run_dir: RunDir) -> None:
    """Write what a master sent into this host's run directory."""
    for name, data in questions.items():
        path = run_dir.questions(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(zlib.decompress(data))
