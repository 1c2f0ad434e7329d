"""Run directories made of samples with known times."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from harness.rundir import RunDir
from harness.sample import SCHEMA, Footer, Header, Outcome, Sample, Usage, encode

MS = 1_000_000
S = 1_000_000_000
HOSTILE = "<script>alert(1)</script>"


def sample(seq: int, start_ns: int | None, **changes: object) -> Sample:
    """TTFT 100 ms, then 4 events 10 ms apart that carry 5 tokens, E2E 150 ms."""
    at = start_ns or 0
    events = tuple(at + 100 * MS + 10 * MS * k for k in range(5))
    fields = {
        "run": "r", "target": "t", "dialect": "openai-chat", "model": "m", "workload": "w", "stage": 0, "repeat": 1,
        "worker": "r1-w0", "seq": seq, "prompt_id": "p", "start_ns": start_ns, "headers_ns": at + 50 * MS,
        "event_ns": events, "first_text_ns": events[0], "end_ns": at + 150 * MS, "outcome": Outcome.OK,
        "status": 200, "items": 1, "usage": Usage(source="provider", input_tokens=10, output_tokens=5),
    } | changes  # fmt: skip
    return Sample(**fields)  # type: ignore[arg-type]


def steady(**changes: object) -> list[Sample]:
    """A request each 100 ms from 0 s to 11 s: 10 of them in the warm-up."""
    return [sample(k, k * 100 * MS, **changes) for k in range(110)]


def header(worker: str = "r1-w0", repeat: int = 1, wall_ns: int = 10**18) -> Header:
    """The first line of a journal."""
    return Header(
        schema=SCHEMA, run="r", worker=worker, repeat=repeat, share=(0, 1), wall_ns=wall_ns, mono_ns=5, pid=1, host="h"
    )


def write_plan(folder: Path, **changes: Any) -> RunDir:
    """A run directory with a plan of one target, one workload and one stage, and no journal."""
    run_dir = RunDir(folder)
    run_dir.journals.mkdir(parents=True)
    price = {"input": 1, "output": 2}
    target = {"name": "t", "dialect": "openai-chat", "base_url": "http://h/v1", "model": HOSTILE, "price": price}
    plan = {
        "name": "p", "repeats": 1, "warmup_s": 1, "targets": [target],
        "workload": {"name": "w", "goals": ["e2e_s.p50 < 1"]},
        "stages": [{"concurrency": 1, "duration_s": 10}], "slo": {"ttft_s": 0.12},
    } | changes  # fmt: skip
    run_dir.plan.write_text(yaml.safe_dump(plan))
    run_dir.run_json.write_text('{"ended": "complete"}')
    return run_dir


def write_journal(
    run_dir: RunDir, samples: Iterable[Sample], *, head: Header | None = None, footer: bool = True
) -> Path:
    """The journal of one worker."""
    head = head or header()
    lines = [encode(head), *map(encode, samples)]
    if footer:
        lines.append(encode(Footer(samples=len(lines) - 1, end_ns=1)))
    path = run_dir.journal(head.worker)
    path.write_bytes(b"".join(lines))
    return path


def write_run(folder: Path, samples: Iterable[Sample], *, footer: bool = True, **changes: Any) -> RunDir:
    """A run directory with one journal; `changes` are laid over the plan."""
    run_dir = write_plan(folder, **changes)
    write_journal(run_dir, samples, footer=footer)
    return run_dir
