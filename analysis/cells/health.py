"""Was the load generator itself the bottleneck? What `health.jsonl` says of it.

Rows count while their worker was measuring, stage by stage: the worst worker in the worst stage decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from analysis.samples import Samples
from analysis.summary import Finding, Result
from harness.errors import UNREADABLE
from harness.records.health_record import LAG_BOUNDS_S, Health, decode_health
from harness.rundir import RunDir

LOOP_LAG_S = 0.005
CPU_SHARE = 0.9
WAIT_SHARE = 0.1
GC_PAUSE_S = 0.020
PORTS_SHARE = 0.8
MACHINE_SHARE = 0.97
UNWATCHED_S = 5.0
_FEWEST_S = 3.0  # a shorter span says little of the CPU
# What is late belongs to one hiccup of the machine unless there is this much of it, or it comes back.
HICCUP_COUNT = 20
HICCUP_SECONDS = 3
_HINT_FULL = "use more workers (--workers), a machine of its own for the load, or less load"
_HINT_ROBBED = "end what else runs there, or give the load a machine of its own"


@dataclass(frozen=True)
class Span:
    """When a worker measured in a stage, in ns after the worker's anchor."""

    worker: str
    stage: int
    begin_ns: float
    end_ns: float


@dataclass(frozen=True)
class Worker:
    """What the rows of one worker of one repeat amount to, while it measured in one stage (None: in whichever).
    `late_beats` and `late_rows`: how many beats were later than `LOOP_LAG_S`, and in how many rows."""

    name: str
    stage: int | None
    span_s: float
    late_beats: int
    late_rows: int
    loop_lag_p99_s: float | None
    cpu_share: float | None
    cpu_wait_share: float | None
    machine_share: float | None
    gc_pause_s: float
    ports_share: float | None

    @property
    def cpu_wanted(self) -> float:
        """The share of a core that it used or waited for."""
        return (self.cpu_share or 0) + (self.cpu_wait_share or 0)

    @property
    def robbed(self) -> bool:
        """Whether others kept it from running for a good part of the time."""
        return (self.cpu_wait_share or 0) > WAIT_SHARE

    @property
    def place(self) -> str:
        """How findings name it."""
        return f"worker {self.name}" + ("" if self.stage is None else f", stage {self.stage}")


class Stamped(Protocol):
    """Samples of which is known who stamped how many of them."""

    @property
    def stamps(self) -> Mapping[str, int]:
        """How many, by who."""


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
        except UNREADABLE:
            continue
    return rows


def spans_of(samples: Samples, results: Sequence[Result]) -> list[Span]:
    """When each worker measured: the steady windows of its cells, in every repeat."""
    keys = ["target", "workload", "stage", "repeat"]
    if samples.table.empty:
        return []
    windows = {(each.target, each.workload, each.stage): each.window for each in results}
    due = samples.on_axis("due_ns")
    arrival = np.where(np.isnan(due), samples.on_axis("start_ns"), due)
    every = samples.table[[*keys, "worker", "axis_ns"]].assign(arrival=arrival)
    cells = every.groupby([*keys, "worker"], observed=True, as_index=False).agg({"arrival": "min", "axis_ns": "min"})
    cells["first"] = cells.groupby(keys, observed=True)["arrival"].transform("min")
    spans = []
    for cell in cells.itertuples():
        window = windows.get((str(cell.target), str(cell.workload), int(cell.stage)))  # type: ignore[arg-type]
        if window is not None:
            zero_ns = float(cell.first) - float(cell.axis_ns)  # type: ignore[arg-type]
            begin_ns, end_ns = zero_ns + window.begin_s * 1e9, zero_ns + window.end_s * 1e9
            spans.append(Span(str(cell.worker), int(cell.stage), begin_ns, end_ns))  # type: ignore[arg-type]
    return spans


