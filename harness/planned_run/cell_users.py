"""Locust users of a planned run: each belongs to one cell. Closed: many users, each sends when its last reply ended.
Open: one user a worker, which sends that worker's part of the schedule."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import Any, ClassVar

import gevent
import msgspec
from locust import User, constant, task
from locust.runners import STATE_RUNNING, STATE_SPAWNING
from locust.user.task import LOCUST_STATE_STOPPING

from harness.arrivals import Arrival, arrivals
from harness.attempts.prepare import Prepared, prepare
from harness.cells import Cell
from harness.exchange import dropped
from harness.plan import Timeouts, Workload
from harness.planned_run.injection import impatient, injected_at, repaired_s, struck
from harness.planned_run.open_load import OpenLoad, share_of
from harness.planned_run.worker_side import Schedule, WorkerSide
from harness.sample import Sample
from harness.sockets.endpoint import endpoint_of
from harness.transport import Connection
from harness.user import IDLE_S, AskingUser, Recorder, stop_loudly

_MOST_WARM = 200  # connections that an open cell makes before its first arrival


class ClosedCellUser(AskingUser):
    """A user of one closed cell. It sends until the cell's span is over."""

    abstract = True
    planned_cell: Cell
    side: WorkerSide
    begun_ns: ClassVar[dict[type, int]] = {}

    def setting(self) -> tuple[Cell, Recorder, str | None]:
        """The cell of its class."""
        return self.planned_cell, self.side.recorder(self.environment), self.side.key(self.planned_cell)

    def timeouts(self) -> Timeouts:
        """The plan's."""
        return self.side.plan.timeouts

    def admit(self, prepared: Prepared) -> bool:
        """By the limits and the budget of the plan, if that is before the span is over."""
        admitted = self.side.admit(prepared, self._begin_ns() + int(self.planned_cell.span_s * 1e9))
        if not admitted:
            gevent.sleep(IDLE_S)
        return admitted

    def settle(self, prepared: Prepared, sample: Sample) -> None:
        """What it has cost."""
        self.side.settle(prepared, sample)

    def more(self) -> bool:
        """Until the span is over, counted from this process's first request in the cell."""
        return time.monotonic_ns() - self._begin_ns() < self.planned_cell.span_s * 1e9

    def _begin_ns(self) -> int:
        return self.begun_ns.setdefault(type(self), time.monotonic_ns())


