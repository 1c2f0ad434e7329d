"""Names and paths inside a run directory: the one place that knows them."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import UsageFault


@dataclass(frozen=True)
class RunDir:
    """A run directory, existing or about to be made; every file of it by name."""

    root: Path

    @property
    def name(self) -> str:
        """The run's id: `<plan name>/<UTC start>-<short id>`. What is no UTF-8 in it is replaced, since it goes into
        files."""
        return os.fsencode("/".join(self.root.resolve().parts[-2:])).decode("utf-8", "replace")

    @property
    def plan(self) -> Path:
        """The resolved plan."""
        return self.root / "plan.yaml"

    @property
    def run_json(self) -> Path:
        """Environment, commands, workers, how the run ended."""
        return self.root / "run.json"

    @property
    def journals(self) -> Path:
        """The folder of journals, one file a worker."""
        return self.root / "journal"

    def journal(self, worker: str) -> Path:
        """The journal of one worker."""
        return self.journals / f"{worker}.jsonl"

    @property
    def samples(self) -> Path:
        """All samples as one table."""
        return self.root / "samples.parquet"

    @property
    def locust_logs(self) -> Path:
        """The folder of what each Locust process wrote: its CSV of a repeat, and its log."""
        return self.root / "locust"

    def lost(self, repeat: int) -> Path:
        """What the master of a repeat noted of workers that it lost."""
        return self.locust_logs / f"r{repeat}_lost.json"

    def late(self, repeat: int) -> Path:
        """What the master of a repeat noted of workers that came late and had load."""
        return self.locust_logs / f"r{repeat}_late.json"

    def spent(self, repeat: int) -> Path:
        """There if the budget was used up in a repeat."""
        return self.locust_logs / f"r{repeat}_spent"

    def stopped(self, repeat: int) -> Path:
        """There if somebody ended a repeat from Locust's web UI."""
        return self.locust_logs / f"r{repeat}_stopped"

    def counts(self, repeat: int) -> Path:
        """What the web UI's process had counted of a run at the end of a repeat; the next one goes on from there."""
        return self.locust_logs / f"r{repeat}_counts.json"

    def locust_csv(self, part: str) -> Path:
        """One of Locust's four files: stats, stats_history, failures, exceptions."""
        return self.root / f"locust_{part}.csv"

    @property
    def truth(self) -> Path:
        """What the embedded simulator says it did; only in simulated runs."""
        return self.root / "truth.jsonl"

    def questions(self, workload: str) -> Path:
        """The questions that a workload asks, one a line; only where it has some."""
        return self.root / "questions" / f"{workload}.questions.jsonl"

    @property
    def grades(self) -> Path:
        """What the embedder and the judge of the plan said of replies; only where there are some."""
        return self.root / "grades.jsonl"

    @property
    def health(self) -> Path:
        """How the load generator itself fared: one row a second and worker, appended by all workers."""
        return self.root / "health.jsonl"

    @property
    def capacity(self) -> Path:
        """What a search for a capacity was asked, did and found; only where there was one."""
        return self.root / "capacity.json"

    @property
    def sequential(self) -> Path:
        """What decided how many repeats there are; only where they were added until comparisons were decided."""
        return self.root / "sequential.json"

    @property
    def alert_states(self) -> Path:
        """How every rule stands, for a restart of the monitor."""
        return self.root / "alert_states.json"

    @property
    def sinks(self) -> Path:
        """How far each sink of alerts has come."""
        return self.root / "sinks.json"

    @property
    def reports(self) -> Path:
        """Which daily and weekly reports were made and posted."""
        return self.root / "reports.json"

    @property
    def unfinished(self) -> Path:
        """The folder of journals of repeats that were cut short and run again: they cost, and are in no figure."""
        return self.root / "unfinished"

    @property
    def summary(self) -> Path:
        """The run's numbers."""
        return self.root / "summary.json"

    @property
    def monitor(self) -> Path:
        """What a monitor saw last; only where one watches or watched."""
        return self.root / "monitor.json"

    @property
    def monitor_state(self) -> Path:
        """From where a monitor goes on after a restart."""
        return self.root / "monitor_state.json"

    @property
    def probe(self) -> Path:
        """How targets are probed; only where they are, without a load run."""
        return self.root / "probe.json"

    @property
    def probe_state(self) -> Path:
        """How far the probing has come, and what it has spent."""
        return self.root / "probe_state.json"

    @property
    def probe_lock(self) -> Path:
        """Held by the process that probes."""
        return self.root / ".probe.lock"

    @property
    def monitor_lock(self) -> Path:
        """Held by the monitor that watches the run."""
        return self.root / ".monitor.lock"

    @property
    def alerts(self) -> Path:
        """Every change of an alert, one a line, appended by the monitor."""
        return self.root / "alerts.jsonl"

    @property
    def alert_actions(self) -> Path:
        """What people did about alerts (acknowledge, silence), one a line."""
        return self.root / "alert_actions.jsonl"

    @property
    def history(self) -> Path:
        """Minutes of probing whose samples are no longer kept, one a line and target; only where a monitor probes."""
        return self.root / "history.jsonl"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.root / "report.html"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all: who reads it meanwhile sees what was there before, and of two processes that
    write at once the last wins. Raises OSError, which names that file."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_out(path: Path, content: bytes) -> None:
    """Write a file that somebody named: as `write_whole`, but what is no plain file (a link, a pipe, /dev/stdout) is
    written into, not replaced. Raises OSError."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(content)
    else:
        write_whole(path, content)


def append_whole(file: int, content: bytes, *, on_disk: bool = False) -> None:
    """Append to an open file (O_APPEND) all of it or, if that fails, nothing: what was written of it is cut off again,
    so that it spoils nothing that comes later. `on_disk`: wait until it is there. Raises OSError."""
    written = 0
    try:
        while written < len(content):  # a nearly full disk takes a part, then raises
            written += os.write(file, content[written:] if written else content)
        if on_disk:
            os.fsync(file)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, os.fstat(file).st_size - written)
        raise


LOCUST_CSV_PARTS = ("stats", "stats_history", "failures", "exceptions")


def new_run_dir(runs_root: Path, plan_name: str) -> RunDir:
    """Make `runs_root/<plan name>/<UTC start>-<short id>/` with its folders. Raises UsageFault, OSError."""
    if runs_root.exists() and not runs_root.is_dir():
        raise UsageFault(f"--out {runs_root}: is no folder", "name the folder that run directories are made in")
    start = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    run_dir = RunDir(runs_root / plan_name / f"{start}-{secrets.token_hex(2)}")
    run_dir.journals.mkdir(parents=True)
    run_dir.locust_logs.mkdir()
    return run_dir
