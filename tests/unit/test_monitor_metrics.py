"""What a monitor tells of several runs at once, and for how long of one that is over."""

from __future__ import annotations

from pathlib import Path

from test_exposition import sample_of

from harness.live.monitor_metrics import KEPT_S, Told
from harness.records.monitor_record import Picture, RunState, SpendNow
from harness.rundir import RunDir


def picture_of(run_dir: RunDir, state: RunState) -> Picture:
    return Picture(
        run=run_dir.name,
        at_utc="",
        at_wall_s=0.0,
        mode="run",
        state=state,
        plan="p",
        elapsed_s=None,
        planned_s=None,
        cells=[],
        findings=[],
        spend=SpendNow(usd=None, requests=0, tokens=None),
    )


def test_runs_are_told_apart_and_one_that_is_over_for_some_minutes_more(tmp_path: Path) -> None:
    now_s = 1000.0
    told, runs = Told(lambda: now_s), [RunDir(tmp_path / "p" / name) for name in "ab"]
    for n, run_dir in enumerate(runs, 1):
        told.counted(run_dir, None).add([sample_of(k) for k in range(n)])
    assert told.counted(runs[1], None) is told.counted(runs[1], None), "a monitor that opens a run again goes on"
    told.tell([picture_of(run_dir, "running") for run_dir in runs])
    told.tell([picture_of(runs[0], "running"), picture_of(runs[1], "ended")])
    now_s += KEPT_S - 1
    told.tell([picture_of(runs[0], "running")])
    assert {shown.run: (shown.state, shown.counts[0].new.attempted) for shown in told.shown()} == {
        "p/a": ("running", 1),
        "p/b": ("ended", 2),
    }
    now_s += 2
    told.tell([picture_of(runs[0], "running")])
    assert [shown.run for shown in told.shown()] == ["p/a"]
