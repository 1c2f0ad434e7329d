"""Options and sources that cannot do what was asked: each is refused, with a word on what to do instead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import ROOT

from analysis.locust_csv import prefix_of
from analysis.rivals.files import are_at
from analysis.samples import load_samples
from analysis.summarise import summarise
from harness.cli import tokenswarm
from harness.errors import UsageFault
from harness.plan import OutageRule
from harness.plan_file import dump_plan, plan_of, with_outage
from harness.rundir import RunDir, new_run_dir
from harness.sample import Header, encode

STATS = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Requests/s,50%,99%\n"


def refused(*words: str) -> UsageFault:
    fault = CliRunner().invoke(tokenswarm, words).exception
    assert isinstance(fault, UsageFault), fault
    return fault


@pytest.mark.parametrize("words", [("--workers", "3"), ("--workers", "1"), ("--out", "elsewhere"), ("--most", "5")])
def test_compare_of_runs_that_are_there_passes_no_option_over(words: tuple[str, ...]) -> None:
    fault = refused("compare", "some-run", *words)
    assert fault.message == f"{words[0]}: is of runs still to be made"
    assert fault.hint == "add --sequential and name a PLAN"


@pytest.mark.parametrize("words", [("--strict",), ("--alpha", "0.01")])
def test_what_is_said_of_gates_wants_a_gate(words: tuple[str, ...]) -> None:
    assert refused("compare", "some-run", *words).message == f"{words[0]}: there is no gate that it is about"


@pytest.mark.parametrize("setting", ["k", "zzz=1", "=3", ""])
def test_a_rule_of_outages_is_not_called_a_setting_of_the_plan(setting: str) -> None:
    with pytest.raises(UsageFault) as caught:
        with_outage(OutageRule(), [setting])
    assert caught.value.message.startswith("--outage ")
    assert caught.value.hint.startswith("such as k=5; keys: k, ")


def test_a_word_that_is_no_choice_is_answered_with_the_choices() -> None:
    target = {"name": "t", "dialect": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    plan = {"name": "p", "targets": [target], "workload": {}, "stages": [{"concurrency": 1, "duration_s": 1}]}
    with pytest.raises(UsageFault) as caught:
        plan_of(plan, "p.yaml")
    assert caught.value.message == "p.yaml: targets[0].dialect: 'openai': no such choice"
    assert caught.value.hint.startswith("one of: ") and "openai-chat" in caught.value.hint
    stage = {"rate_rps": 1, "arrival": "burst", "duration_s": 1}
    with pytest.raises(UsageFault) as caught:
        plan_of({**plan, "targets": [{**target, "dialect": "openai-chat"}], "stages": [stage]}, "p.yaml")
    assert caught.value.hint == "one of: constant, gamma, poisson, trace"


def test_the_file_of_statistics_itself_may_be_named(tmp_path: Path) -> None:
    stats = tmp_path / "out_stats.csv"
    stats.write_text(STATS + "GET,/a,10,1,5,5.5,1.0,5,9\n")
    assert prefix_of(stats) == tmp_path / "out"
    assert prefix_of(tmp_path / "out") == tmp_path / "out"
    for name, hint in (("plan.yaml", "a plan is run first"), ("notes.txt", "name a run directory")):
        (tmp_path / name).write_text("name: x\n")
        with pytest.raises(UsageFault) as caught:
            prefix_of(tmp_path / name)
        assert caught.value.hint.startswith(hint)


def test_a_folder_that_is_no_run_is_told_what_lies_in_it(tmp_path: Path) -> None:
    first, last = (tmp_path / "p" / name for name in ("20260101T000000Z-aaaa", "20260102T000000Z-aaaa"))
    for run_dir in (first, last):
        (run_dir / "journal").mkdir(parents=True)
    with pytest.raises(UsageFault, match="no such folder"):
        load_samples(RunDir(tmp_path / "nowhere"))
    with pytest.raises(UsageFault) as caught:
        load_samples(RunDir(tmp_path))
    assert caught.value.hint == f"name one of the 2 run directories in it, such as {last}"
    other = tmp_path / "other"
    other.mkdir()
    (other / "out_stats.csv").write_text(STATS)
    with pytest.raises(UsageFault) as caught:
        load_samples(RunDir(other))
    assert caught.value.hint.endswith(f"which is {other / 'out'}")


def test_a_run_without_its_plan_is_not_told_to_begin_anew(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "w.jsonl").write_bytes(b"")
    with pytest.raises(UsageFault) as caught:
        summarise(RunDir(tmp_path))
    assert caught.value.message.startswith(f"{tmp_path / 'plan.yaml'}: cannot be read")
    assert "put that file there again" in caught.value.hint


def test_what_cannot_be_looked_into_does_not_end_the_search_for_result_files(tmp_path: Path) -> None:
    """A path of more than 4096 bytes is one that no system call takes."""
    (tmp_path / "a.json").write_text("{}")
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=folder)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    assert are_at(tmp_path)


def test_ctrl_c_while_the_command_is_loaded_ends_it_without_a_traceback(tmp_path: Path) -> None:
    """The library that is loaded first is one during which the key was pressed."""
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    command = [sys.executable, "-m", "harness", "--version"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_runs_are_not_put_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageFault, match="is no folder"):
        new_run_dir(tmp_path / "file", "p")


def test_a_run_under_way_is_not_said_to_be_dead_for_certain(tmp_path: Path) -> None:
    header = Header(schema=3, run="r", worker="w", repeat=1, share=(0, 1), wall_ns=10**18, mono_ns=1, pid=1, host="h")
    target = {"name": "t", "dialect": "openai-chat", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    plan = {"name": "p", "targets": [target], "workload": {}, "stages": [{"concurrency": 1, "duration_s": 1}]}
    run_dir = RunDir(tmp_path)
    run_dir.journals.mkdir()
    run_dir.journal("w").write_bytes(encode(header))
    run_dir.plan.write_text(dump_plan(plan_of(plan, "p.yaml")))
    run_dir.run_json.write_text('{"ended": "running"}')
    (finding,) = [each for each in summarise(run_dir)[0].validity.findings if each.code == "not-complete"]
    assert finding.saw.startswith("the run died before it ended, or it still goes on: ")
    assert finding.hint.startswith("if it goes on, wait")


def test_where_no_file_can_be_written_the_hint_is_about_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, hint in (("no/plan.yaml", "is the folder there?"), ("file/plan.yaml", "a part of the path is a file")):
        command = [sys.executable, "-m", "harness", "init", str(tmp_path / place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        assert done.returncode == 1
        error, told = done.stderr.splitlines()
        assert error.startswith(f"error: {tmp_path / place}: ") and told.startswith(f"hint: {hint}")


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_day_beyond_the_calendar_is_refused(day: str, tmp_path: Path) -> None:
    assert refused("digest", str(tmp_path), "--day", day).message.startswith(f"--day {day}: ")


def test_a_check_of_rules_prints_no_json_and_says_so(tmp_path: Path) -> None:
    assert "--json" in refused("alerts", "--check", str(tmp_path / "rules.yaml"), "--json").message
