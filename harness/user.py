"""Locust users: each asks one target, journals every attempt and tells Locust of it once.

With a plan (`locustfiles/planned.py`) a user belongs to one cell. Without one (`locust -f locustfiles/openai.py`) the
same things are Locust command-line options, and so fields of its web UI. Nothing is opened before the test
starts, so that `--processes` forks no socket, journal or random state.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from argparse import _ArgumentGroup
from collections.abc import Iterable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import gevent
import locust.stats
import msgspec
from locust import User, argument_parser, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner

from harness import webui
from harness.attempts.conversation import Conversation
from harness.attempts.prepare import Prepared, key_of, prepare
from harness.cells import Cell
from harness.dialects import DIALECTS
from harness.errors import UsageFault
from harness.exchange import PAUSE_AFTER_NO_CONTACT_S, Origin, describe, no_contact, perform
from harness.health import Gauges, HealthWatch
from harness.journal import Journal, new_header
from harness.live.live import Live
from harness.loop import garbage
from harness.loop.stopping import stop_softly
from harness.plan import Aws, Scenario, Slo, Stage, Target, Timeouts, Workload
from harness.plan_file import plan_of
from harness.prompts import CELL_PROMPTS, Prompt, prompt
from harness.rules.target_rules import travels_in_clear
from harness.rundir import RunDir
from harness.sample import Outcome, Sample
from harness.sockets.endpoint import endpoint_of
from harness.transport import Connection

_LATE_PROMPTS = 5_000_000
MOST_WORKERS = 1024  # stock Locust does not tell a worker how many there are: prompts are striped for this many
DRAIN_S = 30.0  # Locust would cut requests at the stop and never report them; `--stop-timeout` sets another limit
IDLE_S = 0.05
_log = logging.getLogger(__name__)


def bucket_of_three_digits(response_time: float) -> float:
    """Locust's own buckets are up to 5 % wide; these keep three significant digits (in ms)."""
    if response_time >= 100:
        magnitude = 10 ** (len(str(int(response_time))) - 3)
        return int(round(response_time / magnitude) * magnitude)
    return round(response_time, 1 if response_time >= 10 else 2)


locust.stats.bucket_response_time = bucket_of_three_digits  # type: ignore[assignment]  # floats below 100 ms
# A worker asks for these once for each option whenever the number of users changes: 0.3 s in which no socket is read.
argument_parser.default_args_dict = cache(argument_parser.default_args_dict)


