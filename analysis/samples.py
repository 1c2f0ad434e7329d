"""Journals and `samples.parquet` -> one table, one row an attempt, and what was found wrong with each journal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from harness.errors import UsageFault
from harness.rundir import RunDir
from harness.sample import SCHEMA, Footer, Header, Sample, decode

_USAGE = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens")
_PLAIN = tuple(name for name in Sample.__struct_fields__ if name not in ("usage", "outcome", "error", "server"))


@dataclass(frozen=True)
class JournalState:
    """One journal as it was found. `bad_lines` counts lines in its middle that are no record; `torn`: the last line is
    cut; `closed`: it has its footer, so its worker ended in order."""

    worker: str
    samples: int
    closed: bool
    torn: bool
    bad_lines: int


@dataclass(frozen=True)
class Samples:
    """All attempts of a run. `table` has the fields of a sample as columns (usage spread out, `error_class` added)
    and `start_wall_ns`, `end_wall_ns`; times in ns relative to the worker's anchor also stand as `start_abs_ns`,
    `end_abs_ns`, `due_abs_ns` on one axis. `axis_ns` is each row's anchor on that axis."""

    table: pd.DataFrame
    journals: tuple[JournalState, ...]
    duplicates: int


def load_samples(run_dir: RunDir) -> Samples:
    """Every sample of a run directory, whole or died. Raises UsageFault when there is none to read."""
    paths = sorted(run_dir.journals.glob("*.jsonl")) if run_dir.journals.is_dir() else []
    if not paths:
        raise UsageFault(
            f"{run_dir.root}: no journal in it", "name a run directory, or the prefix of Locust's CSV files"
        )
    rows: list[dict[str, Any]] = []
    states: list[JournalState] = []
    for path in paths:
        found, state = _read_journal(path)
        rows += found
        states.append(state)
    table = pd.DataFrame(rows, columns=[*_COLUMNS])
    before = len(table)
    table = table.drop_duplicates(["worker", "seq", "attempt"], ignore_index=True)
    return Samples(table, tuple(states), before - len(table))


_COLUMNS = (
    *_PLAIN,
    *_USAGE,
    "usage_source",
    "outcome",
    "error",
    "error_class",
    "axis_ns",
    "start_abs_ns",
    "end_abs_ns",
    "due_abs_ns",
    "start_wall_ns",
    "end_wall_ns",
)


def _read_journal(path: Path) -> tuple[list[dict[str, Any]], JournalState]:
    rows: list[dict[str, Any]] = []
    header: Header | None = None
    closed = torn = False
    bad = 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            record = decode(line)
        except msgspec.MsgspecError:
            torn = not line.endswith(b"\n")
            bad += not torn
            continue
        if isinstance(record, Header):
            header = _accepted(record, path)
        elif isinstance(record, Footer):
            closed = True
        elif header is not None:
            rows.append(_row(record, header))
        else:
            bad += 1
    return rows, JournalState(path.stem, len(rows), closed, torn, bad)


def _accepted(header: Header, path: Path) -> Header:
    if header.schema != SCHEMA:
        message = f"{path}: schema {header.schema}: this version reads schema {SCHEMA}"
        raise UsageFault(message, "use the tokenswarm version that wrote it")
    return header


def _row(sample: Sample, header: Header) -> dict[str, Any]:
    """One attempt as a row. One axis for all workers: the wall clock at each anchor carried on by the monotonic one."""
    row: dict[str, Any] = {name: getattr(sample, name) for name in _PLAIN}
    for name in _USAGE:
        row[name] = None if sample.usage is None else getattr(sample.usage, name)
    axis = header.wall_ns
    row |= {
        "usage_source": None if sample.usage is None else sample.usage.source,
        "outcome": sample.outcome.value,
        "error": None if sample.error is None else sample.error.value,
        "error_class": None if sample.error_class is None else sample.error_class.value,
        "axis_ns": axis,
        "start_abs_ns": None if sample.start_ns is None else sample.start_ns + axis,
        "end_abs_ns": sample.end_ns + axis,
        "due_abs_ns": None if sample.due_ns is None else sample.due_ns + axis,
    }
    row["start_wall_ns"], row["end_wall_ns"] = row["start_abs_ns"], row["end_abs_ns"]
    return row


def write_parquet(samples: Samples, path: Path) -> None:
    """The table as Parquet, written whole or not at all."""
    part = path.with_suffix(".tmp")
    samples.table.to_parquet(part, index=False)
    part.replace(path)
