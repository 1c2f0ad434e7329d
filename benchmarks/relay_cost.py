"""`python -m benchmarks.relay_cost`: what shipping its journal costs a worker while it measures.

The same run again and again, one worker on a core of its own and everything else on the other: without Redis, where the
journal only stays on the worker's disk, and with it. What differs is the relay.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import psutil
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.hosts import free_port, redis_server
from benchmarks.processes import allow_many_sockets, choose_cores
from harness.journals.redis_client import REDIS_URL
from harness.records.health_record import decode_health
from harness.sample import Sample, decode

_LIMIT_S = 120


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Shares and lags are the worker's own, of its seconds under full load; `verdict` is the run's,
    with the codes of its doubts."""

    relayed: bool
    chunks_per_s: float
    journal_mb_per_s: float
    cpu_share: float
    cpu_us_per_chunk: float
    loop_lag_p50_s: float
    loop_lag_p99_s: float
    loop_lag_max_s: float
    verdict: str


def measure(streams: int, seconds: float, *, relayed: bool) -> Turn:
    """One run."""
    with tempfile.TemporaryDirectory(prefix="tokenswarm-relay-") as name, redis_server() as (url, _):
        folder = Path(name)
        (folder / "plan.yaml").write_text(yaml.safe_dump(_plan(streams, seconds)), encoding="utf-8")
        variables = os.environ | ({REDIS_URL: url} if relayed else {})
        port = ["--master-port", str(free_port())]
        master = ["plan.yaml", "--master", "--expect-workers", "1", "--master-bind-host", "127.0.0.1", "--out", "m"]
        worker = ["--worker", "--master-host", "127.0.0.1", "--out", "w"]
        with started(folder, master + port, variables) as leader, started(folder, worker + port, variables) as other:
            psutil.Process(other.pid).cpu_affinity([choose_cores().client])
            out, _ = leader.communicate(timeout=seconds + _LIMIT_S)
            other.wait(_LIMIT_S)
        (home,) = (folder / "w").glob("*/*")
        run_dir = folder / out.splitlines()[-1]
        if not relayed:
            collect = ["collect", str(home), "--into", str(run_dir)]
            subprocess.run(  # noqa: S603
                [sys.executable, "-m", "harness", *collect], capture_output=True, timeout=_LIMIT_S, check=False
            )
        validity = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))["validity"]
        return turn_of(home, validity, relayed=relayed)


def _plan(streams: int, seconds: float) -> dict[str, Any]:
    return {
        "name": "relay",
        "repeats": 1,
        "warmup_s": 2,
        "targets": [{"name": "sim", "dialect": "openai-chat", "base_url": "sim://p", "model": "m"}],
        "workload": {"kind": "chat", "input_tokens": 32, "output_tokens": 128},
        "stages": [{"concurrency": streams, "duration_s": seconds}],
        "simulator": {"providers": [{"name": "p", "dialects": ["openai-chat"], "ttft": 0.2, "itl": 0.02}]},
    }


@contextmanager
def started(folder: Path, words: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A `tokenswarm run`."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "harness", "run", *words],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate()


def turn_of(home: Path, validity: dict[str, Any], *, relayed: bool) -> Turn:
    """What the worker's own records say."""
    (journal,) = home.glob("journal/r1-w0.jsonl")
    (health,) = [path for path in home.glob("health*.jsonl") if path.stat().st_size]
    rows = [row for row in map(decode_health, health.read_bytes().splitlines()) if row.in_flight]
    steady = rows[3:-2]
    begin_ns, end_ns = steady[0].t_ns - int(steady[0].span_s * 1e9), steady[-1].t_ns
    samples = [each for each in map(decode, journal.read_bytes().splitlines()) if isinstance(each, Sample)]
    chunks = sum(begin_ns <= at_ns < end_ns for sample in samples for at_ns in sample.event_ns)
    span_s = (end_ns - begin_ns) / 1e9
    cpu_s = sum((row.cpu_share or 0) * row.span_s for row in steady)
    line = journal.stat().st_size / sum(len(sample.event_ns) for sample in samples)
    codes = ", ".join(each["code"] for each in validity["findings"] if each["severity"] != "note")
    return Turn(
        relayed=relayed,
        chunks_per_s=chunks / span_s,
        journal_mb_per_s=chunks / span_s * line / 1e6,
        cpu_share=cpu_s / span_s,
        cpu_us_per_chunk=cpu_s / chunks * 1e6,
        loop_lag_p50_s=float(np.median([row.loop_lag_p50_s or 0 for row in steady])),
        loop_lag_p99_s=float(np.median([row.loop_lag_p99_s or 0 for row in steady])),
        loop_lag_max_s=max(row.loop_lag_max_s or 0 for row in steady),
        verdict=validity["verdict"] + (f" ({codes})" if codes else ""),
    )


@click.command()
@click.option("--streams", default=500, type=click.IntRange(1), help="Streams at once, a chunk each 20 ms (500).")
@click.option("--seconds", default=12.0, help="How long each run lasts (12).")
@click.option("--rounds", default=2, type=click.IntRange(1), help="Runs without the relay and with it (2).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(streams: int, seconds: float, rounds: int, *, as_json: bool) -> None:
    """Measure what the relay costs a worker.

    Example: python -m benchmarks.relay_cost --streams 500
    """
    allow_many_sockets()
    os.sched_setaffinity(0, {choose_cores().simulator})
    turns = []
    for number in range(rounds):
        for relayed in (False, True):
            Console(stderr=True).print(f"round {number + 1} of {rounds}: {'with' if relayed else 'without'} Redis")
            turns.append(measure(streams, seconds, relayed=relayed))
            time.sleep(0.5)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(turns), indent=2))
        return
    table = Table("relay", "chunks/s", "journal MB/s", "CPU", "us/chunk", "loop lag ms p50 / p99 / max", "verdict")
    for turn in turns:
        lags = (turn.loop_lag_p50_s, turn.loop_lag_p99_s, turn.loop_lag_max_s)
        shown = " / ".join(f"{each * 1e3:.2f}" for each in lags)
        cost = (f"{turn.journal_mb_per_s:.2f}", f"{turn.cpu_share:.0%}", f"{turn.cpu_us_per_chunk:.2f}")
        table.add_row("on" if turn.relayed else "off", f"{turn.chunks_per_s:,.0f}", *cost, shown, turn.verdict)
    Console().print(table)


if __name__ == "__main__":
    main()