class Recorder:
    """One process's journal and counters. `share` (k, n): this process sends every n-th prompt, beginning at k."""

    def __init__(
        self,
        run: str,
        worker: str,
        repeat: int,
        share: tuple[int, int],
        seed: int,
        journal: Journal | None,
        slo: Slo | None = None,
        targets: Iterable[Target] = (),
    ) -> None:
        self.run = run
        self.worker = worker
        self.repeat = repeat
        self.share = share
        self.seed = seed
        self.journal = journal
        self.header = journal.header if journal else new_header(run, worker, repeat, share)
        self.anchor_ns = self.header.mono_ns
        self.live = Live(time.monotonic(), slo, {target.name: target for target in targets})
        self.under_way = 0  # requests sent and not yet ended
        self._worst_lag_ns: int | None = None
        self._health: HealthWatch | None = None
        self._sent = 0
        self._prompts: dict[tuple[str, str, int], int] = {}

    def origin(
        self, stage: int, due_ns: int | None = None, injected: Scenario | None = None, repair_ns: int | None = None
    ) -> Origin:
        """The identity of the next attempt. Absolute, monotonic: `due_ns` of one that follows a schedule, `repair_ns`
        of a stage that injects a fault."""
        seq = self._sent
        self._sent += 1
        due = None if due_ns is None else due_ns - self.anchor_ns
        repair = None if repair_ns is None else repair_ns - self.anchor_ns
        return Origin(
            self.run,
            stage,
            self.repeat,
            self.worker,
            seq,
            self.anchor_ns,
            due_ns=due,
            injected=injected,
            repair_ns=repair,
        )

    def next_index(self, target: str, workload: Workload, stage: int) -> int:
        """The number of the next prompt of a cell."""
        k, n = self.share
        count = self._prompts.get((target, workload.name, stage), 0)
        self._prompts[target, workload.name, stage] = count + 1
        return k + n * count if k < n else _LATE_PROMPTS + k + MOST_WORKERS * count  # k >= n: a worker that came late

    def prompt_at(self, target: str, workload: Workload, stage: int, index: int, turn: int = 1) -> Prompt:
        """The prompt of that number, alike for every target. Repeats and stages differ, so that no cache of an earlier
        one helps."""
        return prompt(self.seed, workload, (self.repeat * 1000 + stage) * CELL_PROMPTS + index, target, turn, self.run)

    def attempt(self, connection: Connection, prepared: Prepared, origin: Origin, environment: Environment) -> Sample:
        """Send one request, and record what happened."""
        cell = prepared.target.name, prepared.workload.name
        self.under_way += 1
        self.live.enter(*cell)
        try:
            sample = perform(connection, prepared, origin)
        finally:
            self.under_way -= 1
            self.live.leave(*cell)
        self.record(sample, environment)
        return sample

    def record(self, sample: Sample, environment: Environment) -> None:
        """Journal an attempt, then fire its one `request` event. A journal that cannot be written stops the run."""
        if sample.due_ns is not None:
            lag_ns = (sample.end_ns if sample.start_ns is None else sample.start_ns) - sample.due_ns
            self._worst_lag_ns = max(lag_ns, self._worst_lag_ns or 0)
        if self.journal is not None:
            try:
                self.journal.append(sample)
            except OSError as error:
                stop_loudly(environment, f"{self.journal.path}: cannot be written: {error.strerror}")
        self.live.add(sample)
        if sample.outcome is Outcome.DROPPED:
            return  # never attempted: nothing for Locust to count
        environment.events.request.fire(
            request_type=sample.dialect,
            name=f"{sample.target} {sample.workload}",
            context={},
            **describe(sample),
        )

    def worst_lag_s(self) -> float | None:
        """The worst lag of an arrival since this was last asked; None: there was none."""
        lag_ns, self._worst_lag_ns = self._worst_lag_ns, None
        return None if lag_ns is None else lag_ns / 1e9

    def watch_health(self, path: Path | None, environment: Environment) -> None:
        """Begin to watch this process; `path`: its `health.jsonl` (None: it is only shown)."""
        runner = environment.runner
        gauges = Gauges(
            in_flight=lambda: self.under_way,
            users=lambda: runner.user_count if runner else 0,
            worst_lag_s=self.worst_lag_s,
            connections=lambda: Connection.standing,
        )
        faulty = partial(stop_loudly, environment)
        self._health = HealthWatch(path, self.header, gauges, faulty, self.live.add_health)
        self._health.start()

    def close(self) -> None:
        """End the watch, and write the journal's footer."""
        if self._health is not None:
            self._health.stop()
        if self.journal is not None:
            self.journal.close()


_FULL = "free some space or choose another --out; what was written is kept"


def stop_loudly(environment: Environment, message: str, hint: str = _FULL) -> None:
    """End the test because the harness itself failed: exit code 1 and the reason on stderr."""
    said = f"error: {message}\nhint: {hint}\n"
    with suppress(OSError):  # the log may stand on the same full disk
        os.write(2, said.encode())
    environment.process_exit_code = 1
    if environment.runner is not None:
        gevent.spawn(environment.runner.quit)


def refuse(fault: UsageFault) -> NoReturn:
    """End this process before it has begun: two lines, exit code 2."""
    os.write(2, f"error: {fault.message}\nhint: {fault.hint}\n".encode())
    raise SystemExit(2) from None


