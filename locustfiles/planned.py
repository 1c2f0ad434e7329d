"""Runs a plan: one User class for each cell, and the shape that goes through them. Started by `tokenswarm run`."""

import os
from pathlib import Path
from typing import Any

from locust import events
from locust.env import Environment
from locust.runners import MasterRunner

from harness.carry import carry_in, carry_out
from harness.cell_users import ClosedCellUser, OpenCellUser
from harness.errors import UsageFault
from harness.master_side import MasterSide
from harness.plan import cells
from harness.planned import DONE_FILE, assignment_from_environment
from harness.shape import BEGIN, PlannedShape
from harness.user import refuse
from harness.worker_side import PING, SHARE, WorkerSide

try:
    assignment = assignment_from_environment()
except UsageFault as fault:
    refuse(fault)
side = WorkerSide(assignment)
STEPS = [
    (
        cell,
        type(
            f"Cell{index}",
            (OpenCellUser if cell.stage.open else ClosedCellUser,),
            {"planned_cell": cell, "step": index, "side": side, "abstract": False},
        ),
    )
    for index, cell in enumerate(cells(assignment.plan, assignment.repeat))
]
globals().update({user.__name__: user for _, user in STEPS})  # where Locust looks for user classes


class Shape(PlannedShape):
    """The cells of this repeat."""

    steps = STEPS
    workers = 1 if assignment.share is None else assignment.share[1]


@events.test_start.add_listener
def _carry_in(environment: Environment, **_: Any) -> None:
    carry_in(environment, assignment.run_dir, assignment.repeat)


@events.init.add_listener
def _prepare(environment: Environment, **_: Any) -> None:
    runner = environment.runner
    environment.events.quit.add_listener(lambda **_: _finish(environment))
    if runner is None:
        return
    runner.register_message(BEGIN, lambda msg, **_: side.on_begin(msg))
    if isinstance(runner, MasterRunner):
        Shape.master = MasterSide(runner, assignment)
    else:
        runner.register_message(SHARE, lambda msg, **_: side.on_share(msg, environment))
        runner.register_message(PING, lambda msg, **_: side.on_pong(msg))


def _finish(environment: Environment) -> None:
    carry_out(environment, assignment.run_dir, assignment.repeat)
    side.close()
    if assignment.last and DONE_FILE in os.environ:
        Path(os.environ[DONE_FILE]).touch()
