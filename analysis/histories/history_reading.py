"""One summary.json -> what history needs of it. Everything else in the file is skipped unread.

Whatever stands there, reading ends: a file that is no summary gives the reason instead.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from analysis.histories.history_metrics import COSTS, DISTRIBUTIONS, ESTIMATES, METRICS, RATES, SIZES
from analysis.summary import SCHEMA
from harness.errors import UNREADABLE

Values = npt.NDArray[np.float32]


class _Dist(msgspec.Struct, frozen=True):
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    ci95: dict[str, tuple[float, float]] = {}


class _Estimate(msgspec.Struct, frozen=True):
    value: float | None = None
    ci95: tuple[float | None, float | None] | None = None


class _Reliability(msgspec.Struct, frozen=True):
    success_ratio: _Estimate | None = None
    availability: _Estimate | None = None
    mtbf_s: _Estimate | None = None
    mttr_s: _Estimate | None = None


class _Quality(msgspec.Struct, frozen=True):
    accuracy: _Estimate | None = None


class _Cost(msgspec.Struct, frozen=True):
    usd_per_request: float | None = None
    usd_per_1k_good: float | None = None
    usd_per_1m_output_tokens: float | None = None


class _RatesOfRepeat(msgspec.Struct, frozen=True):
    achieved_rps: float | None = None
    completed_rps: float | None = None
    goodput_rps: float | None = None
    output_tokens_per_s: float | None = None
    input_tokens_per_s: float | None = None


class _Repeat(msgspec.Struct, frozen=True):
    values: _RatesOfRepeat = _RatesOfRepeat()


class _Result(msgspec.Struct, frozen=True):
    target: str
    model: str | None = None
    dialect: str | None = None
    workload: str | None = None
    kind: str | None = None
    stage: int | None = None
    stage_label: str | None = None
    load: dict[str, Any] = {}
    request: dict[str, Any] = {}
    achieved_rps: float | None = None
    completed_rps: float | None = None
    goodput_rps: float | None = None
    output_tokens_per_s: float | None = None
    input_tokens_per_s: float | None = None
    in_flight_mean: float | None = None
    ttft_s: _Dist | None = None
    ttfo_s: _Dist | None = None
    itl_s: _Dist | None = None
    tpot_s: _Dist | None = None
    e2e_s: _Dist | None = None
    response_s: _Dist | None = None
    network_s: _Dist | None = None
    input_tokens: _Dist | None = None
    output_tokens: _Dist | None = None
    reliability: _Reliability | None = None
    quality: _Quality | None = None
    cost: _Cost | None = None
    repeat_values: tuple[_Repeat, ...] = ()


class _Validity(msgspec.Struct, frozen=True):
    verdict: str


class _Summary(msgspec.Struct, frozen=True):
    schema: int
    run: str
    validity: _Validity
    results: tuple[_Result, ...]
    plan: str | None = None
    started_utc: str | None = None
    slo: dict[str, float | None] = {}


class SeriesKey(msgspec.Struct, frozen=True, array_like=True):
    """What is alike in all runs of a series. `load` and `request` are JSON with sorted keys."""

    plan: str
    target: str
    workload: str | None
    stage: int | None
    label: str | None
    kind: str | None
    dialect: str | None
    model: str | None
    load: str
    request: str


class RunEntry(msgspec.Struct, frozen=True, array_like=True):
    """One summary.json as it was read: where (below the root), its stamp, and when its run began (s since 1970).
    `reason`: why it is not in the history; "" where it is."""

    path: str
    mtime_ns: int
    size: int
    reason: str = ""
    run: str = ""
    started_s: float = 0.0
    verdict: str = ""
    slo: str = ""


class Read(msgspec.Struct, frozen=True):
    """A file that was read: its entry, and for each of its results the key and the figures (value, low, high for each
    metric; NaN: not measured)."""

    entry: RunEntry
    keys: tuple[SeriesKey, ...]
    figures: Values


_DECODE = msgspec.json.Decoder(_Summary).decode
_SORTED = msgspec.json.Encoder(order="sorted").encode


def read_runs(root: Path, paths: Sequence[str]) -> list[Read]:
    """Read summaries by their paths below the root, in order."""
    return [_read(root, path) for path in paths]


def _read(root: Path, path: str) -> Read:
    try:
        with open(root / path, "rb", buffering=0) as file:  # noqa: PTH123  (a third of the time of Path.open)
            stamp = os.fstat(file.fileno())
            content = file.readall()
    except OSError as error:
        return _skipped(path, 0, 0, f"cannot be read: {error.strerror}")
    try:
        return _whole(path, stamp.st_mtime_ns, stamp.st_size, content)
    except _NotASummaryError as error:
        return _skipped(path, stamp.st_mtime_ns, stamp.st_size, str(error))


class _NotASummaryError(Exception):
    """The reason why a file is not read."""


def _skipped(path: str, mtime_ns: int, size: int, reason: str) -> Read:
    return Read(RunEntry(path, mtime_ns, size, reason), (), _blank(0))


def _whole(path: str, mtime_ns: int, size: int, content: bytes) -> Read:
    if not content.strip():
        raise _NotASummaryError("is empty")
    try:
        summary = _DECODE(content)
    except UNREADABLE as error:
        raise _NotASummaryError(f"is not a whole summary: {str(error)[:120]}") from error
    if not 1 <= summary.schema <= SCHEMA:
        raise _NotASummaryError(f"has schema {summary.schema}; this version knows {SCHEMA}")
    if summary.validity.verdict not in ("valid", "suspect", "invalid"):
        raise _NotASummaryError(f"has a verdict that is not known: {summary.validity.verdict[:40]!r}")
    folder = Path(path).parent
    plan = summary.plan or folder.parent.name or summary.run.partition("/")[0]
    entry = RunEntry(
        path=path,
        mtime_ns=mtime_ns,
        size=size,
        run=summary.run,
        started_s=_started_s(summary.started_utc, folder.name),
        verdict=summary.validity.verdict,
        slo=_SORTED(summary.slo).decode(),
    )
    figures = _blank(0)
    if summary.results:
        with np.errstate(over="ignore"):  # what no metric can be is not measured
            figures = np.array([_figures(result) for result in summary.results]).astype(np.float32)
        figures[~np.isfinite(figures)] = np.nan
    return Read(entry, tuple(_key(plan, result) for result in summary.results), figures)


def _blank(rows: int) -> Values:
    return np.full((rows, len(METRICS), 3), np.nan, dtype=np.float32)


def _started_s(stamp: str | None, folder: str) -> float:
    """When a run began, by its summary, else by the name of its directory."""
    for text in (stamp or "", folder.partition("-")[0]):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            continue
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            raise _NotASummaryError(f"says that its run began in the year {moment.year}")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    raise _NotASummaryError("does not tell when its run began, and its folder's name is no time")


_FIRST_YEAR, _LAST_YEAR = 1971, 2500


def _key(plan: str, result: _Result) -> SeriesKey:
    return SeriesKey(
        plan=plan,
        target=result.target,
        workload=result.workload,
        stage=result.stage,
        label=result.stage_label,
        kind=result.kind,
        dialect=result.dialect,
        model=result.model,
        load=_SORTED(result.load).decode(),
        request=_SORTED(result.request).decode(),
    )


_OF_DISTS = (
    *((name, part) for name, parts in DISTRIBUTIONS.items() for part in parts),
    *((name, "mean") for name in SIZES),
)


def _figures(result: _Result) -> list[_Figure]:
    """The figures of a result, in the order of METRICS."""
    found: list[_Figure] = []
    for name, part in _OF_DISTS:
        dist: _Dist | None = getattr(result, name)
        value = None if dist is None else getattr(dist, part)
        found.append(_NOTHING if dist is None or value is None else (value, *dist.ci95.get(part, _NO_ENDS)))
    for name in RATES:
        value = getattr(result, name)
        repeats = [getattr(each.values, name) for each in result.repeat_values]
        found.append(_NOTHING if value is None else (value, *_over_repeats(repeats)))
    found.append((_or_nan(result.in_flight_mean), *_NO_ENDS))
    estimates = [getattr(result.reliability, name) if result.reliability else None for name in ESTIMATES]
    for estimate in (*estimates, result.quality.accuracy if result.quality else None):
        low, high = estimate.ci95 or (None, None) if estimate is not None else (None, None)
        found.append((_or_nan(estimate.value if estimate is not None else None), _or_nan(low), _or_nan(high)))
    costs = (getattr(result.cost, name) if result.cost else None for name in COSTS)
    return found + [(_or_nan(usd), *_NO_ENDS) for usd in costs]


_Figure = tuple[float, float, float]
_NO_ENDS = (math.nan, math.nan)
_NOTHING = (math.nan, *_NO_ENDS)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _over_repeats(values: list[float | None]) -> tuple[float, float]:
    """Student's t interval (95 %) of the repeats' values, as in the summary; NaN where there are fewer than two."""
    known = [value for value in values if value is not None]
    if len(known) < 2 or len(known) < len(values):
        return _NO_ENDS
    mean = math.fsum(known) / len(known)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1))
    half = t_quantile(len(known) - 1) * spread / math.sqrt(len(known))
    return mean - half, mean + half


@functools.cache
def t_quantile(df: int) -> float:
    """Student's t that 97.5 % do not pass."""
    from scipy.special import stdtrit  # noqa: PLC0415  (slow to load; an index makes it needless)

    return float(stdtrit(df, 0.975))
