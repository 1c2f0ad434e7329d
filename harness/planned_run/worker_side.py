"""One worker process's side of a planned run: its share, its clock, its recorder, its relay."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from locust.env import Environment
from locust.runners import Runner, WorkerRunner

from harness.allowances.allowance import Allowance, OwnLedger, ask_of, limited, limits_of, paid
from harness.allowances.shared_allowance import SharedLedger
from harness.attempts.prepare import Prepared, key_of, simulator_key
from harness.cells import Cell
from harness.environment import boot_id
from harness.handover.planned import Assignment
from harness.journal import Journal
from harness.live.live import Live
from harness.loop import garbage
from harness.relay import Shipper
from harness.sample import Sample
from harness.sockets.stamps import wall_offset_ns
from harness.user import Recorder

if TYPE_CHECKING:  # with it come libraries that a worker without an open cell can do without
    from harness.planned_run.open_load import OpenLoad

SPENT = "tokenswarm-spent"  # worker to master: the budget holds no further request
SHARE = "tokenswarm-share"  # worker to master and back: which part of the load is mine?
PING = "tokenswarm-ping"  # worker to master and back: what is your wall clock?
_PINGS = 7
_PATIENCE_S = 15.0
_SHIP_DRAIN_S = 20.0


@dataclass(frozen=True)
class Schedule:
    """This worker's part of an open cell, and who sends it."""

    load: OpenLoad
    sender: gevent.Greenlet[..., None]


