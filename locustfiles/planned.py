"""Runs a plan: one User class for each cell, and the shape that goes through them. Started by `tokenswarm run`."""

import os
from typing import Any

from locust import events
from locust.env import Environment

from harness.carry import carry_in, carry_out
from harness.cell_users import ClosedCellUser, OpenCellUser, WorkerSide
from harness.plan import cells
from harness.planned import assignment_from_environment
from harness.shape import BEGIN, PlannedShape
from harness.stamps import wall_offset_ns

assignment = assignment_from_environment()
side = WorkerSide(assignment, os.environ.get("TOKENSWARM_SIMULATOR_URL"))
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
    workers = assignment.share[1]


@events.test_start.add_listener
def _carry_in(environment: Environment, **_: Any) -> None:
    carry_in(environment, assignment.run_dir, assignment.repeat)


@events.init.add_listener
def _prepare(environment: Environment, **_: Any) -> None:
    if environment.runner is not None:
        environment.runner.register_message(BEGIN, _begin)
    environment.events.quit.add_listener(lambda **_: _finish(environment))


def _begin(msg: Any, **_: Any) -> None:
    side.begin_ns[msg.data["step"]] = msg.data["wall_ns"] - wall_offset_ns()


def _finish(environment: Environment) -> None:
    carry_out(environment, assignment.run_dir, assignment.repeat)
    side.close()
