"""The loop of `tokenswarm monitor`: which run directories are watched, and a look at each of them every second."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.watching.slices import Slice
from harness.alerting.report_clock import ReportClock
from harness.alerting.sinks import Delivery
from harness.errors import UsageFault
from harness.journals.tail import Clock
from harness.monitor import Watch
from harness.monitoring.folding import KEEP_RAW_S
from harness.monitoring.run_ending import ending_of
from harness.plan import Plan
from harness.plan_file import read_plan
from harness.prices import priced
from harness.records.alert_record import AlertConfig
from harness.records.monitor_record import Picture
from harness.rundir import RunDir

if TYPE_CHECKING:  # with it comes the library of metrics
    from harness.live.monitor_metrics import Told

EVERY_S = 1.0
_CLOCK_SET_S = 2.0
_SEARCH_EVERY_S = 5.0
_GONE_AFTER_S = 10.0


@dataclass(frozen=True)
class Wanted:
    """What is asked of the monitor. `alerts` None: what the plan of a run says, else the shipped rules. `prices`: a
    table of prices; `told`: what is to be told as metrics; `say`: takes what is to be said beside the pictures."""

    alerts: AlertConfig | None = None
    baselines: Mapping[tuple[str, str], Slice] = field(default_factory=dict)
    prices: Path | None = None
    keep_raw_s: float = KEEP_RAW_S
    told: Told | None = None
    say: Callable[[str], None] = lambda _: None


def is_run_dir(path: Path) -> bool:
    """Whether a folder is a run directory, if only one just begun. A plan alone lies in many folders, and so does a
    folder of that name with something else in it."""
    run_dir = RunDir(path)
    if run_dir.run_json.is_file():
        return True
    return run_dir.journals.is_dir() and (run_dir.plan.is_file() or any(run_dir.journals.glob("*.jsonl")))


def runs_under(root: Path) -> list[RunDir]:
    """The run directory that `root` is, or else those in it, at any of the two levels below."""
    if is_run_dir(root):
        return [RunDir(root)]
    below = (path for pattern in ("*", "*/*") for path in sorted(root.glob(pattern)))
    return [RunDir(path) for path in below if _is_readable(path) and is_run_dir(path)]


def _is_readable(path: Path) -> bool:
    return path.is_dir() and os.access(path, os.R_OK | os.X_OK)


@dataclass
class Watched:
    """One run directory that is watched: locked, since two monitors of it would tell every alert twice."""

    watch: Watch
    delivery: Delivery
    reports: ReportClock
    lock: int
    picture: Picture | None = None
    there_s: float = field(default_factory=time.monotonic)  # when its directory was last seen

    def is_gone(self) -> bool:
        """Whether the directory has been away for longer than it takes to put it back."""
        if self.watch.run_dir.root.is_dir():
            self.there_s = time.monotonic()
        return time.monotonic() - self.there_s > _GONE_AFTER_S

    def close(self) -> None:
        """Keep where it stands, tell the sinks what they are still to be told, and let go of the directory."""
        self.watch.close()
        self.reports.close()
        self.delivery.close()
        os.close(self.lock)


def open_watch(run_dir: RunDir, wanted: Wanted, clock: Clock) -> Watched:
    """Begin to watch, or go on. Raises UsageFault where another monitor does, or the plan's rules are wrong."""
    lock = _locked(run_dir)
    with ExitStack() as undoing:
        undoing.callback(os.close, lock)
        plan = plan_of(run_dir, wanted.prices)
        config = wanted.alerts or (plan.alerts if plan else AlertConfig())
        delivery = Delivery(config, run_dir)
        undoing.callback(delivery.close)
        watch = Watch(
            run_dir,
            plan,
            config,
            clock.now_ns(),
            time.monotonic_ns(),
            mode="probe" if run_dir.probe.is_file() else "run",
            baselines=wanted.baselines,
            delivery=delivery,
            keep_raw_s=wanted.keep_raw_s,
            counted=None if wanted.told is None else wanted.told.counted(run_dir, plan),
        )
        watched = Watched(watch, delivery, ReportClock(run_dir, config, watch.begun_ns / 1e9), lock)
        undoing.pop_all()
    return watched


def plan_of(run_dir: RunDir, prices: Path | None) -> Plan | None:
    """The plan of a run, with prices; None: it has none (Locust without a plan)."""
    return priced(read_plan(str(run_dir.plan)), prices) if run_dir.plan.is_file() else None


