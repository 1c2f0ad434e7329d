"""`python -m benchmarks.many_workers`: what many workers cost their master's host.

A real run is led (`harness.launch`): Locust's master with its web UI watched, the collector, a Redis. The workers are
real in everything but their replies (`benchmarks.fake_workers`), and live on the same machine, so what counts here is
the CPU time of each process on the master's side, not how fast all of them are together.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import psutil
import redis
from rich.console import Console
from rich.table import Table

from benchmarks.hosts import GAP_S, TTFT_S, Job, ask, free_port, listens, redis_server, size_of, until
from benchmarks.processes import allow_many_sockets
from harness import launch
from harness.journals.redis_client import REDIS_URL
from harness.plan import Plan
from harness.plan_file import plan_of
from harness.rundir import RunDir, new_run_dir
from harness.runs.swarm import Swarm

_FAKES_IN_A_PROCESS = 25
_SETTLE_S = 4.0  # after the first samples: streams begin over one reply's length
_LEAVE_S = 2.0  # the end of the cell is not steady
_CONSOLE = Console(stderr=True)


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one size of swarm cost. Shares are of one core, in the steady part. `lag_s` is how old what the collector
    has is, by bytes; `page_s` how long the live page and Locust's table took to be answered, together."""

    workers: int
    streams: int
    steady_s: float
    requests_per_s: float
    chunks_per_s: float
    journal_mb_per_s: float
    redis_in_mb_per_s: float
    report_kb: float
    master_share: float
    collector_share: float
    redis_share: float
    launcher_share: float
    fakes_share: float
    lag_p50_s: float
    lag_max_s: float
    page_p50_s: float | None
    page_max_s: float | None
    master_rss_mb: float
    all_arrived: bool


@dataclass
class Seen:
    """What was seen each second: the clock, CPU seconds by role, bytes written, collected and taken in by Redis."""

    at_s: list[float] = field(default_factory=list)
    cpu_s: dict[str, list[float]] = field(default_factory=dict)
    written: list[int] = field(default_factory=list)
    collected: list[int] = field(default_factory=list)
    redis_in: list[int] = field(default_factory=list)
    page_s: list[float] = field(default_factory=list)
    rss: int = 0


