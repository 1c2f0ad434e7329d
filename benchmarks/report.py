"""`results.json` (everything) and `results.md` (the tables), written by the run itself."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.aims import aims
from benchmarks.measure import Measurement
from benchmarks.memory import Memory
from benchmarks.tally import Results, cost, middles
from benchmarks.timing import Dist, Said
from benchmarks.workloads import PACED, ZERO_GAP
from harness.environment import describe_environment

_MIB = 2**20
_OURS = "tokenswarm"
Table = list[list[str]]

_COST_NOTE = """\
CPU is user and system time of the client's whole process tree, over content chunks as the simulator counted them. The
CPU of a run of one stream and one or two requests has been taken off (*start-up CPU*; start, stop and reports), and the
chunks of that run too. *In the steady part* takes nothing off: it is the CPU that the tree used between the moment all
streams had begun and the last request (its clock ticks in 0.01 s), which leaves out what a tool does after the load.
*Incomplete*: requests that the client cut off, all rounds together; their chunks count. *Peak RSS* adds up the
processes of the tree, pages they share counted in each."""

_SAID_NOTE = """\
Milliseconds, *reported / true*, all requests of a run. The true TTFT counts from when the simulator had read the
request, so what the request waited unread is in the reported figure only. Where a tool gives only each request's mean
gap, that is what its ITL columns hold."""

_ERROR_NOTE = """\
Milliseconds; medians over the rounds; without the first request of each stream. *First event's stamp*: the
client's stamp less the simulator's stamp just before it wrote the event, on the clock both share: the client's own
error, and the kernel's few microseconds. *TTFT*: reported less true; it holds also how long the request was on its way
and lay unread in the simulator's socket, which a busy simulator makes long. *ITL*: |reported gap - true gap|, gap by
gap. *Unpaired*: requests whose number of events differs from the truth. `paced` is 200 streams, `paced-N` is N."""

_HEADROOM_NOTE = """\
A simulator near 100 % of its core, or late by milliseconds, was a limit itself: then costs per chunk and errors against
its own stamps still hold, but the load was less than named. In zero-gap a fast client is meant to saturate it; there is
no schedule to be late by."""


def machine() -> dict[str, Any]:
    """What this was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=False)  # noqa: S607
    extra = {"memory_gib": round(memory, 1), "kernel": platform.release(), "cc": compiler.stdout.partition("\n")[0]}
    return describe_environment() | extra | {"date_utc": datetime.now(UTC).isoformat(timespec="seconds")}


