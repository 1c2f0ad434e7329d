"""Fuzzes every surface for a bounded time, each in a process of its own: `python -m fuzz [NAME...] [--seconds 60]`.

Begins with the corpus in `fuzz/corpus`; what it finds anew goes to a folder of its own, and, with `--keep`, the
smallest inputs of it that reached new code to the corpus. With `--minimise` nothing is fuzzed: the corpus is made anew
of the fewest inputs that reach what it and the folder reach. Exit code 1: something failed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from fuzz.surfaces import SURFACES

CORPUS = Path(__file__).parent / "corpus"
MOST_MB = 2048
MOST_S = 30  # for one input
MOST_BYTES = 65_536  # of one input
_KEPT_BYTES = 2048
_MOST_SEED = 8192
_OF_FUZZER = re.compile("[0-9a-f]{8,40}")  # names of inputs that nobody wrote
_KEPT = 10  # inputs of one run
_LATE_S = 600  # a machine that is busy takes minutes to begin
ROUND_S = 60  # under atheris a process grows by up to 0.1 MB an execution, which the same inputs without it do not


@dataclass(frozen=True)
class Fuzzed:
    """What came of one surface. `crash`: the input on which it failed, hung or grew."""

    name: str
    executions: int
    seconds: float
    crash: str | None
    peak_mb: int
    log: str


def fuzzed(name: str, seconds: float, folder: Path) -> Fuzzed:
    """Fuzz one surface, in rounds. Inputs that fail are left in `folder`."""
    rounds = max(1, round(seconds / ROUND_S))
    found = [_round(name, seconds / rounds, folder)]
    while len(found) < rounds and found[-1].crash is None:
        found.append(_round(name, seconds / rounds, folder))
    last = found[-1]
    peak_mb = max(each.peak_mb for each in found)
    executions, took_s = sum(each.executions for each in found), sum(each.seconds for each in found)
    return Fuzzed(name, executions, took_s, last.crash, peak_mb, last.log)


def _round(name: str, seconds: float, folder: Path) -> Fuzzed:
    """One process. What it reached stands in its folder, from which the next one goes on."""
    found = folder / name
    found.mkdir(parents=True, exist_ok=True)
    seeds = CORPUS / name
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-rss_limit_mb={MOST_MB}",
        f"-timeout={MOST_S}",
        f"-max_len={MOST_BYTES}",
        f"-artifact_prefix={folder / name}-",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    begun_s = time.monotonic()
    words = [sys.executable, "-m", "fuzz.one", name, *options, str(found), *([str(seeds)] if seeds.is_dir() else [])]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + _LATE_S, check=False)  # noqa: S603
        log, code = done.stderr + done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        log, code = str(late), 1
    artifacts = sorted(folder.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime)
    crash = None if code == 0 else str(artifacts[-1]) if artifacts else f"exit code {code}"
    took_s = time.monotonic() - begun_s
    return Fuzzed(name, _stat(log, "number_of_executed_units"), took_s, crash, _stat(log, "peak_rss_mb"), log)


def _stat(log: str, name: str) -> int:
    told = re.search(rf"stat::{name}:\s+(\d+)", log)
    return int(told[1]) if told else 0


def keep(name: str, folder: Path) -> None:
    """Add to the corpus of a surface what reached new code: the smallest inputs, and few of them."""
    found = sorted((folder / name).iterdir(), key=lambda path: path.stat().st_size)
    _add(CORPUS / name, (path for path in found if path.stat().st_size <= _KEPT_BYTES), _KEPT)


def _add(seeds: Path, found: Iterable[Path], most: int | None = None) -> None:
    """Copy to a corpus what is not yet in it, and no more than `most`."""
    seeds.mkdir(parents=True, exist_ok=True)
    known = {path.read_bytes() for path in seeds.iterdir()}
    for path in islice((path for path in found if path.read_bytes() not in known), most):
        (seeds / path.name[:12]).write_bytes(path.read_bytes())


def minimise(name: str, folder: Path) -> tuple[int, int]:
    """Make the corpus of a surface anew by libFuzzer's merge of it and of what was found.

    How many inputs it had, and has. Those that somebody wrote, and named, stay.
    """
    seeds, least, found = CORPUS / name, folder / f"least-{name}", folder / name
    shutil.rmtree(least, ignore_errors=True)
    for each in (least, found):
        each.mkdir(parents=True, exist_ok=True)
    words = [
        sys.executable,
        "-m",
        "fuzz.one",
        name,
        "-merge=1",
        f"-max_len={_MOST_SEED}",
        *map(str, (least, seeds, found)),
    ]
    subprocess.run(words, capture_output=True, timeout=_LATE_S * 10, check=True)  # noqa: S603
    wanted = list(least.iterdir())
    if not wanted:
        raise click.ClickException(f"{name}: nothing was merged")
    before = list(seeds.iterdir())
    for path in before:
        if _OF_FUZZER.fullmatch(path.name):
            path.unlink()
    _add(seeds, wanted)
    return len(before), len(list(seeds.iterdir()))


@click.command(help=__doc__)
@click.argument("names", nargs=-1)
@click.option("--seconds", type=float, default=60.0, help="For each surface (60).")
@click.option("--keep", "kept", is_flag=True, help="Add what reaches new code to the corpus.")
@click.option("--minimise", "least", is_flag=True, help="Make the corpus anew of as few inputs as can be.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where inputs go that are found (a temporary folder).")
def main(*, names: tuple[str, ...], seconds: float, kept: bool, least: bool, folder: Path | None) -> None:
    """All surfaces, or those that are named; a table of them."""
    unknown = sorted(set(names) - set(SURFACES))
    if unknown:
        raise click.UsageError(f"{unknown[0]}: there are {', '.join(SURFACES)}")
    folder = folder or Path(tempfile.mkdtemp(prefix="tokenswarm-fuzz-"))
    if least:
        for name in names or SURFACES:
            click.echo("{}: {} inputs, now {}".format(name, *minimise(name, folder)))
        return
    table = Table("surface", "executions", "seconds", "crash", "peak MB")
    failed = False
    for name in names or SURFACES:
        found = fuzzed(name, seconds, folder)
        failed = failed or found.crash is not None
        table.add_row(name, f"{found.executions:,}", f"{found.seconds:.0f}", found.crash or "none", str(found.peak_mb))
        if found.crash is not None:
            click.echo(found.log[-6000:], err=True)
        if kept and found.crash is None:
            keep(name, folder)
    Console(width=140).print(table)
    sys.exit(failed)


if __name__ == "__main__":
    main()
