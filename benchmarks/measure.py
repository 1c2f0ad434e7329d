"""One measurement: one client under one load against a simulator of its own, and what came of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from benchmarks.clients import Client, Job
from benchmarks.processes import Cores, Moment, Spent, run_pinned, simulator
from benchmarks.timing import Dist, Errors, Said, Served, errors_of, lateness, said_of, served, true_timing
from benchmarks.workloads import Load, write_simulator_config
from harness.simulator.truth import read_truth

_LIMIT_S = 120.0
_LOG_LINES = 4


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """What one run showed; a line of `results.json`.

    requests              complete replies, by the simulator's count
    chunks                content chunks it wrote, those of incomplete replies too
    span_s                from the first request read to the last reply ended
    cpu_s                 user and system time of the client's whole tree, start-up included
    steady_us_per_chunk   CPU per chunk between the moment all streams had begun and the last request; None: too short
    incomplete            requests that were refused or that the client cut off
    peak_rss_bytes        the most that the processes of the tree have had resident, added up (shared pages in each)
    simulator_share       CPU of the simulator / `span_s`: at 1 it was the limit
    lateness              of the simulator's writes against its own schedule
    failure               why there are no figures
    """

    client: str
    load: str
    round: int
    requests: int = 0
    chunks: int = 0
    incomplete: int = 0
    span_s: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    steady_us_per_chunk: float | None = None
    peak_rss_bytes: int = 0
    simulator_share: float = 0.0
    lateness: Dist | None = None
    said: Said | None = None
    true: Said | None = None
    errors: Errors | None = None
    failure: str | None = None


def measure(client: Client, load: Load, round_number: int, cores: Cores) -> Measurement:
    """Run it. A client that fails gives a measurement that says so."""
    with tempfile.TemporaryDirectory(prefix="tokenswarm-bench-") as name:
        folder = Path(name)
        config, truth = write_simulator_config(load, folder / "simulator.json"), folder / "truth.jsonl"
        with simulator(config, truth) as (url, process):
            job = Job(url, load, folder)
            before_s = _cpu_s(process.cpu_times())
            spent, moments = run_pinned(
                client.command(job), cores.client, folder, client.variables(job), _LIMIT_S + load.duration_s
            )
            simulator_s = _cpu_s(process.cpu_times()) - before_s
        done = served(read_truth(truth))
        empty = Measurement(client=client.name, load=load.name, round=round_number, incomplete=len(done.cut))
        if spent.exit_code or not done.truths:
            return msgspec.structs.replace(empty, failure=_last_words(folder / "log", spent))
        try:
            return _measured(empty, client, job, done, spent, moments, simulator_s)
        except (OSError, LookupError, TypeError, ValueError, msgspec.MsgspecError) as fault:
            return msgspec.structs.replace(
                empty, failure=f"its records cannot be read: {type(fault).__name__}: {fault}"
            )


def _measured(
    empty: Measurement, client: Client, job: Job, done: Served, spent: Spent, moments: list[Moment], simulator_s: float
) -> Measurement:
    streams = client.streams(job) if client.streams else []
    span_s = (done.end_ns - done.begin_ns) / 1e9
    return msgspec.structs.replace(
        empty,
        requests=len(done.truths),
        chunks=done.chunks,
        span_s=span_s,
        cpu_s=spent.cpu_s,
        wall_s=spent.wall_s,
        steady_us_per_chunk=_steady_us_per_chunk(done, moments, job.load),
        peak_rss_bytes=max((moment.peak_rss_bytes for moment in moments), default=0),
        simulator_share=simulator_s / span_s,
        lateness=lateness(done, job.load),
        said=client.said(job) if client.said else said_of(streams),
        true=true_timing(done),
        errors=errors_of(streams, done, job.load) if client.streams else None,
    )


def _cpu_s(times: object) -> float:
    return float(getattr(times, "user", 0.0)) + float(getattr(times, "system", 0.0))


def _steady_us_per_chunk(done: Served, moments: list[Moment], load: Load) -> float | None:
    """From the samples of the tree's CPU: between the end of the ramp and the last request, a second at least."""
    begin_ns = done.begin_ns + int(max(load.ramp_s, 0.5) * 1e9)
    last_ns = max(truth.received_ns for truth in done.truths)
    inside = [moment for moment in moments if begin_ns <= moment.at_ns <= last_ns]
    if len(inside) < 2 or inside[-1].at_ns - inside[0].at_ns < 1e9:
        return None
    chunks = done.chunks_between(inside[0].at_ns, inside[-1].at_ns)
    return (inside[-1].cpu_s - inside[0].cpu_s) / chunks * 1e6 if chunks else None


def _last_words(log: Path, spent: Spent) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"exit code {spent.exit_code}: {' / '.join(lines[-_LOG_LINES:])[-300:]}"