def write_results(results: Results, folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    (folder / "results.md").write_text(markdown(results), encoding="utf-8")


def markdown(results: Results) -> str:
    """The page."""
    parts = [_opening(results), _aims_section(results)]
    for load in (PACED.name, ZERO_GAP.name):
        parts += [_cost_section(results, load), _said_section(results, load)]
    parts += [_error_section(results), _headroom_section(results)]
    parts += [_memory_section(results.memory)] if results.memory else []
    return "\n\n".join([*parts, _machine_section(results)]) + "\n"


def _opening(results: Results) -> str:
    rounds = 1 + max((one.round for one in results.measurements), default=0)
    warning = "**Provisional: a quick run, to see that everything works. Do not quote it.**\n\n"
    return f"""\
# Benchmark

{warning if results.quick else ""}\
`{results.command}`, {results.machine["date_utc"]}, {results.took_s / 60:.0f} minutes. Medians of {rounds} round(s);
the clients take turns within each. Every measurement has a simulator of its own, on core {results.cores[0]}; the client
with all its processes has core {results.cores[1]} (`sched_setaffinity`).

**paced**: {PACED.streams} streams, each sending its next request when the last reply has ended; replies of 128 chunks,
the first after {PACED.ttft_s * 1000:.0f} ms, the others {PACED.itl_s * 1000:.0f} ms apart.
**zero-gap**: {ZERO_GAP.streams} streams, the same replies as fast as both sides can."""


def _aims_section(results: Results) -> str:
    def cost_us(client: str, load: str) -> float | None:
        found = cost(results, client, load)
        return None if found is None else found.us_per_chunk

    rows = [
        [one.what, f"<= {one.limit:g} {one.unit}", f"{_number(one.measured, '.3g')} {one.unit}", one.verdict]
        for one in aims(results.measurements, results.rivals, cost_us, results.memory)
    ]
    return f"## Aims\n\n{_table(['aim', 'limit', 'measured', 'verdict'], rows)}"


def _cost_section(results: Results, load: str) -> str:
    ours = cost(results, _OURS, load)
    rows: Table = []
    for client in results.clients:
        found = cost(results, client, load)
        if found is not None:
            rows.append(
                [
                    client,
                    f"{found.us_per_chunk:.1f} ({found.low_us:.1f}-{found.high_us:.1f})",
                    _number(found.steady_us, ".1f"),
                    f"{ours.us_per_chunk / found.us_per_chunk:.3f}" if ours else "-",
                    f"{found.requests_per_cpu_s:.0f}",
                    f"{found.start_up_s:.2f}",
                    str(found.incomplete),
                    f"{found.chunks_per_s:.0f}",
                    f"{found.peak_rss_bytes / _MIB:.0f}",
                    f"{found.simulator_share:.0%}",
                ]
            )
    head = ["client", "CPU us per chunk (least-most)", "in the steady part", "tokenswarm / it", "requests per CPU s"]
    head += ["start-up CPU s", "incomplete", "chunks/s", "peak RSS MiB", "simulator's core"]
    skipped = "\n".join(f"- {name}: no figures: {reason}" for name, reason in results.skipped.items())
    return "\n\n".join(part for part in (f"## Cost, {load}", _table(head, rows), _COST_NOTE, skipped) if part)


def _said_section(results: Results, load: str) -> str:
    rows: Table = []
    for client in results.clients:
        runs = results.runs(client, load)
        if runs:
            pairs = [*_pairs(runs, lambda said: said.ttft), *_pairs(runs, lambda said: said.itl)]
            rows.append([client, *pairs, next((one.said.itl_of for one in runs if one.said), "-")])
    head = ["client", "TTFT mean", "TTFT p50", "TTFT p99", "ITL mean", "ITL p50", "ITL p99", "ITL of"]
    return f"## What they report, {load}\n\n{_table(head, rows)}\n\n{_SAID_NOTE}"


def _pairs(runs: list[Measurement], which: Callable[[Said], Dist | None]) -> list[str]:
    said = middles(runs, lambda one: which(one.said) if one.said else None)
    true = middles(runs, lambda one: which(one.true) if one.true else None)
    return [f"{_number(mine, '.2f')} / {_number(its, '.2f')}" for mine, its in zip(said, true, strict=True)]


def _by_streams(load: str) -> int:
    """Paced loads by their streams, zero-gap last."""
    if load == PACED.name:
        return PACED.streams
    return 10**9 if load == ZERO_GAP.name else int(load.rpartition("-")[2])


def _error_section(results: Results) -> str:
    rows: Table = []
    for load in sorted(results.loads(), key=_by_streams):
        for client in results.clients:
            runs = [one for one in results.runs(client, load) if one.errors is not None]
            if runs:
                rows.append([load, client, *_error_cells(runs)])
    head = ["load", "client", "requests", "unpaired", "first event's stamp: mean", "p50", "p99"]
    head += ["TTFT: mean", "p50", "p99", "ITL: mean", "p50", "p99"]
    return f"## Errors against the truth\n\n{_table(head, rows, words=2)}\n\n{_ERROR_NOTE}"


def _error_cells(runs: list[Measurement]) -> list[str]:
    errors = [one.errors for one in runs if one.errors is not None]
    numbers = [
        *middles(runs, lambda one: one.errors.first_stamp if one.errors else None),
        *middles(runs, lambda one: one.errors.ttft if one.errors else None),
        *middles(runs, lambda one: one.errors.itl if one.errors else None),
    ]
    counts = [sum(one.requests for one in errors), sum(one.unmatched for one in errors)]
    return [*map(str, counts), *(_number(number, ".3f") for number in numbers)]


def _headroom_section(results: Results) -> str:
    rows: Table = []
    for load in sorted(results.loads(), key=_by_streams):
        for client in results.clients:
            runs = results.runs(client, load)
            if runs:
                shares = [one.simulator_share for one in runs]
                late = middles(runs, lambda one: one.lateness)
                cells = [f"{median(shares):.0%}", f"{max(shares):.0%}", *(_number(one, ".2f") for one in late)]
                rows.append([load, client, *cells])
    head = ["load", "client", "simulator's core: median", "most", "its writes are late by, ms: mean", "p50", "p99"]
    return f"## The simulator's head-room\n\n{_table(head, rows, words=2)}\n\n{_HEADROOM_NOTE}"


def _memory_section(memory: Memory) -> str:
    written, mib = memory.written, [size / _MIB for size in memory.written.rss_bytes]
    tenths = ", ".join(f"{size:.0f}" for size in mib[9::10] or mib)
    return f"""\
## Memory: {written.samples:,} samples of 128 events

One worker's journal: {written.journal_bytes / _MIB:,.0f} MiB in {written.took_s:.0f} s \
({written.took_s / written.samples * 1e6:.0f} us a sample, making it included).
Resident memory after each tenth: {tenths} MiB; most {max(mib):.0f} MiB.

`tokenswarm analyze`: {memory.analyze_s:.1f} s ({memory.analyze_cpu_s:.1f} s CPU, not held to one core), peak \
{memory.analyze_peak_bytes / _MIB:,.0f} MiB, exit code {memory.analyze_exit_code} (0: valid; 3: judged invalid)."""


def _machine_section(results: Results) -> str:
    found = results.machine
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    clients = "\n".join(f"- {name}: {what}" for name, what in results.clients.items())
    return f"""\
## Machine and versions

{found["cpu"]}, {found["cpus"]} cores, {found["memory_gib"]} GiB, {found["os"]}. Python {found["python"]}; {packages};
{found["cc"]}. Commit {found["commit"]}.

{clients}"""


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _table(head: list[str], rows: Table, words: int = 1) -> str:
    """A table in Markdown; all but the first `words` columns are numbers."""
    rule = [*["---"] * words, *["---:"] * (len(head) - words)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *rows))
