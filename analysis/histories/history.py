"""A folder of run directories -> its history: every figure of every run, as it was, with what is alike put together.

Only summary.json is read (`<plan>/<run>/summary.json`, or `<run>/summary.json` where the folder is that of one plan).
Alike are results whose plan, target, workload, stage, kind, load, request, dialect and model are the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.histories.history_index import Table, load_index, save_index
from analysis.histories.history_metrics import METRICS
from analysis.histories.history_reading import Read, RunEntry, SeriesKey, Values, read_runs, t_quantile
from analysis.reading.parallel import over_parts
from analysis.records.history_record import Findings, Skipped
from harness.errors import UsageFault

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much
_AT_ONCE = 100  # summaries that one process reads before it tells
_HERE = 100  # summaries that are not worth another process
_FILE = "summary.json"


@dataclass(frozen=True)
class History:
    """What was read of a folder. `runs` are in the order in which they began, with those that are not in the history
    (`reason`) among them; `table` refers to them. `stored`: findings of an earlier look; `fresh`: whether anything is
    not as it was then. `whole`: the table with runs that stand twice in the folder, as the index keeps it (None: the
    same)."""

    root: Path
    table: Table
    skipped: tuple[Skipped, ...]
    stored: dict[str, Findings]
    fresh: bool
    whole: Table | None = None

    @property
    def runs(self) -> list[RunEntry]:
        """The runs that are in the history, in the order in which they began."""
        return sorted((each for each in self.table.entries if not each.reason), key=lambda each: each.started_s)


def quiet(what: str, done: int, total: int) -> None:
    """Tells nobody."""


def load_history(root: str | Path, *, progress: Progress = quiet, earlier: History | None = None) -> History:
    """Read the runs below a folder, by its index where that is still true. `earlier`: a look at the same folder, which
    is gone by instead of the index. Raises UsageFault: it is no folder, or holds no run."""
    folder = Path(root)
    found, unread = _scan(folder)
    if not found and not unread:
        raise UsageFault(f"{folder}: holds no run directory", "name the folder that `tokenswarm run --out` wrote to")
    known, stored = load_index(folder) if earlier is None else (earlier.whole or earlier.table, earlier.stored)
    same = {each.path for each in known.entries if found.get(each.path) == (each.mtime_ns, each.size)}
    news = [path for path in found if path not in same]
    fresh = bool(news) or len(same) < len(known.entries)
    table = _joined(_without(known, same), list(_read(folder, news, progress))) if fresh else known
    unreadable = tuple(Skipped(path=each.path, reason=each.reason) for each in table.entries if each.reason)
    copies = _copies(table)
    once = _without(table, {each.path for each in table.entries} - {each.path for each in copies}) if copies else table
    return History(folder, once, (*unreadable, *copies, *unread), stored, fresh, table)


def _copies(table: Table) -> list[Skipped]:
    """Runs that stand in the folder once more, as a baseline that was put aside does: they would count twice."""
    first: dict[tuple[str, float], str] = {}
    found = []
    for entry in sorted(table.entries, key=lambda each: each.path):
        path = entry.path if entry.reason else first.setdefault((entry.run, entry.started_s), entry.path)
        if path != entry.path:
            found.append(Skipped(path=entry.path, reason=f"is the run of {path} once more"))
    return found


def without(history: History, paths: set[str]) -> History:
    """The history without some of its runs, by the paths of their summaries; the index still holds them."""
    kept = {each.path for each in history.table.entries} - paths
    whole = history.table if history.whole is None else history.whole
    skipped = tuple(each for each in history.skipped if each.path not in paths)
    return replace(history, table=_without(history.table, kept), skipped=skipped, whole=whole)


def keep(history: History, findings: dict[str, Findings]) -> str:
    """Write the index, where it is not as it should be; "" or why that was not possible."""
    if not history.fresh and findings.keys() == history.stored.keys():
        return ""
    return save_index(history.root, history.table if history.whole is None else history.whole, findings)


def _scan(root: Path) -> tuple[dict[str, tuple[int, int]], list[Skipped]]:
    """The summaries below a folder by their paths, with time of change and size; and run directories without one."""
    found: dict[str, tuple[int, int]] = {}
    without: list[Skipped] = []
    try:
        above = [each.name for each in os.scandir(root) if each.is_dir()]
    except OSError as error:
        raise UsageFault(f"{root}: {error.strerror}", "name a folder of run directories") from error
    for name in sorted(above):
        if not _add(f"{root}/{name}", name, found):
            _scan_plan(root, name, found, without)
    return found, without


def _scan_plan(root: Path, plan: str, found: dict[str, tuple[int, int]], without: list[Skipped]) -> None:
    folder = f"{root}/{plan}"
    if os.path.exists(f"{folder}/run.json") or os.path.exists(f"{folder}/plan.yaml"):  # noqa: PTH110
        without.append(Skipped(path=plan, reason=_NONE))
        return
    try:
        names = [each.name for each in os.scandir(folder) if each.is_dir()]
    except OSError as error:
        without.append(Skipped(path=plan, reason=f"cannot be read: {error.strerror}"))
        return
    for name in sorted(names):
        run = f"{folder}/{name}"
        is_run = _add(run, f"{plan}/{name}", found) or not any(
            os.path.exists(f"{run}/{file}")  # noqa: PTH110  (ten thousand of them)
            for file in ("run.json", "plan.yaml", "journal")
        )
        if not is_run:
            without.append(Skipped(path=f"{plan}/{name}", reason=_NONE))


_NONE = "has no summary.json: the run died, or is not over; `tokenswarm analyze` makes one of what is there"


def _add(folder: str, path: str, found: dict[str, tuple[int, int]]) -> bool:
    try:
        stamp = os.stat(f"{folder}/{_FILE}")  # noqa: PTH116  (ten thousand of them)
    except OSError:
        return False
    found[f"{path}/{_FILE}"] = (stamp.st_mtime_ns, stamp.st_size)
    return True


def _read(root: Path, paths: Sequence[str], progress: Progress) -> Iterator[Read]:
    parts = [paths[at : at + _AT_ONCE] for at in range(0, len(paths), _AT_ONCE)]
    done = 0
    if len(paths) >= _HERE:
        t_quantile(1)  # loads what each of the processes would load by itself
    for made in over_parts(partial(read_runs, root), parts, here=len(paths) < _HERE):
        yield from made
        done += len(made)
        progress("reading summaries", done, len(paths))


def _without(table: Table, kept: set[str]) -> Table:
    """The table with some of its runs alone."""
    stays = np.array([each.path in kept for each in table.entries], dtype=bool)
    places = (np.cumsum(stays) - 1).astype(np.int32)
    rows = stays[table.run]
    entries = [each for each in table.entries if each.path in kept]
    return Table(entries, table.keys, places[table.run[rows]], table.key[rows], table.figures[rows])


def _joined(table: Table, read: list[Read]) -> Table:
    """The table with further runs."""
    entries = [*table.entries, *(each.entry for each in read)]
    places: dict[SeriesKey, int] = {key: place for place, key in enumerate(table.keys)}
    keys = [places.setdefault(key, len(places)) for each in read for key in each.keys]
    first = len(table.entries)
    runs = np.repeat(np.arange(first, len(entries)), [len(each.keys) for each in read])
    figures: list[Values] = [table.figures, *(each.figures for each in read)]
    return Table(
        entries,
        list(places),
        np.concatenate([table.run, runs]).astype(np.int32),
        np.concatenate([table.key, keys]).astype(np.int32),
        np.concatenate(figures),
    )


def table_of(history: History) -> pd.DataFrame:
    """The history as a table: one row for each run, target, workload, stage and metric that was measured, in the order
    in which the runs began; times in UTC, values with the ends of their 95 % intervals (NaN: not known)."""
    import pandas as pd  # noqa: PLC0415  (slow to load, and not needed by the command)

    table = history.table
    row, metric = np.nonzero(~np.isnan(table.figures[:, :, 0]))
    runs = pd.DataFrame([(e.run, pd.Timestamp(e.started_s, unit="s", tz="UTC"), e.verdict) for e in table.entries])
    runs = runs.reindex(columns=range(3)).set_axis(["run", "started_utc", "validity"], axis=1)
    names = ["plan", "target", "workload", "stage", "model", "load", "request"]
    keys = pd.DataFrame([[getattr(key, name) for name in names] for key in table.keys], columns=names)
    found = pd.concat(
        [runs.iloc[table.run[row]].reset_index(drop=True), keys.iloc[table.key[row]].reset_index(drop=True)], axis=1
    )
    paths = [each.path for each in METRICS]
    found["metric"] = pd.Categorical(np.array(paths)[metric], categories=paths)
    for place, name in enumerate(("value", "low", "high")):
        found[name] = table.figures[row, metric, place].astype(np.float64)
    return found.sort_values("started_utc", kind="stable", ignore_index=True)