def _locked(run_dir: RunDir) -> int:
    lock = os.open(run_dir.monitor_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        message = f"{run_dir.root}: another monitor watches it"
        raise UsageFault(message, "look at its monitor.json, or end that one first") from error
    return lock


def follow(
    root: Path,
    wanted: Wanted,
    show: Callable[[Sequence[Picture]], None],
    *,
    once: bool = False,
    alive: Callable[[], bool] = lambda: True,
    not_probed: Callable[[], str | None] = lambda: None,
) -> list[Picture]:
    """Watch a run directory until its run has ended, or a folder of runs until interrupted; `once`: one look.

    The last picture of each is returned. `alive` false ends it, after a last look; `not_probed`: why no probes
    are sent. On Ctrl-C all is kept and KeyboardInterrupt raised.
    Raises UsageFault where the one directory is taken away.
    """
    single = is_run_dir(root)
    clock, watched, done, left = Clock(), dict[Path, Watched](), list[Picture](), dict[Path, str]()
    searched_s = -_SEARCH_EVERY_S
    with ExitStack() as closing:
        closing.callback(_close_all, watched)
        while True:
            began_s = time.monotonic()
            going = alive()
            if not single and began_s - searched_s >= _SEARCH_EVERY_S:
                _find_more(root, wanted, clock, watched, left)
                if searched_s < 0 and not watched:
                    wanted.say(f"{root}: no run goes on there" + ("" if once else ": waiting for one"))
                searched_s = began_s
            elif single and not watched:
                watched[root] = open_watch(RunDir(root), wanted, clock)
            for each in watched.values():
                each.watch.troubles.not_probed = not_probed()
            _look_at_all(watched, clock)
            _leave_gone(watched, wanted, single=single)
            pictures = [each.picture for each in watched.values() if each.picture is not None]
            show(pictures)
            if wanted.told is not None:
                wanted.told.tell(pictures)
            over = [path for path, each in watched.items() if each.picture and each.picture.state in ("ended", "died")]
            for path in over if not once else watched.copy():
                ended = watched.pop(path)
                ended.close()
                done += [ended.picture] if ended.picture is not None else []
            if once or (single and not watched) or not going:
                return done + [each.picture for each in watched.values() if each.picture is not None]
            time.sleep(max(0.05, EVERY_S - (time.monotonic() - began_s)))


def _close_all(watched: Mapping[Path, Watched]) -> None:
    with ExitStack() as closing:
        for each in watched.values():
            closing.callback(each.close)


def _look_at_all(watched: Mapping[Path, Watched], clock: Clock) -> None:
    ahead_s = clock.ahead_s()
    if ahead_s < -_CLOCK_SET_S:  # set ahead, or this machine slept: time has passed
        clock.wall_ns, clock.mono_ns = time.time_ns(), time.monotonic_ns()
    for each in watched.values():
        if abs(ahead_s) > _CLOCK_SET_S:
            each.watch.troubles.clock_set_s = ahead_s
        each.picture = each.watch.look(clock.now_ns(), time.monotonic_ns())
        each.reports.look(clock.now_ns() / 1e9)


def _leave_gone(watched: dict[Path, Watched], wanted: Wanted, *, single: bool) -> None:
    """Watch no longer what was taken away, so that it is not waited for in all eternity."""
    for path in [path for path, each in watched.items() if each.is_gone()]:
        if single:
            raise UsageFault(f"{path}: the run directory was taken away", "monitor it where it is now")
        watched.pop(path).close()
        wanted.say(f"{path}: the run directory was taken away: no longer watched")


def _find_more(root: Path, wanted: Wanted, clock: Clock, watched: dict[Path, Watched], left: dict[Path, str]) -> None:
    """Every run that goes on and is not watched yet. One that another monitor watches, or that cannot be read, is
    `left` to it, and said once."""
    for run_dir in runs_under(root):
        if run_dir.root in watched or ending_of(run_dir, clock.now_ns()).state not in ("running", "waiting"):
            continue
        try:
            watched[run_dir.root] = open_watch(run_dir, wanted, clock)
        except UsageFault as fault:
            said = fault.message
        except OSError as error:
            said = f"{error.filename}: {error.strerror}"
        else:
            continue
        if left.get(run_dir.root) != said:
            left[run_dir.root] = said
            wanted.say(f"not watched: {said}")
