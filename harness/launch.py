"""Run a plan: a fresh group of Locust processes for each repeat, watched until they end, then their files collected."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from harness.allowances.budget import purse_of
from harness.arrivals import expected_arrivals
from harness.cells import Cell, cells
from harness.environment import describe_environment, now_utc
from harness.errors import UNREADABLE
from harness.handover.planned import read_lost, with_simulator
from harness.handover.question_sets import write_questions
from harness.journals.redis_client import redacted_url
from harness.plan import Budget, Plan
from harness.plan_file import dump_plan
from harness.prices import usd_of
from harness.questions.question_files import load_questions
from harness.rundir import LOCUST_CSV_PARTS, RunDir, write_whole
from harness.runs.endings import end_all
from harness.runs.gather import collector_of, wait_for_journals
from harness.runs.interrupts import held
from harness.runs.probe import network_floors
from harness.runs.reachable import simulator_of
from harness.runs.swarm import Command, Swarm, clean_environment, commands
from harness.sample import Usage

_LOOK_S = 0.25
_GRACE_S = 30.0


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for whoever watches it. `usd`: what all repeats have cost so far, as far as that is known;
    None: no target has a price."""

    repeat: int
    repeats: int
    elapsed_s: float
    expected_s: float
    samples: int
    failures: int
    rate_rps: float
    usd: float | None = None


@dataclass
class Ending:
    """How a run ended: `complete`, `degraded` (something is missing: see `missing`), `interrupted` or `failed`."""

    ended: str = "complete"
    missing: list[str] = field(default_factory=list)
    workers: list[dict[str, Any]] = field(default_factory=list)


def expected_s(plan: Plan) -> float:
    """How long a run takes, near enough for a progress bar: spans, and a second or two around each cell."""
    span = sum(cell.span_s + _hung_s(plan, cell) + 2.5 for cell in cells(plan, 1))
    return plan.repeats * (span + 2.5)


def longest_s(plan: Plan, swarm: Swarm) -> float:
    """How long one repeat may take before it is ended: twice as long as expected, what its cells may take to drain, and
    as long as its master waits for workers."""
    drain_s = plan.drain_s * len(cells(plan, 1))
    return expected_s(plan) / plan.repeats * 2 + drain_s + swarm.patience_s + 60


def _hung_s(plan: Plan, cell: Cell) -> float:
    """How long after the end of a cell the last request hangs of those that an injected fault leaves unanswered."""
    inject = cell.stage.inject
    if inject is None or inject.kind != "timeout":
        return 0.0
    left_s = plan.timeouts.read_s - (cell.stage.duration_s - inject.start_s - inject.duration_s)
    return min(plan.drain_s, max(0.0, left_s))


def check_runnable(plan: Plan) -> None:
    """Refuse what cannot be run: a trace or questions that cannot be read. Raises UsageFault."""
    for workload in plan.workloads:
        if workload.questions is not None:
            load_questions(workload.questions)
    for cell in cells(plan, 1):
        if cell.stage.open:
            expected_arrivals(cell.stage, cell.span_s)


def run(
    plan: Plan,
    run_dir: RunDir,
    swarm: Swarm,
    watch: Callable[[Progress], None],
    *,
    first: int = 1,
    enough: Callable[[int], bool] | None = None,
) -> Ending:
    """Run every repeat. Never loses what was measured: whatever happens, run.json says how it ended.

    Ctrl-C is passed on to Locust, which drains; the ending is then `interrupted`. `first`: the repeat to begin with,
    those before it being there already. `enough` is asked after each repeat whether there are enough of them.
    """
    write_questions(plan, run_dir)
    write_whole(run_dir.plan, dump_plan(plan).encode())
    ending = Ending()
    record = {"schema": 1, "run": run_dir.name, "plan": plan.name, "started_utc": now_utc()}
    record |= {"environment": describe_environment(), "commands": [], "workers_per_repeat": swarm.workers}
    record |= {"hosts": bool(swarm.expected), "redis": None if swarm.redis is None else redacted_url(swarm.redis)}
    if first > 1:
        _go_on(run_dir, record, ending)
    _write_run_json(run_dir, record, ended="running", ending=ending)
    follower = _Follower(run_dir, plan)
    try:
        host = swarm.bind_host if swarm.expected else "127.0.0.1"
        with simulator_of(plan, run_dir, host) as url, collector_of(run_dir, swarm, ending.missing):
            record["simulator_url"] = url
            record["network"] = network_floors(with_simulator(plan, url).targets)
            for repeat in range(first, plan.repeats + 1):
                _run_repeat(plan, run_dir, repeat, swarm, url, record, ending, watch, follower)
                if run_dir.spent(repeat).exists():
                    ending.missing.append(f"the budget was used up in repeat {repeat}: what follows was not sent")
                if ending.ended in ("interrupted", "failed") or run_dir.spent(repeat).exists():
                    break
                if enough is not None and enough(repeat):
                    break
    except KeyboardInterrupt:  # before its processes were there, or a second time
        ending.ended = "interrupted"
    except BaseException:
        ending.ended = "failed"
        raise
    finally:
        record["ended_utc"] = now_utc()
        if ending.missing and ending.ended == "complete":
            ending.ended = "degraded"
        with held():
            if not run_dir.plan.exists():  # somebody deleted it, and the analysis needs it
                run_dir.root.mkdir(parents=True, exist_ok=True)
                run_dir.plan.write_text(dump_plan(plan), encoding="utf-8")
            _write_run_json(run_dir, record, ended=ending.ended, ending=ending)
            _collect_csv(run_dir, plan.repeats)
    return ending