class AskingUser(User):
    """Sends one request after another to one target and keeps its connection alive."""

    abstract = True
    wait_time = constant(0)
    conversation: Conversation | None = None

    def setting(self) -> tuple[Cell, Recorder, str | None]:
        """The cell this user works for, its recorder, and the key."""
        raise NotImplementedError

    def more(self) -> bool:
        """Whether to send another request."""
        return True

    def admit(self, prepared: Prepared) -> bool:  # noqa: ARG002
        """Wait for leave to send. False: there is none."""
        return True

    def settle(self, prepared: Prepared, sample: Sample) -> None:
        """The attempt is over."""

    def on_start(self) -> None:
        """Connect before the first request, so that no handshake lies within a latency."""
        try:
            self.cell, self.recorder, self.key = self.setting()
        except UsageFault as fault:  # of the web UI's form, most likely: shown there
            logging.getLogger(__name__).error("%s; hint: %s", fault.message, fault.hint)  # noqa: TRY400  (no traceback)
            self.environment.events.user_error.fire(user_instance=self, exception=fault, tb=None)
            raise gevent.GreenletExit from None
        self.connection = Connection(endpoint_of(self.cell.target.base_url), self.timeouts())
        self.connection.connect_ahead()

    def timeouts(self) -> Timeouts:
        """When an attempt is given up."""
        return Timeouts()

    def on_stop(self) -> None:
        """Close the connection, if it came to one."""
        if hasattr(self, "connection"):
            self.connection.close()

    @task
    def ask(self) -> None:
        """One attempt."""
        if not self.more():
            gevent.sleep(IDLE_S)
            return
        cell, recorder = self.cell, self.recorder
        talk = self.conversation or Conversation(recorder.next_index(cell.target.name, cell.workload, cell.stage_index))
        asked = recorder.prompt_at(cell.target.name, cell.workload, cell.stage_index, talk.index, talk.turn)
        prepared = prepare(cell.target, cell.workload, talk.said(asked), self.key)
        if not self.admit(prepared):
            return
        sample = recorder.attempt(self.connection, prepared, recorder.origin(cell.stage_index), self.environment)
        self.settle(prepared, sample)
        self.conversation = talk.after(asked, sample)
        if sample.outcome is Outcome.CANCELLED:
            raise gevent.GreenletExit
        if no_contact(sample):
            gevent.sleep(PAUSE_AFTER_NO_CONTACT_S)


class ProviderUser(AskingUser):
    """A user whose target and workload are Locust options. A locustfile gives dialect, model and base URL."""

    abstract = True
    dialect: ClassVar[str]
    model: ClassVar[str]
    base_url: ClassVar[str | None] = None
    aws: ClassVar[Aws | None] = None

    def setting(self) -> tuple[Cell, Recorder, str | None]:
        """From the options; one recorder for the whole process."""
        cell = cell_of_options(type(self), self.environment.parsed_options, self.host)
        return cell, _recorder_of_options(self.environment), key_of(cell.target)


def cell_of_options(user: type[ProviderUser], options: Any, host: str | None) -> Cell:
    """The cell that Locust's options describe. Raises UsageFault."""
    target = {
        "name": options.target_name or user.dialect,
        "dialect": user.dialect,
        "base_url": host or user.base_url or "",
        "model": options.model or user.model,
        "key_env": options.key_env or DIALECTS[user.dialect].key_env,
        "aws": user.aws,
    }
    workload = {
        "kind": DIALECTS[user.dialect].kind,
        "name": options.workload_name,
        "input_tokens": options.input_tokens,
        "output_tokens": options.output_tokens,
        "stream": options.stream == "on",
        "temperature": float(options.temperature) if options.temperature not in ("", None) else None,
        "batch": int(options.batch),
        "questions": options.questions or None,
    }
    return _cell_of(msgspec.json.encode([target, workload]))


@cache  # every user of a process asks, and the check of a plan takes its time
def _cell_of(told: bytes) -> Cell:
    target, workload = msgspec.json.decode(told)
    stage = {"concurrency": 1, "duration_s": 1}
    document = {"name": "options", "targets": [target], "workload": workload, "stages": [stage]}
    plan = plan_of(document, "options")
    if travels_in_clear(plan.targets[0]):
        _log.warning("%s: the key travels unencrypted to another machine", plan.targets[0].base_url)
    return Cell(plan.targets[0], plan.workloads[0], 0, Stage(duration_s=1, concurrency=1), 0.0)


_recorders: dict[int, Recorder] = {}


