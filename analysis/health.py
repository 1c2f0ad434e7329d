"""Was the load generator itself the bottleneck? From `health.jsonl`, the samples' own lag, and what was dropped.

Rows count while requests were under way, worker by worker: the worst worker decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from analysis.summary import Finding, Result
from harness.health_record import LAG_BOUNDS_S, Health, decode_health
from harness.rundir import RunDir

LOOP_LAG_S = 0.005
STAMPED_LOOP_LAG_S = 0.020  # where the kernel stamps what arrives, only sends are late
CPU_SHARE = 0.9
LAG_OF_TTFT = 0.1
ACHIEVED_SHARE = 0.98
GC_PAUSE_S = 0.020
PORTS_SHARE = 0.8
MACHINE_SHARE = 0.97
_FULL_SHARE = 0.9  # rows are a second apart: the fullest moment lies between two of them
_FEWEST_BEATS = 300  # three seconds: fewer say little


@dataclass(frozen=True)
class Worker:
    """What the rows of one worker of one repeat amount to, while requests were under way."""

    name: str
    beats: int
    loop_lag_p99_s: float | None
    cpu_share: float | None
    machine_share: float | None
    gc_pause_s: float
    ports_share: float | None
    most_in_flight: int


def read_health(run_dir: RunDir) -> list[Health]:
    """Every row that can be read; a torn last line is left out. Empty when there is no file."""
    try:
        lines = run_dir.health.read_bytes().splitlines()
    except OSError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(decode_health(line))
        except msgspec.MsgspecError:
            continue
    return rows


def workers_of(rows: Iterable[Health]) -> list[Worker]:
    """One record a worker, in order of their names."""
    busy: dict[str, list[Health]] = {}
    for row in rows:
        if row.in_flight:
            busy.setdefault(row.worker, []).append(row)
    return [_worker(name, mine) for name, mine in sorted(busy.items())]


def _worker(name: str, rows: list[Health]) -> Worker:
    counts = np.zeros(len(LAG_BOUNDS_S) + 1, dtype=np.int64)
    for row in rows:
        if len(row.loop_lag_counts) == len(counts):
            counts += np.array(row.loop_lag_counts)
    spans = np.array([row.span_s for row in rows])
    ports = [(row.ephemeral_ports_used or 0) / row.ephemeral_ports for row in rows if row.ephemeral_ports]
    return Worker(
        name=name,
        beats=int(counts.sum()),
        loop_lag_p99_s=_pooled_p99(counts),
        cpu_share=_mean([row.cpu_share for row in rows], spans),
        machine_share=_mean([row.machine_cpu_share for row in rows], spans),
        gc_pause_s=max(row.gc_pause_s or 0.0 for row in rows),
        ports_share=max(ports, default=None),
        most_in_flight=max(row.in_flight or 0 for row in rows),
    )


def _pooled_p99(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float | None:
    """The upper bound of the class that holds the 99th percentile of all beats; infinite beyond the last bound."""
    if not counts.sum():
        return None
    place = int(np.searchsorted(np.cumsum(counts), 0.99 * counts.sum()))
    return LAG_BOUNDS_S[place] if place < len(LAG_BOUNDS_S) else float("inf")


def _mean(values: Sequence[float | None], spans: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    known = [(value, span) for value, span in zip(values, spans, strict=True) if value is not None]
    return float(np.average([v for v, _ in known], weights=[s for _, s in known])) if known else None


def health_findings(
    rows: Sequence[Health], results: Sequence[Result], *, kernel_stamps: bool, limits: dict[int, int]
) -> list[Finding]:
    """Doubts about the generator. `kernel_stamps`: every sample has them. `limits`: `max_in_flight` of each open stage
    by its index."""
    workers = workers_of(rows)
    return [
        *_unwatched(rows, results),
        *_slow_loop(workers, kernel_stamps=kernel_stamps),
        *_busy_cpu(workers),
        *_pauses(workers),
        *_ports(workers),
        *_schedule(results, workers, limits),
    ]


def _unwatched(rows: Sequence[Health], results: Sequence[Result]) -> list[Finding]:
    if rows or not results:
        return []
    why = "whether the client was the bottleneck is not known"
    return [Finding(code="no-health", severity="note", saw="no health.jsonl", why=why, hint="run it again")]


def _slow_loop(workers: Sequence[Worker], *, kernel_stamps: bool) -> list[Finding]:
    slow = [each for each in workers if each.beats >= _FEWEST_BEATS and (each.loop_lag_p99_s or 0) > LOOP_LAG_S]
    if not slow:
        return []
    worst = max(slow, key=lambda each: each.loop_lag_p99_s or 0)
    lag_s = worst.loop_lag_p99_s or 0
    late = f"the event loop was {_ms(lag_s)} late (p99; limit {_ms(LOOP_LAG_S)})"
    saw = f"worker {worst.name}: {late}, {_cause(worst)}"
    hint = "use more workers (--workers), a machine of its own for the load, or less load"
    if kernel_stamps and lag_s <= STAMPED_LOOP_LAG_S:
        why = "requests are sent that much later than meant; arrivals were stamped by the kernel and are true"
        return [Finding(code="loop-lag", severity="suspect", saw=saw, why=why, hint=hint)]
    why = "the client was a bottleneck: what it measured is partly its own slowness"
    return [Finding(code="loop-lag", severity="invalid", saw=saw, why=why, hint=hint)]


def _cause(worker: Worker) -> str:
    """What the CPU figures say of why."""
    if (worker.cpu_share or 0) > CPU_SHARE:
        return f"with its core full ({_share(worker.cpu_share)}): too much load for one worker"
    if (worker.machine_share or 0) > MACHINE_SHARE:
        return f"with {_share(worker.cpu_share)} of a core on a machine that was {_share(worker.machine_share)} busy"
    return f"with {_share(worker.cpu_share)} of a core: something else held its core, or it was held up"


def _busy_cpu(workers: Sequence[Worker]) -> list[Finding]:
    full = [each for each in workers if each.beats >= _FEWEST_BEATS and (each.cpu_share or 0) > CPU_SHARE]
    if not full:
        return []
    worst = max(full, key=lambda each: each.cpu_share or 0)
    saw = f"worker {worst.name} used {_share(worst.cpu_share)} of a core (limit {_share(CPU_SHARE)})"
    why = "a worker is one thread: near a full core it, and not the provider, sets the pace"
    hint = "use more workers (--workers) or less load"
    return [Finding(code="client-cpu", severity="invalid", saw=saw, why=why, hint=hint)]


def _pauses(workers: Sequence[Worker]) -> list[Finding]:
    worst_s = max((each.gc_pause_s for each in workers), default=0.0)
    if worst_s <= GC_PAUSE_S:
        return []
    why = "nothing is sent or read meanwhile"
    saw = f"the garbage collector stopped a worker for {_ms(worst_s)}"
    return [Finding(code="gc-pause", severity="note", saw=saw, why=why, hint="use more workers, or shorter stages")]


def _ports(workers: Sequence[Worker]) -> list[Finding]:
    worst = max((each.ports_share or 0.0 for each in workers), default=0.0)
    if worst <= PORTS_SHARE:
        return []
    why = "when they run out, connecting fails for a reason that is not the provider's"
    saw = f"{_share(worst)} of the machine's ephemeral ports were taken"
    hint = "widen net.ipv4.ip_local_port_range, or spread the workers over more machines"
    return [Finding(code="ports", severity="suspect", saw=saw, why=why, hint=hint)]


def _schedule(results: Sequence[Result], workers: Sequence[Worker], limits: dict[int, int]) -> list[Finding]:
    """Arrivals that were late or never sent: the client's fault unless as many requests were under way as allowed."""
    most = sum(max((each.most_in_flight for each in group), default=0) for group in _by_process(workers))
    found = []
    for result in results:
        saw = _late(result)
        if saw is None or result.stage is None:
            continue
        limit = limits.get(result.stage, 0)
        if most < _FULL_SHARE * limit:
            why = (
                f"at most {most} of {limit} allowed requests were under way: the client was too slow, not the provider"
            )
            hint = "use more workers (--workers), or a lower rate"
            found.append(Finding(code="late-sends", severity="invalid", saw=saw, why=why, hint=hint))
        else:
            why = f"all {limit} allowed requests were under way: the provider did not keep up with the rate"
            hint = "this is the provider's; a higher max_in_flight lets more of it wait there instead of here"
            found.append(Finding(code="late-sends", severity="note", saw=saw, why=why, hint=hint))
    return found


def _by_process(workers: Sequence[Worker]) -> list[list[Worker]]:
    """The repeats of each worker together: `r2-w1` is the second repeat of w1."""
    groups: dict[str, list[Worker]] = {}
    for each in workers:
        groups.setdefault(each.name.rpartition("-")[2], []).append(each)
    return list(groups.values())


def _late(result: Result) -> str | None:
    """What was late about a result's schedule, if it matters."""
    who = f"{result.target} {result.workload}"
    dropped = result.outcomes.get("dropped", 0)
    if dropped > (1 - ACHIEVED_SHARE) * result.attempted:
        return f"{who}: {dropped} of {result.attempted} arrivals were not sent in time"
    lag, first = result.lag_s, result.ttft_s or result.e2e_s
    if lag is None or lag.p99 is None or first is None or first.p50 is None or lag.p99 <= LAG_OF_TTFT * first.p50:
        return None
    return f"{who}: sends were late by {_ms(lag.p99)} (p99), more than 10 % of a TTFT of {_ms(first.p50)}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.0%}"
