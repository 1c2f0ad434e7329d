"""What a monitor tells of several runs at once, and for how long of one that is over."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from test_exposition import sample_of
from test_monitor import Made, _go

from harness.live.exposition import Exposition
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


def _counters(told: Told) -> dict[str, float]:
    """Every counter as Prometheus reads it: the sum over its labels."""
    text = Exposition(told.shown).page(None)[0].decode()
    families = [each for each in text_string_to_metric_families(text) if each.type == "counter"]
    return {each.name: sum(one.value for one in each.samples if one.name.endswith("_total")) for each in families}


def test_a_monitor_that_is_started_again_is_a_reset_and_counts_nothing_twice(tmp_path: Path) -> None:
    """PromQL's `increase` takes a value that is lower than the last one for a new beginning at zero, and adds all of
    it: so what both processes told last adds up to what the run had."""
    made = Made(tmp_path / "p" / "r")
    first, second, rises = Told(), Told(), dict[str, float]()
    for told, begin_s, end_s in ((first, 1, 40), (second, 42, 70)):
        watch = made.watch(begin_s, counted=told.counted(made.run_dir, None))
        last: dict[str, float] = {}
        for at_s in range(begin_s, end_s + 1, 4):
            told.tell([_go(made, watch, at_s, at_s)])
            now = _counters(told)
            assert all(now[name] >= value for name, value in last.items()), "within a process none falls"
            if not last and told is second:
                assert now["tokenswarm_requests"] < rises["tokenswarm_requests"], "a reset is seen"
            last = now
        watch.close()
        rises = {name: rises.get(name, 0.0) + value for name, value in last.items()}
    assert rises["tokenswarm_requests"] == made.written
