"""The samples of a run as one table, one row an attempt, and what was found wrong with each journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from analysis.reading.gaps import Gaps, Part, Whole
from analysis.reading.journals import (
    NUMBERS,
    RATES,
    SERVER,
    TIMES,
    UNIQUE_TEXT,
    USAGE,
    Batch,
    count_lines,
    read_journals,
)
from harness.errors import UsageFault
from harness.rundir import RunDir
from harness.sample import OLDEST_READ, SCHEMA, Header

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class JournalState:
    """One journal as it was found. `bad_lines` counts lines in its middle that are no record; `torn`: the last line is
    cut; `closed`: it has its footer, so its worker ended in order. `clock_offset_ns`: how far its host's wall clock was
    ahead of the master's, known to `clock_error_ns`; times on the run's axis are corrected by it."""

    worker: str
    samples: int
    closed: bool
    torn: bool
    bad_lines: int
    clock_offset_ns: int = 0
    clock_error_ns: int | None = None


@dataclass(frozen=True)
class Samples:
    """All attempts of a run.

    `table` has the fields of a sample as columns: numbers as floats (NaN: not measured), texts that repeat as
    categories; usage and server time are spread out (`server_total_ns` ...), `error_class` is added. Instead of
    `event_ns` it has `events` (how many), `first_event_ns` and `last_event_ns`; `gaps` holds the gaps between them, row
    by row.
    Times are in ns relative to the anchor of the row's worker; `axis_ns` is that anchor on the run's axis, whose zero
    is the earliest anchor, at the wall time `origin_wall_ns`.
    """

    table: pd.DataFrame
    gaps: Gaps
    journals: tuple[JournalState, ...]
    duplicates: int
    origin_wall_ns: int

    def column(self, name: str, rows: Whole | slice = slice(None)) -> Floats:
        """A column of numbers, or some rows of it, as floats."""
        return np.asarray(self.table[name].to_numpy()[rows], dtype=np.float64)

    def on_axis(self, name: str, rows: Whole | slice = slice(None)) -> Floats:
        """A column of times on the run's axis, in ns: the wall clock at each worker's anchor, carried on by its
        monotonic clock."""
        return self.column(name, rows) + self.column("axis_ns", rows)

    def event_times(self, rows: Whole) -> Whole:
        """When the content events of some rows (ascending) came, one row after another, in ns relative to the anchor of
        each row's worker."""
        chosen = np.zeros(len(self.table), dtype=bool)
        chosen[rows] = True
        first, last = (np.nan_to_num(self.column(name, rows)).astype(np.int64) for name in _ENDS)
        return self.gaps.event_times(chosen, self.table["events"].to_numpy()[rows], first, last)


_ENDS = ("first_event_ns", "last_event_ns")


def _instead(folder: Path) -> str:
    """What to name instead of a folder that is no run directory: what lies in it."""
    runs = sorted(
        path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{RunDir(folder).journals.name}")
    )
    if runs:
        return f"name one of the {len(runs)} run directories in it, such as {runs[-1]}"
    csv = min((str(path).removesuffix("_stats.csv") for path in folder.glob("*_stats.csv")), default=None)
    return "name a run directory, or the prefix of Locust's CSV files" + ("" if csv is None else f", which is {csv}")


def load_samples(run_dir: RunDir) -> Samples:
    """Every sample of a run directory, whole or died. Raises UsageFault when there is none to read."""
    paths = sorted(run_dir.journals.glob("*.jsonl")) if run_dir.journals.is_dir() else []
    if not paths:
        said = "no journal in it" if run_dir.root.is_dir() else "no such folder"
        raise UsageFault(f"{run_dir.root}: {said}", _instead(run_dir.root))
    states = {path: JournalState(path.stem, 0, closed=False, torn=False, bad_lines=0) for path in paths}
    columns = _Columns(sum(count_lines(path) for path in paths))
    header: Header | None = None
    before: Path | None = None
    for path, batch in read_journals(paths):
        anchors, header = _anchors(batch, header if path == before else None, path)
        before = path
        states[path] = _grown(states[path], batch, int((anchors < 0).sum()), header)
        columns.add(batch, anchors)
    table, gaps, duplicates, origin_wall_ns = columns.joined()
    return Samples(table, gaps, tuple(states.values()), duplicates, origin_wall_ns)