def _go_on(run_dir: RunDir, record: dict[str, Any], ending: Ending) -> None:
    """Keep what run.json says of the repeats that were run before."""
    try:
        earlier = msgspec.json.decode(run_dir.run_json.read_bytes(), type=dict[str, Any])
    except (OSError, *UNREADABLE):
        return
    record["started_utc"] = earlier.get("started_utc", record["started_utc"])
    record["commands"] = list(earlier.get("commands", []))
    ending.workers += earlier.get("workers", [])
    ending.missing += earlier.get("missing", [])


def _write_run_json(run_dir: RunDir, record: dict[str, Any], ended: str, ending: Ending) -> None:
    whole = record | {"ended": ended, "missing": ending.missing, "workers": ending.workers}
    write_whole(run_dir.run_json, msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n")


def _run_repeat(
    plan: Plan,
    run_dir: RunDir,
    repeat: int,
    swarm: Swarm,
    url: str | None,
    record: dict[str, Any],
    ending: Ending,
    watch: Callable[[Progress], None],
    follower: _Follower,
) -> None:
    if plan.budget != Budget():
        wait_for_journals(run_dir, swarm)
    purse = purse_of(plan, run_dir, repeat, journals_here=not swarm.expected or swarm.redis is not None)
    started = commands(plan, run_dir, repeat, swarm, url, purse)
    record["commands"] += [" ".join(command.words) for command in started]
    group: dict[str, subprocess.Popen[bytes]] = {}
    follower.begin(repeat)
    try:
        with held():
            group |= {command.name: _start(command, run_dir) for command in started}
        interrupted = _wait(group, plan, swarm, follower, watch, ending)
    finally:
        end_all(group.values(), signal.SIGTERM, _GRACE_S)
    for name, process in group.items():
        entry = {"name": name, "pid": process.pid, "exit_code": process.returncode}
        ending.workers.append(entry)
        if process.returncode != 0 and not interrupted:
            ending.missing.append(f"{name}: {_ending_of(process.returncode)}; see locust/{name}.log")
    ending.missing += read_lost(run_dir, repeat) if swarm.expected else []
    stopped = run_dir.stopped(repeat).exists()
    if stopped:
        ending.missing.append(f"stopped from Locust's web UI in repeat {repeat}: what follows was not sent")
    if interrupted or stopped:
        ending.ended = "interrupted"
    elif all(process.returncode not in (0, -signal.SIGKILL) for process in group.values()):
        ending.ended = "failed"


def _ending_of(code: int) -> str:
    return f"ended by signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _start(command: Command, run_dir: RunDir) -> subprocess.Popen[bytes]:
    """In a session of its own, so that a Ctrl-C on the terminal reaches it through us and only once."""
    with (run_dir.locust_logs / f"{command.name}.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603
            command.words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=clean_environment(command.variables),
            start_new_session=True,
        )


def _wait(
    group: dict[str, subprocess.Popen[bytes]],
    plan: Plan,
    swarm: Swarm,
    follower: _Follower,
    watch: Callable[[Progress], None],
    ending: Ending,
) -> bool:
    """Until the first process (which leads) has ended, and the others after it. True when the user stopped the run."""
    leader = next(iter(group.values()))
    limit_s = time.monotonic() + longest_s(plan, swarm)
    interrupted = False
    while leader.poll() is None:
        try:
            time.sleep(_LOOK_S)
            watch(follower.progress())
        except KeyboardInterrupt:
            interrupted = True
            end_all(group.values(), signal.SIGINT, plan.drain_s + _GRACE_S)
        if time.monotonic() > limit_s:
            ending.missing.append("the repeat took far longer than planned and was ended")
            end_all(group.values(), signal.SIGTERM, _GRACE_S)
    watch(follower.progress())
    for process in group.values():
        with _patience():
            process.wait(timeout=10)
    return interrupted


@contextmanager
def _patience() -> Iterator[None]:
    try:
        yield
    except subprocess.TimeoutExpired:
        return


_USAGE = b'"usage":{'
_TARGET = b'"target":"'


class _Follower:
    """Reads what the journals gained, and counts. Cheap: lines are searched, and no more decoded than what they say of
    tokens. Requests are those of one repeat, the spend is that of all."""

    def __init__(self, run_dir: RunDir, plan: Plan) -> None:
        self._run_dir = run_dir
        self._plan = plan
        self._start_s = time.monotonic()
        self._offsets: dict[Path, int] = {}
        self._priced = {each.name.encode(): each for each in plan.targets if each.price is not None}
        self._usd = 0.0
        self.begin(1)

    def begin(self, repeat: int) -> None:
        """Follow this repeat from now on."""
        self._repeat = repeat
        self._samples = 0
        self._failures = 0
        self._recent: list[tuple[float, int]] = []

    def progress(self) -> Progress:
        """The state now; the rate is that of the last five seconds."""
        for path in self._run_dir.journals.glob(f"r{self._repeat}-*.jsonl"):
            self._read(path)
        now_s = time.monotonic()
        self._recent = [*(each for each in self._recent if now_s - each[0] < 5), (now_s, self._samples)]
        span_s = now_s - self._recent[0][0]
        rate = (self._samples - self._recent[0][1]) / span_s if span_s > 0 else 0.0
        elapsed_s = now_s - self._start_s
        expected = expected_s(self._plan)
        usd = self._usd if self._priced else None
        return Progress(self._repeat, self._plan.repeats, elapsed_s, expected, self._samples, self._failures, rate, usd)

    def _read(self, path: Path) -> None:
        with path.open("rb") as journal:
            journal.seek(self._offsets.get(path, 0))
            data = journal.read()
        whole = data.rfind(b"\n") + 1
        self._offsets[path] = self._offsets.get(path, 0) + whole
        samples = data.count(b'{"type":"sample"', 0, whole)
        self._samples += samples
        self._failures += samples - data.count(b'"outcome":"ok"', 0, whole)
        if self._priced:
            self._usd += sum(self._costs(data, whole))

    def _costs(self, data: bytes, end: int) -> Iterator[float]:
        """What each sample cost whose usage and price are known. Within a text the quotes of a word are escaped."""
        at = data.find(_USAGE, 0, end)
        while at >= 0:
            begin = at + len(_USAGE) - 1
            name = data.rfind(_TARGET, 0, at) + len(_TARGET)
            target = self._priced.get(data[name : data.find(b'"', name)])
            if target is not None:
                with suppress(*UNREADABLE):  # a damaged line: the analysis tells of it
                    usage = msgspec.json.decode(data[begin : data.find(b"}", begin) + 1], type=Usage)
                    yield usd_of(target, usage) or 0.0
            at = data.find(_USAGE, begin, end)


def _collect_csv(run_dir: RunDir, repeats: int) -> None:
    """Locust's four files of the whole run. Each repeat began with the counts of those before it, so the last one's
    totals are the run's; the histories are joined."""
    for part in LOCUST_CSV_PARTS:
        paths = [run_dir.locust_logs / f"r{repeat}_{part}.csv" for repeat in range(1, repeats + 1)]
        found = [path for path in paths if path.exists() and path.stat().st_size]
        if not found:
            continue
        target = run_dir.locust_csv(part)
        if part in ("stats", "failures"):
            target.write_bytes(found[-1].read_bytes())
        else:
            head, *_ = found[0].read_bytes().splitlines(keepends=True)
            bodies = (b"".join(path.read_bytes().splitlines(keepends=True)[1:]) for path in found)
            target.write_bytes(head + b"".join(bodies))
