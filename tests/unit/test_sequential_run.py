"""What is kept of a run whose repeats are added one by one, when it was cut short."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from made_samples import made_sample

from harness.allowances.budget import purse_of
from harness.errors import UsageFault
from harness.plan_file import plan_of
from harness.records.sequential_record import SequentialRecord, read_sequential, write_sequential
from harness.rundir import RunDir
from harness.sample import SCHEMA, Footer, Header, encode
from harness.sequential_run import put_aside, resumed, whole_repeats


def _journal(run_dir: RunDir, repeat: int, worker: int = 0, *, whole: bool = True) -> None:
    name = f"r{repeat}-w{worker}"
    head = Header(
        schema=SCHEMA, run="r", worker=name, repeat=repeat, share=(0, 1), wall_ns=1, mono_ns=0, pid=1, host="h"
    )
    one = made_sample(repeat=repeat, worker=name, seq=1, start_ns=1, end_ns=2)
    foot = [encode(Footer(samples=1, end_ns=3))] if whole else []
    run_dir.journal(name).write_bytes(b"".join([encode(head), encode(one), *foot]))


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path / "plan" / "run")
    made.journals.mkdir(parents=True)
    made.locust_logs.mkdir()
    made.run_json.write_text('{"ended": "running"}')
    for repeat in (1, 2, 3):
        _journal(made, repeat)
    return made


def test_a_repeat_is_whole_when_all_of_its_journals_have_their_last_line(run_dir: RunDir) -> None:
    assert whole_repeats(run_dir) == 3
    _journal(run_dir, 2, worker=1, whole=False)
    assert whole_repeats(run_dir) == 1


def test_a_repeat_that_was_interrupted_drained_and_is_not_whole_all_the_same(run_dir: RunDir) -> None:
    run_dir.run_json.write_text('{"ended": "interrupted"}')
    assert whole_repeats(run_dir) == 2


def test_nothing_there_is_no_repeat(tmp_path: Path) -> None:
    assert whole_repeats(RunDir(tmp_path)) == 0


def test_what_was_cut_short_is_put_aside_and_still_costs(run_dir: RunDir) -> None:
    rows = [msgspec.json.encode({"repeat": repeat, "worker": f"r{repeat}-w0"}) + b"\n" for repeat in (1, 2, 3, 3)]
    run_dir.health.write_bytes(b"".join(rows))
    run_dir.spent(3).touch()
    put_aside(run_dir, 3)
    _journal(run_dir, 3, whole=False)
    put_aside(run_dir, 3)
    assert sorted(path.name for path in run_dir.journals.iterdir()) == ["r1-w0.jsonl", "r2-w0.jsonl"]
    assert sorted(path.name for path in run_dir.unfinished.iterdir()) == ["r3-w0.1.jsonl", "r3-w0.2.jsonl"]
    assert run_dir.health.read_bytes().splitlines(keepends=True) == rows[:2]
    assert not run_dir.spent(3).exists()
    target = {"name": "t", "dialect": "openai-chat", "base_url": "http://h/v1", "model": "m"}
    plan = plan_of(
        {"name": "p", "targets": [target], "stages": [{"concurrency": 1, "duration_s": 1}], "budget": {"requests": 10},
         "workload": {"kind": "chat"}}, "plan",
    )  # fmt: skip
    assert purse_of(plan, run_dir, 3, journals_here=True).requests == 6


def test_a_record_is_read_back_and_may_be_gone_on_with_for_longer(run_dir: RunDir) -> None:
    assert resumed(run_dir, None) is None
    record = SequentialRecord(metrics=("ttft_s.p50",), most=10, ended="most", repeats=10)
    write_sequential(run_dir, record)
    assert read_sequential(run_dir) == record
    longer = resumed(run_dir, 20)
    assert longer is not None
    assert longer.most == 20


def test_a_damaged_record_is_a_fault_and_never_a_run_of_a_plan(run_dir: RunDir) -> None:
    run_dir.sequential.write_text("{")
    with pytest.raises(UsageFault, match=r"sequential\.json"):
        read_sequential(run_dir)
