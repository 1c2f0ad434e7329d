"""When the load generator is called the bottleneck, and when not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from analysis.health import health_findings, read_health
from analysis.summary import Dist, Result
from harness.health_record import LAG_BOUNDS_S, Health, encode_health
from harness.rundir import RunDir


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


def judged(rows: list[Health], *results: Result, kernel_stamps: bool = False) -> list[tuple[str, str]]:
    found = health_findings(rows, results, kernel_stamps=kernel_stamps, limits={0: 100})
    return [(finding.code, finding.severity) for finding in found]


def test_a_healthy_worker_raises_nothing() -> None:
    assert judged([row(second) for second in range(30)]) == []


def test_one_bad_second_of_many_is_not_held_against_a_run() -> None:
    rows = [row(second) for second in range(60)]
    rows[20] = row(20, lag_s=0.04, late_share=0.3)
    assert judged(rows) == []


@pytest.mark.parametrize(
    ("lag_s", "kernel_stamps", "severity"),
    [(0.015, False, "invalid"), (0.015, True, "suspect"), (0.05, True, "invalid"), (99.0, False, "invalid")],
)
def test_a_loop_that_lags_is_found(lag_s: float, kernel_stamps: bool, severity: str) -> None:  # noqa: FBT001
    rows = [row(second, lag_s=lag_s, late_share=0.05) for second in range(10)]
    assert judged(rows, kernel_stamps=kernel_stamps) == [("loop-lag", severity)]


def test_the_finding_names_the_cause() -> None:
    full = [row(second, lag_s=0.05, cpu_share=0.99) for second in range(10)]
    robbed = [row(second, lag_s=0.05, cpu_share=0.3) for second in range(10)]
    said = [health_findings(rows, (), kernel_stamps=False, limits={})[0].saw for rows in (full, robbed)]
    assert "too much load for one worker" in said[0]
    assert "something else held its core" in said[1]


def test_a_full_core_is_found() -> None:
    assert judged([row(second, cpu_share=0.95) for second in range(10)]) == [("client-cpu", "invalid")]


def test_seconds_without_a_request_under_way_do_not_count() -> None:
    assert judged([row(second, lag_s=0.05, cpu_share=1.0, in_flight=0) for second in range(10)]) == []


def test_the_worst_worker_decides() -> None:
    rows = [row(second) for second in range(10)]
    rows += [msgspec.structs.replace(row(second, cpu_share=0.97), worker="r1-w1") for second in range(10)]
    assert judged(rows) == [("client-cpu", "invalid")]


def result(**more: Any) -> Result:
    values: dict[str, Any] = {"target": "t", "workload": "w", "stage": 0, "attempted": 100, "outcomes": {"ok": 100}}
    return Result(**(values | more))


def test_dropped_arrivals_are_the_clients_fault_unless_all_allowed_requests_were_under_way() -> None:
    dropped = result(outcomes={"ok": 90, "dropped": 10})
    assert judged([row(second, in_flight=40) for second in range(10)], dropped) == [("late-sends", "invalid")]
    assert judged([row(second, in_flight=99) for second in range(10)], dropped) == [("late-sends", "note")]


def test_sends_that_are_late_by_much_of_a_ttft_are_found() -> None:
    late = result(lag_s=Dist(n=100, mean=0.02, p99=0.05), ttft_s=Dist(n=100, mean=0.2, p50=0.2))
    assert judged([row(second) for second in range(10)], late) == [("late-sends", "invalid")]


def test_a_run_that_was_not_watched_says_so() -> None:
    assert judged([], result()) == [("no-health", "note")]


def test_a_torn_last_row_is_left_out(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    assert read_health(run_dir) == []
    run_dir.health.write_bytes(encode_health(row(1)) + encode_health(row(2))[:40])
    assert read_health(run_dir) == [row(1)]
