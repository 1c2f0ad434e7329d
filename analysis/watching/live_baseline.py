"""A finished run as the baseline of live watching: the steady windows of each target and workload as one slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.metrics import Window, times_s
from analysis.samples import load_samples
from analysis.summarise import windows_of
from analysis.watching.slices import Slice, merged, slice_of
from harness.errors import PROVIDER_FAILURES
from harness.plan_file import read_plan
from harness.rundir import RunDir


def baselines_of(root: Path) -> dict[tuple[str, str], Slice]:
    """By target and workload. Raises UsageFault where it is no run directory with samples and a plan."""
    run_dir = RunDir(root)
    samples = load_samples(run_dir)
    found: dict[tuple[str, str], Slice] = {}
    for cell, windows in windows_of(read_plan(str(run_dir.plan)), samples):
        key = (cell.target.name, cell.workload.name)
        for window in windows:
            new = slice_of_window(window)
            found[key] = merged(found[key], new) if key in found else new
    return found


def slice_of_window(window: Window) -> Slice:
    """All of a steady window. Its latencies are those of the metrics."""
    samples, good = window.samples, window.good
    chosen = np.zeros(len(samples.table), dtype=bool)
    chosen[good] = True
    values = {name: times_s(f"{name}_s", samples, good) for name in ("ttft", "tpot", "e2e")}
    values["itl"] = np.concatenate([np.empty(0, np.int64), *samples.gaps.of_rows(chosen)]) / 1e9
    given_up = window.is_(window.inside, "outcome", "cancelled", "dropped")
    return slice_of(
        (window.end_ns + samples.origin_wall_ns) / 1e9,
        window.length_s,
        judged=int((~given_up).sum()),
        failed=int(window.is_(window.inside, "error_class", *(each.value for each in PROVIDER_FAILURES)).sum()),
        throttled=int(window.is_(window.inside, "outcome", "throttled").sum()),
        values_s=values,
        requests={"itl": int((samples.column("events", good) > 1).sum())},
    )
