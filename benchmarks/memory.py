"""A long run's memory: many samples of 128 events through one worker's journal, then `tokenswarm analyze` of them.

`python -m benchmarks.memory --samples 100000` prints what it found as JSON. The journal is written by a process of its
own, through `harness.journal` as a worker does it, which reads its resident memory at every hundredth of the way.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from harness.journal import Journal
from harness.rundir import RunDir
from harness.sample import Outcome, Sample, Usage

_STREAMS = 200
_EVENTS = 128
_TTFT_NS, _ITL_NS = 200_000_000, 20_000_000
_CYCLE_NS = _TTFT_NS + (_EVENTS - 1) * _ITL_NS
_GAP_NS = _CYCLE_NS // _STREAMS
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_POINTS = 100
_PATTERNS = 97
_ANALYZE_LIMIT_S = 300.0
_ANALYZE_LIMIT_BYTES = 12 * 2**30


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What the writing process saw: its resident memory after each hundredth of the samples."""

    samples: int
    took_s: float
    journal_bytes: int
    rss_bytes: tuple[int, ...]


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """The journal's side, then `analyze`: exit code (0 valid, 3 judged invalid, others: failed), time, CPU, memory."""

    written: Written
    analyze_exit_code: int
    analyze_s: float
    analyze_cpu_s: float
    analyze_peak_bytes: int


def measure_memory(samples: int) -> Memory:
    """Write and analyze a run of that many samples, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="tokenswarm-memory-") as name:
        folder = Path(name) / "memory" / "run"
        folder.mkdir(parents=True)
        command = [sys.executable, "-m", "benchmarks.memory", "--samples", str(samples), "--write", str(folder)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603
        written = msgspec.json.decode(done.stdout, type=Written)
        return _analyzed(folder, written)


def _analyzed(folder: Path, written: Written) -> Memory:
    """Run `analyze` within limits that keep the machine alive: past them it is killed, and its exit code tells."""
    begin_s = time.monotonic()
    command = [sys.executable, "-m", "harness", "analyze", str(folder), "--json"]
    analyze = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    resource.prlimit(analyze.pid, resource.RLIMIT_AS, (_ANALYZE_LIMIT_BYTES, _ANALYZE_LIMIT_BYTES))
    guard = threading.Timer(_ANALYZE_LIMIT_S, analyze.kill)
    guard.start()
    _, status, used = os.wait4(analyze.pid, 0)
    analyze.returncode = os.waitstatus_to_exitcode(status)
    guard.cancel()
    return Memory(
        written=written,
        analyze_exit_code=analyze.returncode,
        analyze_s=time.monotonic() - begin_s,
        analyze_cpu_s=used.ru_utime + used.ru_stime,
        analyze_peak_bytes=used.ru_maxrss * 1024,
    )


def write_run(samples: int, run_dir: RunDir) -> Written:
    """Write plan and journal as one worker would whose requests keep 200 streams busy."""
    span_s = samples * _GAP_NS / 1e9
    plan = {
        "name": "memory",
        "repeats": 1,
        "warmup_s": 0,
        "targets": [{"name": "bench", "dialect": "openai-chat", "base_url": "http://127.0.0.1:1/v1", "model": "bench"}],
        "workload": {"kind": "chat", "input_tokens": 32, "output_tokens": _EVENTS},
        "stages": [{"concurrency": _STREAMS, "duration_s": max(1.0, span_s)}],
    }
    run_dir.plan.write_bytes(msgspec.json.encode(plan))  # JSON is YAML
    run_dir.run_json.write_bytes(b'{"ended": "complete"}')
    journal = Journal(run_dir.journal("w0"), run_dir.name, "w0", 1, (0, 1))
    curve, begin_s = [], time.monotonic()
    for count, sample in enumerate(_samples(samples, run_dir.name), 1):
        journal.append(sample)
        if count % max(1, samples // _POINTS) == 0:
            curve.append(_rss_bytes())
    took_s = time.monotonic() - begin_s
    journal.close()
    size = journal.path.stat().st_size
    return Written(samples=samples, took_s=took_s, journal_bytes=size, rss_bytes=tuple(curve))


def _samples(count: int, run: str) -> Iterator[Sample]:
    """Requests one after another, their events a little off the beat."""
    rng = random.Random(7)  # noqa: S311  (a workload, not a secret)
    patterns = [
        [_TTFT_NS + event * _ITL_NS + rng.randrange(1_000_000) for event in range(_EVENTS)] for _ in range(_PATTERNS)
    ]
    usage = Usage(source="provider", input_tokens=32, output_tokens=_EVENTS)
    for seq in range(count):
        start_ns = seq * _GAP_NS
        event_ns = tuple([start_ns + after_ns for after_ns in patterns[seq % _PATTERNS]])
        yield Sample(
            run=run,
            target="bench",
            dialect="openai-chat",
            model="bench",
            workload="default",
            stage=0,
            repeat=1,
            worker="w0",
            seq=seq,
            prompt_id=f"default-{seq}",
            start_ns=start_ns,
            headers_ns=start_ns + _TTFT_NS // 2,
            event_ns=event_ns,
            first_text_ns=event_ns[0],
            end_ns=event_ns[-1] + 100_000,
            outcome=Outcome.OK,
            status=200,
            request_id=f"req_{seq:08d}",
            reused=True,
            usage=usage,
            text_chars=_EVENTS * 5,
            items=1,
            response_bytes=_EVENTS * 300,
            finish_reason="length",
            stamps="kernel",
        )


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES


@click.command(help=__doc__)
@click.option("--samples", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--write", type=click.Path(path_type=Path), help="Only write the run, into this folder.")
def main(samples: int, write: Path | None) -> None:  # noqa: D103
    result = write_run(samples, RunDir(write)) if write else measure_memory(samples)
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main()