def workers_of(rows: Iterable[Health], spans: Iterable[Span]) -> list[Worker]:
    """One record for each worker and stage, from the rows whose middle lies in one of its spans; in order of names."""
    measured: dict[str, list[Span]] = {}
    for span in spans:
        measured.setdefault(span.worker, []).append(span)
    found: dict[tuple[str, int], list[Health]] = {}
    for row in rows:
        middle_ns = row.t_ns - row.span_s * 1e9 / 2
        for stage in {span.stage for span in measured.get(row.worker, ()) if span.begin_ns <= middle_ns < span.end_ns}:
            found.setdefault((row.worker, stage), []).append(row)
    return [worker_of(name, stage, mine) for (name, stage), mine in sorted(found.items())]


def worker_of(name: str, stage: int | None, rows: Sequence[Health]) -> Worker:
    """What rows of one worker, at least one, amount to."""
    known = [row.loop_lag_counts for row in rows if len(row.loop_lag_counts) == len(LAG_BOUNDS_S) + 1]
    counts = np.array(known, dtype=np.int64).reshape(len(known), len(LAG_BOUNDS_S) + 1)
    late = counts[:, LAG_BOUNDS_S.index(LOOP_LAG_S) + 1 :].sum(axis=1)
    spans = np.array([row.span_s for row in rows])
    ports = [(row.ephemeral_ports_used or 0) / row.ephemeral_ports for row in rows if row.ephemeral_ports]
    return Worker(
        name=name,
        stage=stage,
        span_s=float(spans.sum()),
        late_beats=int(late.sum()),
        late_rows=int((late > 0).sum()),
        loop_lag_p99_s=_pooled_p99(counts.sum(axis=0)),
        cpu_share=_mean([row.cpu_share for row in rows], spans),
        cpu_wait_share=_mean([row.cpu_wait_share for row in rows], spans),
        machine_share=_mean([row.machine_cpu_share for row in rows], spans),
        gc_pause_s=max(row.gc_pause_s or 0.0 for row in rows),
        ports_share=max(ports, default=None),
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


def health_findings(rows: Sequence[Health], samples: Samples, results: Sequence[Result]) -> list[Finding]:
    """Doubts about the generator."""
    if not rows:
        return _unwatched(results)
    return [*judge_workers(workers_of(rows, spans_of(samples, results)), results), *_cut_short(rows, samples)]


def judge_workers(workers: Sequence[Worker], results: Sequence[Stamped]) -> list[Finding]:
    """Doubts about the generator from what its workers saw of themselves."""
    kernel_stamps = bool(results) and all(set(result.stamps) <= {"kernel"} for result in results)
    return [
        *_slow_loop(workers, kernel_stamps=kernel_stamps),
        *_busy_cpu(workers),
        *_pauses(workers),
        *_ports(workers),
    ]


def _unwatched(results: Sequence[Result]) -> list[Finding]:
    if not results:
        return []
    why = "whether the client was the bottleneck is not known"
    return [Finding(code="no-health", severity="note", saw="no health.jsonl", why=why, hint="run it again")]


def _cut_short(rows: Sequence[Health], samples: Samples) -> list[Finding]:
    """Workers whose rows stop well before their samples do."""
    watched = {row.worker: row.t_ns for row in sorted(rows, key=lambda row: row.t_ns)}
    last = samples.table.groupby("worker", observed=True)["end_ns"].max()
    gaps = {str(name): float(end_ns) - watched.get(str(name), 0) for name, end_ns in last.items()}
    cut = {name: gap_ns / 1e9 for name, gap_ns in gaps.items() if gap_ns > UNWATCHED_S * 1e9}
    if not cut:
        return []
    worst = max(cut, key=lambda name: cut[name])
    saw = f"{len(cut)} of {len(last)} workers not watched to their end: {worst} for its last {cut[worst]:.0f} s"
    why = "whether the client was the bottleneck in that time is not known"
    hint = "see locust/*.log; was a worker killed, or the disk full?"
    return [Finding(code="health-cut", severity="suspect", saw=saw, why=why, hint=hint)]


def more_than_a_hiccup(count: int, seconds: int) -> bool:
    """Whether so much that was late, in so many different seconds, is more than one short stop of the machine."""
    return count >= HICCUP_COUNT or seconds >= HICCUP_SECONDS


def _slow_loop(workers: Sequence[Worker], *, kernel_stamps: bool) -> list[Finding]:
    slow = [
        each
        for each in workers
        if (each.loop_lag_p99_s or 0) > LOOP_LAG_S and more_than_a_hiccup(each.late_beats, each.late_rows)
    ]
    if not slow:
        return []
    worst = max(slow, key=lambda each: each.loop_lag_p99_s or 0)
    lag_s = worst.loop_lag_p99_s or 0
    late = f"the event loop was up to {in_ms(lag_s)} late (p99; limit {in_ms(LOOP_LAG_S)})"
    saw = f"{worst.place}: {late}, {_cause(worst)}"
    hint = _HINT_ROBBED if worst.robbed else _HINT_FULL
    why = "the client was a bottleneck: what it measured is partly its own slowness"
    if kernel_stamps:
        why = "the client was a bottleneck: it sent late, and less; arrivals were stamped by the kernel and are true"
    return [Finding(code="loop-lag", severity="invalid", saw=saw, why=why, hint=hint)]


def _cause(worker: Worker) -> str:
    """What the CPU figures say of why."""
    if worker.robbed:
        return f"and {_robbed(worker)}"
    if (worker.cpu_share or 0) > CPU_SHARE:
        return f"with its core full ({_share(worker.cpu_share)}): too much load for one worker"
    if (worker.machine_share or 0) > MACHINE_SHARE:
        return f"with {_share(worker.cpu_share)} of a core on a machine that was {_share(worker.machine_share)} busy"
    return f"with {_share(worker.cpu_share)} of a core: something else held its core, or it was held up"


def _robbed(worker: Worker) -> str:
    waited = f"waited {_share(worker.cpu_wait_share)} of the time for a core that others held"
    return f"{waited} (it had one for {_share(worker.cpu_share)}, the machine was {_share(worker.machine_share)} busy)"


def _busy_cpu(workers: Sequence[Worker]) -> list[Finding]:
    full = [each for each in workers if each.span_s >= _FEWEST_S and each.cpu_wanted > CPU_SHARE]
    if not full:
        return []
    worst = max(full, key=lambda each: each.cpu_wanted)
    why = "a worker is one thread: near a full core it, and not the provider, sets the pace"
    used = f"{_share(worst.cpu_share)} of a core used (limit {_share(CPU_SHARE)})"
    saw = f"{worst.place}: {_robbed(worst) if worst.robbed else used}"
    hint = _HINT_ROBBED if worst.robbed else _HINT_FULL
    return [Finding(code="client-cpu", severity="invalid", saw=saw, why=why, hint=hint)]


def _pauses(workers: Sequence[Worker]) -> list[Finding]:
    worst_s = max((each.gc_pause_s for each in workers), default=0.0)
    if worst_s <= GC_PAUSE_S:
        return []
    why = "nothing is sent or read meanwhile"
    saw = f"the garbage collector stopped a worker for {in_ms(worst_s)}"
    return [Finding(code="gc-pause", severity="note", saw=saw, why=why, hint="use more workers, or shorter stages")]


def _ports(workers: Sequence[Worker]) -> list[Finding]:
    worst = max((each.ports_share or 0.0 for each in workers), default=0.0)
    if worst <= PORTS_SHARE:
        return []
    why = "when they run out, connecting fails for a reason that is not the provider's"
    saw = f"{_share(worst)} of the machine's ephemeral ports were taken"
    hint = "widen net.ipv4.ip_local_port_range, or spread the workers over more machines"
    return [Finding(code="ports", severity="suspect", saw=saw, why=why, hint=hint)]


def in_ms(seconds: float) -> str:
    """Milliseconds, as people read them."""
    return f"{seconds * 1e3:.3g} ms"


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{value:.0%}"
