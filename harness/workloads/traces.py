"""Traces of real traffic as arrivals: the public formats, read into columns.

azure     CSV `TIMESTAMP,ContextTokens,GeneratedTokens` (Azure LLM inference traces): times such as
          `2023-11-16 18:15:46.6805900` (2023) or `2024-05-10 00:00:00.009930+00:00` (2024); no offset means UTC
burstgpt  CSV `Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type`, seconds; later files also have
          `Session ID,Elapsed time`. A response of 0 tokens marks a request that failed there; it is an arrival all the
          same, and asks for 1 token here.
mooncake  JSON lines with `timestamp` (milliseconds), `input_length`, `output_length`

Columns are found by their names, in any order; others are ignored. Empty lines are skipped.
"""

from __future__ import annotations

import csv
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import msgspec
import numpy as np
import pandas as pd

from harness.errors import UNREADABLE, UsageFault
from harness.plan import TraceFormat

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int], np.dtype[np.int64]]
_Numbers = tuple[Integers, Integers, Integers]  # ns, tokens of the request, tokens of its reply
_Wrong = np.ndarray[tuple[int], np.dtype[np.bool_]]
_Column = pd.Series  # of text as it stands in the file, or of numbers; its index is the line

_COLUMNS: dict[TraceFormat, tuple[str, str, str]] = {
    "azure": ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    "burstgpt": ("Timestamp", "Request tokens", "Response tokens"),
    "mooncake": ("timestamp", "input_length", "output_length"),
}
_TIMES: dict[TraceFormat, str] = {
    "azure": "a time such as 2023-11-16 18:15:46.68",
    "burstgpt": "a time in seconds",
    "mooncake": "a time in milliseconds",
}
_STAMP = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d"
_MOST_TOKENS = 10_000_000
_MOST_NS = 9e18  # what 64 bits hold: 285 years
_ROWS = 100_000  # read at a time, so that a week of traffic needs memory for its numbers alone
_HINT = "see docs/plan.md for the formats: azure, burstgpt, mooncake"


@dataclass(frozen=True, eq=False)
class Trace:
    """Arrivals in the order of time: seconds after the first one, and the tokens of each request and its reply, at
    least 1. `name` is the file's."""

    name: str
    at_s: Floats
    input_tokens: Integers
    output_tokens: Integers


class _Mooncake(msgspec.Struct):
    timestamp: float
    input_length: float
    output_length: float


def read_trace(path: Path, kind: TraceFormat | None = None) -> Trace:
    """The trace in a file; its format is told from its first line where `kind` is None.

    Rows that are out of order are put in order; those of one time keep theirs. Raises UsageFault, with the line,
    where the file or a row of it is not a trace.
    """
    first = _first_line(path)
    found = kind or _format_of(first, path)
    pieces = _mooncake(path) if found == "mooncake" else _csv(path, found, _names(first))
    at_ns, asked, made = (np.concatenate(column) for column in zip(*pieces, strict=True)) if pieces else _nothing()
    if not len(at_ns):
        raise UsageFault(f"{path}: no arrival in it: a trace has at least one", _HINT)
    order = np.argsort(at_ns, kind="stable")
    at_ns = at_ns[order]
    return Trace(path.name, (at_ns - at_ns[0]) / 1e9, np.maximum(asked[order], 1), np.maximum(made[order], 1))


def _nothing() -> _Numbers:
    none = np.empty(0, dtype=np.int64)
    return none, none, none


def _first_line(path: Path) -> str:
    hint = "name a trace: a file of text, unpacked"
    try:
        if path.exists() and not path.is_file():
            raise UsageFault(f"{path}: cannot be read: not a file", hint)
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline(10_000).strip()
            if not first and not file.read(1):
                raise UsageFault(f"{path}: an empty file: a trace has at least one arrival", _HINT)
    except (OSError, ValueError) as error:  # ValueError: bytes that are no UTF-8, or a NUL in the path
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageFault(f"{path}: cannot be read: {reason}", hint) from error
    return first


def _names(first: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([first], skipinitialspace=True), [])]
    except csv.Error:
        return []


def _format_of(first: str, path: Path) -> TraceFormat:
    if first.startswith("{"):
        return "mooncake"
    names = _names(first)
    if set(_COLUMNS["azure"]) <= set(names):
        return "azure"
    if set(_COLUMNS["burstgpt"]) <= set(names):
        return "burstgpt"
    raise UsageFault(f"{path}:1: {first[:60]!r}: the first line of no known trace", _HINT)


