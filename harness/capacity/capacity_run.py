"""A search for a capacity against sockets, in one process: users come and go, or arrivals quicken, as it says.

Whatever is sent is journalled like any run's, each step of the search as a stage of the plan that is kept beside it; so
the run directory can be analysed and reported like any other. After each step `capacity.json` holds all that the search
knows: another process can go on where this one ended.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent
import msgspec
from gevent.pool import Group

from harness.allowances.allowance import Allowance, OwnLedger, ask_of, limited, limits_of, paid
from harness.allowances.budget import purse_of
from harness.attempts.conversation import Conversation
from harness.attempts.prepare import prepare
from harness.capacity.capacity_search import Search
from harness.environment import describe_environment, now_utc
from harness.exchange import PAUSE_AFTER_NO_CONTACT_S, Origin, no_contact, perform
from harness.health import Gauges, HealthWatch
from harness.journal import Journal
from harness.live.margin import margin_of
from harness.loop import garbage
from harness.plan import Plan, Quality, Stage, Target, Workload
from harness.plan_file import dump_plan
from harness.prompts import Prompt, prompt
from harness.records.health_record import Health
from harness.records.search_record import SearchRecord, StepRecord
from harness.rundir import RunDir, write_whole
from harness.sample import Outcome, Sample
from harness.sockets.endpoint import endpoint_of
from harness.transport import Connection

_TICK_S = 0.02
_SHORTEST_S = 0.001  # a stage lasts some time; the analysis takes a step as short as this for none


@dataclass(frozen=True)
class Scene:
    """Who is asked for what, and where it is recorded. `part` counts the processes that this search took so far."""

    plan: Plan
    target: Target
    workload: Workload
    key: str | None
    run_dir: RunDir
    part: int = 0


def pursue(
    scene: Scene, record: SearchRecord, watch: Callable[[Search], None], limit_of: Callable[[list[Health]], str | None]
) -> None:
    """Go on with a search until it is over, or this is interrupted. `watch` is called again and again meanwhile;
    `limit_of` tells from rows of health why this process itself was the bottleneck. Raises OSError where nothing can be
    recorded any more."""
    search = Search(record.question, time.monotonic_ns() / 1e9, record.state)
    _Pursuit(scene, search, watch, limit_of).run()


class _Pursuit:
    """One process's part of a search."""

    def __init__(
        self,
        scene: Scene,
        search: Search,
        watch: Callable[[Search], None],
        limit_of: Callable[[list[Health]], str | None],
    ) -> None:
        self._scene, self._search, self._watch, self._limit_of = scene, search, watch, limit_of
        worker, run = f"r{scene.part + 1}-w0", scene.run_dir.name
        self._journal = Journal(scene.run_dir.journal(worker), run, worker, scene.part + 1, (0, 1))
        self._rows: list[Health] = []
        self._fault: str | None = None
        gauges = Gauges(lambda: search.in_flight, lambda: self._users, lambda: None, lambda: Connection.standing)
        self._health = HealthWatch(
            scene.run_dir.health, self._journal.header, gauges, self._on_fault, self._rows.append
        )
        self._rng = random.Random(f"{scene.plan.seed}/capacity/{scene.part}")  # noqa: S311  (a schedule, not a secret)
        self._running = Group()
        self._idle: list[Connection] = []
        self._users = 0
        self._sent = 0
        self._begun = 0
        self._kept = len(search.steps)
        self._allowance = self._allowance_of()
        self._began_utc = now_utc()
        self._environment = describe_environment()

    def run(self) -> None:
        """To the end; requests under way may then take the plan's `drain_s`."""
        garbage.hold_back()
        self._health.start()
        self._keep("running")
        ended = "complete"
        try:
            self._pursue()
        except KeyboardInterrupt:
            self._search.stop(self._now_s())
            ended = "interrupted"
        finally:
            self._running.join(self._scene.plan.drain_s if ended == "complete" else 1.0)
            self._running.kill()
            for connection in self._idle:
                connection.close()
            self._health.stop()
            self._journal.close()
            self._keep(ended)
        if self._fault is not None:
            raise OSError(self._fault)

    def _pursue(self) -> None:
        search = self._search
        due_s = self._now_s()
        while not search.done and self._fault is None:
            if search.question.unit == "concurrency":
                self._fit()
                gevent.sleep(_TICK_S)
            else:
                due_s = self._arrive(due_s)
            search.look(self._now_s())
            if len(search.steps) > self._kept:
                self._after_step()
            self._watch(search)

    def _after_step(self) -> None:
        """Keep what is known, and see whether it was the endpoint that was measured."""
        self._kept = len(self._search.steps)
        self._keep("running")
        rows, self._rows[:] = list(self._rows), []
        limit = self._limit_of(rows) if rows else None
        if limit is not None:
            self._search.stop(self._now_s(), "client", limit)

    def _fit(self) -> None:
        """As many users as are wanted."""
        new = int(self._search.load) - self._users
        for number in range(new):
            self._users += 1
            self._running.spawn(self._use, self._search.spread_s * number / new)

    def _use(self, wait_s: float) -> None:
        """One user: asks until there are too many."""
        gevent.sleep(wait_s)
        connection = self._connection()
        talk: Conversation | None = None
        try:
            while self._users <= self._search.load:
                talk = talk or self._conversation()
                asked = self._said(talk)
                sample = self._ask(connection, asked, None)
                talk = None if sample is None else talk.after(asked, sample)
                if sample is None or sample.outcome is Outcome.CANCELLED:
                    return
                if no_contact(sample):
                    gevent.sleep(PAUSE_AFTER_NO_CONTACT_S)
        finally:
            self._users -= 1
            self._idle.append(connection)

    def _arrive(self, due_s: float) -> float:
        """Wait for the next arrival, a tick at most; when the one after it is due."""
        load, now_s = self._search.load, self._now_s()
        if load <= 0:
            gevent.sleep(_TICK_S)
            return self._now_s()
        if due_s > now_s:
            gevent.sleep(min(_TICK_S, due_s - now_s))
            if due_s > self._now_s():
                return due_s
        self._running.spawn(self._ask_once, due_s)
        return due_s + self._rng.expovariate(load)

    def _ask_once(self, due_s: float) -> None:
        connection = self._connection()
        try:
            self._ask(connection, self._said(self._conversation()), due_s)
        finally:
            self._idle.append(connection)

    def _conversation(self) -> Conversation:
        """A new one; where the workload has no turns, of a single prompt."""
        self._begun += 1
        return Conversation((self._scene.part + 1) * 10_000_000_000 + self._begun - 1)

    def _said(self, talk: Conversation) -> Prompt:
        scene = self._scene
        asked = prompt(scene.plan.seed, scene.workload, talk.index, scene.target.name, talk.turn, scene.run_dir.name)
        return talk.said(asked)

    def _ask(self, connection: Connection, chosen: Prompt, due_s: float | None) -> Sample | None:
        """One request; None: the budget holds none, or the search is over."""
        scene, search, anchor_ns = self._scene, self._search, self._journal.header.mono_ns
        prepared = prepare(scene.target, scene.workload, chosen, scene.key)
        asked = ask_of(scene.target, chosen)
        if self._allowance is not None and self._allowance.admit(asked, None) is not None:
            search.stop(self._now_s(), "budget")
        if search.done or search.spent:
            return None
        seq, stage = self._sent, len(search.steps)
        self._sent += 1
        due_ns = None if due_s is None else int(due_s * 1e9) - anchor_ns
        origin = Origin(
            scene.run_dir.name, stage, scene.part + 1, self._journal.header.worker, seq, anchor_ns, due_ns=due_ns
        )
        search.began(seq, self._now_s())
        sample = perform(connection, prepared, origin)
        self._record(sample)
        margin = None if sample.outcome is Outcome.CANCELLED else margin_of(sample, scene.plan.slo)
        search.ended(seq, self._now_s(), margin)
        if self._allowance is not None:
            self._allowance.settle(asked, paid(scene.target, sample))
        return sample

    def _record(self, sample: Sample) -> None:
        try:
            self._journal.append(sample)
        except OSError as error:
            self._on_fault(f"{self._journal.path}: cannot be written: {error.strerror}")

    def _connection(self) -> Connection:
        if self._idle:
            return self._idle.pop()
        connection = Connection(endpoint_of(self._scene.target.base_url), self._scene.plan.timeouts)
        connection.connect_ahead()
        return connection

    def _on_fault(self, message: str) -> None:
        self._fault = self._fault or message

    def _allowance_of(self) -> Allowance | None:
        plan = self._scene.plan
        if not limited(plan):
            return None
        purse = purse_of(plan, self._scene.run_dir, self._scene.part + 1, journals_here=True)
        return Allowance(OwnLedger(limits_of(plan), purse, (0, 1)))

    def _keep(self, ended: str) -> None:
        """Write the plan of what was asked so far, the search, and how it stands. While requests are under way the plan
        is written as JSON, which is YAML as well and takes no time."""
        run_dir, plan = self._scene.run_dir, self._plan_so_far()
        text = dump_plan(plan).encode() if ended != "running" else msgspec.json.encode(plan)
        for path, content in (
            (run_dir.plan, text),
            (run_dir.capacity, msgspec.json.encode(self._search_record())),
            (run_dir.run_json, msgspec.json.format(msgspec.json.encode(self._run_record(ended)), indent=2)),
        ):
            write_whole(path, content + b"\n")

    def _plan_so_far(self) -> Plan:
        """Each step a stage; the one under way as long as it has lasted."""
        search = self._search
        steps = [*search.steps] if search.done else [*search.steps, search.step_so_far(self._now_s())]
        stages = tuple(_stage_of(number, step, search.question.unit == "rate") for number, step in enumerate(steps))
        scene = self._scene
        return msgspec.structs.replace(
            scene.plan,
            targets=tuple(each for each in scene.plan.targets if each.name == scene.target.name),
            workloads=(msgspec.structs.replace(scene.workload, stages=()),),
            stages=stages,
            repeats=scene.part + 1,
            warmup_s=0.0,
            quality=Quality(),
        )

    def _search_record(self) -> SearchRecord:
        scene, search = self._scene, self._search
        slo = msgspec.to_builtins(scene.plan.slo)
        return SearchRecord(
            target=scene.target.name,
            workload=scene.workload.name,
            slo=slo,
            question=search.question,
            state=search.state,
            answer=search.answer,
        )

    def _run_record(self, ended: str) -> dict[str, object]:
        scene = self._scene
        return {
            "schema": 1,
            "run": scene.run_dir.name,
            "plan": scene.plan.name,
            "started_utc": self._began_utc,
            "ended": ended,
            "missing": [],
            "workers": [],
            "environment": self._environment,
        }

    @staticmethod
    def _now_s() -> float:
        return time.monotonic_ns() / 1e9


def _stage_of(number: int, step: StepRecord, open_load: bool) -> Stage:  # noqa: FBT001
    """The step as a stage, its steady window from when the endpoint had settled."""
    span_s = max(_SHORTEST_S, step.ended_s - step.began_s)
    settled_s = span_s if step.settled_s is None else max(0.0, step.settled_s - step.began_s)
    warmup_s = min(settled_s, span_s - _SHORTEST_S)
    load = {"rate_rps": step.load} if open_load else {"concurrency": int(step.load)}
    name = f"step-{number + 1}"
    return msgspec.convert(
        {"name": name, "warmup_s": warmup_s, "duration_s": span_s - warmup_s, "arrival": "poisson", **load}, Stage
    )
