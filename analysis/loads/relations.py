"""What latencies go along with, request by request, and which requests are far from the others.

Correlations are Spearman's, within one stage of one repeat at a time: what differs between stages is load, and speaks
in the sweep. Requests of a repeat are not independent, so the interval is Student's t over the repeats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from analysis.loads.sweeps import Measured
from analysis.metrics import Window, times_s
from analysis.quantiles import Floats, interval
from analysis.records.capacity_record import Outliers, Relation
from analysis.records.record import Estimate

LATENCIES = ("ttft_s", "tpot_s", "e2e_s")
MODIFIED_Z = 3.5
METHOD = "modified z-score of the logarithm: 0.6745 |ln x - median| / MAD > 3.5 (Iglewicz and Hoaglin, 1993)"
_FEWEST = 30
_MOST = 20_000
_NAMED = 5
_HOUR_NS = 3600e9


def relations_of(group: Sequence[Measured]) -> list[Relation]:
    """Every factor against every latency of a target under a workload, where both vary."""
    found: dict[tuple[str, str], list[tuple[int, float, int]]] = {}
    for each in group:
        for window in each.windows:
            for factor, latency, rho, n in _of_window(window):
                found.setdefault((factor, latency), []).append((window.repeat, rho, n))
    return [_relation(group[0], *key, parts) for key, parts in found.items()]


def _relation(first: Measured, factor: str, latency: str, parts: Sequence[tuple[int, float, int]]) -> Relation:
    """Mean over the stages of each repeat, then over the repeats."""
    repeats = sorted({repeat for repeat, _, _ in parts})
    own = [float(np.mean([rho for repeat, rho, _ in parts if repeat == k])) for k in repeats]
    ends = interval(own)
    rho = Estimate(value=float(np.mean(own)), ci95=ends and (max(-1.0, ends[0]), min(1.0, ends[1])))
    target, workload = first.key
    n = sum(n for _, _, n in parts)
    return Relation(target=target, workload=workload, factor=factor, latency=latency, rho=rho, n=n)


def _of_window(window: Window) -> Iterator[tuple[str, str, float, int]]:
    rows = window.good[:: max(1, len(window.good) // _MOST)]
    if len(rows) < _FEWEST:
        return
    latencies = latency_columns(window, rows)
    factors = _factors(window, rows)
    for factor, x in factors.items():
        for latency, y in latencies.items():
            known = ~np.isnan(x) & ~np.isnan(y)
            if known.sum() >= _FEWEST and np.ptp(x[known]) > 0 and np.ptp(y[known]) > 0:
                rho = float(stats.spearmanr(x[known], y[known]).statistic)
                yield factor, latency, rho, int(known.sum())


def latency_columns(window: Window, rows: np.typing.NDArray[np.int64]) -> dict[str, Floats]:
    """TTFT, mean TPOT and E2E of some rows, in seconds; NaN where not measured."""
    return {name: times_s(name, window.samples, rows) for name in LATENCIES}


def _factors(window: Window, rows: np.typing.NDArray[np.int64]) -> dict[str, Floats]:
    samples = window.samples
    start = samples.on_axis("start_ns", rows)
    tokens = {f"{name}_tokens": samples.column(f"{name}_tokens", rows) for name in ("input", "output", "cached")}
    wall_ns = start + samples.origin_wall_ns % (24 * _HOUR_NS)
    return tokens | {"concurrency": _under_way(window, start), "hour": np.floor(wall_ns / _HOUR_NS) % 24}


def _under_way(window: Window, start: Floats) -> Floats:
    """How many of the cell's requests were under way when each of these began, itself among them."""
    samples, rows = window.samples, window.everything
    begun, ended = (np.sort(samples.on_axis(name, rows)) for name in ("start_ns", "end_ns"))
    return (np.searchsorted(begun, start, "right") - np.searchsorted(ended, start, "right")).astype(np.float64)


def outliers_of(each: Measured) -> tuple[Outliers, ...]:
    """The requests of a stage whose TTFT or E2E is far from the others'. They stay in every figure."""
    rows = np.concatenate([window.good for window in each.windows]) if each.windows else np.empty(0, np.int64)
    if len(rows) < _FEWEST:
        return ()
    columns = latency_columns(each.windows[0], rows)
    found = [_outliers(each.windows[0], rows, name, columns[name]) for name in ("ttft_s", "e2e_s")]
    return tuple(one for one in found if one is not None)


def _outliers(window: Window, rows: np.typing.NDArray[np.int64], name: str, values: Floats) -> Outliers | None:
    known = values > 0
    if known.sum() < _FEWEST:
        return None
    rows, values = rows[known], values[known]
    logs = np.log(values)
    median = float(np.median(logs))
    spread = float(np.median(np.abs(logs - median))) / 0.6745
    if spread == 0:
        return None
    low, high = np.exp(median - MODIFIED_Z * spread), np.exp(median + MODIFIED_Z * spread)
    far = (values < low) | (values > high)
    order = np.argsort(-np.abs(logs[far] - median))[:_NAMED]
    worst = window.samples.table["prompt_id"].iloc[rows[far][order]]
    return Outliers(
        latency=name,
        method=METHOD,
        low_s=float(low),
        high_s=float(high),
        n=int(far.sum()),
        share=float(far.mean()),
        worst=tuple(str(each) for each in worst),
    )
