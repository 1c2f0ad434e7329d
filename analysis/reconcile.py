"""Do Locust's CSV and the samples tell the same story? Counts must be equal; medians within Locust's buckets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.locust_csv import read_stats
from analysis.quantiles import Floats
from analysis.summary import Reconciliation
from harness.cells import entry_name
from harness.errors import UsageFault
from harness.rundir import RunDir

_NEEDED = ("outcome", "headers_ns", "start_ns", "end_ns")
_TOLERANCE = 0.01  # buckets have three significant digits


def reconcile(run_dir: RunDir, table: pd.DataFrame) -> tuple[Reconciliation, ...]:
    """One row for each Name that either side knows. Empty when Locust wrote no CSV, or none that can be read."""
    path = run_dir.locust_csv("stats")
    try:
        stats = read_stats(path)
    except UsageFault:
        return ()
    fired = table.loc[table["outcome"] != "dropped", ["target", "workload", *_NEEDED]]
    by_cell: Any = fired.groupby(["target", "workload"], observed=True)[[*_NEEDED]]
    groups: dict[str, pd.DataFrame] = {entry_name(*key): rows for key, rows in by_cell}
    every = sorted({*stats["Name"], *groups})
    return tuple(_row(str(name), stats, groups.get(name)) for name in every)


def _row(name: str, stats: pd.DataFrame, rows: pd.DataFrame | None) -> Reconciliation:
    csv = stats[stats["Name"] == name]  # several where requests of several Types have one Name
    samples_median, middle = None, (0.0, 0.0)
    if rows is not None:
        answered = rows[rows["headers_ns"].notna()]
        spans_ms = (answered["end_ns"] - answered["start_ns"]) / 1e6
        samples_median = float(spans_ms.median()) if len(spans_ms) else None
        middle = _middle(np.sort(spans_ms))
    csv_requests, csv_failures = (
        None if csv.empty else int(csv[column].sum()) for column in ("Request Count", "Failure Count")
    )
    medians = csv["Median Response Time"] if "Median Response Time" in csv else pd.Series(dtype=float)
    csv_median = float(medians.iloc[0]) if len(medians) == 1 and pd.notna(medians.iloc[0]) else None
    n = 0 if rows is None else len(rows)
    failures = 0 if rows is None else int((rows["outcome"] != "ok").sum())
    near = csv_median is None or samples_median is None or _lies_in(csv_median, middle)
    return Reconciliation(
        entry=name,
        csv_requests=csv_requests,
        samples_requests=n,
        csv_failures=csv_failures,
        samples_failures=failures,
        csv_median_ms=csv_median,
        samples_median_ms=samples_median,
        agree=csv_requests == n and csv_failures == failures and near,
    )


def _middle(ascending: Floats) -> tuple[float, float]:
    """The two values in the middle, which are one where the count is odd: Locust's median is either of them."""
    n = len(ascending)
    return (float(ascending[(n - 1) // 2]), float(ascending[n // 2])) if n else (0.0, 0.0)


def _lies_in(value: float, middle: tuple[float, float]) -> bool:
    return middle[0] * (1 - _TOLERANCE) - 1 <= value <= middle[1] * (1 + _TOLERANCE) + 1