class OpenCellUser(User):
    """The user of an open cell in this worker. The arrivals of the worker's share are sent by a greenlet of their own,
    which the user begins and then attends: when workers come or go, Locust ends users and starts others, and no
    schedule may end with them."""

    abstract = True
    wait_time = constant(0)
    planned_cell: Cell
    step: int
    side: WorkerSide
    begin_ns: int  # of the schedule, absolute and monotonic

    def on_start(self) -> None:
        """Make the worker's part of the schedule, and open connections for its first second."""
        cell, whose = self.planned_cell, self.side.assignment
        self.recorder = self.side.recorder(self.environment)
        share = self.recorder.share
        if self.step in self.side.schedules or share[0] >= share[1]:
            return  # a worker has one part of a schedule; one that came late, or in another's place, has none
        self.key = self.side.key(cell)
        seed = f"{self.side.plan.seed}/arrivals/{cell.workload.name}/{cell.stage_index}/{whose.repeat}"
        most = share_of(cell.stage.max_in_flight, share)
        load = OpenLoad(
            cell,
            arrivals(cell.stage, cell.span_s, seed, share),
            most,
            self.side.plan.drain_s,
            self._connect,
            self._prepare,
            self._send,
            self._drop,
        )
        rate_rps = max(cell.stage.rate_rps or 1, cell.stage.end_rate_rps or 0)
        sender = gevent.spawn(self._send_all, load, min(most, _MOST_WARM, math.ceil(rate_rps / share[1])))
        self.side.schedules[self.step] = Schedule(load, sender)

    @task
    def attend(self) -> None:
        """Stay until the schedule has been sent and answered, or until Locust wants this user elsewhere."""
        schedule = self.side.schedules.get(self.step)
        if schedule is None or schedule.sender.ready():
            gevent.sleep(IDLE_S)
            return
        try:
            while not schedule.sender.ready() and not self._moved():
                if self._state == LOCUST_STATE_STOPPING:
                    schedule.load.end()
                schedule.sender.join(IDLE_S)
        except BaseException:  # the time to drain is over
            schedule.sender.kill()
            raise
        if schedule.sender.ready() and not schedule.sender.successful():
            hint = "what was sent is kept; please report the traceback in this log"
            stop_loudly(self.environment, f"an open stage ended early: {schedule.sender.exception!r}", hint)

    def _moved(self) -> bool:
        """Whether this user is to stop though its cell goes on."""
        begin_ns, runner = self.side.begin_ns.get(self.step), self.environment.runner
        over = begin_ns is not None and time.monotonic_ns() - begin_ns >= self.planned_cell.span_s * 1e9
        goes_on = runner is not None and runner.state in (STATE_SPAWNING, STATE_RUNNING)
        return self._state == LOCUST_STATE_STOPPING and goes_on and not over

    def _send_all(self, load: OpenLoad, connections: int) -> None:
        try:
            load.warm(connections)
            while self.step not in self.side.begin_ns:
                gevent.sleep(IDLE_S)
            self.begin_ns = self.side.begin_ns[self.step]
            load.run(self.begin_ns)
        finally:
            load.close()

    def _connect(self) -> Connection:
        return Connection(endpoint_of(self.planned_cell.target.base_url), self.side.plan.timeouts)

    def _prepare(self, arrival: Arrival) -> Prepared:
        cell = self.planned_cell
        workload = _with_lengths(cell.workload, arrival)
        chosen = self.recorder.prompt_at(cell.target.name, workload, cell.stage_index, arrival.index)
        return prepare(cell.target, workload, chosen, self.key)

    def _send(self, connection: Connection, prepared: Prepared, due_ns: int, latest_ns: int) -> None:
        if not self.side.admit(prepared, latest_ns):
            self._drop(prepared, due_ns)
            return
        cell = self.planned_cell
        kind = injected_at(cell, (time.monotonic_ns() - self.begin_ns) / 1e9)
        origin = self.recorder.origin(cell.stage_index, due_ns, kind, self._repair_ns())
        with ExitStack() as with_fault:
            if kind is not None:
                simulated = self.side.simulated(cell)
                prepared = struck(prepared, kind, simulated=simulated)
                if kind == "timeout" and not simulated:
                    with_fault.enter_context(impatient(connection))
            sample = self.recorder.attempt(connection, prepared, origin, self.environment)
        self.side.settle(prepared, sample)

    def _repair_ns(self) -> int | None:
        """When the cell's fault ends, absolute and monotonic."""
        at_s = repaired_s(self.planned_cell)
        return None if at_s is None else self.begin_ns + round(at_s * 1e9)

    def _drop(self, prepared: Prepared, due_ns: int) -> None:
        cell = self.planned_cell
        origin = self.recorder.origin(cell.stage_index, due_ns, repair_ns=self._repair_ns())
        sample = dropped(cell.target, prepared.workload, prepared.prompt.id, origin)
        self.recorder.record(sample, self.environment)


def _with_lengths(workload: Workload, arrival: Arrival) -> Workload:
    """The workload with the lengths that a trace gives, where it gives any."""
    told: dict[str, Any] = {}
    if arrival.input_tokens is not None:
        told["input_tokens"] = max(1, arrival.input_tokens)
    if arrival.output_tokens is not None:
        told["output_tokens"] = max(1, arrival.output_tokens)
    return msgspec.structs.replace(workload, **told) if told else workload
