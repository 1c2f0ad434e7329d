"""Runs a plan: one User class for each cell, and the shape that goes through them. Started by `tokenswarm run`."""

import os
import time
from typing import Any

from locust import events
from locust.env import Environment

from harness.carry import carry_in, carry_out
from harness.journal import Journal
from harness.plan import Cell, Timeouts, cells
from harness.planned import assignment_from_environment
from harness.shape import PlannedShape
from harness.user import SIMULATOR_KEY, AskingUser, Recorder, key_of

assignment = assignment_from_environment()
plan = assignment.plan
recorders: list[Recorder] = []
begun_ns: dict[type, int] = {}


def recorder() -> Recorder:
    """This process's recorder, made when its first user starts."""
    if not recorders:
        run, worker, repeat, share = (
            assignment.run_dir.name,
            assignment.worker,
            assignment.repeat,
            assignment.share,
        )
        journal = Journal(assignment.run_dir.journal(worker), run, worker, repeat, share)
        recorders.append(Recorder(run, worker, repeat, share, plan.seed, journal))
    return recorders[0]


class CellUser(AskingUser):
    """A user of one cell. It sends until the cell's span is over."""

    abstract = True
    planned_cell: Cell

    def setting(self) -> tuple[Cell, Recorder, str | None]:
        """The cell of its class."""
        target = self.planned_cell.target
        return self.planned_cell, recorder(), SIMULATOR_KEY if target.name in SIMULATED else key_of(target)

    def timeouts(self) -> Timeouts:
        """The plan's."""
        return plan.timeouts

    def more(self) -> bool:
        """Until the span is over, counted from this process's first request in the cell."""
        begin_ns = begun_ns.setdefault(type(self), time.monotonic_ns())
        return time.monotonic_ns() - begin_ns < self.planned_cell.span_s * 1e9


SIMULATED = {
    target.name
    for target in plan.targets
    if target.base_url.startswith(os.environ.get("TOKENSWARM_SIMULATOR_URL", "-"))
}
STEPS = [
    (cell, type(f"Cell{index}", (CellUser,), {"planned_cell": cell, "abstract": False}))
    for index, cell in enumerate(cells(plan, assignment.repeat))
]
globals().update({user.__name__: user for _, user in STEPS})  # where Locust looks for user classes


class Shape(PlannedShape):
    """The cells of this repeat."""

    steps = STEPS


@events.test_start.add_listener
def _carry_in(environment: Environment, **_: Any) -> None:
    carry_in(environment, assignment.run_dir, assignment.repeat)


@events.init.add_listener
def _finish_at_the_end(environment: Environment, **_: Any) -> None:
    environment.events.quit.add_listener(lambda **_: _finish(environment))


def _finish(environment: Environment) -> None:
    carry_out(environment, assignment.run_dir, assignment.repeat)
    for each in recorders:
        each.close()
