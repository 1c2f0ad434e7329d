"""`python -m benchmarks.two_workers`: how many more chunks a second two workers take in than one.

The provider is `benchmarks/replay.c`, which costs almost nothing, so that two cores are the workers' own. Everything
else is `tokenswarm run`. One worker and two take turns, round by round; the CPU time of every role stands beside.
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

import click
import msgspec
import numpy as np
import psutil
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.hosts import built, free_port, until
from harness.sample import Header, Sample, decode

_SETTLE_S = 2.0
_REPLY_CHUNKS = 500


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One run. CPU is in cores, in the steady part; `chunks_per_s` is of all workers together."""

    workers: int
    chunks_per_s: float
    worker_cpu: float
    provider_cpu: float
    master_cpu: float
    launcher_cpu: float

    @property
    def cpu_us_per_chunk(self) -> float:
        """CPU of the workers for each chunk, in microseconds."""
        return self.worker_cpu / self.chunks_per_s * 1e6


def response_of(chunks: int) -> bytes:
    """A whole streamed reply of OpenAI's chat protocol, each event in an HTTP chunk of its own."""
    common = {"id": "chatcmpl-replay", "object": "chat.completion.chunk", "created": 1741570283, "model": "m"}
    deltas = [{"role": "assistant", "content": ""}, *({"content": f" word{n % 97}"} for n in range(chunks))]
    events = [common | {"choices": [{"index": 0, "delta": each, "finish_reason": None}]} for each in deltas]
    events.append(common | {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
    usage = {"prompt_tokens": 20, "completion_tokens": chunks, "total_tokens": chunks + 20}
    events.append(common | {"choices": [], "usage": usage})
    texts = [f"data: {json.dumps(each)}\n\n".encode() for each in events] + [b"data: [DONE]\n\n"]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(text), text) for text in texts) + b"0\r\n\r\n"


@contextmanager
def provider(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The replaying provider: its URL and its process."""
    path, port = folder / "response", free_port()
    path.write_bytes(response_of(_REPLY_CHUNKS))
    command = [str(built("replay")), str(port), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield f"http://127.0.0.1:{port}/v1", psutil.Process(process.pid)
        finally:
            process.terminate()


def measure(workers: int, streams: int, seconds: float) -> Turn:
    """One run of so many workers."""
    with tempfile.TemporaryDirectory(prefix="tokenswarm-two-") as name, provider(Path(name)) as (url, server):
        folder = Path(name)
        target = {"name": "replay", "dialect": "openai-chat", "base_url": url, "model": "m"}
        stage = {"concurrency": streams, "duration_s": seconds + _SETTLE_S + 1}
        workload = {"kind": "chat", "input_tokens": 20, "output_tokens": _REPLY_CHUNKS}
        plan = {"name": "two", "repeats": 1, "warmup_s": 0, "targets": [target], "workload": workload}
        (folder / "plan.yaml").write_text(yaml.safe_dump(plan | {"stages": [stage]}), encoding="utf-8")
        words = ["-m", "harness", "run", "plan.yaml", "--workers", str(workers), "--out", "runs"]
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
        )
        until(lambda: len(list(folder.glob("runs/*/*/journal/*.jsonl"))) == workers, "the journals")
        time.sleep(_SETTLE_S)
        roles = roles_of(process.pid, server)
        begin_ns, before = time.time_ns(), spent_s(roles)
        time.sleep(seconds)
        end_ns, after = time.time_ns(), spent_s(roles)
        process.wait(120)
        chunks = sum(chunks_between(path, begin_ns, end_ns) for path in folder.glob("runs/*/*/journal/*.jsonl"))
    span_s = (end_ns - begin_ns) / 1e9
    cpu = {f"{role}_cpu": (after[role] - before[role]) / span_s for role in roles}
    return Turn(workers=workers, chunks_per_s=chunks / span_s, **cpu)


def roles_of(launcher: int, server: psutil.Process) -> dict[str, list[psutil.Process]]:
    """The processes by what they do."""
    children = [each for each in psutil.Process(launcher).children(recursive=True) if "locust" in each.cmdline()]
    master = [each for each in children if "--master" in each.cmdline()]
    return {
        "worker": [each for each in children if each not in master],
        "master": master,
        "launcher": [psutil.Process(launcher)],
        "provider": [server],
    }


def spent_s(roles: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """CPU seconds so far, by role."""
    times = {role: [each.cpu_times() for each in processes] for role, processes in roles.items()}
    return {role: sum(each.user + each.system for each in all_of) for role, all_of in times.items()}


def chunks_between(journal: Path, begin_ns: int, end_ns: int) -> int:
    """Content chunks that arrived between two moments of the wall clock."""
    anchor_ns, count = 0, 0
    for line in journal.read_bytes().splitlines():
        record = decode(line)
        if isinstance(record, Header):
            anchor_ns = record.wall_ns
        elif isinstance(record, Sample):
            times = np.array(record.event_ns, dtype=np.int64) + anchor_ns
            count += int(((times >= begin_ns) & (times < end_ns)).sum())
    return count


@click.command()
@click.option("--rounds", default=3, type=click.IntRange(1), help="Turns of one worker and of two (3).")
@click.option("--streams", default=32, type=click.IntRange(2), help="Streams at once, of all workers together (32).")
@click.option("--seconds", default=6.0, help="Steady part of each turn (6).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(rounds: int, streams: int, seconds: float, *, as_json: bool) -> None:
    """Measure what a second worker adds.

    Example: python -m benchmarks.two_workers --rounds 3
    """
    turns = []
    for number in range(rounds):
        for workers in (1, 2):
            Console(stderr=True).print(f"round {number + 1} of {rounds}: {workers} workers")
            turns.append(measure(workers, streams, seconds))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(turns), indent=2))
        return
    show(turns)


def show(turns: list[Turn]) -> None:
    """A table, and what limits the gain."""
    table = Table("workers", "chunks/s", "us/chunk", "CPU: workers", "provider", "master", "launcher")
    for turn in turns:
        cells = (turn.worker_cpu, turn.provider_cpu, turn.master_cpu, turn.launcher_cpu)
        shown = (f"{each:.2f}" for each in cells)
        table.add_row(str(turn.workers), f"{turn.chunks_per_s:,.0f}", f"{turn.cpu_us_per_chunk:.2f}", *shown)
    console = Console()
    console.print(table)
    one, two = (float(np.median([t.chunks_per_s for t in turns if t.workers == n])) for n in (1, 2))
    cost = [float(np.median([t.cpu_us_per_chunk for t in turns if t.workers == n])) for n in (1, 2)]
    console.print(f"two workers take in {two / one:.2f} times the chunks/s of one (medians)")
    console.print(f"a chunk costs {cost[1] / cost[0]:.2f} times the worker's CPU that it costs with one")


if __name__ == "__main__":
    main()
