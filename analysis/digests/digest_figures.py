"""The figures of a digest: what a span says of each target, and how that differs from the span before. Pure.

Intervals come from whole hours drawn anew, with replacement, within each span (a block bootstrap: requests of an hour
are alike, hours are less so); Künsch, Annals of Statistics 17 (1989). They are given from `LEAST_HOURS` hours on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from analysis.digests.digest_hours import LATENCIES, Hour, together
from analysis.quantiles import needed
from analysis.watching.slices import Sketch, log_quantiles, share_above
from harness.plan import Slo

LEAST_HOURS = 6
_DRAWS = 1000
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_COMPARED = ("ttft.p50", "ttft.p95", "tpot.p50", "e2e.p50", "e2e.p95")
Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Change:
    """One metric now and in the span before. `by` is the ratio less one of a latency and the difference of a share;
    `ci95` its interval (None: too few hours), `clear`: zero lies outside it, and it is `worse` or not."""

    metric: str
    before: float
    now: float
    by: float
    ci95: tuple[float, float] | None
    clear: bool
    worse: bool


@dataclass(frozen=True)
class Kept:
    """One objective: of `valid` attempts, `good` kept it; `promised` must. `budget_used`: the part of the failures that
    the promise allows in this span that there were; above 1 it is broken."""

    objective: str
    promised: float
    good: int
    valid: int

    @property
    def compliance(self) -> float:
        """The part that kept it."""
        return self.good / self.valid

    @property
    def budget_used(self) -> float:
        """Failures over those that are allowed."""
        return (1 - self.compliance) / (1 - self.promised)


@dataclass(frozen=True)
class Row:
    """One target and workload over a span. Latencies in s by `ttft.p95` and the like; None: too few values."""

    target: str
    workload: str
    whole: Hour
    hours: list[Hour]
    availability: float | None
    latencies: dict[str, float | None]
    changes: list[Change] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


def row_of(place: tuple[str, str], hours: list[Hour], before: Sequence[Hour], slo: Slo, latency_target: float) -> Row:
    """What some hours say, held against those of the span before (none: nothing to hold against)."""
    whole = together(hours)
    return Row(
        target=place[0],
        workload=place[1],
        whole=whole,
        hours=hours,
        availability=_availability(whole),
        latencies={f"{name}.{at}": quantile(whole.spreads.get(name), at) for name in LATENCIES for at in _QUANTILES},
        changes=_changes(hours, before),
        kept=_kept(whole, slo, latency_target),
    )


def _availability(hour: Hour) -> float | None:
    """The part of the attempts that ended ok of those that ended ok or by a fault of the provider."""
    return hour.ok / (hour.ok + hour.failed) if hour.ok + hour.failed else None


def quantile(counts: Sketch | None, name: str) -> float | None:
    """A quantile in s, to 1 %; None where there are too few values for it."""
    share = _QUANTILES[name]
    if not counts or sum(counts.values()) < needed(share):
        return None
    return math.exp(log_quantiles(counts, (share,))[0])


def _kept(whole: Hour, slo: Slo, latency_target: float) -> list[Kept]:
    found: list[Kept] = []
    if slo.availability is not None and slo.availability < 1 and whole.ok + whole.failed:
        found.append(Kept("availability", slo.availability, whole.ok, whole.ok + whole.failed))
    for name in LATENCIES:
        limit_s = getattr(slo, f"{name}_s")
        counts = whole.spreads.get(name)
        if limit_s is not None and counts:
            valid = sum(counts.values())
            good = valid - round(share_above(counts, math.log(limit_s)) * valid)
            found.append(Kept(f"{name}_s<={float(limit_s)}", latency_target, good, valid))
    return found


def _changes(hours: Sequence[Hour], before: Sequence[Hour]) -> list[Change]:
    """Every metric that both spans have."""
    spans = [[hour for hour in span if hour.counted] for span in (before, hours)]
    if not all(spans):
        return []
    found = [_change_of("availability", [_shares(span) for span in spans])]
    for metric in _COMPARED:
        name, _, at = metric.partition(".")
        if all(quantile(together(span).spreads.get(name), at) is not None for span in spans):
            found.append(_change_of(metric, _quantiles(spans, name, _QUANTILES[at])))
    return [each for each in found if each is not None]


def _change_of(metric: str, spans: Sequence[tuple[int, Statistic]]) -> Change | None:
    """A metric as functions of how often each hour counts, for both spans."""
    ratio = metric != "availability"
    rng = np.random.default_rng(0)
    drawn: list[Floats] = []
    values: list[float] = []
    for length, statistic in spans:
        values.append(float(statistic(np.ones((1, length)))[0]))
        drawn.append(statistic(rng.multinomial(length, np.full(length, 1 / length), _DRAWS).astype(np.float64)))
    before, now = values
    if not (math.isfinite(before) and math.isfinite(now)):
        return None
    by = now / before - 1 if ratio else now - before
    ci95 = None
    if min(length for length, _ in spans) >= LEAST_HOURS:
        moved = drawn[1] / drawn[0] - 1 if ratio else drawn[1] - drawn[0]
        low, high = np.nanquantile(moved, [0.025, 0.975])
        ci95 = (float(low), float(high))
    clear = ci95 is not None and not ci95[0] <= 0 <= ci95[1]
    return Change(metric, before, now, by, ci95, clear, worse=(by > 0) is ratio)


def _shares(hours: Sequence[Hour]) -> tuple[int, Statistic]:
    ok = np.array([hour.ok for hour in hours], dtype=np.float64)
    failed = np.array([hour.failed for hour in hours], dtype=np.float64)

    def statistic(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.asarray((weights @ ok) / (weights @ (ok + failed)), dtype=np.float64)

    return len(hours), statistic


def _quantiles(spans: Sequence[Sequence[Hour]], name: str, share: float) -> list[tuple[int, Statistic]]:
    return [(len(span), _quantile_of([hour.spreads.get(name, {}) for hour in span], share)) for span in spans]


def _quantile_of(sketches: Sequence[Sketch], share: float) -> Statistic:
    """The quantile of weighted hours: their counts added up, evenly spread within a bucket."""
    low = min(min(counts) for counts in sketches if counts)
    high = max(max(counts) for counts in sketches if counts)
    counts = np.zeros((len(sketches), high - low + 1))
    for number, sketch in enumerate(sketches):
        for bucket, n in sketch.items():
            counts[number, bucket - low] = n

    def statistic(weights: Floats) -> Floats:
        summed = np.cumsum(weights @ counts, axis=1)
        wanted = share * summed[:, -1:]
        at = np.minimum((summed < wanted).sum(axis=1), counts.shape[1] - 1)
        rows = np.arange(len(weights))
        below = np.where(at > 0, summed[rows, np.maximum(at - 1, 0)], 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            part = (wanted[:, 0] - below) / (summed[rows, at] - below)
        return np.asarray(np.exp((low + at + part) / 100.0), dtype=np.float64)

    return statistic
