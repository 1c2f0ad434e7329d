"""What the project set itself, as limits on what was measured: the table that says which are met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.measure import Measurement
from benchmarks.memory import Memory
from benchmarks.tally import middle
from benchmarks.timing import Dist, Errors

_OURS = "tokenswarm"
_FLOOR = "C reader"
_NAIVE = "naive Locust"
_HEAVY = ("aiperf", "guidellm")
_DONE = (0, 3)  # valid; judged invalid
_MIB, _GIB = 2**20, 2**30
CostOf = Callable[[str, str], float | None]


class Aim(NamedTuple):
    """One limit. `measured` is None where it was not."""

    what: str
    limit: float
    measured: float | None
    unit: str = ""

    @property
    def verdict(self) -> str:
        """Met, missed, or not measured."""
        if self.measured is None:
            return "not measured"
        return "met" if self.measured <= self.limit else "**missed**"


def aims(measurements: list[Measurement], rivals: list[str], cost_us: CostOf, memory: Memory | None) -> list[Aim]:
    """All of them. `cost_us(client, load)` is the median CPU per chunk; `rivals` are the tools of others."""
    found = [*_costs(rivals, cost_us), *_errors(measurements)]
    return found + (list(_memory(memory)) if memory is not None else [])


def _costs(rivals: list[str], cost_us: CostOf) -> Iterator[Aim]:
    def ratio(load: str, other: str | None, limit: float) -> Aim:
        ours, its = cost_us(_OURS, load), cost_us(other, load) if other else None
        name = other or "best other tool"
        return Aim(f"{load}: CPU per chunk / that of {name}", limit, ours / its if ours and its else None)

    known = {name: us for name in rivals if (us := cost_us(name, "paced"))}
    yield ratio("paced", _NAIVE, 0.5)
    yield ratio("paced", min(known, key=lambda name: known[name]) if known else None, 0.5)
    yield from (ratio("paced", name, 0.1) for name in _HEAVY)
    yield ratio("paced", _FLOOR, 2.5)
    yield ratio("zero-gap", _NAIVE, 0.75)
    yield from (ratio("zero-gap", name, 0.15) for name in (*_HEAVY, "genai-bench"))


def _errors(measurements: list[Measurement]) -> Iterator[Aim]:
    def p99(load: str, which: Callable[[Errors], Dist | None]) -> float | None:
        mine = [one.errors for one in measurements if one.client == _OURS and one.load == load and one.errors]
        return middle(found.p99_ms for one in mine if (found := which(one)) is not None)

    limits: tuple[tuple[str, float | None, float | None], ...] = (
        ("zero-gap", 2.0, None),
        ("paced-500", 0.5, 0.5),
        ("paced-1000", 2.0, 0.5),
        ("paced-2000", None, 2.0),
    )
    for load, first_ms, itl_ms in limits:
        if first_ms is not None:
            yield Aim(
                f"{load}: p99 error of the first event's stamp", first_ms, p99(load, lambda e: e.first_stamp), "ms"
            )
        if itl_ms is not None:
            yield Aim(f"{load}: p99 error of ITL", itl_ms, p99(load, lambda e: e.itl), "ms")


def _memory(memory: Memory) -> Iterator[Aim]:
    yield Aim("journal: most resident memory", 200, max(memory.written.rss_bytes) / _MIB, "MiB")
    done = memory.analyze_exit_code in _DONE
    yield Aim("analyze: peak memory", 1.5, memory.analyze_peak_bytes / _GIB if done else None, "GiB")
    yield Aim("analyze: time", 20, memory.analyze_s if done else None, "s")
