"""Whether memory, file descriptors and lag of a run stay flat: `python -m benchmarks.soak --seconds 7200`.

A moderate load on the simulator by the real command; each second the worker's memory, descriptors and threads are read,
and its own `health.jsonl` tells its lag. A trend is the slope by Theil and Sen over medians of equal parts of the time
(Sen 1968), the first fifth left out: caches fill and connections are made there. It is told as growth where the lower
end of its 95 % interval is above zero and it matters: memory that doubles in a day, a descriptor in an hour, a
millisecond of lag in a day. Exit code 1: something grows.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import psutil
import yaml
from rich.console import Console
from rich.table import Table
from scipy import stats

from harness.records.health_record import decode_health

_PARTS = 40
_SETTLING = 0.2
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Trend:
    """What a series does. `grows`: by how much in a day, with its 95 % interval; `most`: how much would matter."""

    name: str
    median: float
    grows: float
    low: float
    high: float
    most: float

    @property
    def flat(self) -> bool:
        """Whether no growth is shown that would matter."""
        return self.low <= 0 or self.grows <= self.most


def trend(name: str, at_s: Sequence[float], values: Sequence[float], most_a_day: float) -> Trend:
    """The trend of a series over time. `most_a_day`: what growth matters, in the unit of the values."""
    times, seen = np.asarray(at_s, dtype=float), np.asarray(values, dtype=float)
    settled = times >= times[0] + _SETTLING * (times[-1] - times[0])
    parts = [part for part in np.array_split(np.flatnonzero(settled), _PARTS) if len(part)]
    middles = np.array([np.median(times[part]) for part in parts])
    medians = np.array([np.median(seen[part]) for part in parts])
    found = stats.theilslopes(medians, middles, 0.95)
    slope, low, high = (float(each) * _DAY_S for each in (found.slope, found.low_slope, found.high_slope))
    return Trend(name, float(np.median(medians)), slope, low, high, most_a_day)


def soak(folder: Path, seconds: float, users: int) -> list[Trend]:
    """Run the load, and look at its worker until it has ended."""
    provider = {"name": "p", "dialects": ["openai-chat"], "ttft": 0.2, "itl": 0.02}
    plan = {
        "name": "soak",
        "repeats": 1,
        "targets": [{"name": "sim", "dialect": "openai-chat", "base_url": "sim://p", "model": "m"}],
        "workload": {"kind": "chat", "input_tokens": 50, "output_tokens": 40},
        "stages": [{"concurrency": users, "duration_s": seconds}],
        "simulator": {"providers": [provider]},
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    words = [sys.executable, "-m", "harness", "run", str(folder / "plan.yaml"), "--out", str(folder / "runs")]
    at_s: list[float] = []
    memory: list[float] = []
    files: list[float] = []
    threads: list[float] = []
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as run:  # noqa: S603
        while run.poll() is None:
            time.sleep(1)
            with suppress(psutil.Error, StopIteration):
                worker = next(each for each in psutil.Process(run.pid).children() if "locust" in each.cmdline())
                if worker.num_fds() > users:  # its load has begun
                    at_s.append(time.monotonic())
                    memory.append(worker.memory_info().rss / 1e6)
                    files.append(worker.num_fds())
                    threads.append(worker.num_threads())
    (health,) = (folder / "runs").glob("soak/*/health.jsonl")
    rows = [decode_health(line) for line in health.read_bytes().splitlines()]
    lags = [(row.t_ns / 1e9, row.loop_lag_p50_s * 1e3) for row in rows if row.loop_lag_p50_s is not None and row.users]
    return [
        trend("memory of the worker, MB", at_s, memory, float(np.median(memory))),
        trend("file descriptors", at_s, files, 24.0),
        trend("threads", at_s, threads, 1.0),
        trend("lag of the event loop (median), ms", [at for at, _ in lags], [lag for _, lag in lags], 1.0),
    ]


@click.command(help=__doc__)
@click.option("--seconds", type=float, default=7200.0, help="How long (7200).")
@click.option("--users", type=int, default=20, help="How many ask at once (20).")
def main(*, seconds: float, users: int) -> None:
    """Run it and print the table."""
    with tempfile.TemporaryDirectory(prefix="tokenswarm-soak-") as name:
        trends = soak(Path(name), seconds, users)
    table = Table("promise: flat", "median", "growth a day [95 %]", "matters from", "kept")
    for each in trends:
        seen = f"{each.grows:+.3g} [{each.low:+.3g}, {each.high:+.3g}]"
        table.add_row(each.name, f"{each.median:.4g}", seen, f"{each.most:.3g}", "yes" if each.flat else "NO")
    Console(width=120).print(table)
    sys.exit(not all(each.flat for each in trends))


if __name__ == "__main__":
    main()
