"""The runs below a folder: a cheap list of them, and what one of them holds. Nothing outside the folder is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from analysis.histories.history import History, keep, load_history, without
from analysis.records.history_record import Trends
from analysis.samples import Samples, load_samples
from analysis.summary import SCHEMA, Summary
from analysis.trends import Judged, judge, trends_of
from harness.errors import UNREADABLE, UsageFault
from harness.rundir import RunDir

FRESH_S = 2.0  # how long a look at the folder is believed
MOST_JOURNAL_BYTES = 400_000_000  # of which single requests are still drawn here
_SUMMARIES = 32
_OF_SAMPLES = 2


@dataclass(frozen=True)
class Listed:
    """A run as the list shows it. `name`: its path below the root; `started_s`: since 1970, None where not even the
    name tells; `verdict`: of its summary, "" where there is none that can be read: then `reason` says why."""

    name: str
    plan: str
    started_s: float | None
    verdict: str
    targets: tuple[str, ...] = ()
    reason: str = ""


@dataclass
class _Look:
    """What was seen of the folder, and when (s of the monotonic clock)."""

    at_s: float
    history: History
    listed: tuple[Listed, ...]
    judged: Judged | None = None


class Runs:
    """The runs below `root`, looked at again when a look is older than 2 s. Threads may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._lock = threading.Lock()
        self._judging = threading.Lock()  # takes longer than a list of runs should wait
        self._look: _Look | None = None
        self._summary: Callable[[Path, int, int], Summary] = lru_cache(_SUMMARIES)(_read_summary)
        self._samples: Callable[[Path, int, int], Samples] = lru_cache(_OF_SAMPLES)(_read_samples)

    def listed(self) -> tuple[Listed, ...]:
        """All runs, the latest first; none where the folder holds none. Raises UsageFault: it cannot be read."""
        with self._lock:
            look = self._seen()
        return () if look is None else look.listed

    def latest(self, wanted: Callable[[Listed], bool] = lambda _: True) -> Listed | None:
        """The latest run with a summary that is as wanted; a valid one before others."""
        those = [each for each in self.listed() if each.verdict and wanted(each)]
        return next((each for each in those if each.verdict != "invalid"), those[0] if those else None)

    def trends(self, metrics: Sequence[str] = (), plans: Sequence[str] = (), last: int | None = None) -> Trends:
        """The history of the folder, judged as a whole; the series of some metrics and plans are given (nothing: all),
        with their `last` values (None: every one). Raises UsageFault: no run."""
        with self._lock:
            look = self._seen()
        if look is None:
            raise UsageFault(f"{self.root}: holds no run", "start one with `tokenswarm run`")
        with self._judging:
            if look.judged is None:
                look.judged = judge(look.history)
                pairs = zip(look.judged.lines, look.judged.found, strict=True)
                found = {line.digest: each for line, each in pairs}
                keep(look.history, found)
                look.history = replace(look.history, stored=found)
        most = len(look.history.table.entries) if last is None else last
        return trends_of(look.history, look.judged, metrics=metrics, plans=plans, last=most)

    def _seen(self) -> _Look | None:
        """The folder as it is, or was within the last 2 s; None: it holds no run."""
        look, now_s = self._look, time.monotonic()
        if look is not None and now_s - look.at_s < FRESH_S:
            return look
        if not self.root.is_dir():
            raise UsageFault("the folder of runs is not there", "start the dashboard with a folder of run directories")
        try:
            history = load_history(self.root, earlier=None if look is None else look.history)
        except UsageFault:
            self._look = None
            return None
        if history.fresh:
            keep(history, history.stored)
        if look is not None and _same(look.history, history):
            look.at_s = now_s
        else:
            inside = self._inside(history)
            self._look = _Look(now_s, inside, _listed(inside))
        return self._look

    def _inside(self, history: History) -> History:
        """Without what a symbolic link leads out of the folder to."""
        paths = [each.path for each in history.table.entries] + [each.path for each in history.skipped]
        out = {each for each in paths if not self._holds(self.root / each)}
        return without(history, out) if out else history

    def _holds(self, path: Path) -> bool:
        with suppress(OSError, ValueError, RuntimeError):
            return path.resolve().is_relative_to(self.root)
        return False

    def folder(self, name: str) -> RunDir:
        """The run directory of a name. Raises UsageFault: there is none below the root."""
        path = self.root / name
        found = False
        with suppress(OSError):  # a name that is too long for one, too
            found = bool(name) and self._holds(path) and path.resolve() != self.root and _is_run(path)
        if not found:
            raise UsageFault(f"{name[:200]!r}: no such run", "choose one of the list")
        return RunDir(path.resolve())

    def file(self, name: str, file: str) -> Path:
        """A file of a run. Raises UsageFault: it is not there, or it lies elsewhere."""
        path = self.folder(name).root / file
        if not path.is_file() or not self._holds(path):
            raise UsageFault(f"{name}: has no {file}", f"`tokenswarm report {name}` writes what the run allows")
        return path

    def summary(self, name: str) -> Summary:
        """The numbers of a run. Raises UsageFault: there are none that can be read."""
        path = self.folder(name).summary
        if not path.is_file() or not self._holds(path):
            raise UsageFault(
                f"{name}: has no summary.json",
                f"the run died, or is not over; `tokenswarm analyze {name}` makes one of what is there",
            )
        stamp = path.stat()
        return self._summary(path, stamp.st_mtime_ns, stamp.st_size)

    def samples(self, name: str) -> Samples:
        """The single requests of a run. Raises UsageFault: none were recorded, or too many to draw here."""
        folder = self.folder(name)
        journals = sorted(folder.journals.glob("*.jsonl")) if folder.journals.is_dir() else []
        if not journals or not all(self._holds(each) for each in journals):
            raise UsageFault(f"{name}: no single requests were recorded", "a run with journals has them")
        sizes = [each.stat().st_size for each in journals]
        if sum(sizes) > MOST_JOURNAL_BYTES:
            raise UsageFault(f"{name}: too many requests to draw here", "its report.html has these figures")
        return self._samples(folder.root, max(each.stat().st_mtime_ns for each in journals), sum(sizes))


