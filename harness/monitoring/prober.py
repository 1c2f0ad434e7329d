"""The process that probes: started by the monitor that watches it, ended with it, and started anew if it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from harness.attempts.prepare import key_of
from harness.errors import UsageFault, said_fault
from harness.handover.question_sets import write_questions
from harness.monitoring.probe_record import Probing, alone, probe_plan, read_probing, read_progress, write_record
from harness.monitoring.probes import UNRECORDED, write_run_json
from harness.plan import Budget, Plan
from harness.plan_file import dump_plan, plan_of_text, read_plan
from harness.rundir import RunDir, new_run_dir
from harness.runs.endings import end_all

_GRACE_S = 45.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_DONE = (0, 3)  # its time, or its budget, is over
_STEADY_S = 10.0  # one that lives so long sends: what hinders it does so at its start, or at its first record


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
    """The process, and when it is to be started again. Its time (`for_s`) goes on while it cannot send; `say` takes a
    line when it begins to fail, and when it sends again."""

    run_dir: RunDir
    say: Callable[[str], None] = lambda _: None
    process: subprocess.Popen[bytes] | None = None
    pause_s: float = _FIRST_PAUSE_S
    again_s: float = field(default_factory=time.monotonic)
    began_s: float = 0.0
    until_s: float | None = None  # on the monotonic clock
    fault: str | None = None
    failing_since_s: float = 0.0
    unsent_s: float = 0.0  # in which it failed, until it sent again

    def __post_init__(self) -> None:
        left_s = read_progress(self.run_dir.probe_state).left_s
        left_s = read_probing(self.run_dir.probe).for_s if left_s is None else left_s
        self.until_s = None if left_s is None else time.monotonic() + left_s

    def tend(self) -> bool:
        """Start it where it is not running; whether it has more to do. Raises UsageFault for what it refuses."""
        now_s = time.monotonic()
        if self.process is None:
            return self._wait(now_s)
        code = self.process.poll()
        if code is None:
            if self.fault is not None and now_s - self.began_s > _STEADY_S:
                self._works_again(now_s)
            return True
        if code in _DONE:
            if self.fault is not None:
                self._works_again(now_s)
            return False
        if code == 2:
            raise _said(self.run_dir)
        steady = now_s - self.began_s > _LONGEST_PAUSE_S
        self.pause_s = _FIRST_PAUSE_S if steady else min(_LONGEST_PAUSE_S, self.pause_s * 2)
        self.process, self.again_s = None, now_s + self.pause_s
        self._failed(
            f"cannot record in {self.run_dir.root}" if code == UNRECORDED else f"ended with code {code}", now_s
        )
        return True

    def _wait(self, now_s: float) -> bool:
        """While none runs: the run directory shows that somebody sees to it, and its time passes."""
        with suppress(OSError):
            self.run_dir.run_json.touch()
        if self.until_s is not None and now_s >= self.until_s:
            self._over(now_s)
            return False
        if now_s >= self.again_s:
            self._start()
        return True

    def _failed(self, what: str, now_s: float) -> None:
        if self.fault is None:
            self.failing_since_s = now_s
            self.say(f"no probes are sent: the process that probes {what}; it is started again and again")
        said = _last_line(self._log())
        self.fault = f"the process that probes {what}" + (f": {said}" if said else "")

    def _works_again(self, now_s: float) -> None:
        self.unsent_s += self.began_s - self.failing_since_s
        self.say(f"probes are sent again, after {now_s - self.failing_since_s:.0f} s")
        self.fault = None

    def _over(self, now_s: float) -> None:
        """Its time is over, and it could not send to the end."""
        if self.fault is not None:
            self.unsent_s += now_s - self.failing_since_s
        missing = f"no probes were sent for {self.unsent_s:.0f} s: {self.fault or 'the process that probes ended'}"
        self.fault = missing
        with suppress(OSError):
            write_record(
                self.run_dir.probe_state, msgspec.structs.replace(read_progress(self.run_dir.probe_state), left_s=0.0)
            )
            write_run_json(self.run_dir, read_plan(str(self.run_dir.plan)), "degraded", [missing])

    def doubt(self) -> str | None:
        """What is to be doubted of the figures now; None: probes are sent."""
        return self.fault

    def _start(self) -> None:
        now_s = time.monotonic()
        left = [] if self.until_s is None else [str(self.until_s - now_s)]
        with _opened(self._log()) as log:
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "harness.monitoring.probes", str(self.run_dir.root), *left],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.began_s = now_s

    def _log(self) -> Path:
        return self.run_dir.locust_logs / "probe.log"

    def end(self) -> None:
        """Have it end in order."""
        if self.process is not None:
            end_all([self.process], signal.SIGTERM, _GRACE_S)


@contextmanager
def prober_of(run_dir: RunDir, say: Callable[[str], None] = lambda _: None) -> Iterator[Prober]:
    """The process, for as long as the block lasts."""
    prober = Prober(run_dir, say)
    try:
        prober.tend()
        yield prober
    finally:
        prober.end()


def _opened(log: Path) -> IO[bytes]:
    """The log of a process, begun anew; where it cannot be written, what the process says is dropped."""
    try:
        log.parent.mkdir(exist_ok=True)
        return log.open("wb")
    except OSError:
        return Path(os.devnull).open("wb")


def _last_line(log: Path) -> str:
    """What a process said last; nothing where it said nothing, as on a disk that is full."""
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), "")
    return ""


def _said(run_dir: RunDir) -> UsageFault:
    """What the process refused."""
    lines = (run_dir.locust_logs / "probe.log").read_text(encoding="utf-8", errors="replace").splitlines()
    return said_fault(lines, "the probing ended", "see locust/probe.log")