def samples_of(batches: Sequence[tuple[Batch, Whole]]) -> Samples:
    """The samples of some batches (at least one), each with the wall time in ns of every row's anchor."""
    columns = _Columns(sum(batch.rows for batch, _ in batches))
    for batch, anchors in batches:
        columns.add(batch, anchors)
    table, gaps, duplicates, origin_wall_ns = columns.joined()
    return Samples(table, gaps, (), duplicates, origin_wall_ns)


def _grown(state: JournalState, batch: Batch, headless: int, header: Header | None) -> JournalState:
    """What is known of a journal after one more of its batches, `headless` of whose rows stand before any header."""
    return JournalState(
        state.worker,
        state.samples + batch.rows - headless,
        state.closed or batch.closed,
        batch.torn,
        state.bad_lines + batch.bad_lines + headless,
        0 if header is None else header.clock_offset_ns,
        None if header is None else header.clock_error_ns,
    )


def _anchors(batch: Batch, header: Header | None, path: Path) -> tuple[Whole, Header | None]:
    """The wall time, by the master's clock, of the anchor that holds for each row (-1: no header stands before it), and
    the header that holds after the batch."""
    anchors = np.full(batch.rows, -1 if header is None else header.wall_ns - header.clock_offset_ns, np.int64)
    for begin, each in batch.headers:
        header = _accepted(each, path)
        anchors[begin:] = header.wall_ns - header.clock_offset_ns
    return anchors, header


def _accepted(header: Header, path: Path) -> Header:
    if not OLDEST_READ <= header.schema <= SCHEMA:
        message = f"{path}: schema {header.schema}: this version reads schemas {OLDEST_READ} to {SCHEMA}"
        raise UsageFault(message, "use the tokenswarm version that wrote it")
    return header


class _Columns:
    """Columns that grow batch by batch, in arrays as long as there can be rows: nothing is held twice."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._n = 0
        self._numbers: dict[str, npt.NDArray[Any]] = {}
        self._codes: dict[str, npt.NDArray[np.int32]] = {}
        self._known: dict[str, dict[str, int]] = {}
        self._texts: dict[str, list[pa.Array]] = {}
        self._parts: list[Part] = []
        self._wall = np.empty(most, np.int64)

    def add(self, batch: Batch, anchors: Whole) -> None:
        """One more batch; `anchors`: the wall time of each row's anchor, negative where it has none."""
        begin, end = self._n, self._n + batch.rows
        self._n = end
        self._wall[begin:end] = anchors
        for name, values in batch.numbers.items():
            self._numbers.setdefault(name, np.empty(self._most, values.dtype))[begin:end] = values
        for name, (texts, codes) in batch.categories.items():
            known = self._known.setdefault(name, {})
            places = np.array([*(known.setdefault(text, len(known)) for text in texts), -1], np.int32)
            self._codes.setdefault(name, np.empty(self._most, np.int32))[begin:end] = places[codes]
        for name, array in batch.texts.items():
            self._texts.setdefault(name, []).append(array)
        if batch.rows:
            of_rows = np.maximum(batch.numbers["events"] - 1, 0)
            self._parts.append(Part(begin, np.cumsum(of_rows), batch.gaps))

    def joined(self) -> tuple[pd.DataFrame, Gaps, int, int]:
        """The table, the gaps, how many rows were left out as met before, and the wall time of the axis's zero."""
        n = self._n
        columns: dict[str, Any] = {name: values[:n] for name, values in self._numbers.items()}
        for name, codes in self._codes.items():
            columns[name] = pd.Categorical.from_codes(codes[:n], pd.Index(list(self._known[name]), dtype=object))
        for name, arrays in self._texts.items():
            columns[name] = pd.arrays.ArrowExtensionArray(pa.chunked_array(arrays, pa.string()))
        wall = self._wall[:n]
        anchored = wall >= 0
        origin = int(wall[anchored].min()) if anchored.any() else 0
        columns["axis_ns"] = (wall - origin).astype(np.float64)
        table = pd.DataFrame(columns, copy=False)
        worker = self._codes["worker"][:n]
        keys = pd.DataFrame({"worker": worker, "seq": columns["seq"], "attempt": columns["attempt"]})
        again = np.zeros(n, dtype=bool)
        again[anchored] = keys[anchored].duplicated().to_numpy()
        keep = anchored & ~again
        if keep.all():
            return table, Gaps(tuple(self._parts)), 0, origin
        return table[keep].reset_index(drop=True), _only(self._parts, keep), int(again.sum()), origin


