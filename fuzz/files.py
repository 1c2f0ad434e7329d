"""Readers of files, as functions of the file's bytes: whatever stands in it, they read it or say what is wrong with it.

A reader that raises anything but a `UsageFault` has a defect. What was read is also used once: a plan is written and
read back, a table of samples is made into Parquet, a summary into JSON.
"""

from __future__ import annotations

import atexit
import itertools
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

from analysis.answers.opinions import read_opinions
from analysis.cells.health import read_health
from analysis.deciding.use_cases import read_use_case
from analysis.loads.searches import read_search
from analysis.locust_csv import summarise_csv
from analysis.samples import load_samples, write_parquet
from harness.cells import cells
from harness.errors import UsageFault
from harness.plan_file import dump_plan, plan_of_text, read_plan
from harness.prices import priced, read_prices
from harness.questions.question_files import load_questions
from harness.records.sequential_record import read_sequential
from harness.rules.alert_file import read_alerts
from harness.rundir import RunDir
from harness.simulator.config import load_config
from harness.workloads.traces import read_trace

_SEPARATOR = b"\x1e"  # between the files of one input


@cache
def folder() -> Path:
    """A folder for the files that are made up, in memory where there is one. It goes with the process."""
    memory = Path("/dev/shm")  # noqa: S108
    found = Path(tempfile.mkdtemp(prefix="tokenswarm-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, found, ignore_errors=True)
    return found


def _parts(data: bytes, most: int) -> list[bytes]:
    return data.split(_SEPARATOR, most - 1)


def _written(name: str, data: bytes) -> Path:
    path = folder() / name
    path.write_bytes(data)
    return path


def plan(data: bytes) -> None:
    """A plan: what is accepted can be run through, written and read back."""
    with suppress(UsageFault):
        read = read_plan(str(_written("plan.yaml", data)))
        list(itertools.islice(cells(read, 1), 1000))
        assert plan_of_text(dump_plan(read), "again") == read
        priced(read)


def plan_settings(data: bytes) -> None:
    """`--set KEY=VALUE`, laid over a plan that is right."""
    texts = [part.decode("utf-8", "surrogateescape") for part in _parts(data, 4)]
    with suppress(UsageFault):
        read_plan("suite:starter", texts)


def prices(data: bytes) -> None:
    """A table of prices."""
    with suppress(UsageFault):
        read_prices(_written("prices.yaml", data))


def simulator(data: bytes) -> None:
    """A simulator's configuration."""
    with suppress(UsageFault):
        load_config(_written("simulator.yaml", data))


def use_case(data: bytes) -> None:
    """A use case of `recommend`."""
    with suppress(UsageFault):
        read_use_case(str(_written("case.yaml", data)))


def alerts(data: bytes) -> None:
    """A file of alert rules."""
    with suppress(UsageFault):
        read_alerts(_written("alerts.yaml", data))


def questions(data: bytes) -> None:
    """Question files as text; the first byte says which kind."""
    suffix = (".jsonl", ".json", ".csv")[data[0] % 3] if data else ".jsonl"
    with suppress(UsageFault):
        load_questions(str(_written(f"set{suffix}", data[1:])))


def parquet(data: bytes) -> None:
    """Question files as Parquet."""
    with suppress(UsageFault):
        load_questions(str(_written("set.parquet", data)))


def traces(data: bytes) -> None:
    """Files of arrivals."""
    with suppress(UsageFault):
        found = read_trace(_written("trace", data))
        assert len(found.at_s) == len(found.input_tokens) == len(found.output_tokens)


def locust_csv(data: bytes) -> None:
    """Locust's statistics, failures and history of one run."""
    parts = [*_parts(data, 3), b"", b""]
    for name, part in zip(("stats", "failures", "stats_history"), parts, strict=False):
        _written(f"run_{name}.csv", part)
    with suppress(UsageFault):
        summary = summarise_csv(folder() / "run")
        assert b"NaN" not in msgspec.json.encode(summary.validity)
        msgspec.json.encode(summary)


def journals(data: bytes) -> None:
    """Two journals of one run: torn, damaged, interleaved."""
    run_dir = RunDir(folder() / "run")
    run_dir.journals.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate([*_parts(data, 2), b""][:2]):
        run_dir.journal(f"w{number}").write_bytes(part)
    with suppress(UsageFault):
        write_parquet(load_samples(run_dir), run_dir.root / "samples.parquet")


def small_records(data: bytes) -> None:
    """The other files of a run directory; the first byte says which."""
    run_dir = RunDir(folder() / "small")
    run_dir.root.mkdir(exist_ok=True)
    readers: tuple[tuple[Path, Callable[[], object]], ...] = (
        (run_dir.health, lambda: read_health(run_dir)),
        (run_dir.grades, lambda: read_opinions(run_dir.grades)),
        (run_dir.capacity, lambda: read_search(run_dir)),
        (run_dir.sequential, lambda: read_sequential(run_dir)),
    )
    path, read = readers[data[0] % len(readers)] if data else readers[0]
    path.write_bytes(data[1:])
    with suppress(UsageFault):
        read()
