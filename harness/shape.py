"""The shape of a planned run: cell after cell, each drained before the next begins."""

from __future__ import annotations

import time

from locust import LoadTestShape
from locust.user.users import User

from harness.plan import Cell

_LATE_WORKER_S = 1.5  # a worker hears of a cell a little later than the master does


class PlannedShape(LoadTestShape):
    """Starts a cell's users at once, leaves them for the cell's span, stops them, waits until they are gone, goes on.

    The users themselves stop sending when the span is over, to the millisecond; Locust asks the shape once a second.
    """

    abstract = True
    steps: list[tuple[Cell, type[User]]]

    def __init__(self) -> None:
        super().__init__()
        self._step = 0
        self._began_s: float | None = None
        self._draining = False

    def tick(self) -> tuple[int, float, list[type[User]]] | None:
        """Users, spawn rate and the user class of the present cell; None when all cells are done."""
        if self._draining and self.get_current_user_count() == 0:
            self._step += 1
            self._began_s, self._draining = None, False
        if self._step >= len(self.steps):
            return None
        cell, user = self.steps[self._step]
        users = cell.stage.concurrency or 0
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s
        if now_s - self._began_s >= cell.span_s + _LATE_WORKER_S or self._draining:
            self._draining = True
            return 0, max(users, 1), [user]
        return users, users, [user]
