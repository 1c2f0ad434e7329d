"""Records and samples as DataFrames, for notebooks: a column is named by its path in `summary.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from analysis.metrics import TIMES, Window, times_s
from analysis.reading.gaps import Flags
from analysis.records.record import Estimate
from analysis.samples import Samples
from analysis.summary import Dist, Repeat, Result, Summary

_KEY = ("target", "workload", "stage")
_PLAIN = (str, int, float, bool)


def results_frame(summary: Summary) -> pd.DataFrame:
    """One row for each target, workload and stage. Every number of the result is a column, named by its path, such as
    `ttft_s.p95`; where it has a 95 % interval, `ttft_s.p95.low` and `ttft_s.p95.high` are its ends. NaN: not
    measured."""
    return pd.DataFrame([dict(_flat(result)) for result in summary.results])


def repeats_frame(summary: Summary) -> pd.DataFrame:
    """One row for each repeat of each result, with the figures on which the intervals rest."""
    rows = [_key(result) | _of_repeat(each) for result in summary.results for each in result.repeat_values]
    return pd.DataFrame(rows)


def findings_frame(summary: Summary) -> pd.DataFrame:
    """Every doubt about the run; no row where there is none."""
    return records_frame(summary.validity.findings, ("code", "severity", "saw", "why", "hint"))


def records_frame(records: Iterable[msgspec.Struct], columns: Iterable[str] = ()) -> pd.DataFrame:
    """One row for each record; a part of a record is spread out by path. `columns` are there in any case."""
    frame = pd.DataFrame([dict(_flat(record)) for record in records])
    return frame.reindex(columns=list(dict.fromkeys([*frame.columns, *columns])))


def requests_frame(samples: Samples, windows: Iterable[Window]) -> pd.DataFrame:
    """One row for each attempt: who, when (`start_s` after the first start), what it took in seconds, how it ended.
    `measured`: whether it lies in the steady window, so that the figures of its result count it."""
    every = np.arange(len(samples.table))
    start_ns = samples.on_axis("start_ns")
    times = {"start_s": (start_ns - np.nanmin(start_ns, initial=np.inf)) / 1e9}
    times |= {name: times_s(name, samples, every) for name in TIMES}
    frame = samples.table[[name for name in _OF_REQUESTS if name in samples.table]].reset_index(drop=True)
    return frame.assign(**times, measured=_measured(len(every), windows))


_OF_REQUESTS = (
    *("target", "workload", "stage", "repeat", "worker", "seq", "attempt", "outcome", "error", "error_class", "status"),
    *("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens", "text_chars", "finish_reason"),
)


def _measured(size: int, windows: Iterable[Window]) -> Flags:
    found = np.zeros(size, dtype=bool)
    for window in windows:
        found[window.inside] = True
    return found


def _key(result: Result) -> dict[str, Any]:
    return {name: getattr(result, name) for name in _KEY}


def _of_repeat(repeat: Repeat) -> dict[str, Any]:
    return {"repeat": repeat.repeat, "attempted": repeat.attempted, "window_s": repeat.window_s} | repeat.values  # noqa: PD011


def _flat(value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """The numbers and texts of a record by their paths. Lists have no column."""
    if isinstance(value, Estimate):
        yield from _of_estimate(value, path)
    elif isinstance(value, Dist):
        yield from _of_dist(value, path)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _flat(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _flat(each, f"{path}.{name}")
    elif value is None or isinstance(value, _PLAIN):
        yield path, value


def _of_estimate(found: Estimate, path: str) -> Iterator[tuple[str, Any]]:
    yield path, found.value
    if found.ci95 is not None:
        yield from zip((f"{path}.low", f"{path}.high"), found.ci95, strict=True)


def _of_dist(found: Dist, path: str) -> Iterator[tuple[str, Any]]:
    for name in found.__struct_fields__:
        if name not in ("ci95", "cv"):
            yield f"{path}.{name}", getattr(found, name)
    for name, ends in found.ci95.items():
        yield from zip((f"{path}.{name}.low", f"{path}.{name}.high"), ends, strict=True)
