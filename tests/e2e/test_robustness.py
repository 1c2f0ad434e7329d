"""Faults of disk and process under the real command: a clear end, and nothing that was measured is lost.

docs/robustness.md has a row for each, with the message that is asserted here. Those that take long are run by
`make test-robustness`.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import BIN, FINISHED, ROOT
from made_samples import made_sample

from analysis.summarise import read_source
from harness.journal import Journal
from harness.plan_file import dump_plan, plan_of
from harness.rundir import RunDir
from harness.sample import Header, Sample, decode, encode

PAGE = ROOT / "docs" / "robustness.md"
TESTS = ROOT / "tests"
pytestmark = pytest.mark.timeout(300)
long = pytest.mark.skipif(not os.environ.get("TOKENSWARM_ALL_FAULTS"), reason="make test-robustness")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="wants to mount a file system")
PLAN: dict[str, Any] = {
    "name": "p",
    "repeats": 1,
    "warmup_s": 0,
    "drain_s": 5,
    "targets": [{"name": "sim", "dialect": "openai-chat", "base_url": "sim://p", "model": "m"}],
    "workload": {"kind": "chat", "input_tokens": 20, "output_tokens": 8},
    "stages": [{"concurrency": 3, "duration_s": 40}],
    "simulator": {"providers": [{"name": "p", "dialects": ["openai-chat"], "ttft": 0.03, "itl": 0.002}]},
}
Key = tuple[str, int]


class Started:
    """`tokenswarm run` in a process of its own, in the folder `home`."""

    def __init__(self, home: Path, *words: str, changes: dict[str, Any] | None = None, **how: Any) -> None:
        self.home = home
        (home / "plan.yaml").write_text(yaml.safe_dump(PLAN | (changes or {})))
        self.err = home / "err.txt"
        variables = os.environ | how.pop("variables", {})
        command = [str(BIN / "tokenswarm"), "run", "plan.yaml", *words]
        with self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                cwd=home,
                stdout=how.pop("stdout", subprocess.PIPE),
                stderr=err,
                text=True,
                env=variables,
                **how,
            )

    @property
    def run_dir(self) -> RunDir:
        (found,) = self.home.glob("runs/p/*")
        return RunDir(found)

    @property
    def said(self) -> str:
        """All that it said on stderr, in one line."""
        return " ".join(self.err.read_text().split())

    def wait_for_samples(self, least: int = 20) -> set[Key]:
        """Until so many requests are recorded; which those are."""
        for _ in range(1200):
            found = recorded(self.home.glob("runs/p/*/journal/*.jsonl"))
            if len(found) >= least:
                return found
            assert self.process.poll() is None, self.said
            time.sleep(0.1)
        pytest.fail(self.said)

    def ended(self) -> int:
        """Its exit code."""
        with suppress(ValueError):
            self.process.communicate(timeout=120)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()


@contextmanager
def started(home: Path, *words: str, **how: Any) -> Iterator[Started]:
    run = Started(home, *words, **how)
    try:
        yield run
    finally:
        run.close()


def recorded(paths: Iterator[Path] | Sequence[Path]) -> set[Key]:
    """The requests in whole lines of journals."""
    found = set()
    for path in paths:
        with suppress(FileNotFoundError):
            for line in path.read_bytes().splitlines(keepends=True):
                record = decode(line) if line.endswith(b"\n") else None
                if isinstance(record, Sample):
                    found.add((record.worker, record.seq))
    return found


def kept(run_dir: RunDir, before: set[Key]) -> int:
    """How many samples stand there and can be analysed: all that were recorded before the fault are among them."""
    after = recorded(list(run_dir.journals.glob("*.jsonl")))
    assert before <= after
    summary, samples = read_source(run_dir.root)
    assert samples is not None
    assert len(samples.table) == len(after) == sum(row.attempted for row in summary.results)
    return len(after)


def limited(which: int, most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(which, (most, most))


def test_each_row_of_the_page_names_a_test_that_there_is() -> None:
    rows = re.findall(
        r"^\| (?!Fault|---)([^|]+) \| ([^|]+) \| ([^|]+) \| `([\w./]+)::(\w+)` \|$", PAGE.read_text(), re.MULTILINE
    )
    assert len(rows) >= 20
    for _, _, _, file, test in rows:
        assert f"def {test}(" in (TESTS / file).read_text(), f"{file}::{test}"
    own = {test for *_, file, test in rows if file == "e2e/test_robustness.py"}
    here = set(re.findall(r"^def (test_\w+)\(", Path(__file__).read_text(), re.MULTILINE))
    assert own == here - {"test_each_row_of_the_page_names_a_test_that_there_is"}


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=long), pytest.param(signal.SIGINT, marks=long)]
)
def test_a_signal_during_the_load_drains(number: signal.Signals, tmp_path: Path) -> None:
    with started(tmp_path) as run:
        before = run.wait_for_samples()
        run.process.send_signal(number)
        assert run.ended() == 130, run.said
        record = json.loads(run.run_dir.run_json.read_text())
        assert (record["ended"], record["workers"][0]["exit_code"]) == ("interrupted", 0)
        assert kept(run.run_dir, before) >= 20
        assert run.run_dir.summary.exists() and run.run_dir.report.exists()
        assert read_source(run.run_dir.root)[1].journals[0].closed  # type: ignore[union-attr]


@long
@pytest.mark.parametrize("after_s", [0.3, 1.0, 2.0, 3.0, 4.0])
def test_a_signal_at_the_start_leaves_nothing_behind(after_s: float, tmp_path: Path) -> None:
    with started(tmp_path) as run:
        time.sleep(after_s)
        run.process.send_signal(signal.SIGTERM)
        assert run.ended() in (130, -signal.SIGTERM), run.said  # before Python listens, a signal just ends it
    assert "Traceback" not in run.said
    for run_dir in tmp_path.glob("runs/p/*"):
        assert json.loads((run_dir / "run.json").read_text())["ended"] == "interrupted"
    assert not processes_of(tmp_path)


def processes_of(folder: Path) -> list[str]:
    """Command lines that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().decode(errors="replace")
            found += [words] if str(folder) in words else []
    return found


