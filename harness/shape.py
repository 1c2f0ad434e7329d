"""The shape of a planned run: cell after cell, each drained before the next begins."""

from __future__ import annotations

import time

from locust import LoadTestShape
from locust.user.users import User

from harness.cells import Cell
from harness.loop import garbage
from harness.planned_run.master_side import MasterSide

BEGIN = "tokenswarm-begin"  # the message that tells all workers when an open cell begins, by the wall clock
_LEAD_S = 0.5  # for the message and the users to reach every worker
_LATE_WORKER_S = 1.5  # a worker hears of a cell a little later than the master does, or of when it begins
_LATE_USER_S = 0.2  # users in this very process begin at once


class PlannedShape(LoadTestShape):
    """Starts a cell's users at once, leaves them for the cell's span, stops them, waits until they are gone, goes on.

    The users themselves stop sending when the span is over, to the millisecond; Locust asks the shape once a second.
    An open cell has one user for each worker that is there, so that each has one whoever comes late or is lost.
    """

    abstract = True
    steps: list[tuple[Cell, type[User]]]
    workers: int = 1
    master: MasterSide | None = None
    spent: bool = False  # the budget holds no further request
    stopped: bool = False  # somebody ended the run from Locust's web UI

    def __init__(self) -> None:
        super().__init__()
        self._step = 0
        self._began_s: float | None = None
        self._draining = False

    def tick(self) -> tuple[int, float, list[type[User]]] | None:
        """Users, spawn rate and the user class of the present cell; None when all cells are done."""
        if self._draining and self.get_current_user_count() == 0:
            self._step += 1
            garbage.sweep()
            self._began_s, self._draining = None, False
        if self._step >= len(self.steps) or self.spent or self.stopped:
            return None
        cell, user = self.steps[self._step]
        now_s = time.monotonic()
        if self.master is not None:
            self.master.share_out()
            self.master.look()
            self.workers = max(1, self.master.present)
        if self._began_s is None:
            self._began_s = now_s
            self._announce(cell)
        age_s = now_s - self._began_s
        users = self.workers if cell.stage.open else users_at(cell, age_s)
        late_s = _LATE_USER_S if self.master is None and not cell.stage.open else _LATE_WORKER_S
        if age_s >= cell.span_s + late_s or self._draining:
            self._draining = True
            return 0, max(users, 1), [user]
        return users, users, [user]

    def _announce(self, cell: Cell) -> None:
        if cell.stage.open and self.runner is not None:
            begin_ns = time.time_ns() + int(_LEAD_S * 1e9)
            self.runner.send_message(BEGIN, {"step": self._step, "wall_ns": begin_ns})


def users_at(cell: Cell, age_s: float) -> int:
    """How many users a closed cell has at an age; a ramp goes evenly over warm-up and duration."""
    begin = cell.stage.concurrency or 0
    end = begin if cell.stage.end_concurrency is None else cell.stage.end_concurrency
    return round(begin + (end - begin) * min(1.0, age_s / cell.span_s))
