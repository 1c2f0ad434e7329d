"""`tokenswarm run --metrics-port`: the journals of a run, followed while they grow, as `/metrics` of its launcher.

Every repeat is a fresh Locust, but there is one launcher, and a journal outlives whoever writes it: so counts never
fall from the first request to the last, whichever processes die, and nothing is asked of those that make the load.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from harness.errors import UNREADABLE
from harness.journals.tail import Tail
from harness.live.exposition import Exposition, Shown
from harness.live.live import Board, Live
from harness.live.run_shown import shown_of, whose_run
from harness.live.scraping import Door, serving
from harness.plan import Plan
from harness.records.health_record import Health, decode_health
from harness.records.monitor_record import Gravity
from harness.rundir import RunDir

LOOK_S = 1.0
_SHIPPED = "health-*.jsonl"  # rows of workers on other hosts, as they come


class _Verdict(msgspec.Struct, frozen=True):
    verdict: str
    findings: list[_Doubt]


class _Doubt(msgspec.Struct, frozen=True):
    code: str
    severity: Gravity


class _Summary(msgspec.Struct, frozen=True):
    validity: _Verdict


class Follower:
    """Counts what the journals of a run gain. `look` from one thread, `shown` from any."""

    def __init__(self, run_dir: RunDir, plan: Plan, planned_s: float) -> None:
        self._run_dir = run_dir
        self._plan = plan
        self._whose = whose_run(plan, run_dir, planned_s)
        self._targets = {target.name: target for target in plan.targets}
        self._began_s = time.monotonic()
        self._ended_s: float | None = None
        self._tail = Tail(run_dir.journals)
        self._board = Board()
        self._lives: dict[str, Live] = {}
        self._rows: dict[Path, int] = {}
        self._latest: dict[str, int] = {}
        self._lock = threading.Lock()

    def look(self) -> None:
        """Count what is new, until nothing is."""
        behind = True
        while behind:
            behind = False
            for read in self._tail.read(time.time_ns(), time.monotonic_ns()):
                behind = behind or read.behind
                live = self._live_of(read.name.removesuffix(".jsonl"))
                for sample in read.samples:
                    live.add(sample)
            for row in self._new_rows():
                self._live_of(row.worker).add_health(row)
            self._tell()

    def _live_of(self, worker: str) -> Live:
        if worker not in self._lives:
            self._lives[worker] = Live(time.monotonic(), self._plan.slo, self._targets)
        return self._lives[worker]

    def _tell(self) -> None:
        now_s = time.monotonic()
        reports = [(worker, live.take(now_s)) for worker, live in self._lives.items()]
        with self._lock:
            for worker, report in reports:
                if report["cells"] or report["health"]:
                    self._board.merge(worker, report, now_s)

    def _new_rows(self) -> Iterator[Health]:
        for path in (self._run_dir.health, *self._run_dir.journals.glob(_SHIPPED)):
            try:
                with path.open("rb") as file:
                    file.seek(self._rows.get(path, 0))
                    data = file.read()
            except OSError:
                continue
            whole = data.rfind(b"\n") + 1
            self._rows[path] = self._rows.get(path, 0) + whole
            for line in data[:whole].splitlines():
                try:
                    row = decode_health(line)
                except UNREADABLE:
                    continue
                if row.t_ns > self._latest.get(row.worker, -1):  # shipped rows are copied at the end
                    self._latest[row.worker] = row.t_ns
                    yield row

    def end(self) -> None:
        """The run is over, and all that was written is here."""
        self.look()
        self._ended_s = time.monotonic()

    def shown(self) -> Shown:
        """What is told now; when the run has ended, its verdict."""
        now_s = time.monotonic()
        with self._lock:
            state = "running" if self._ended_s is None else "ended"
            elapsed_s = (self._ended_s or now_s) - self._began_s
            repeat = max((int(name[1:].partition("-")[0]) for name in self._lives if _planned(name)), default=1)
            shown = shown_of(self._board, self._whose, state, now_s, elapsed_s=elapsed_s, repeat=repeat, followed=True)
        return shown if self._ended_s is None else _judged(shown, self._run_dir)


def _planned(name: str) -> bool:
    return name.startswith("r") and name[1:].partition("-")[0].isdecimal()


def _judged(shown: Shown, run_dir: RunDir) -> Shown:
    try:
        found = msgspec.json.decode(run_dir.summary.read_bytes(), type=_Summary).validity
    except (OSError, *UNREADABLE):
        return shown
    return replace(shown, verdict=found.verdict, findings=[(each.code, each.severity) for each in found.findings])


@contextmanager
def metrics_of_run(
    plan: Plan, run_dir: RunDir, door: Door, planned_s: float, tell: Callable[[str], None]
) -> Iterator[None]:
    """Follow a run and serve its metrics for as long as the block lasts; the run is over when the block is. Then
    whoever has asked lately is waited for, so that the last counts are told as well."""
    follower = Follower(run_dir, plan, planned_s)
    over = threading.Event()
    with serving(Exposition(lambda: [follower.shown()]), door) as (url, scraped):
        tell(f"metrics: {url}")
        thread = threading.Thread(target=_follow, args=(follower, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        follower.end()
        if door.linger_s and scraped.lately():
            tell(f"metrics: waiting {door.linger_s:g} s at most for the last scrape")
            with suppress(KeyboardInterrupt):
                scraped.wait_since(time.monotonic(), door.linger_s)


def _follow(follower: Follower, over: threading.Event) -> None:
    while not over.wait(LOOK_S):
        follower.look()
