"""A monitor that comes late, or was away, sees each slice of a run as one does that looked all the time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from made_samples import made_sample

from harness.monitor import Watch
from harness.monitoring.watched_cell import CellState
from harness.plan_file import plan_of
from harness.records.alert_record import AlertConfig
from harness.rundir import RunDir
from harness.sample import SCHEMA, Header, Sample, encode

S = 1_000_000_000
BEGAN_NS = 1_000_000_020 * S
PLAN = {
    "name": "p",
    "targets": [{"name": "t", "dialect": "openai-chat", "base_url": "http://h/v1", "model": "m"}],
    "workload": {"name": "w"},
    "stages": [{"rate_rps": 5, "duration_s": 600}],
    "slo": {"ttft_s": 0.07, "availability": 0.99},
}


def _sample(seq: int, end_s: float) -> Sample:
    end_ns = round(end_s * S)
    first_ns = end_ns - (20 + seq % 3 * 20) * 1_000_000
    return made_sample(seq=seq, start_ns=end_ns - S // 10, event_ns=(first_ns, end_ns), end_ns=end_ns)


def _seen(ends_s: Sequence[float], looks_s: list[float]) -> list[CellState]:
    """What is known of each cell after looks at those moments, when the journal held what had ended by then."""
    with TemporaryDirectory() as folder:
        run_dir = RunDir(Path(folder) / "p" / "r")
        run_dir.journals.mkdir(parents=True)
        path, left = run_dir.journal("r1-w0"), list(enumerate(ends_s))
        head = Header(schema=SCHEMA, run="r", worker="r1-w0", repeat=1, share=(0, 1), wall_ns=BEGAN_NS, mono_ns=0,
                      pid=1, host="another")  # fmt: skip
        path.write_bytes(encode(head))
        run_dir.run_json.write_text('{"ended": "running", "started_utc": "2001-09-09T01:47:00+00:00"}')
        watch = Watch(run_dir, plan_of(PLAN, "plan"), AlertConfig(rules=(), sinks=(), shipped=False), BEGAN_NS, 0)
        for at_s in looks_s:
            with path.open("ab") as file:
                while left and left[0][1] <= at_s:
                    file.write(encode(_sample(*left.pop(0))))
            now_ns = BEGAN_NS + round(at_s * S)
            os.utime(path, ns=(now_ns, now_ns))
            watch.look(now_ns, round(at_s * S))
        watch.close()
        return [cell.kept() for cell in watch.cells.values()]


@pytest.mark.parametrize(
    "ends_s", [(10.0, 20.0, 25.0, 40.0), (1.0, 9.9, 10.1, 10.1, 55.0, 99.0, 200.0), (3.0, 700.0, 710.0, 719.9)]
)
def test_one_look_over_a_past_sees_what_many_looks_saw(ends_s: tuple[float, ...]) -> None:
    quiet_s = 60_000.0  # a past is gone through in 600 steps: here several slices in each
    all_s = [1.0, *(quiet_s + each for each in ends_s)]
    looks_s = sorted({end_s + more_s for end_s in all_s for more_s in (0.0, 0.1, 5.0, 9.0, 10.0, 11.0)})
    assert _seen(all_s, looks_s[-1:]) == _seen(all_s, looks_s)
