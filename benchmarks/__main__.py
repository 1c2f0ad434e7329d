"""`python -m benchmarks`: every client under every load, interleaved, then `results.json` and `results.md`.

`make bench` runs all of it; `make bench QUICK=1` a first look in a tenth of the time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.clients import NAIVE, OWN, TOKENSWARM, USER_STAMPS, Client, build_floor
from benchmarks.measure import Measurement, measure
from benchmarks.memory import Memory, measure_memory
from benchmarks.processes import Cores, allow_many_sockets, choose_cores
from benchmarks.report import machine, write_results
from benchmarks.rivals import RIVALS, install
from benchmarks.tally import Results
from benchmarks.workloads import PACED, START_UP, SWEEP_STREAMS, ZERO_GAP, Load, shortened, sweep
from harness.errors import UsageFault

_HERE = Path(__file__).parent
_CONSOLE = Console(stderr=True)
_ROUNDS, _QUICK_ROUNDS = 5, 1
_START_UP_ROUNDS = 3
_BOTH_STAMPS_AT = 1000
_SAMPLES, _QUICK_SAMPLES = 1_000_000, 20_000
_OVERHEAD_S = {"C reader": 0.7, "tokenswarm": 2.0, "own, user stamps": 2.0, "naive Locust": 2.0, "openai SDK": 2.0}
_RIVAL_OVERHEAD_S = 8.0


@dataclass(frozen=True)
class Step:
    """One measurement to be made."""

    client: Client
    load: Load
    round_number: int

    @property
    def estimate_s(self) -> float:
        """How long it will take, about: whole replies, and start and stop."""
        load, own = self.load, self.client in OWN
        span_s = float(load.duration_s)
        if load.cycle_s:
            span_s = load.cycle_s * ceil(load.duration_s / load.cycle_s if own else load.requests / load.streams)
        return span_s + _OVERHEAD_S.get(self.client.name, _RIVAL_OVERHEAD_S)


@click.command(help="Measure tokenswarm beside other clients against the simulator's truth.")
@click.option("--quick", is_flag=True, help="One short round: to see that it works, not to be quoted.")
@click.option("--rounds", type=click.IntRange(1), help=f"Rounds of which the medians are taken (default {_ROUNDS}).")
@click.option("--only", multiple=True, help="Only the client of this name; may be repeated.")
@click.option("--samples", type=click.IntRange(0), help="Samples of the memory test; 0 leaves it out.")
@click.option("--sweep/--no-sweep", "with_sweep", default=True, help="Timing errors at other numbers of streams.")
@click.option("--out", type=click.Path(path_type=Path), default=_HERE, help="Folder for results.md and results.json.")
def main(  # noqa: D103
    *, quick: bool, rounds: int | None, only: tuple[str, ...], samples: int | None, with_sweep: bool, out: Path
) -> None:
    allow_many_sockets()
    begun_s = time.monotonic()
    clients, skipped = _clients(only)
    cores, all_cores = choose_cores(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores.simulator})  # children inherit it; clients are moved to the other core
    clients = [client for client in clients if client is not USER_STAMPS] if quick else clients
    steps = list(_steps(clients, rounds or (_QUICK_ROUNDS if quick else _ROUNDS), quick=quick, with_sweep=with_sweep))
    samples = samples if samples is not None else (_QUICK_SAMPLES if quick else _SAMPLES)
    measurements, failures = _run(steps, cores, samples)
    os.sched_setaffinity(0, all_cores)
    memory = _memory(samples)
    results = Results(
        quick=quick,
        command=" ".join(["python -m benchmarks", *sys.argv[1:]]),
        took_s=time.monotonic() - begun_s,
        cores=(cores.simulator, cores.client),
        machine=machine(),
        clients={client.name: client.what for client in clients},
        rivals=[client.name for client in clients if client not in OWN],
        skipped=skipped | failures,
        measurements=measurements,
        memory=memory,
    )
    write_results(results, out)
    _CONSOLE.print(f"{out / 'results.md'}: {results.took_s / 60:.1f} minutes")


def _clients(only: tuple[str, ...]) -> tuple[list[Client], dict[str, str]]:
    """The clients that can run here, and why others cannot."""
    build_floor()
    clients, skipped = [client for client in OWN if not only or client.name in only], {}
    for rival in RIVALS:
        if only and rival.package not in only:
            continue
        with _CONSOLE.status(f"installing {rival.package}"):
            reason = install(rival)
        if reason:
            skipped[rival.package] = reason
        else:
            clients.append(rival.client)
    return clients, skipped


def _steps(clients: list[Client], rounds: int, *, quick: bool, with_sweep: bool) -> Iterator[Step]:
    """Round by round; within a round load by load, client after client, beginning at another one each time.

    A quick run leaves the tools of others out of zero-gap.
    """
    cut = shortened if quick else replace
    sweep_streams = (500,) if quick else SWEEP_STREAMS
    for number in range(rounds):
        turn = number % len(clients)
        ordered = clients[turn:] + clients[:turn]
        for load in (PACED, ZERO_GAP):
            chosen = [client for client in ordered if client in OWN] if quick and load is ZERO_GAP else ordered
            yield from (Step(client, cut(load), number) for client in chosen)
        if number < _START_UP_ROUNDS:
            yield from (Step(client, START_UP, number) for client in ordered if number == 0 or client in OWN)
        if with_sweep:
            yield from (
                Step(client, cut(sweep(streams)), number)
                for streams in sweep_streams
                for client in ordered
                if client in (TOKENSWARM, NAIVE) or (client is USER_STAMPS and streams == _BOTH_STAMPS_AT)
            )


def _run(steps: list[Step], cores: Cores, samples: int) -> tuple[list[Measurement], dict[str, str]]:
    """All measurements that came to something, and the clients that were given up after they failed."""
    estimate_s = sum(step.estimate_s for step in steps) + samples / 8_000
    _CONSOLE.print(f"{len(steps)} measurements, about {estimate_s / 60:.0f} minutes")
    done: list[Measurement] = []
    failures: dict[str, str] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=_CONSOLE) as progress:
        task = progress.add_task("", total=len(steps))
        for step in steps:
            progress.update(task, description=f"{step.load.name} {step.client.name}")
            if step.client.name not in failures:  # one that failed is not tried again
                result = measure(step.client, step.load, step.round_number, cores)
                if result.failure is not None:  # once may be the machine's fault
                    result = measure(step.client, step.load, step.round_number, cores)
                if result.failure is None:
                    done.append(result)
                elif step.load.name in (PACED.name, START_UP.name):
                    failures[step.client.name] = f"{step.load.name}: {result.failure}"
                progress.console.print(_line(result), highlight=False, markup=False, soft_wrap=True)
            progress.advance(task)
    return done, failures


def _line(result: Measurement) -> str:
    name = f"{result.load:12} {result.client:15}"
    if result.failure:
        return f"{name} {result.failure}"
    cut = f" ({result.incomplete} incomplete)" if result.incomplete else ""
    used = f"{result.requests:6} requests{cut} {result.cpu_s:7.2f} s CPU, simulator {result.simulator_share:4.0%}"
    error = result.errors.first_stamp if result.errors else None
    return f"{name} {used}" + (f", first stamp p99 {error.p99_ms:.2f} ms late" if error else "")


def _memory(samples: int) -> Memory | None:
    if samples == 0:
        return None
    with _CONSOLE.status(f"{samples} samples through one journal, then analyze"):
        return measure_memory(samples)


if __name__ == "__main__":
    try:
        main()
    except UsageFault as fault:
        _CONSOLE.print(f"error: {fault.message}\nhint: {fault.hint}", markup=False, highlight=False)
        sys.exit(2)