def _same(a: History, b: History) -> bool:
    return a.skipped == b.skipped and a.table.entries == b.table.entries


def _is_run(path: Path) -> bool:
    return any((path / file).exists() for file in ("summary.json", "run.json", "plan.yaml", "journal"))


def _listed(history: History) -> tuple[Listed, ...]:
    targets: dict[int, dict[str, None]] = {}
    plans: dict[int, str] = {}
    for run, key in zip(history.table.run.tolist(), history.table.key.tolist(), strict=True):
        plans[run] = history.table.keys[key].plan
        targets.setdefault(run, {})[history.table.keys[key].target] = None
    found = []
    for place, entry in enumerate(history.table.entries):
        name = entry.path.removesuffix("/summary.json")
        if not entry.reason:
            plan = plans.get(place, _plan(name))
            found.append(Listed(name, plan, entry.started_s, entry.verdict, tuple(targets.get(place, ()))))
    found += [
        Listed(name, _plan(name), started_of(name), "", reason=each.reason)
        for each in history.skipped
        if (name := each.path.removesuffix("/summary.json"))
    ]
    return tuple(sorted(found, key=lambda each: each.started_s or 0.0, reverse=True))


def _plan(name: str) -> str:
    return name.rpartition("/")[0]


def started_of(name: str) -> float | None:
    """When a run began (s since 1970), by the name of its directory; None: that does not tell."""
    try:
        began = datetime.strptime(name.rpartition("/")[2].partition("-")[0], "%Y%m%dT%H%M%SZ")  # noqa: DTZ007
    except ValueError:
        return None
    return began.replace(tzinfo=UTC).timestamp()


class _Schema(msgspec.Struct):
    schema: int = 0


def _read_summary(path: Path, _changed_ns: int, _size: int) -> Summary:
    """Raises UsageFault: it is damaged, or of another version."""
    again = "`tokenswarm analyze` makes it anew from what the run recorded"
    try:
        content = path.read_bytes()
        schema = msgspec.json.decode(content, type=_Schema).schema
        if schema != SCHEMA:
            raise UsageFault(f"summary.json: schema {schema}: this program reads {SCHEMA}", again)
        return msgspec.json.decode(content, type=Summary)
    except OSError as error:
        raise UsageFault(f"summary.json: {error.strerror}", "may this user read it?") from error
    except UNREADABLE as error:
        raise UsageFault(f"summary.json: damaged: {error}", again) from error


def _read_samples(folder: Path, _changed_ns: int, _size: int) -> Samples:
    return load_samples(RunDir(folder))