@long
def test_a_second_signal_ends_the_drain(tmp_path: Path) -> None:
    slow = {"simulator": {"providers": [{"name": "p", "dialects": ["openai-chat"], "ttft": 0.01, "itl": 5}]}}
    quick = [{"name": "q", "dialects": ["openai-chat"], "ttft": 0.03, "itl": 0.002}]
    slow["simulator"]["providers"] += quick
    targets = [PLAN["targets"][0] | {"base_url": "sim://q"}, PLAN["targets"][0] | {"name": "slow"}]
    with started(tmp_path, changes=slow | {"targets": targets, "drain_s": 60}) as run:
        before = run.wait_for_samples()
        run.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        run.process.send_signal(signal.SIGTERM)
        assert run.ended() == 130, run.said
        assert json.loads(run.run_dir.run_json.read_text())["ended"] == "interrupted"
        assert kept(run.run_dir, before) >= 20


def test_the_command_itself_is_killed(tmp_path: Path) -> None:
    with started(tmp_path, changes={"stages": [{"concurrency": 3, "duration_s": 4}]}) as run:
        before = run.wait_for_samples()
        run.process.kill()
        run.process.communicate()
        summary, _ = read_source(run.run_dir.root)
        assert (summary.ended, summary.validity.verdict) == ("died", "suspect")
        (finding,) = [each for each in summary.validity.findings if each.code == "not-complete"]
        assert finding.saw.startswith("the run died before it ended")
        end_s = time.monotonic() + 60
        while processes_of(tmp_path) and time.monotonic() < end_s:  # its workers end with their plan
            time.sleep(0.2)
        assert kept(run.run_dir, before) >= 20


def test_the_disk_is_full_during_the_load(tmp_path: Path) -> None:
    with started(tmp_path, preexec_fn=limited(resource.RLIMIT_FSIZE, 20_000)) as run:
        code = run.ended()
        assert code in (1, 3), run.said
        (log,) = run.run_dir.locust_logs.glob("*.log")
        assert re.search(r"error: \S+: (cannot be written: File too large|written in part only)", log.read_text())
        assert "hint: free some space or choose another --out; what was written is kept" in log.read_text()
        (journal,) = run.run_dir.journals.glob("*.jsonl")
        whole = recorded([journal])
        assert len(whole) > 20
        assert kept(run.run_dir, whole) == len(whole)