def plan_for(workers: int, streams: int, seconds: float) -> Plan:
    """One closed cell. Nobody listens at its target: the fakes never ask it."""
    target = {"name": "provider", "dialect": "openai-chat", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    stage = {"concurrency": workers * streams, "duration_s": seconds}
    workload = {"name": "chat", "input_tokens": 480, "output_tokens": 250}
    whole = {"name": "many-workers", "repeats": 1, "warmup_s": 0, "drain_s": 10, "targets": [target]}
    return plan_of(whole | {"workload": workload, "stages": [stage]}, "many-workers")


def lead(plan: Plan, run_dir: RunDir, swarm: Swarm) -> None:
    """The launcher's part of `tokenswarm run --master`, without the analysis at the end."""
    launch.run(plan, run_dir, swarm, lambda _: None)


def measure(workers: int, streams: int, chunks: int, seconds: float, *, watched: bool) -> Cost:
    """One size of swarm."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tokenswarm-many-")))
        url, server = stack.enter_context(redis_server())
        run_dir = new_run_dir(folder / "runs", "many-workers")
        web = ("127.0.0.1", free_port()) if watched else None
        swarm = Swarm(expected=workers, bind_host="127.0.0.1", port=free_port(), redis=url, web=web)
        plan = plan_for(workers, streams, seconds)
        leader = multiprocessing.get_context("spawn").Process(target=lead, args=(plan, run_dir, swarm))
        stack.callback(end_children)
        leader.start()
        until(lambda: listens(swarm.port), "the master")
        job = Job(
            port=swarm.port,
            run=run_dir.name,
            folder=str(folder / "fakes"),
            workers=0,
            chunks=chunks,
            seconds=seconds,
            target="provider",
            workload="chat",
        )
        fakes = start_fakes(job, workers, url)
        roles = roles_of(leader.pid or 0, server, fakes)
        page = None if web is None else f"http://127.0.0.1:{web[1]}"
        seen = watch(roles, server_url=url, job=job, run_dir=run_dir, page=page, seconds=seconds)
        told = [json.loads(fake.communicate(timeout=120)[0]) for fake in fakes]
        leader.join(90)
        arrived = complete(run_dir, sum(each["samples"] for each in told))
    return cost_of(seen, told, workers, streams, chunks, all_arrived=arrived)


def end_children() -> None:
    """End what a measurement that was cut short has left behind."""
    for process in psutil.Process().children(recursive=True):
        if process.name() != "redis-server":
            process.kill()


def start_fakes(job: Job, workers: int, redis_url: str) -> list[subprocess.Popen[str]]:
    """Processes of fakes, as few as will do."""
    counts = [len(part) for part in np.array_split(np.arange(workers), -(-workers // _FAKES_IN_A_PROCESS))]
    jobs = [msgspec.structs.replace(job, workers=count) for count in counts]
    return [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "benchmarks.fake_workers", msgspec.json.encode(each).decode()],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {REDIS_URL: redis_url},
        )
        for each in jobs
    ]


def roles_of(
    leader: int, server: psutil.Process, fakes: list[subprocess.Popen[str]]
) -> dict[str, list[psutil.Process]]:
    """The processes by what they do."""
    children = psutil.Process(leader).children(recursive=True)
    return {
        "master": [each for each in children if "--master" in each.cmdline()],
        "collector": [each for each in children if "harness.journals.collect" in each.cmdline()],
        "launcher": [psutil.Process(leader)],
        "redis": [server],
        "fakes": [psutil.Process(fake.pid) for fake in fakes],
    }


def watch(
    roles: dict[str, list[psutil.Process]], server_url: str, job: Job, run_dir: RunDir, page: str | None, seconds: float
) -> Seen:
    """Look once a second, and at the pages, while the load is steady."""
    fakes = Path(job.folder)
    until(lambda: size_of(fakes.glob("*/journal/*.jsonl")) > 100_000 * job.chunks / 250, "the first samples")
    _CONSOLE.print("load has begun")
    time.sleep(_SETTLE_S)
    end_s = time.monotonic() + seconds - _SETTLE_S - _LEAVE_S - (TTFT_S + job.chunks * GAP_S)
    seen = Seen()
    with redis.Redis.from_url(server_url) as client:
        while time.monotonic() < end_s:
            look(seen, roles, fakes, run_dir, client)
            if page is not None:
                seen.page_s.append(ask(f"{page}/tokenswarm/live") + ask(f"{page}/stats/requests"))
            time.sleep(max(0.0, seen.at_s[-1] + 1 - time.monotonic()))
        look(seen, roles, fakes, run_dir, client)
    _CONSOLE.print("load is over; the rest is brought over")
    return seen


def look(seen: Seen, roles: dict[str, list[psutil.Process]], fakes: Path, run_dir: RunDir, client: Any) -> None:
    """One look at everything."""
    seen.at_s.append(time.monotonic())
    for role, processes in roles.items():
        times = [process.cpu_times() for process in processes]
        seen.cpu_s.setdefault(role, []).append(sum(each.user + each.system for each in times))
    seen.written.append(size_of(fakes.glob("*/journal/*.jsonl")))
    seen.collected.append(size_of(run_dir.journals.glob("r*.jsonl")))
    seen.redis_in.append(client.info("stats")["total_net_input_bytes"])
    seen.rss = max(seen.rss, *(process.memory_info().rss for process in roles["master"]))


def complete(run_dir: RunDir, samples: int) -> bool:
    """Whether every sample that was recorded stands in the collected journals, and the run says that it is complete."""
    found = sum(path.read_bytes().count(b'{"type":"sample"') for path in run_dir.journals.glob("r1-w*.jsonl"))
    ended = json.loads(run_dir.run_json.read_text(encoding="utf-8"))
    if ended["ended"] != "complete":
        _CONSOLE.print(ended["missing"])
    return found == samples and ended["ended"] == "complete"


def cost_of(
    seen: Seen, told: list[dict[str, Any]], workers: int, streams: int, chunks: int, *, all_arrived: bool
) -> Cost:
    """What the looks amount to."""
    span_s = seen.at_s[-1] - seen.at_s[0]
    share = {role: (spent[-1] - spent[0]) / span_s for role, spent in seen.cpu_s.items()}
    rate = (seen.written[-1] - seen.written[0]) / span_s
    line_bytes = sum(each["bytes"] for each in told) / sum(each["samples"] for each in told)
    lags = [(written - there) / rate for written, there in zip(seen.written, seen.collected, strict=True)]
    requests = rate / line_bytes
    pages = seen.page_s or None
    return Cost(
        workers=workers,
        streams=workers * streams,
        steady_s=span_s,
        requests_per_s=requests,
        chunks_per_s=requests * chunks,
        journal_mb_per_s=rate / 1e6,
        redis_in_mb_per_s=(seen.redis_in[-1] - seen.redis_in[0]) / span_s / 1e6,
        report_kb=float(np.median([size for each in told for size in each["report_bytes"]])) / 1e3,
        master_share=share["master"],
        collector_share=share["collector"],
        redis_share=share["redis"],
        launcher_share=share["launcher"],
        fakes_share=share["fakes"],
        lag_p50_s=float(np.median(lags)),
        lag_max_s=max(lags),
        page_p50_s=float(np.median(pages)) if pages else None,
        page_max_s=max(pages) if pages else None,
        master_rss_mb=seen.rss / 1e6,
        all_arrived=all_arrived,
    )


COLUMNS: dict[str, Callable[[Cost], str]] = {
    "workers": lambda cost: f"{cost.workers}",
    "streams": lambda cost: f"{cost.streams:,}",
    "requests/s": lambda cost: f"{cost.requests_per_s:,.0f}",
    "chunks/s": lambda cost: f"{cost.chunks_per_s:,.0f}",
    "journals MB/s": lambda cost: f"{cost.journal_mb_per_s:.1f}",
    "into Redis MB/s": lambda cost: f"{cost.redis_in_mb_per_s:.1f}",
    "report kB": lambda cost: f"{cost.report_kb:.1f}",
    "master CPU": lambda cost: f"{cost.master_share:.0%}",
    "collector CPU": lambda cost: f"{cost.collector_share:.0%}",
    "Redis CPU": lambda cost: f"{cost.redis_share:.0%}",
    "launcher CPU": lambda cost: f"{cost.launcher_share:.0%}",
    "fakes CPU": lambda cost: f"{cost.fakes_share:.0%}",
    "lag s p50 / max": lambda cost: f"{cost.lag_p50_s:.2f} / {cost.lag_max_s:.2f}",
    "pages ms p50 / max": lambda cost: (
        "-" if cost.page_p50_s is None else f"{cost.page_p50_s * 1e3:.0f} / {(cost.page_max_s or 0) * 1e3:.0f}"
    ),
    "master MB": lambda cost: f"{cost.master_rss_mb:.0f}",
    "all arrived": lambda cost: "yes" if cost.all_arrived else "NO",
}


@click.command()
@click.option("--workers", "sizes", multiple=True, type=click.IntRange(1, 1000), help="How many; may be repeated (50).")
@click.option("--streams", default=5_000, type=click.IntRange(1), help="Streams of all workers together (5 000).")
@click.option("--chunks", default=250, type=click.IntRange(2), help="Chunks of a reply, 20 ms apart (250).")
@click.option("--seconds", default=20.0, help="How long each size runs (20), ramp included.")
@click.option("--watched/--alone", default=True, help="Whether a browser's requests come each second (watched).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(sizes: tuple[int, ...], streams: int, chunks: int, seconds: float, *, watched: bool, as_json: bool) -> None:
    """Measure what many workers cost their master's host: CPU, bytes, lag.

    Example: python -m benchmarks.many_workers --workers 50 --workers 200 --seconds 20
    """
    allow_many_sockets()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    costs = []
    for workers in sizes or (50,):
        _CONSOLE.print(f"{workers} workers of {streams // workers} streams, some {seconds + 15:.0f} s")
        costs.append(measure(workers, streams // workers, chunks, seconds, watched=watched))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(costs), indent=2))
        return
    table = Table("", *(f"{cost.workers} workers" for cost in costs))
    for title, shown in COLUMNS.items():
        table.add_row(title, *map(shown, costs))
    Console().print(table)


if __name__ == "__main__":
    main()
