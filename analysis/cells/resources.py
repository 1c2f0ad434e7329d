"""What the client's own machine used for the requests of a cell: the worth of a figure includes its making."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from analysis.metrics import Window
from analysis.summary import Resources
from harness.records.health_record import Health


def by_worker(rows: Iterable[Health]) -> dict[str, list[Health]]:
    """The rows of each worker."""
    found: dict[str, list[Health]] = {}
    for row in rows:
        found.setdefault(row.worker, []).append(row)
    return found


def resources_of(windows: Sequence[Window], health: Mapping[str, Sequence[Health]]) -> Resources | None:
    """What the workers used in the windows of a cell, by the rows whose middle lies in one; None: nothing was sent.
    CPU is a mean over the rows times the length of the window, since rows and window do not begin together."""
    sent = sum(int((~np.isnan(window.samples.column("start_ns", window.inside))).sum()) for window in windows)
    if not sent:
        return None
    used = [_used(window, health) for window in windows]
    cpu = [cpu_s for cpu_s, _ in used if cpu_s is not None]
    rss = [rss_bytes for _, rss_bytes in used if rss_bytes]
    received = sum(float(np.nansum(each.samples.column("response_bytes", each.inside))) for each in windows)
    return Resources(
        cpu_s_per_1k=1e3 * sum(cpu) / sent if len(cpu) == len(windows) else None,
        rss_bytes=max(rss, default=None),
        bytes_received_per_1k=1e3 * received / sent,
    )


def _used(window: Window, health: Mapping[str, Sequence[Health]]) -> tuple[float | None, int]:
    """CPU-seconds (None: of a worker nothing is known), and the sum of the peaks of memory."""
    table = window.samples.table.iloc[window.everything][["worker", "axis_ns"]]
    shares: list[float] = []
    peaks = 0
    workers = table.groupby("worker", observed=True)["axis_ns"].min()
    for name, axis_ns in workers.items():
        begin_ns, end_ns = window.begin_ns - float(axis_ns), window.end_ns - float(axis_ns)
        rows = [row for row in health.get(str(name), ()) if begin_ns <= row.t_ns - row.span_s * 5e8 < end_ns]
        known = [row for row in rows if row.cpu_share is not None]
        if known:
            spans = [row.span_s for row in known]
            shares.append(float(np.average([row.cpu_share or 0 for row in known], weights=spans)))
        peaks += max((row.rss_bytes or 0 for row in rows), default=0)
    return (sum(shares) * window.length_s if len(shares) == len(workers) else None), peaks
