"""How soon a target is well again after a fault that the plan injected, and whether replies belong to their requests.

The fault ends at a moment that is known: the repair. Recovery is the time from there to the end of the first of K
attempts, one after another in the order they were sent after the repair, that are all whole. What was sent before the
repair tells of the fault, not of the recovery. A whole reply ended ok; one with the code of another request did not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.metrics import Window, injected
from analysis.reading.gaps import Flags, Whole
from analysis.reliability import wilson
from analysis.samples import Samples
from analysis.summary import Estimate, Integrity, Recovery
from harness.cells import Cell
from harness.errors import ErrorClass, ErrorKind

K = 3
RULE = (
    f"recovery lasts from the repair to the end of the first of {K} successive whole replies to what was sent after it"
)


def integrity_of(samples: Samples, rows: Whole, *, echo: bool) -> Integrity | None:
    """Of the replies among some rows; None: none came. `echo`: whether the prompts asked for codes. A reply counts
    when something came as one, be it whole, cut off, garbled, empty or another's."""
    table = samples.table.iloc[rows]
    ok = (table["outcome"] == "ok").to_numpy()
    broken = ((table["error_class"] == ErrorClass.STREAM.value) | (table["error"] == ErrorKind.EMPTY.value)).to_numpy()
    replies, whole = int((ok | broken).sum()), int(ok.sum())
    if not replies:
        return None
    if not echo:
        return Integrity(replies=replies, whole=whole, ratio=Estimate(value=None))
    own, missing = (int((ok & (table["echo"] == each).to_numpy()).sum()) for each in ("own", "missing"))
    other = int((broken & (table["echo"] == "other").to_numpy()).sum())
    ratio = wilson(own, replies)
    return Integrity(replies=replies, whole=whole, own=own, other=other, missing=missing, ratio=ratio)


def recovery_of(cell: Cell, windows: Sequence[Window]) -> Recovery | None:
    """The recovery of a cell whose stage injects a fault, one a repeat; None for any other stage, or where nothing was
    sent."""
    inject = cell.stage.inject
    if inject is None:
        return None
    found = [each for each in map(_after_repair, windows) if each is not None]
    if not found:
        return None
    samples = windows[0].samples
    had = np.concatenate([window.everything[injected(samples, window.everything)] for window in windows])
    ended = Counter(samples.table["error"].iloc[had].dropna().astype(str))
    times_s = tuple(each.recovery_s for each in found)
    failed = sum(ended.values())
    measured = [each for each in times_s if each is not None] if failed else []
    return Recovery(
        scenario=inject.kind,
        made_by="provider" if cell.target.simulated else "client",
        rule=RULE,
        injected=len(had),
        failed=failed,
        errors=dict(sorted(ended.items())),
        times_s=times_s if failed else (),
        worst_s=max(measured) if len(measured) == len(found) else None,
        at_least_s=max(_lower_bounds(found), default=None) if failed else None,
        integrity=integrity_of(samples, np.concatenate([each.rows for each in found]), echo=cell.workload.echo),
    )


@dataclass(frozen=True)
class _After:
    """What came after the repair of one repeat. `recovery_s` None: no recovery was seen in `watched_s`. `rows`: the
    attempts from the first whole one on; where there was no recovery, all that were sent after the repair."""

    recovery_s: float | None
    watched_s: float
    rows: Whole


def _lower_bounds(found: Sequence[_After]) -> list[float]:
    return [each.watched_s if each.recovery_s is None else each.recovery_s for each in found]


def _after_repair(window: Window) -> _After | None:
    samples, rows = window.samples, window.everything
    repair_ns = samples.on_axis("repair_ns", rows)
    if np.isnan(repair_ns).all():
        return None
    start_ns, end_ns = samples.on_axis("start_ns", rows), samples.on_axis("end_ns", rows)
    sent_ns = np.where(np.isnan(start_ns), end_ns, start_ns)  # what was never sent counts when it was given up
    cut = window.is_(rows, "outcome", "cancelled")  # by us, at the end: neither whole nor broken
    later = np.flatnonzero((sent_ns >= repair_ns) & ~injected(samples, rows) & ~cut)
    later = later[np.argsort(sent_ns[later], kind="stable")]
    repaired_ns = float(np.nanmedian(repair_ns))
    watched_s = max(0.0, (window.end_ns - repaired_ns) / 1e9)
    first = _first_of_k(window.is_(rows[later], "outcome", "ok"))
    if first is None:
        return _After(None, watched_s, rows[later])
    return _After(max(0.0, (float(end_ns[later[first]]) - repaired_ns) / 1e9), watched_s, rows[later[first:]])


def _first_of_k(whole: Flags) -> int | None:
    """Where K true values in a row begin."""
    run = 0
    for place, each in enumerate(whole):
        run = run + 1 if each else 0
        if run == K:
            return place - K + 1
    return None