def _csv(path: Path, kind: TraceFormat, names: list[str]) -> list[_Numbers]:
    _check_names(path, kind, names)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows with more fields than the first line
            return _chunks(path, kind)
    except pd.errors.ParserWarning as error:
        raise UsageFault(f"{path}: rows have more fields than the first line: each has as many", _HINT) from error
    except UnicodeDecodeError as error:
        raise UsageFault(f"{path}: cannot be read: not UTF-8 text", _HINT) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UsageFault(f"{path}: not CSV: {str(error).rpartition('C error: ')[2].strip()}", _HINT) from error


def _check_names(path: Path, kind: TraceFormat, names: list[str]) -> None:
    """Each column that the format wants, once: of two nobody knows which is meant. Raises UsageFault."""
    for name in _COLUMNS[kind]:
        if name not in names:
            raise UsageFault(f"{path}:1: column {name!r} is missing: a trace of the format {kind} has it", _HINT)
        if names.count(name) > 1:
            raise UsageFault(f"{path}:1: column {name!r} stands there {names.count(name)} times: once at most", _HINT)


def _chunks(path: Path, kind: TraceFormat) -> list[_Numbers]:
    """The columns of a CSV file, a chunk of rows at a time."""
    pieces = []
    with pd.read_csv(
        path,
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        skip_blank_lines=False,  # so that a row's place tells its line
        index_col=False,
        encoding="utf-8-sig",
        compression=None,
        chunksize=_ROWS,
    ) as chunks:
        for chunk in chunks:
            chunk.columns = chunk.columns.str.strip()
            _check_names(path, kind, list(chunk.columns))
            chunk.index += 2
            pieces.append(_numbers(chunk.loc[(chunk != "").any(axis=1), list(_COLUMNS[kind])], kind, path))
    return pieces


def _mooncake(path: Path) -> list[_Numbers]:
    decoder = msgspec.json.Decoder(_Mooncake)
    rows: list[_Mooncake] = []
    lines: list[int] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip()
            if not text:
                continue
            try:
                rows.append(decoder.decode(text))
            except UNREADABLE as error:
                shown = text[:60].decode(errors="replace")
                raise UsageFault(f"{path}:{number}: {shown!r}: {error}", _HINT) from error
            lines.append(number)
    table = pd.DataFrame([msgspec.structs.astuple(row) for row in rows], lines, _COLUMNS["mooncake"], dtype=float)
    return [_numbers(table, "mooncake", path)]


def _numbers(raw: pd.DataFrame, kind: TraceFormat, path: Path) -> _Numbers:
    """Nanoseconds and tokens of rows; the index is their line in the file. Raises UsageFault at the first wrong one."""
    time, asked, made = (raw[name] for name in _COLUMNS[kind])
    at_ns, no_time = _stamps(time) if kind == "azure" else _clock(time, 1e9 if kind == "burstgpt" else 1e6)
    inputs, no_input = _tokens(asked)
    outputs, no_output = _tokens(made)
    wrong = no_time | no_input | no_output
    if wrong.any():
        row = int(np.argmax(wrong))
        column = time if no_time[row] else asked if no_input[row] else made
        _refuse(path, column, row, _TIMES[kind] if no_time[row] else f"a whole number from 0 to {_MOST_TOKENS}")
    return at_ns, inputs, outputs


def _stamps(column: _Column) -> tuple[Integers, _Wrong]:
    iso = column.where(column.str.match(_STAMP))
    times = pd.to_datetime(iso, format="ISO8601", errors="coerce", utc=True).dt.tz_localize(None)
    times = times.where(times.dt.year.between(1700, 2200)).dt.as_unit("ns")
    return times.to_numpy("datetime64[ns]").astype(np.int64), times.isna().to_numpy()


def _clock(column: _Column, ns: float) -> tuple[Integers, _Wrong]:
    bound = 2 * _MOST_NS / ns  # beyond what is accepted, and far from overflow
    return _whole(np.rint(np.clip(_floats(column), -bound, bound) * ns), -_MOST_NS, _MOST_NS)


def _tokens(column: _Column) -> tuple[Integers, _Wrong]:
    return _whole(_floats(column), 0, _MOST_TOKENS)


def _floats(column: _Column) -> Floats:
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)


def _whole(values: Floats, low: float, high: float) -> tuple[Integers, _Wrong]:
    """The values as integers, and which of them are none or out of bounds."""
    wrong = ~((values >= low) & (values <= high) & (np.floor(values) == values))
    return np.where(wrong, 0, values).astype(np.int64), wrong


def _refuse(path: Path, column: _Column, row: int, rule: str) -> NoReturn:
    value = column.iloc[row]
    shown = repr(value[:60]) if isinstance(value, str) else f"{value:g}"
    raise UsageFault(f"{path}:{column.index[row]}: {column.name}: {shown}: not {rule}", "mend or remove that line")