def _recorder_of_options(environment: Environment) -> Recorder:
    """This process's recorder, made when its first user starts: after any fork."""
    pid = os.getpid()
    if pid not in _recorders:
        garbage.hold_back()
        options: Any = environment.parsed_options
        index = getattr(environment.runner, "worker_index", 0)
        share = (index, MOST_WORKERS) if isinstance(environment.runner, WorkerRunner) else (0, 1)
        worker = f"w{index}-{secrets.token_hex(3)}"
        folder = options.run_dir
        run_dir = RunDir(Path(folder))
        journal = Journal(run_dir.journal(worker), "locust", worker, 1, share) if folder else None
        seed = int(options.workload_seed)
        _recorders[pid] = Recorder("locust", worker, 1, share, seed, journal)
        _recorders[pid].watch_health(run_dir.health if folder else None, environment)
    return _recorders[pid]


def _live_of_options() -> Live | None:
    recorder = _recorders.get(os.getpid())
    return recorder.live if recorder else None


def _run_dir_of_options(environment: Environment) -> RunDir | None:
    folder = getattr(environment.parsed_options, "run_dir", "")
    return RunDir(Path(folder)) if folder else None


@events.init_command_line_parser.add_listener
def _add_options(parser: LocustArgumentParser) -> None:
    group = parser.add_argument_group("tokenswarm", "What each request asks for")
    _option(group, "--model", "", "model to ask (default: the locustfile's)")
    _option(group, "--key-env", "", "environment variable that holds the key (default: the provider's usual one)")
    _option(group, "--target-name", "", "name of the target in statistics (default: the dialect)")
    _option(group, "--workload-name", "default", "name of the workload in statistics")
    _option(group, "--input-tokens", "256", "prompt length in tokens: 256, N(480,120) or U(100,400)")
    _option(group, "--output-tokens", "256", "cap of the reply in tokens: 256, N(480,120) or U(100,400)")
    _option(group, "--stream", "on", "stream the replies", choices=["on", "off"])
    _option(group, "--temperature", "0", "sampling temperature; empty: leave it to the provider")
    _option(group, "--batch", "1", "texts in an embeddings request, documents in a rerank request, prompts of a job")
    _option(group, "--questions", "", "ask graded questions: own, own:200, a file, or hf:REPO/CONFIG@SPLIT")
    _option(group, "--workload-seed", "0", "seed of the prompts")
    _option(group, "--run-dir", "", "also journal every request into this folder, for `tokenswarm analyze`")


def _option(group: _ArgumentGroup, name: str, default: str, text: str, choices: list[str] | None = None) -> None:
    group.add_argument(name, default=default, help=text, choices=choices, env_var=_variable(name))


def _variable(name: str) -> str:
    return "TOKENSWARM" + name.upper().replace("-", "_").replace("__", "_")


@events.init.add_listener
def _prepare(environment: Environment, **_: Any) -> None:
    """Refuse bad options before any user starts; drain at the end; complete the CSV."""
    providers = [user for user in environment.user_classes if issubclass(user, ProviderUser)]
    if providers and not environment.stop_timeout:
        environment.stop_timeout = DRAIN_S
    environment.events.quit.add_listener(lambda **_: finish_csv(environment))
    if environment.runner is not None:
        stop_softly(environment.runner)
    if providers:
        webui.install(environment, _live_of_options, lambda: _run_dir_of_options(environment))
    try:
        for user in providers:
            key_of(cell_of_options(user, environment.parsed_options, environment.host or user.host).target)
    except UsageFault as fault:
        refuse(fault)
    except ValueError as error:
        refuse(UsageFault(str(error), "see `locust --help`, group tokenswarm"))


@events.quit.add_listener
def _close(**_: Any) -> None:
    """`quit` comes after the users have drained; `quitting` comes before."""
    recorder = _recorders.pop(os.getpid(), None)
    if recorder is not None:
        recorder.close()


def finish_csv(environment: Environment) -> None:
    """Let Locust write its CSV once more: it writes each second, and would leave out what ended in the last one."""
    options = environment.parsed_options
    if options is not None and options.csv_prefix and not isinstance(environment.runner, WorkerRunner):
        gevent.sleep(locust.stats.CSV_STATS_INTERVAL_SEC + 0.2)
