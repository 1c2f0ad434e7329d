"""Whose fault it is that arrivals were late or never sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from made_samples import made_sample

from analysis.cells.sends import send_findings
from analysis.samples import load_samples
from analysis.summary import Dist, Result, Window
from harness.rundir import RunDir
from harness.sample import Header, Outcome, encode

MS = 1_000_000
Arrival = tuple[int, int | None, int]  # due, start (None: dropped) and end in ms


def judged(folder: Path, limit: int, *workers: Sequence[Arrival], begin_s: float = 0) -> list[tuple[str, str]]:
    """The findings about an open cell of 100 s with a TTFT of 100 ms, sent by these workers."""
    run_dir = RunDir(folder)
    run_dir.journals.mkdir()
    for k, arrivals in enumerate(workers):
        name = f"r1-w{k}"
        header = Header(
            schema=1, run="r", worker=name, repeat=1, share=(k, len(workers)), wall_ns=9, mono_ns=7, pid=1, host="h"
        )
        samples = [
            made_sample(
                worker=name,
                seq=seq,
                due_ns=due * MS,
                start_ns=None if start is None else start * MS,
                end_ns=end * MS,
                outcome=Outcome.DROPPED if start is None else Outcome.OK,
            )
            for seq, (due, start, end) in enumerate(arrivals)
        ]
        run_dir.journal(name).write_bytes(b"".join([encode(header), *map(encode, samples)]))
    result = Result(
        target="t",
        workload="w",
        stage=0,
        attempted=sum(map(len, workers)),
        load={"max_in_flight": limit},
        window=Window(begin_s=begin_s, end_s=100),
        ttft_s=Dist(n=100, mean=0.1, p50=0.1),
    )
    return [(each.code, each.severity) for each in send_findings(load_samples(run_dir), [result])]


def each_100_ms(lag: int = 0, service: int = 50, n: int = 500) -> list[Arrival]:
    return [(100 * k, 100 * k + lag, 100 * k + lag + service) for k in range(n)]


def test_a_schedule_that_was_kept_raises_nothing(tmp_path: Path) -> None:
    assert judged(tmp_path, 10, each_100_ms(lag=1), each_100_ms(lag=9)) == []


def test_late_sends_with_room_for_more_are_the_clients(tmp_path: Path) -> None:
    assert judged(tmp_path, 10, each_100_ms(), each_100_ms(lag=11)) == [("late-sends", "invalid")]


def test_one_hiccup_is_forgiven(tmp_path: Path) -> None:
    late = [(due, 20_500, 20_600) for due in range(20_000, 20_500, 100)]
    assert judged(tmp_path, 10, [*each_100_ms(n=200), *late]) == []


def test_late_sends_that_waited_for_a_place_are_the_providers(tmp_path: Path) -> None:
    one_after_another = [(100 * k, 120 * k, 120 * k + 119) for k in range(500)]
    assert judged(tmp_path, 1, one_after_another) == [("late-sends", "note")]


@pytest.mark.parametrize(("limit", "severity"), [(2, "note"), (3, "invalid")])
def test_dropped_arrivals_are_the_providers_only_while_all_places_were_taken(
    tmp_path: Path, limit: int, severity: str
) -> None:
    two_long = [(0, 0, 60_000), (0, 0, 60_000)]
    dropped = [(100 * k, None, 100 * k + 1000) for k in range(1, 500)]
    assert judged(tmp_path, limit, [*two_long, *dropped]) == [("late-sends", severity)]


def test_each_worker_has_its_share_of_the_places(tmp_path: Path) -> None:
    taken = [(0, 0, 60_000), *((100 * k, None, 100 * k + 1000) for k in range(1, 500))]
    assert judged(tmp_path, 2, taken, taken) == [("late-sends", "note")]


def test_what_was_late_in_the_warm_up_does_not_count(tmp_path: Path) -> None:
    warming = [*each_100_ms(lag=50, n=50), *each_100_ms()[50:]]
    assert judged(tmp_path, 10, warming, begin_s=5) == []
