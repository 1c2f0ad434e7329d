"""Probing without a load run: a few requests a minute to each target, for weeks, in a run directory as any other.

`python -m harness.monitoring.probes RUN_DIR` sends, as `probe.json` there says; `tokenswarm monitor PLAN --target NAME`
makes the directory, starts this in a process of its own, so that nothing disturbs its clocks, and watches. It ends with
the process that started it. A part of the journal is closed after a while and the next begun, so that old ones can go.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import msgspec

from harness.attempts.prepare import SIMULATOR_KEY, Prepared, key_of, prepare
from harness.cells import Cell, cells
from harness.environment import describe_environment, now_utc
from harness.errors import UNREADABLE, UsageFault
from harness.exchange import Origin, perform
from harness.handover.planned import with_simulator
from harness.handover.question_sets import with_copied_questions
from harness.health import Gauges, HealthWatch
from harness.journal import Journal
from harness.loop import garbage
from harness.monitoring.probe_record import (
    PART_BYTES,
    Probing,
    Progress,
    alone,
    read_probing,
    read_progress,
    write_record,
)
from harness.plan import Plan
from harness.plan_file import read_plan
from harness.prices import most_usd, priced, usd_of
from harness.prompts import prompt
from harness.records.health_record import Health, encode_health
from harness.rundir import RunDir, write_whole
from harness.runs.reachable import simulator_of
from harness.sample import Sample
from harness.sockets.endpoint import endpoint_of
from harness.transport import Connection

_JITTER = 0.1
_BEAT_S = 10.0
_HEALTH_BYTES = 1_000_000
_LOOK_S = 0.25
UNRECORDED = 74  # exit code: it cannot record, so it sends nothing (EX_IOERR of sysexits.h)


class Probe:
    """Sends for all targets of a run directory until `stop` is set, the time is over, or the budget is used up."""

    def __init__(
        self, run_dir: RunDir, plan: Plan, probing: Probing, progress: Progress, simulator_url: str | None = None
    ) -> None:
        self.run_dir, self.plan, self.probing = run_dir, plan, probing
        self.progress = progress
        self.stop = gevent.event.Event()
        self.ended = "complete"
        self._under_way = 0
        self._most_under_way = 0
        self._worst_lag_s: float | None = None
        self._connections: dict[str, Connection] = {}
        self._keys = {
            target.name: SIMULATOR_KEY
            if simulator_url and target.base_url.startswith(simulator_url)
            else key_of(target)
            for target in plan.targets
        }
        self._draw = random.Random(secrets.randbits(64))  # noqa: S311  (a schedule, not a secret)
        self._begin()

    def _begin(self) -> None:
        """A new part of the journal."""
        self.progress = msgspec.structs.replace(self.progress, part=self.progress.part + 1)
        self._save()
        worker = f"probe-{self.progress.part:06d}"
        self.journal = Journal(self.run_dir.journal(worker), self.run_dir.name, worker, 1, (0, 1))
        self._seq = 0
        self._part_began_s = time.monotonic()

    def _save(self) -> None:
        write_record(self.run_dir.probe_state, self.progress)

    def run(self) -> None:
        """Until it is over. Raises OSError where it cannot record."""
        todo = cells(self.plan, 1)
        gap_s = self.probing.every_s / len(todo)
        sending = [gevent.spawn(self._ask_on, cell, gap_s * number) for number, cell in enumerate(todo)]
        began_s = last_s = time.monotonic()
        left_s = self.progress.left_s if self.progress.left_s is not None else self.probing.for_s
        try:
            while not self.stop.wait(min(_BEAT_S, 1.0)):
                now_s = time.monotonic()
                if left_s is not None:
                    self.progress = msgspec.structs.replace(self.progress, left_s=left_s - (now_s - began_s))
                if now_s - last_s >= _BEAT_S:
                    last_s = now_s
                    self.run_dir.run_json.touch()
                    self._save()
                if left_s is not None and now_s - began_s >= left_s:
                    break
                if any(each.ready() for each in sending):
                    break
        finally:
            self.stop.set()
            gevent.joinall(sending, timeout=self.plan.drain_s)
            gevent.killall(sending)
            self.journal.close()
            self._save()
        for each in sending:
            each.get()  # raises what ended it

    def _ask_on(self, cell: Cell, offset_s: float) -> None:
        """One target and workload, as often as is asked for: its due times do not move with the replies."""
        due_s = time.monotonic() + offset_s
        index = 0
        while not self.stop.wait(max(0.0, due_s - time.monotonic())):
            prepared = self._prepared(cell, index)
            if not self._may_send(cell, prepared):
                self.ended = "budget"
                self.stop.set()
                return
            self._send(cell, prepared, due_s)
            index += 1
            step_s = self.probing.every_s * (1 + _JITTER * self._draw.uniform(-1, 1))
            due_s = due_s + step_s if due_s + step_s > time.monotonic() else time.monotonic() + step_s

    def _prepared(self, cell: Cell, index: int) -> Prepared:
        number = self.progress.part * 1_000_000 + index
        chosen = prompt(self.plan.seed, cell.workload, number, cell.target.name, run=self.run_dir.name)
        return prepare(cell.target, cell.workload, chosen, self._keys[cell.target.name])

    def _may_send(self, cell: Cell, prepared: Prepared) -> bool:
        """Set the most that it can cost aside, before it is sent: so no end of this process forgets it."""
        budget, progress = self.plan.budget, self.progress
        usd = progress.usd + self._most(cell, prepared)
        if budget.requests is not None and progress.requests >= budget.requests:
            return False
        if budget.usd is not None and usd > budget.usd:
            return False
        self.progress = msgspec.structs.replace(progress, requests=progress.requests + 1, usd=usd)
        self._save()
        return True

    def _most(self, cell: Cell, prepared: Prepared) -> float:
        characters = sum(len(text) for text in prepared.prompt.texts)
        return most_usd(cell.target, -(-characters // 2), prepared.prompt.max_tokens or 0)

    def _send(self, cell: Cell, prepared: Prepared, due_s: float) -> None:
        connection = self._connection(cell)
        if not self.probing.fresh and not connection.ready():
            connection.connect_ahead()
        self._under_way += 1
        self._most_under_way = max(self._most_under_way, self._under_way)
        self._worst_lag_s = max(self._worst_lag_s or 0.0, time.monotonic() - due_s)
        anchor_ns = self.journal.header.mono_ns
        self._seq += 1
        due_ns = round(due_s * 1e9) - anchor_ns
        origin = Origin(
            self.run_dir.name, cell.stage_index, 1, self.journal.header.worker, self._seq, anchor_ns, due_ns=due_ns
        )
        journal = self.journal
        try:
            sample = perform(connection, prepared, origin)
        finally:
            self._under_way -= 1
        if self.probing.fresh:
            connection.close()
        self._settle(cell, prepared, sample, journal)

    def _settle(self, cell: Cell, prepared: Prepared, sample: Sample, journal: Journal) -> None:
        usd = usd_of(cell.target, sample.usage)
        if usd is not None:
            paid_usd = self.progress.usd - self._most(cell, prepared) + usd
            self.progress = msgspec.structs.replace(self.progress, usd=paid_usd)
        journal.append(sample)
        age_s = time.monotonic() - self._part_began_s
        if self._under_way == 0 and (age_s >= self.probing.part_s or journal.path.stat().st_size > PART_BYTES):
            journal.close()
            self._begin()

    def _connection(self, cell: Cell) -> Connection:
        """One for each target and workload; where it was closed, it is made anew within the attempt."""
        if cell.entry not in self._connections:
            self._connections[cell.entry] = Connection(endpoint_of(cell.target.base_url), self.plan.timeouts)
        return self._connections[cell.entry]

    def gauges(self) -> Gauges:
        """What the watch of this process's health asks for: requests under way at any moment since it last asked."""
        return Gauges(
            in_flight=self._busiest, users=lambda: 0, worst_lag_s=self._worst, connections=lambda: Connection.standing
        )

    def _busiest(self) -> int:
        found, self._most_under_way = self._most_under_way, self._under_way
        return found

    def _worst(self) -> float | None:
        found, self._worst_lag_s = self._worst_lag_s, None
        return found


