"""The watch over the load generator: what a freeze, a collection and a full disk leave behind."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import gevent
import pytest

from harness.health import Gauges, HealthWatch
from harness.journal import Journal
from harness.records.health_record import LAG_BOUNDS_S, Health, decode_health

GAUGES = Gauges(in_flight=lambda: 3, users=lambda: 4, worst_lag_s=lambda: 0.25, connections=lambda: 5)
BEAT_S = 0.01


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[[Callable[[], object]], list[Health]]]:
    """Do something under watch; the rows that this gave."""
    path = tmp_path / "health.jsonl"
    journal = Journal(tmp_path / "w0.jsonl", "r", "w0", 2, (0, 1))
    faults: list[str] = []

    def watch(what: Callable[[], object]) -> list[Health]:
        watching = HealthWatch(path, journal.header, GAUGES, faults.append)
        watching.start()
        gevent.sleep(0.05)
        what()
        watching.stop()
        return [decode_health(line) for line in path.read_bytes().splitlines()]

    yield watch
    journal.close()
    assert faults == []


def beats(rows: list[Health]) -> int:
    return sum(sum(row.loop_lag_counts) for row in rows)


def late(rows: list[Health], over_s: float) -> int:
    """Beats in the classes above a bound."""
    first = LAG_BOUNDS_S.index(over_s) + 1
    return sum(sum(row.loop_lag_counts[first:]) for row in rows)


def test_every_beat_of_a_frozen_loop_counts_with_the_time_it_had_to_wait(
    watched: Callable[[Callable[[], object]], list[Health]],
) -> None:
    def freeze() -> None:
        time.sleep(1.2)
        gevent.sleep(0.05)

    rows = watched(freeze)
    worst_s = max(row.loop_lag_max_s or 0 for row in rows)
    assert worst_s >= 1.19
    assert late(rows, 0.5) >= 69, "those due in the first 0.7 s waited for more than 0.5 s"
    assert late(rows, 0.2) >= 99
    assert beats(rows) == pytest.approx(sum(row.span_s for row in rows) / BEAT_S, abs=2)


def test_a_freeze_that_lasts_until_the_end_is_not_lost(
    watched: Callable[[Callable[[], object]], list[Health]],
) -> None:
    rows = watched(lambda: time.sleep(0.7))
    assert max(row.loop_lag_max_s or 0 for row in rows) >= 0.68


def test_lateness_does_not_stay_after_a_freeze(watched: Callable[[Callable[[], object]], list[Health]]) -> None:
    def freeze_then_rest() -> None:
        time.sleep(0.0273)  # no multiple of a beat
        gevent.sleep(1.0)

    rows = watched(freeze_then_rest)
    assert late(rows, 0.0075) < beats(rows) / 2, "after it, beats are in time again"


def test_a_row_says_what_the_process_and_the_gauges_know(
    watched: Callable[[Callable[[], object]], list[Health]],
) -> None:
    def work_and_collect() -> None:
        end_s = time.process_time() + 0.5
        while time.process_time() < end_s:
            gc.collect()
        gevent.sleep(0.05)

    rows = watched(work_and_collect)
    first = rows[0]
    assert (first.run, first.worker, first.repeat) == ("r", "w0", 2)
    assert (first.in_flight, first.users, first.schedule_lag_s, first.open_sockets) == (3, 4, 0.25, 5)
    assert sum((row.cpu_share or 0) * row.span_s for row in rows) >= 0.49
    if Path("/proc/self/schedstat").exists():
        assert all(0 <= (row.cpu_share or 0) + (row.cpu_wait_share or 0) < 1.1 for row in rows)
        assert first.cpu_wait_share is not None
    assert 0 < max(row.gc_pause_s or 0 for row in rows) <= max(row.gc_s or 0 for row in rows)
    assert (first.rss_bytes or 0) > 10_000_000
    assert all(row.machine_cpu_share is None or 0 <= row.machine_cpu_share <= 1 for row in rows)
    if Path("/proc/net/sockstat").exists():
        assert 0 <= (first.ephemeral_ports_used or 0) < (first.ephemeral_ports or 0)


def test_the_end_of_a_row_is_told_in_the_time_of_the_journal(
    watched: Callable[[Callable[[], object]], list[Health]],
) -> None:
    rows = watched(lambda: gevent.sleep(2.1))
    assert len(rows) >= 2
    for before, after in pairwise(rows):
        assert after.t_ns - before.t_ns == pytest.approx(after.span_s * 1e9, abs=1000)
    assert rows[0].t_ns > rows[0].span_s * 1e9, "the journal began before the watch"


def test_nothing_is_left_behind(watched: Callable[[Callable[[], object]], list[Health]]) -> None:
    watched(lambda: None)  # the event loop itself keeps a few descriptors once it has run
    before = _descriptors(), len(gc.callbacks)
    watched(lambda: None)
    assert (_descriptors(), len(gc.callbacks)) == before


def _descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_row_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "w0.jsonl", "r", "w0", 1, (0, 1))
    faults: list[str] = []
    watching = HealthWatch(Path("/dev/full"), journal.header, GAUGES, faults.append)
    watching.start()
    gevent.sleep(2.2)
    watching.stop()
    watching.stop()
    journal.close()
    assert faults == ["/dev/full: cannot be written: No space left on device"]