@long
@as_root
def test_a_real_disk_is_full_during_the_load(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(disk)], check=True)
    try:
        with started(disk) as run:
            assert run.ended() == 1, run.said
            assert "No space left on device" in run.said
            assert "hint: what was measured is kept: free some space, then `tokenswarm analyze" in run.said
            whole = recorded(list(run.run_dir.journals.glob("*.jsonl")))
            assert kept(run.run_dir, whole) == len(whole) > 10
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_disk_is_full_when_the_report_is_written(tmp_path: Path) -> None:
    with started(tmp_path, changes={"stages": [{"concurrency": 1, "duration_s": 1}]}) as run:
        run.wait_for_samples(1)
        resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (60_000, 60_000))
        assert run.ended() == 1, run.said
        assert re.search(
            r"error: \S+report.html: File too large hint: what was measured is kept: free some space", run.said
        )
        assert kept(run.run_dir, set()) > 5
        assert run.run_dir.summary.exists()


def test_the_folder_of_runs_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with started(tmp_path, "--out", "file/runs") as run:
        assert run.ended() == 1
    assert run.said == "error: file/runs/p: Not a directory hint: check space and permissions" or run.said.startswith(
        "error: file/runs"
    ), run.said
    assert "Traceback" not in run.said


@long
def test_the_folder_of_runs_is_read_only(tmp_path: Path) -> None:
    folder = Path("/sys/kernel") if os.geteuid() == 0 else tmp_path / "closed"
    if os.geteuid() != 0:
        folder.mkdir(mode=0o500)
    with started(tmp_path, "--out", str(folder / "runs")) as run:
        assert run.ended() == 1
    assert re.match(
        r"error: \S+: (Permission denied|Operation not permitted|Read-only file system) hint: check", run.said
    )


def test_the_journals_are_deleted_during_the_load(tmp_path: Path) -> None:
    with started(tmp_path, changes={"stages": [{"concurrency": 3, "duration_s": 4}]}) as run:
        before = run.wait_for_samples()
        shutil.rmtree(run.run_dir.journals)
        assert run.ended() in FINISHED, run.said
        assert kept(run.run_dir, before) > len(before)


def test_a_journal_that_is_deleted_is_written_again_from_the_kernel(tmp_path: Path) -> None:
    path = tmp_path / "journal" / "w.jsonl"
    journal = Journal(path, "r", "w", 1, (0, 1))
    for seq in range(5):
        if seq == 3:
            shutil.rmtree(path.parent)
        journal.append(sample(seq))
    path.unlink()
    journal.close()
    assert [key[1] for key in sorted(recorded([path]))] == [0, 1, 2, 3, 4]
    assert path.read_bytes().count(b'"type":"footer"') == 1


def sample(seq: int, worker: str = "w", repeat: int = 1) -> Sample:
    at_ns = seq * 100_000_000
    return made_sample(
        target="sim",
        workload="default",
        repeat=repeat,
        worker=worker,
        seq=seq,
        prompt_id=f"{seq}",
        start_ns=at_ns,
        headers_ns=at_ns + 1000,
        end_ns=at_ns + 50_000_000,
        event_ns=(at_ns + 2000,),
        first_text_ns=at_ns + 2000,
        status=200,
        text_chars=5,
    )


@long
def test_the_whole_run_directory_is_deleted_during_the_load(tmp_path: Path) -> None:
    with started(tmp_path, changes={"stages": [{"concurrency": 3, "duration_s": 4}]}) as run:
        before = run.wait_for_samples()
        run_dir = run.run_dir
        shutil.rmtree(run_dir.root)
        assert run.ended() in FINISHED, run.said
        assert "Traceback" not in run.said
        assert kept(run_dir, before) > len(before)


@long
def test_no_more_files_can_be_opened(tmp_path: Path) -> None:
    changes = {"stages": [{"concurrency": 100, "duration_s": 4}], "drain_s": 2}
    with started(tmp_path, preexec_fn=limited(resource.RLIMIT_NOFILE, 64), changes=changes) as run:
        assert run.ended() in (1, 3), run.said
        assert "Traceback" not in run.said
        before = recorded(list(run.run_dir.journals.glob("*.jsonl")))
        assert kept(run.run_dir, before)
        findings = {each.code: each for each in read_source(run.run_dir.root)[0].validity.findings}
        assert "Too many open files" in findings["own-limits"].saw


