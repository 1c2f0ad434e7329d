"""What metrics cost: a scrape by the number of targets, and following a journal: `python -m benchmarks.scrape_cost`.

CPU time of this process, the best of five: other work on the machine makes it longer, never shorter.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.live.exposition import Exposition, Shown
from harness.live.live import CellReport
from harness.live.live_cell import LiveCell
from harness.live.monitor_shown import Counted
from harness.live.run_metrics import Follower
from harness.plan import Plan, Stage, Target, Workload
from harness.rundir import RunDir
from harness.sample import Header, Outcome, Sample, Usage, encode

_MS = 1_000_000
_EVENTS = 250
_SAMPLES = 2_000


def sample_of(seq: int) -> Sample:
    """A reply of `_EVENTS` content events, whose latencies spread over some hundred buckets."""
    gap_ns = (5 + seq % 37) * _MS
    first_ns = (80 + seq % 211) * _MS
    events = tuple(first_ns + gap_ns * k for k in range(_EVENTS))
    return Sample(
        run="r",
        target="t",
        dialect="openai-chat",
        model="m",
        workload="chat",
        stage=0,
        repeat=1,
        worker="r1-w0",
        seq=seq,
        prompt_id="p",
        start_ns=0,
        event_ns=events,
        end_ns=events[-1] + _MS,
        outcome=Outcome.OK,
        usage=Usage(source="provider", input_tokens=400, output_tokens=_EVENTS),
    )


def best_cpu_s(act: Callable[[], object]) -> float:
    """CPU seconds of the fastest of five."""
    found = []
    for _ in range(5):
        begin_s = time.process_time()
        act()
        found.append(time.process_time() - begin_s)
    return min(found)


def scrapes() -> Table:
    """A scrape of so many targets, each with full histograms."""
    counted = Counted()
    counted.add([sample_of(seq) for seq in range(500)])
    (cell,) = counted.ever()
    table = Table("targets x workloads", "CPU a scrape", "page", "series", title="a scrape")
    for n in (1, 10, 50, 200):
        counts = [CellReport(target=f"t{k}", workload="w", in_flight=0, new=copy_of(cell.new)) for k in range(n)]
        shown = Shown(run="r", plan="p", mode="run", state="running", counts=counts)
        told = Exposition(lambda shown=shown: [shown])  # type: ignore[misc]
        page, _ = told.page(None)
        series = sum(not line.startswith(b"#") for line in page.splitlines())
        spent_s = best_cpu_s(lambda told=told: told.page(None))  # type: ignore[misc]
        table.add_row(str(n), f"{spent_s * 1e3:.1f} ms", f"{len(page) / 1000:.0f} kB", str(series))
    return table


def copy_of(cell: LiveCell) -> LiveCell:
    """The same counts."""
    copy = LiveCell()
    copy.merge(cell)
    return copy


def following() -> Table:
    """What the launcher of `run --metrics-port` does for each attempt."""
    table = Table("attempts", "events each", "CPU an attempt", title="following a journal")
    target = Target(name="t", dialect="openai-chat", base_url="http://127.0.0.1:1", model="m")
    stages = (Stage(duration_s=1, concurrency=1),)
    plan = Plan(name="p", targets=(target,), workloads=(Workload(kind="chat", name="chat"),), stages=stages)
    with tempfile.TemporaryDirectory() as folder:
        run_dir = RunDir(Path(folder))
        run_dir.journals.mkdir()
        share = (0, 1)
        head = Header(schema=3, run="r", worker="r1-w0", repeat=1, share=share, wall_ns=0, mono_ns=0, pid=1, host="h")
        lines = [encode(head), *(encode(sample_of(seq)) for seq in range(_SAMPLES))]
        run_dir.journal("r1-w0").write_bytes(b"".join(lines))
        spent_s = best_cpu_s(lambda: Follower(run_dir, plan, 1.0).look())
    table.add_row(str(_SAMPLES), str(_EVENTS), f"{spent_s / _SAMPLES * 1e6:.0f} µs")
    return table


if __name__ == "__main__":
    console = Console()
    console.print(scrapes())
    console.print(following())
