"""Arrivals of open stages that were sent late or never, and whether that was the client's fault.

The journals tell how many requests the arrival's worker had under way when it went, or was given up:
as many as it may, and the provider was too slow; fewer, and the client was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.cells.health import in_ms, more_than_a_hiccup
from analysis.reading.gaps import Whole
from analysis.samples import Samples
from analysis.summary import Finding, Result, Window

LAG_OF_TTFT = 0.1
ACHIEVED_SHARE = 0.98
_FEWEST = 100  # fewer arrivals have no p99
_SLACK_NS = 5e6  # between the end of a request and the start of the one that gets its place
_HINT = "use more workers (--workers), a machine of its own for the load, or a lower rate"
_HINT_FULL = "this is the provider's; a higher max_in_flight lets more of it wait there instead of here"


def send_findings(samples: Samples, results: Sequence[Result]) -> list[Finding]:
    """Doubts about how the schedules of open stages were kept."""
    found = []
    for result in results:
        limit = result.load.get("max_in_flight")
        if limit is not None and result.window is not None:
            found += _judged(result, int(limit), sends_of(samples, result, result.window, int(limit)))
    return found


def sends_of(samples: Samples, result: Result, window: Window, limit: int) -> pd.DataFrame:
    """The arrivals in a result's steady windows: `due_ns` (on the run's axis), `lag_s` (until it went or was dropped),
    `dropped`, and `full`: whether its worker had as many requests under way then as its share of `limit`."""
    table = samples.table
    cell = (table["target"] == result.target) & (table["workload"] == result.workload)
    rows = np.flatnonzero(cell & (table["stage"] == result.stage))
    parts = []
    for repeat, of_repeat in _groups(table["repeat"], rows):
        workers = table.loc[table["repeat"] == repeat, "worker"].nunique()
        groups = _groups(table["worker"], of_repeat)
        every = pd.concat([_of_worker(samples, mine, max(1, limit // workers)) for _, mine in groups])
        age_s = (every["due_ns"] - every["due_ns"].min()) / 1e9
        parts.append(every[(age_s >= window.begin_s) & (age_s < window.end_s)])
    return pd.DataFrame(pd.concat(parts))


def _groups(column: pd.Series[str], rows: Whole) -> list[tuple[str, Whole]]:
    codes, names = pd.factorize(column.iloc[rows])
    return [(name, rows[codes == code]) for code, name in enumerate(names)]


def _of_worker(samples: Samples, rows: Whole, most: int) -> pd.DataFrame:
    due, start, end = (samples.on_axis(name, rows) for name in ("due_ns", "start_ns", "end_ns"))
    dropped = np.isnan(start)
    left = np.where(dropped, end, start)
    begun, ended = np.sort(start[~dropped]), np.sort(end[~dropped])
    under_way = np.searchsorted(begun, left + _SLACK_NS, "right") - np.searchsorted(ended, left - _SLACK_NS, "left")
    return pd.DataFrame({"due_ns": due, "lag_s": (left - due) / 1e9, "dropped": dropped, "full": under_way >= most})


def place_of(result: Result) -> str:
    """How findings name a result."""
    return f"{result.target} {result.workload}, stage {result.stage}"


def _judged(result: Result, limit: int, sends: pd.DataFrame) -> list[Finding]:
    """What was dropped, if that is much; else what was late, if that is."""
    who = place_of(result)
    dropped = sends[sends["dropped"]]
    bearable = (1 - ACHIEVED_SHARE) * len(sends)
    if len(dropped) > bearable:
        saw = f"{who}: {len(dropped)} of {len(sends)} arrivals were not sent in time"
        return [_whose(saw, dropped, bearable, limit)]
    first = result.ttft_s or result.e2e_s
    if len(sends) < _FEWEST or first is None or first.p50 is None:
        return []
    late = sends[~sends["dropped"] & (sends["lag_s"] > LAG_OF_TTFT * first.p50)]
    if len(late) <= 0.01 * len(sends) or not _lasting(late):
        return []
    p99_s = float(sends.loc[~sends["dropped"], "lag_s"].quantile(0.99))
    saw = f"{who}: sends were late by {in_ms(p99_s)} (p99), more than 10 % of a TTFT of {in_ms(first.p50)}"
    return [_whose(saw, late, 0.01 * len(sends), limit)]


def _whose(saw: str, bad: pd.DataFrame, bearable: float, limit: int) -> Finding:
    """Whose fault the bad ones are."""
    ours = bad[~bad["full"]]
    if len(ours) > bearable and _lasting(ours):
        fewer = f"{len(ours)} of {len(bad)} while fewer than the {limit} allowed requests were under way"
        why = f"{fewer}: the client was too slow, not the provider"
        return Finding(code="late-sends", severity="invalid", saw=saw, why=why, hint=_HINT)
    why = f"all {limit} allowed requests were under way: the provider did not keep up with the rate"
    return Finding(code="late-sends", severity="note", saw=saw, why=why, hint=_HINT_FULL)


def _lasting(bad: pd.DataFrame) -> bool:
    return more_than_a_hiccup(len(bad), int((bad["due_ns"] // 1e9).nunique()))
