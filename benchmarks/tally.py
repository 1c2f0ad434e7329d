"""A whole run of the benchmark, and the medians that its tables show."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import msgspec

from benchmarks.measure import Measurement
from benchmarks.memory import Memory
from benchmarks.timing import Dist
from benchmarks.workloads import START_UP


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run; `results.json` holds nothing else.

    cores     the simulator's, and the client's
    clients   name and description of each client that was to run; `rivals` are those made by others
    skipped   clients without figures, and why
    """

    quick: bool
    command: str
    took_s: float
    cores: tuple[int, int]
    machine: dict[str, Any]
    clients: dict[str, str]
    rivals: list[str]
    skipped: dict[str, str]
    measurements: list[Measurement]
    memory: Memory | None

    def runs(self, client: str, load: str) -> list[Measurement]:
        """The measurements of a client under a load, one a round."""
        return [one for one in self.measurements if one.client == client and one.load == load]

    def loads(self) -> list[str]:
        """The loads that were measured, in the order of their first round, without the one that is taken off."""
        return list(dict.fromkeys(one.load for one in self.measurements if one.load != START_UP.name))


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the rounds of one client under one load. `start_up_s` has been taken off the CPU, but not off
    `steady_us`. `incomplete` requests of all rounds together."""

    us_per_chunk: float
    low_us: float
    high_us: float
    steady_us: float | None
    requests_per_cpu_s: float
    start_up_s: float
    incomplete: int
    chunks_per_s: float
    peak_rss_bytes: float
    simulator_share: float


def cost(results: Results, client: str, load: str) -> Cost | None:
    """What a client costs under a load. None where it, or its start-up, was not measured."""
    runs, starts = results.runs(client, load), results.runs(client, START_UP.name)
    if not runs or not starts:
        return None
    start_s, start_chunks = median(one.cpu_s for one in starts), median(one.chunks for one in starts)
    per_chunk = [(one.cpu_s - start_s) / max(1.0, one.chunks - start_chunks) * 1e6 for one in runs]
    return Cost(
        us_per_chunk=median(per_chunk),
        low_us=min(per_chunk),
        high_us=max(per_chunk),
        steady_us=middle(one.steady_us_per_chunk for one in runs),
        requests_per_cpu_s=median(one.requests / max(1e-6, one.cpu_s - start_s) for one in runs),
        start_up_s=start_s,
        incomplete=sum(one.incomplete for one in runs),
        chunks_per_s=median(one.chunks / one.span_s for one in runs),
        peak_rss_bytes=median(one.peak_rss_bytes for one in runs),
        simulator_share=median(one.simulator_share for one in runs),
    )


def middle(values: Iterable[float | None]) -> float | None:
    """The median of what there is."""
    some = [value for value in values if value is not None]
    return median(some) if some else None


def middles(runs: Iterable[Measurement], which: Callable[[Measurement], Dist | None]) -> tuple[float | None, ...]:
    """Medians over the rounds of a distribution's mean, p50 and p99, in milliseconds."""
    dists = [found for one in runs if (found := which(one)) is not None]
    return tuple(middle(getattr(found, part) for found in dists) for part in ("mean_ms", "p50_ms", "p99_ms"))