def _only(parts: list[Part], keep: npt.NDArray[np.bool_]) -> Gaps:
    """The gaps of the rows that are kept, which close up."""
    kept: list[Part] = []
    row = 0
    for part in parts:
        flags = keep[part.first_row : part.first_row + len(part.ends)]
        own = part.gaps
        values = own if flags.all() else own[np.repeat(flags, part.counts())]
        kept.append(Part(row, np.cumsum(part.counts()[flags]), values))
        row += int(flags.sum())
    return Gaps(tuple(part for part in kept if len(part.ends)))


_GROUP_ROWS = 20_000
_STEPPING = ("event_ns.list.element", *TIMES, "seq")  # columns whose differences are small
_REPLACED = ("first_event_ns", "last_event_ns", "events", "axis_ns")
_FLAGS = ("reused", "valid")
_INTEGERS = (
    *TIMES,
    *(n for n in NUMBERS if n not in ("retry_after_s", *_FLAGS)),
    *USAGE,
    *(f"server_{n}" for n in SERVER),
    *(f"rate_{n}" for n in RATES),
)


def write_parquet(samples: Samples, path: Path) -> None:
    """The samples as Parquet, written whole or not at all. Times are as in the journal, beside them `anchor_wall_ns`,
    the wall time of the worker's anchor."""
    part = path.with_suffix(".tmp")
    groups = _row_groups(samples)
    first = next(groups)
    times: dict[str, Any] = {"use_dictionary": [name for name in first.column_names if name not in _STEPPING]}
    times["column_encoding"] = dict.fromkeys(_STEPPING, "DELTA_BINARY_PACKED")
    with pq.ParquetWriter(part, first.schema, compression="zstd", **times) as writer:
        writer.write_table(first)
        for group in groups:
            writer.write_table(group)
    part.replace(path)


def _row_groups(samples: Samples) -> Iterator[pa.Table]:
    """The table in pieces; at least one, so that there is a schema."""
    for begin in range(0, max(1, len(samples.table)), _GROUP_ROWS):
        rows = samples.table.iloc[begin : begin + _GROUP_ROWS]
        columns: dict[str, Any] = {name: _stored(name, rows[name]) for name in rows.columns if name not in _REPLACED}
        wall = rows["axis_ns"].to_numpy().astype(np.int64) + samples.origin_wall_ns
        columns["anchor_wall_ns"] = pa.array(wall, pa.int64())
        places = np.arange(begin, begin + len(rows))
        offsets = np.concatenate([[0], np.cumsum(rows["events"].to_numpy())]).astype(np.int32)
        columns["event_ns"] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(samples.event_times(places)))
        yield pa.table(columns)


def _stored(name: str, column: pd.Series[Any]) -> pa.Array:
    if name in UNIQUE_TEXT:
        return pa.Array.from_pandas(column).cast(pa.string())
    if name in _INTEGERS:
        return pa.array(column.to_numpy(), from_pandas=True).cast(pa.int64())
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pa.array(column).cast(pa.dictionary(pa.int32(), pa.string()))
    if name in _FLAGS:
        return pa.array(column.to_numpy(), from_pandas=True).cast(pa.bool_())
    return pa.array(column.to_numpy(), from_pandas=True)
