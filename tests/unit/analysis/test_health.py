"""When the load generator is called the bottleneck, and when not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from made_samples import made_sample

from analysis.cells.health import Span, health_findings, judge_workers, read_health, spans_of, workers_of
from analysis.samples import Samples, load_samples
from analysis.summary import Result, Window
from harness.records.health_record import LAG_BOUNDS_S, Health, encode_health
from harness.rundir import RunDir
from harness.sample import Header, encode

S = 10**9
SPANS = [Span(f"r1-w{k}", 0, -S, 100 * S) for k in (0, 1)]


def row(second: int, lag_s: float = 0.0004, late_share: float = 1.0, **more: Any) -> Health:
    """A second of 100 beats; `late_share` of them are `lag_s` late, the others in time."""
    counts = [0] * (len(LAG_BOUNDS_S) + 1)
    place = next((i for i, bound in enumerate(LAG_BOUNDS_S) if lag_s <= bound), len(LAG_BOUNDS_S))
    counts[place] += round(100 * late_share)
    counts[0] += 100 - round(100 * late_share)
    values: dict[str, Any] = {"cpu_share": 0.4, "machine_cpu_share": 0.5, "in_flight": 5, "gc_pause_s": 0.001} | more
    return Health(
        run="r", worker="r1-w0", repeat=1, t_ns=second * 10**9, span_s=1.0, loop_lag_counts=tuple(counts), **values
    )


def judged(rows: list[Health], *, kernel_stamps: bool = False) -> list[tuple[str, str]]:
    stamped = result(stamps={"kernel": 9} if kernel_stamps else {"kernel": 8, "user": 1})
    return [(finding.code, finding.severity) for finding in judge_workers(workers_of(rows, SPANS), [stamped])]


def test_a_healthy_worker_raises_nothing() -> None:
    assert judged([row(second) for second in range(30)]) == []


def test_one_bad_second_of_many_is_not_held_against_a_run() -> None:
    rows = [row(second) for second in range(60)]
    rows[20] = row(20, lag_s=0.04, late_share=0.3)
    assert judged(rows) == []


@pytest.mark.parametrize("kernel_stamps", [False, True])
@pytest.mark.parametrize("lag_s", [0.007, 0.05, 99.0])
def test_a_loop_that_lags_is_found(lag_s: float, kernel_stamps: bool) -> None:  # noqa: FBT001
    rows = [row(second, lag_s=lag_s, late_share=0.05) for second in range(10)]
    assert judged(rows, kernel_stamps=kernel_stamps) == [("loop-lag", "invalid")]


def test_the_finding_names_the_cause() -> None:
    full = [row(second, lag_s=0.05, cpu_share=0.99) for second in range(10)]
    robbed = [row(second, lag_s=0.05, cpu_share=0.3) for second in range(10)]
    said = [judge_workers(workers_of(rows, SPANS), ())[0].saw for rows in (full, robbed)]
    assert said[0].startswith("worker r1-w0, stage 0")
    assert "too much load for one worker" in said[0]
    assert "something else held its core" in said[1]


def test_a_full_core_is_found() -> None:
    assert judged([row(second, cpu_share=0.95) for second in range(10)]) == [("client-cpu", "invalid")]


def test_a_worker_that_waits_for_a_core_that_others_hold_is_found_and_says_so() -> None:
    rows = [row(second, lag_s=0.05, cpu_share=0.1, cpu_wait_share=0.85) for second in range(10)]
    found = judge_workers(workers_of(rows, SPANS), ())
    assert [(each.code, each.severity) for each in found] == [("loop-lag", "invalid"), ("client-cpu", "invalid")]
    assert all("waited 85% of the time for a core that others held" in each.saw for each in found)
    assert all(each.hint.startswith("end what else runs there") for each in found)
    assert judged([row(second, cpu_share=0.4, cpu_wait_share=0.05) for second in range(10)]) == []


def test_the_worst_worker_decides() -> None:
    rows = [row(second) for second in range(10)]
    rows += [msgspec.structs.replace(row(second, cpu_share=0.97), worker="r1-w1") for second in range(10)]
    assert judged(rows) == [("client-cpu", "invalid")]


def test_one_hiccup_does_not_condemn_a_short_stage_but_a_freeze_does() -> None:
    short = [row(second) for second in range(4)]
    assert judged([*short[:3], row(3, lag_s=0.06, late_share=0.06)]) == []
    assert judged([*short[:3], row(3, lag_s=0.5, late_share=0.5)]) == [("loop-lag", "invalid")]
    assert judged([row(second, lag_s=0.04, late_share=0.03) for second in range(4)]) == [("loop-lag", "invalid")]


def test_a_bad_stage_is_not_hidden_by_good_ones() -> None:
    rows = [row(second) for second in range(90)] + [
        row(second, lag_s=0.05, late_share=0.05) for second in range(90, 99)
    ]
    spans = [Span("r1-w0", 0, -S, 89 * S), Span("r1-w0", 1, 89 * S, 100 * S)]
    (finding,) = judge_workers(workers_of(rows, spans), ())
    assert (finding.code, finding.saw.partition(":")[0]) == ("loop-lag", "worker r1-w0, stage 1")


def test_rows_outside_the_steady_windows_do_not_count() -> None:
    rows = [row(second, lag_s=0.2, cpu_share=1.0) for second in range(101, 110)]
    assert judged(rows) == []


def test_a_pause_of_the_collector_and_scarce_ports_are_told() -> None:
    assert judged([row(5, gc_pause_s=0.03)]) == [("gc-pause", "note")]
    assert judged([row(5, ephemeral_ports_used=9, ephemeral_ports=10)]) == [("ports", "suspect")]


def result(**more: Any) -> Result:
    return Result(target="t", workload="w", stage=0, attempted=100, outcomes={"ok": 100}, **more)


def loaded(folder: Path, *workers: tuple[int, list[int]]) -> Samples:
    """The samples of workers r1-w0, r1-w1 ...: the wall time of each one's anchor, and the seconds after it at which it
    started requests of 100 ms."""
    run_dir = RunDir(folder)
    run_dir.journals.mkdir()
    for k, (wall_ns, starts_s) in enumerate(workers):
        name = f"r1-w{k}"
        header = Header(
            schema=1, run="r", worker=name, repeat=1, share=(k, 2), wall_ns=wall_ns, mono_ns=7, pid=1, host="h"
        )
        samples = [
            made_sample(worker=name, seq=seq, start_ns=start_s * S, end_ns=start_s * S + S // 10)
            for seq, start_s in enumerate(starts_s)
        ]
        run_dir.journal(name).write_bytes(b"".join([encode(header), *map(encode, samples)]))
    return load_samples(run_dir)


def test_each_worker_measured_in_the_cells_window_by_its_own_clock(tmp_path: Path) -> None:
    samples = loaded(tmp_path, (1000 * S, [3, 4, 20]), (998 * S, [6, 30]))
    spans = spans_of(samples, [result(window=Window(begin_s=2, end_s=10))])
    assert spans == [Span("r1-w0", 0, 5 * S, 13 * S), Span("r1-w1", 0, 7 * S, 15 * S)]


def test_a_worker_whose_rows_end_early_is_told(tmp_path: Path) -> None:
    samples = loaded(tmp_path, (1000 * S, [1, 30]), (1000 * S, [1, 30]))
    whole = [row(second) for second in range(31)]
    cut = [msgspec.structs.replace(each, worker="r1-w1") for each in whole[:20]]
    results = [result(window=Window(begin_s=0, end_s=30))]
    (finding,) = health_findings(whole + cut, samples, results)
    assert (finding.code, finding.severity) == ("health-cut", "suspect")
    assert "r1-w1 for its last 11 s" in finding.saw
    assert [each.code for each in health_findings(whole, samples, results)] == ["health-cut"]


def test_a_run_that_was_not_watched_says_so(tmp_path: Path) -> None:
    samples = loaded(tmp_path, (1000 * S, [1]))
    assert [each.code for each in health_findings([], samples, [result()])] == ["no-health"]


def test_a_torn_last_row_is_left_out(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    assert read_health(run_dir) == []
    run_dir.health.write_bytes(encode_health(row(1)) + encode_health(row(2))[:40])
    assert read_health(run_dir) == [row(1)]