class WorkerSide:
    """What a process knows and has opened. Times are absolute, monotonic; `schedules` are those of open cells, by step.
    Nothing is opened before the first user starts: after any fork."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.plan = assignment.plan
        self.share = assignment.share
        self.begin_ns: dict[int, int] = {}
        self._begin_wall_ns: dict[int, int] = {}  # by the master's clock
        self.schedules: dict[int, Schedule] = {}
        self._recorder: Recorder | None = None
        self._shippers: list[Shipper] = []
        self._allowance: Allowance | None = None
        self._shared: SharedLedger | None = None
        self._told_spent = False
        self.dismissed = False  # the master itself has said that this repeat is over
        self._pongs: list[tuple[int, int]] = []  # (round trip, offset) of each answer
        self._comparing: gevent.Greenlet[..., None] | None = None

    def recorder(self, environment: Environment) -> Recorder:
        """The recorder, and with it the journal, the watch over this process and the relay. Waits for the share."""
        self._wait_for_share(environment)
        if self._recorder is None:
            self._recorder = self._opened(environment)
        return self._recorder

    def serve(self, runner: WorkerRunner) -> None:
        """Ask the master for our share: what it said before this was not heard. Notice when it dismisses us; a process
        that ends otherwise has lost its master, and says so by its exit code."""
        heed = runner.handle_message

        def heard(msg: Any) -> None:
            self.dismissed = self.dismissed or msg.type == "quit"
            heed(msg)

        def end(environment: Environment, **_: Any) -> None:
            if not self.dismissed and environment.process_exit_code is None:
                environment.process_exit_code = 1

        runner.handle_message = heard  # type: ignore[method-assign]
        runner.environment.events.quitting.add_listener(end)  # type: ignore[no-untyped-call]
        runner.send_message(SHARE, {})
        self._comparing = gevent.spawn(self._compare_clocks, runner)  # now, since load begins soon after the share

    def live(self) -> Live | None:
        """What this process counts into; None: it has not sent yet."""
        return None if self._recorder is None else self._recorder.live

    def key(self, cell: Cell) -> str | None:
        """The key of a cell's target."""
        return simulator_key(cell.target) if self.simulated(cell) else key_of(cell.target)

    def simulated(self, cell: Cell) -> bool:
        """Whether the embedded simulator plays a cell's target."""
        url = self.assignment.simulator_url
        return url is not None and cell.target.base_url.startswith(url)

    def admit(self, prepared: Prepared, latest_ns: int | None = None) -> bool:
        """Wait until limits and budget of the plan let a request start, until `latest_ns` (monotonic) at most."""
        if self._allowance is None:
            return True
        if self._allowance.admit(ask_of(prepared.target, prepared.prompt), latest_ns) is None:
            return True
        if self._allowance.spent:
            self._tell_spent()
        return False

    def settle(self, prepared: Prepared, sample: Sample) -> None:
        """That request is over."""
        if self._allowance is not None:
            if prepared.target.limits.pace:
                self._allowance.hear(sample)
            self._allowance.settle(ask_of(prepared.target, prepared.prompt), paid(prepared.target, sample))

    def close(self) -> None:
        """Close what was opened. The relay may take some seconds to bring the last lines over."""
        if self._recorder is not None:
            self._recorder.close()
        if self._shared is not None:
            self._shared.close()
        for shipper in self._shippers:
            shipper.stop(_SHIP_DRAIN_S)

    def on_begin(self, msg: Any) -> None:
        """The master says when an open cell begins, by its own wall clock. Of the first one it does so together with
        the share, before the clocks have been compared: then this waits for that."""
        self._begin_wall_ns[msg.data["step"]] = msg.data["wall_ns"]
        self._learn_begins()

    def _learn_begins(self) -> None:
        if self.share is None:
            return
        offset_ns, _ = self._clock()
        for step, wall_ns in self._begin_wall_ns.items():
            self.begin_ns.setdefault(step, wall_ns + offset_ns - wall_offset_ns())

    def on_share(self, msg: Any, environment: Environment) -> None:
        """The master says which part is ours. Before anything is sent, the clocks have been compared."""
        share = (int(msg.data["k"]), int(msg.data["n"]))
        gevent.spawn(self._take_share, share, environment)

    def on_pong(self, msg: Any) -> None:
        """The master has answered a ping: the offset of the two wall clocks, to half of the round trip."""
        now_ns, mono_ns = time.time_ns(), time.monotonic_ns()
        trip_ns = mono_ns - int(msg.data["mono_ns"])
        self._pongs.append((trip_ns, now_ns - trip_ns // 2 - int(msg.data["master_ns"])))

    def _take_share(self, share: tuple[int, int], environment: Environment) -> None:
        if self._comparing is not None:
            self._comparing.join()
        if not self._pongs and environment.runner is not None:  # the master did not listen yet
            self._compare_clocks(environment.runner)
        self.share = self.share or share
        self._learn_begins()

    def _compare_clocks(self, runner: Runner) -> None:
        """Ask the master for its time, if it is another machine; waits for the answers."""
        if self.assignment.boot_id == boot_id():
            return
        for _ in range(_PINGS):
            runner.send_message(PING, {"mono_ns": time.monotonic_ns()})
            gevent.sleep(0.05)
        end_s = time.monotonic() + 2.0
        while len(self._pongs) < _PINGS and time.monotonic() < end_s:
            gevent.sleep(0.05)

    def _clock(self) -> tuple[int, int | None]:
        """By how much this host's wall clock is ahead of the master's, and how well that is known: by the fastest
        answer."""
        if not self._pongs:
            return 0, None
        trip_ns, offset_ns = min(self._pongs)
        return offset_ns, trip_ns // 2

    def _wait_for_share(self, environment: Environment) -> None:
        end_s = time.monotonic() + _PATIENCE_S
        while self.share is None:
            if time.monotonic() > end_s:
                message = "the master gave this worker no share of the load"
                environment.process_exit_code = 1
                raise RuntimeError(message)
            gevent.sleep(0.02)

    def _opened(self, environment: Environment) -> Recorder:
        garbage.hold_back()
        whose, share = self.assignment, self.share
        assert share is not None
        worker = f"r{whose.repeat}-w{share[0]}"
        run = whose.run_dir.name
        path = whose.run_dir.journal(worker)
        recorder = Recorder(
            run,
            worker,
            whose.repeat,
            share,
            self.plan.seed,
            Journal(path, run, worker, whose.repeat, share, self._clock()),
            self.plan.slo,
            self.plan.targets,
        )
        health = whose.run_dir.health
        if whose.redis and not whose.run_dir.run_json.exists():  # else this is the collecting host's own folder
            health = health.with_name(f"health-{worker}.jsonl")
            self._ship(run, {worker: path, health.stem: health})
        recorder.watch_health(health, environment)
        self._allowance = self._allowance_of(run, worker, share)
        self._environment = environment
        return recorder

    def _allowance_of(self, run: str, worker: str, share: tuple[int, int]) -> Allowance | None:
        plan, whose = self.plan, self.assignment
        if not limited(plan):
            return None
        if whose.redis is None:
            return Allowance(OwnLedger(limits_of(plan), whose.purse, share))
        self._shared = SharedLedger(whose.redis, run, worker, share, limits_of(plan), whose.purse)
        return Allowance(self._shared)

    def _tell_spent(self) -> None:
        if not self._told_spent and self._environment.runner is not None:
            self._told_spent = True
            self._environment.runner.send_message(SPENT, {})

    def _ship(self, run: str, files: dict[str, Path]) -> None:
        assert self.assignment.redis is not None
        self._shippers = [Shipper(self.assignment.redis, run, name, path) for name, path in files.items()]
        for shipper in self._shippers:
            shipper.start()