@dataclass
class BoundedHealth:
    """Writes the rows of seconds in which a request was under way; of a file that is long, the older half goes."""

    path: Path
    most_bytes: int = _HEALTH_BYTES
    faults: list[str] = field(default_factory=list)

    def write(self, row: Health) -> None:
        """Append a row."""
        if not row.in_flight:
            return
        try:
            with self.path.open("ab") as file:
                file.write(encode_health(row))
                size = file.tell()
            if size > self.most_bytes:
                data = self.path.read_bytes()[-self.most_bytes // 2 :]
                write_whole(self.path, data[data.find(b"\n") + 1 :])
        except OSError as error:
            self.faults.append(str(error))


def write_run_json(run_dir: RunDir, plan: Plan, ended: str, missing: list[str]) -> None:
    """Environment, and how it goes or ended; the start is that of the first process. Raises OSError."""
    record: dict[str, Any] = {"schema": 1, "run": run_dir.name, "plan": plan.name, "started_utc": now_utc()}
    record |= {"environment": describe_environment(), "commands": [], "workers_per_repeat": 1, "workers": []}
    with suppress(OSError, *UNREADABLE):
        record |= msgspec.json.decode(run_dir.run_json.read_bytes(), type=dict[str, Any])
        record.pop("ended_utc", None)
    record |= {"mode": "probe", "ended": ended, "missing": missing}
    if ended != "running":
        record["ended_utc"] = now_utc()
    write_whole(run_dir.run_json, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")


def probe(run_dir: RunDir, left_s: float | None = None) -> str:
    """Send until it is over; how it ended. `left_s`: of its time, where the files do not know it. Raises UsageFault,
    and OSError where it cannot record."""
    probing, progress = read_probing(run_dir.probe), read_progress(run_dir.probe_state)
    progress = progress if left_s is None else msgspec.structs.replace(progress, left_s=left_s)
    plan = with_copied_questions(priced(read_plan(str(run_dir.plan))), run_dir)
    with simulator_of(plan, run_dir) as url:
        sender = Probe(run_dir, with_simulator(plan, url), probing, progress, url)
        garbage.hold_back()
        write_run_json(run_dir, plan, "running", [])
        with _ended_with_parent(sender), _watched(sender):
            sender.run()
    missing = ["the budget is used up: no more was sent"] if sender.ended == "budget" else []
    ended = "degraded" if missing else sender.ended
    write_run_json(run_dir, plan, ended, missing)
    return ended


@contextmanager
def _watched(sender: Probe) -> Iterator[None]:
    health = BoundedHealth(sender.run_dir.health)
    watch = HealthWatch(None, sender.journal.header, sender.gauges(), lambda _: None, health.write)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


@contextmanager
def _ended_with_parent(sender: Probe) -> Iterator[None]:
    """A signal, or the end of the process that started this one, ends it in order."""
    parent = os.getppid()

    def end() -> None:
        sender.ended = "interrupted"
        sender.stop.set()

    def look() -> None:
        while os.getppid() == parent:
            gevent.sleep(_LOOK_S)
        end()

    handlers = [gevent.signal_handler(each, end) for each in (signal.SIGTERM, signal.SIGINT)]
    looking = gevent.spawn(look)
    try:
        yield
    finally:
        looking.kill()
        for handler in handlers:
            handler.cancel()


def main() -> None:
    """`python -m harness.monitoring.probes RUN_DIR [LEFT_S]`: exit code 0: its time is over, 3: its budget is, 130: it
    was ended, 74: it cannot record."""
    try:
        run_dir = RunDir(Path(sys.argv[1]))
        left_s = float(sys.argv[2]) if sys.argv[2:] else None
        with alone(run_dir):
            ended = probe(run_dir, left_s)
    except UsageFault as fault:
        _complain(fault.message, fault.hint)
        sys.exit(2)
    except OSError as error:
        _complain(f"{error.filename or 'a journal'}: {error.strerror or error}", "free some space")
        sys.exit(UNRECORDED)
    sys.exit({"complete": 0, "degraded": 3}.get(ended, 130))


def _complain(message: str, hint: str) -> None:
    with suppress(OSError):  # a log on the same full disk
        os.write(2, f"error: {message}\nhint: {hint}\n".encode())


if __name__ == "__main__":
    main()