@long
@as_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="wants unshare")
def test_no_port_is_left(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        yaml.safe_dump(PLAN | {"stages": [{"concurrency": 60, "duration_s": 4}], "drain_s": 2})
    )
    few = "ip link set lo up; echo 50000 50029 > /proc/sys/net/ipv4/ip_local_port_range"
    words = ["unshare", "-n", "sh", "-c", f"{few}; exec {BIN / 'tokenswarm'} run plan.yaml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3, done.stderr
    (run_dir,) = tmp_path.glob("runs/p/*")
    findings = {each.code: each for each in read_source(run_dir)[0].validity.findings}
    assert "Cannot assign requested address" in findings["own-limits"].saw
    assert kept(RunDir(run_dir), set()) > 20


def test_the_folder_of_temporary_files_is_missing(tmp_path: Path) -> None:
    changes = {"stages": [{"concurrency": 2, "duration_s": 1}]}
    with started(tmp_path, changes=changes, variables={"TMPDIR": str(tmp_path / "gone")}) as run:
        assert run.ended() in FINISHED, run.said
        assert kept(run.run_dir, set()) > 5


@long
def test_nobody_listens_to_what_the_command_prints(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with started(tmp_path, changes={"stages": [{"concurrency": 2, "duration_s": 1}]}, stdout=writer) as run:
        os.close(writer)
        assert run.ended() == 1
        assert "Traceback" not in run.said
        assert kept(run.run_dir, set()) > 5
        assert run.run_dir.summary.exists()


@long
def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    changes = {"stages": [{"concurrency": 2, "duration_s": 1}]}
    with started(tmp_path, changes=changes) as one, started(tmp_path, changes=changes) as other:
        assert one.ended() in FINISHED
        assert other.ended() in FINISHED
    first, second = tmp_path.glob("runs/p/*")
    assert all(kept(RunDir(each), set()) > 5 for each in (first, second))


def made(folder: Path, *, step_ns: int = 0, repeats: int = 2) -> RunDir:
    """A run directory as a run leaves it, whose wall clock was stepped before its second repeat."""
    run_dir = RunDir(folder / "runs" / "p" / "20260101T000000Z-ab12")
    run_dir.journals.mkdir(parents=True)
    stages = [{"concurrency": 1, "duration_s": 4}]
    run_dir.plan.write_text(dump_plan(plan_of(PLAN | {"stages": stages, "repeats": repeats}, "plan")))
    for repeat in range(1, repeats + 1):
        worker = f"r{repeat}-w0"
        wall_ns = 1_700_000_000_000_000_000 + (repeat - 1) * (20_000_000_000 + step_ns)
        mono_ns = 5_000_000_000 + repeat * 20_000_000_000
        header = Header(
            schema=3,
            run="r",
            worker=worker,
            repeat=repeat,
            share=(0, 1),
            wall_ns=wall_ns,
            mono_ns=mono_ns,
            pid=1,
            host="h",
        )
        lines = [encode(header), *(encode(sample(seq, worker, repeat)) for seq in range(40))]
        run_dir.journal(worker).write_bytes(b"".join(lines))
    return run_dir


@pytest.mark.parametrize("step_s", [-3600, 86_400 * 400, -86_400 * 400])
def test_the_system_clock_is_stepped_between_repeats(step_s: int, tmp_path: Path) -> None:
    plain, stepped = made(tmp_path / "a"), made(tmp_path / "b", step_ns=step_s * 10**9)
    wanted, found = (read_source(each.root)[0].results[0] for each in (plain, stepped))
    assert (found.attempted, found.window_s) == (wanted.attempted, wanted.window_s) == (80, wanted.window_s)
    assert found.e2e_s is not None and wanted.e2e_s is not None
    assert (found.e2e_s.n, found.e2e_s.p50) == (wanted.e2e_s.n, wanted.e2e_s.p50)
    assert kept(stepped, set()) == 80


def test_two_analyses_at_once(tmp_path: Path) -> None:
    run_dir = made(tmp_path)
    words = [str(BIN / "tokenswarm"), "analyze", str(run_dir.root), "--json"]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=100)[0] for process in both]
    assert all(process.returncode in FINISHED for process in both)
    assert said[0] == said[1] != ""
    assert json.loads(run_dir.summary.read_text()) == json.loads(said[0])
    assert kept(run_dir, set()) == 80
    assert not list(run_dir.root.glob(".*.tmp"))
