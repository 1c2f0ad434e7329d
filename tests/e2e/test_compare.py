"""`compare` of runs through the real command: gates, and what they exit with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from conftest import Command

from harness.rundir import RunDir
from harness.sample import Footer, Header, Outcome, Sample, encode

MS = 1_000_000


def _write_run(folder: Path, ttft_ms: int, output_tokens: int = 5) -> None:
    """Three repeats of a request each 100 ms for 2 s, whose first token takes `ttft_ms` and a little more each time."""
    run_dir = RunDir(folder)
    run_dir.journals.mkdir(parents=True)
    plan = {
        "name": "p", "warmup_s": 0, "stages": [{"concurrency": 1, "duration_s": 2}],
        "targets": [{"name": "t", "dialect": "openai-chat", "base_url": "http://h/v1", "model": "m"}],
        "workload": {"name": "w", "output_tokens": output_tokens},
    }  # fmt: skip
    run_dir.plan.write_text(yaml.safe_dump(plan))
    run_dir.run_json.write_text('{"ended": "complete"}')
    for repeat in (1, 2, 3):
        worker = f"r{repeat}-w0"
        header = Header(
            schema=1,
            run="r",
            worker=worker,
            repeat=repeat,
            share=(0, 1),
            wall_ns=repeat * 10**12,
            mono_ns=0,
            pid=1,
            host="h",
        )
        samples = [_sample(worker, repeat, seq, seq * 100 * MS, ttft_ms * MS + repeat * MS // 3) for seq in range(20)]
        lines = [encode(header), *map(encode, samples), encode(Footer(samples=20, end_ns=1))]
        run_dir.journal(worker).write_bytes(b"".join(lines))


def _sample(worker: str, repeat: int, seq: int, start_ns: int, ttft_ns: int) -> Sample:
    first = start_ns + ttft_ns
    return Sample(
        run="r", target="t", dialect="openai-chat", model="m", workload="w", stage=0, repeat=repeat, worker=worker,
        seq=seq, prompt_id="p", start_ns=start_ns, event_ns=(first, first + MS), end_ns=first + 2 * MS,
        outcome=Outcome.OK,
    )  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    _write_run(tmp_path / "before", 50)
    _write_run(tmp_path / "after", 60)
    _write_run(tmp_path / "longer", 50, output_tokens=6)
    return tmp_path


@pytest.mark.parametrize(
    ("gate", "code", "word"),
    [("ttft.p95:+10%", 3, "gate failed"), ("ttft.p95:+30%", 0, "gate met"), ("tpot.p50:+1%", 3, "gate not measured")],
)
def test_a_gate_decides_the_exit_code(runs: Path, tokenswarm: Command, gate: str, code: int, word: str) -> None:
    done = tokenswarm("compare", runs / "before", runs / "after", "--gate", gate)
    assert (done.returncode, done.stderr) == (code, "")
    assert word in done.stdout
    assert "before) beats t (" in done.stdout


def test_runs_of_unlike_requests_are_not_ranked(runs: Path, tokenswarm: Command) -> None:
    done = tokenswarm("compare", runs / "before", runs / "longer", "--json")
    assert done.returncode == 0
    (found,) = json.loads(done.stdout)["comparisons"]
    assert (found["verdict"], found["reason"]) == ("not comparable", "request differs: output_tokens 5 against 6")


@pytest.mark.parametrize("arguments", [("before", "--gate", "ttft:+1%"), ("before", "--gate", "ttft.p95:+1%")])
def test_a_gate_that_makes_no_sense_is_bad_usage(runs: Path, tokenswarm: Command, arguments: tuple[str, ...]) -> None:
    assert runs.is_dir()
    done = tokenswarm("compare", *arguments)
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
