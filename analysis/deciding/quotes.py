"""Quotes: numbers that a ranking or a recommendation rests on, each with its place in a `summary.json`."""

from __future__ import annotations

import re
from typing import Any

from analysis.quantiles import interval
from analysis.records.record import Estimate, Part
from analysis.summary import Dist, Result

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_ELSEWHERE = {"success_ratio": "reliability.success_ratio", "availability": "reliability.availability"}


class Quote(Part, frozen=True, kw_only=True):
    """A number of the summary of `run`, at `path` in it, such as `results[0].ttft_s.p95`.

    `ci95` is its 95 % interval, at `ci95_path`; where that is null the interval is Student's t over the values of the
    repeats (`repeat_values`), and where `ci95` is null too there is none.
    """

    run: str
    path: str
    value: float
    ci95: tuple[float | None, float | None] | None = None
    ci95_path: str | None = None


def number_at(document: Any, path: str) -> Any:
    """What stands at a path of a decoded `summary.json`. Raises LookupError where nothing does."""
    for name, index in _STEP.findall(path):
        document = document[int(index)] if index else document[name]
    return document


def quoted(run: str, index: int, result: Result, path: str) -> Quote | None:
    """The number at a path of goals (`goals.PATHS`) or any other path of a result; None: not measured."""
    place = f"results[{index}].{_place(result, path)}"
    parent: Any = None
    value: Any = result
    *_, last = parts = _place(result, path).split(".")
    for part in parts:
        parent, value = value, None if value is None else getattr(value, part)
    if isinstance(value, Estimate):
        return estimate_quoted(run, place, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(parent, Dist):
        ends = parent.ci95.get(last)
        where = f"{place.rpartition('.')[0]}.ci95.{last}" if ends else None
        return Quote(run=run, path=place, value=float(value), ci95=ends, ci95_path=where)
    return Quote(run=run, path=place, value=float(value), ci95=_over_repeats(result, path))


def _place(result: Result, path: str) -> str:
    if path == "integrity":
        return "integrity.ratio" if result.recovery is None else "recovery.integrity.ratio"
    return _ELSEWHERE.get(path, path)


def estimate_quoted(run: str, place: str, found: Estimate | None) -> Quote | None:
    """An estimate that stands at a place of a summary; None where it is not known."""
    if found is None or found.value is None:
        return None
    where = f"{place}.ci95" if found.ci95 is not None else None
    return Quote(run=run, path=f"{place}.value", value=found.value, ci95=found.ci95, ci95_path=where)


def _over_repeats(result: Result, path: str) -> tuple[float, float] | None:
    return interval([each.values.get(path) for each in result.repeat_values])
