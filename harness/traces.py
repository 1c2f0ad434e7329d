"""Traces of real traffic as arrivals: the public formats, read into columns.

azure     CSV `TIMESTAMP,ContextTokens,GeneratedTokens` (Azure LLM inference traces of 2023 and 2024)
burstgpt  CSV `Timestamp,...,Request tokens,Response tokens,...`, seconds. A response of 0 tokens marks a request that
          failed there; it is an arrival all the same, and asks for 1 token here.
mooncake  JSON lines with `timestamp` (milliseconds), `input_length`, `output_length`
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import msgspec
import numpy as np
import pandas as pd

from harness.errors import UsageFault
from harness.plan import TraceFormat

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int], np.dtype[np.int64]]
_COLUMNS: dict[str, tuple[str, str, str]] = {
    "azure": ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
    "burstgpt": ("Timestamp", "Request tokens", "Response tokens"),
}
_HINT = "see docs/plan.md for the formats: azure, burstgpt, mooncake"


@dataclass(frozen=True)
class Trace:
    """Arrivals in the order of time: seconds after the first one, and the tokens of each request and its reply."""

    at_s: Floats
    input_tokens: Integers
    output_tokens: Integers


class _Mooncake(msgspec.Struct):
    timestamp: float
    input_length: int
    output_length: int


def read_trace(path: Path, kind: TraceFormat | None = None) -> Trace:
    """The trace in a file; its format is told from its first line where `kind` is None. Raises UsageFault."""
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline().strip().removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageFault(f"{path}: cannot be read: {reason}", "name a trace file") from error
    if not first:
        raise UsageFault(f"{path}: an empty file: a trace has at least one arrival", _HINT)
    found = kind or _format_of(first, path)
    table = _mooncake(path) if found == "mooncake" else _csv(path, found)
    return _trace(table, path)


def _format_of(first: str, path: Path) -> TraceFormat:
    if first.startswith("{"):
        return "mooncake"
    names = [name.strip() for name in first.split(",")]
    if set(_COLUMNS["azure"]) <= set(names):
        return "azure"
    if set(_COLUMNS["burstgpt"]) <= set(names):
        return "burstgpt"
    raise UsageFault(f"{path}:1: {first[:60]!r}: the first line of no known trace", _HINT)


def _csv(path: Path, kind: str) -> pd.DataFrame:
    wanted = _COLUMNS[kind]
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UsageFault(f"{path}: not CSV: {error}", _HINT) from error
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise UsageFault(f"{path}:1: column {missing[0]!r} is missing: a trace of the format {kind} has it", _HINT)
    at, asked, made = (table[name] for name in wanted)
    if kind == "azure":
        stamps = pd.to_datetime(at, format="ISO8601", errors="coerce", utc=True)
        seconds = (stamps - stamps.min()).dt.total_seconds()
    else:
        seconds = pd.to_numeric(at, errors="coerce")
    asked, made = pd.to_numeric(asked, errors="coerce"), pd.to_numeric(made, errors="coerce")
    return pd.DataFrame({"at_s": seconds, "input_tokens": asked, "output_tokens": made})


def _mooncake(path: Path) -> pd.DataFrame:
    decoder = msgspec.json.Decoder(_Mooncake)
    rows: list[tuple[float, int, int]] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UsageFault(f"{path}:{number}: {error}", _HINT) from error
        rows.append((row.timestamp / 1e3, row.input_length, row.output_length))
    return pd.DataFrame(rows, columns=["at_s", "input_tokens", "output_tokens"])


def _trace(table: pd.DataFrame, path: Path) -> Trace:
    if table.empty:
        raise UsageFault(f"{path}: no arrival in it: a trace has at least one", _HINT)
    values = table.to_numpy(dtype=float)
    for column, name in enumerate(table.columns):
        wrong = ~np.isfinite(values[:, column]) | (values[:, column] < 0 if column else False)
        if wrong.any():
            _refuse(path, int(np.argmax(wrong)), name)
    ordered = values[np.argsort(values[:, 0], kind="stable")]
    tokens = np.maximum(ordered[:, 1:], 1).astype(np.int64)
    return Trace(ordered[:, 0] - ordered[0, 0], tokens[:, 0], tokens[:, 1])


def _refuse(path: Path, row: int, name: str) -> NoReturn:
    what = "a time" if name == "at_s" else "a number of tokens, 0 or more"
    raise UsageFault(f"{path}: row {row + 1}: {name}: not {what}", "mend or remove that row")
