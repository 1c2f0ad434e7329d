"""Runs a plan: one User class for each cell, and the shape that goes through them. Started by `tokenswarm run`."""

import os
from pathlib import Path
from typing import Any

import locust.runners
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from harness import webui
from harness.arrivals import read_ahead
from harness.cells import cells
from harness.errors import UsageFault
from harness.handover.planned import DONE_FILE, MET_FILE, assignment_from_environment
from harness.loop.stopping import quit_after
from harness.planned_run.carry import carry_in, carry_out
from harness.planned_run.cell_users import ClosedCellUser, OpenCellUser
from harness.planned_run.master_side import MasterSide
from harness.planned_run.worker_side import PING, SHARE, SPENT, WorkerSide
from harness.shape import BEGIN, PlannedShape
from harness.user import refuse

MASTER_SILENT_S = 20  # Locust lets a worker go on for a minute after its master was last heard of
LINGER_S = 2.5  # for the last reports of the workers to come, and for the page to ask for them
locust.runners.MASTER_HEARTBEAT_TIMEOUT = MASTER_SILENT_S

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
    for index, cell in enumerate(cells(assignment.plan, assignment.repeat, assignment.simulator_url))
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
    webui.install(environment, side.live, lambda: assignment.run_dir, (assignment.plan, assignment.repeat))
    runner.register_message(BEGIN, lambda msg, **_: side.on_begin(msg))
    if not isinstance(runner, WorkerRunner):
        runner.register_message(SPENT, lambda **_: _on_spent())
    if isinstance(runner, MasterRunner):
        Shape.master = MasterSide(runner, assignment)
        if environment.web_ui is not None:
            webui.stop_by(environment.web_ui, _on_stop)
            quit_after(runner, LINGER_S)
    else:
        runner.register_message(SHARE, lambda msg, **_: side.on_share(msg, environment))
        runner.register_message(PING, lambda msg, **_: side.on_pong(msg))
    if not isinstance(runner, MasterRunner):
        for step in STEPS:
            read_ahead(step[0].stage)
    if isinstance(runner, WorkerRunner):
        side.serve(runner)
        if MET_FILE in os.environ:
            Path(os.environ[MET_FILE]).touch()


def _on_spent() -> None:
    Shape.spent = True
    assignment.run_dir.spent(assignment.repeat).touch()


def _on_stop() -> None:
    Shape.stopped = True
    assignment.run_dir.stopped(assignment.repeat).touch()


def _finish(environment: Environment) -> None:
    carry_out(environment, assignment.run_dir, assignment.repeat)
    side.close()
    if assignment.last and side.dismissed and DONE_FILE in os.environ:
        Path(os.environ[DONE_FILE]).touch()
