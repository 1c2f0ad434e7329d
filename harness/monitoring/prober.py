"""The process that probes: started by the monitor that watches it, ended with it, and started anew if it dies."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.attempts.prepare import key_of
from harness.errors import UsageFault
from harness.handover.question_sets import write_questions
from harness.monitoring.probe_record import Probing, alone, probe_plan, read_probing, read_progress, write_record
from harness.monitoring.probes import write_run_json
from harness.plan import Budget, Plan
from harness.plan_file import dump_plan, plan_of_text, read_plan
from harness.rundir import RunDir, new_run_dir

_GRACE_S = 45.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_DONE = (0, 3)  # its time, or its budget, is over


def begin(plan: Plan, names: Sequence[str], probing: Probing, out: Path) -> RunDir:
    """Make the run directory of a probing. Raises UsageFault, so that nothing is begun that cannot go on."""
    asked = probe_plan(plan, names, probing)
    _check(asked)
    for target in asked.targets:
        if not target.simulated:
            key_of(target)
    run_dir = new_run_dir(out, f"{asked.name}-probe")
    write_questions(asked, run_dir)
    run_dir.plan.write_text(dump_plan(asked), encoding="utf-8")
    write_record(run_dir.probe, probing)
    write_run_json(run_dir, asked, "running", [])
    return run_dir


def _check(plan: Plan) -> None:
    """Raise the UsageFault of the process that will read the plan, before anything is written."""
    plan_of_text(dump_plan(plan), "the plan as it is probed")


def go_on(run_dir: RunDir, *, budget: Budget, for_s: float | None) -> None:
    """Have a probing that ended go on; what is given replaces what was. Raises UsageFault."""
    probing = read_probing(run_dir.probe)
    with alone(run_dir):
        _go_on(run_dir, probing, budget, for_s)


def _go_on(run_dir: RunDir, probing: Probing, budget: Budget, for_s: float | None) -> None:
    progress = read_progress(run_dir.probe_state)
    plan = read_plan(str(run_dir.plan))
    given = {name: value for name, value in msgspec.structs.asdict(budget).items() if value is not None}
    if given:
        plan = msgspec.structs.replace(plan, budget=msgspec.structs.replace(plan.budget, **given))
        _check(plan)
        run_dir.plan.write_text(dump_plan(plan), encoding="utf-8")
    if for_s is not None:
        write_record(run_dir.probe, msgspec.structs.replace(probing, for_s=for_s))
        write_record(run_dir.probe_state, msgspec.structs.replace(progress, left_s=for_s))
    elif progress.left_s is not None and progress.left_s <= 0:
        raise UsageFault(f"{run_dir.root}: its time is over", "say how much longer, such as --for 10m")
    write_run_json(run_dir, plan, "running", [])


@dataclass
class Prober:
    """The process, and when it is to be started again. `fault`: what it said when it could not go on."""

    run_dir: RunDir
    process: subprocess.Popen[bytes] | None = None
    pause_s: float = _FIRST_PAUSE_S
    again_s: float = field(default_factory=time.monotonic)
    began_s: float = 0.0

    def tend(self) -> bool:
        """Start it where it is not running; whether it has more to do. Raises UsageFault for what it refuses."""
        if self.process is None:
            if time.monotonic() >= self.again_s:
                self._start()
            return True
        code = self.process.poll()
        if code is None:
            return True
        if code in _DONE:
            return False
        if code == 2:
            raise UsageFault(*_said(self.run_dir))
        steady = time.monotonic() - self.began_s > _LONGEST_PAUSE_S
        self.pause_s = _FIRST_PAUSE_S if steady else min(_LONGEST_PAUSE_S, self.pause_s * 2)
        self.process, self.again_s = None, time.monotonic() + self.pause_s
        return True

    def _start(self) -> None:
        self.run_dir.locust_logs.mkdir(exist_ok=True)
        with self._log().open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "harness.monitoring.probes", str(self.run_dir.root)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.began_s = time.monotonic()

    def _log(self) -> Path:
        return self.run_dir.locust_logs / "probe.log"

    def end(self) -> None:
        """Have it end in order."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def prober_of(run_dir: RunDir) -> Iterator[Prober]:
    """The process, for as long as the block lasts."""
    prober = Prober(run_dir)
    try:
        prober.tend()
        yield prober
    finally:
        prober.end()


def _said(run_dir: RunDir) -> tuple[str, str]:
    """The two lines of an error."""
    lines = (run_dir.locust_logs / "probe.log").read_text(encoding="utf-8", errors="replace").splitlines()
    first = next((line.removeprefix("error: ") for line in lines if line.startswith("error:")), "the probing ended")
    hint = next((line.removeprefix("hint: ") for line in lines if line.startswith("hint:")), "see locust/probe.log")
    return first, hint
