"""Everything that a summary says of capacity: scaling, diagnosis, relations, outliers, trends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from analysis.loads.diagnosis import diagnose
from analysis.loads.drift import trends_of
from analysis.loads.relations import outliers_of, relations_of
from analysis.loads.sweeps import Measured, by_worker, client_limit, grouped, scaled
from analysis.records.capacity_record import Diagnosis, Relation, Scaling, Sweep, Trend
from analysis.summary import Finding, Result
from harness.records.health_record import Health


@dataclass(frozen=True)
class Capacity:
    """What is known: the results with their scaling and outliers, and the parts of the summary beside them."""

    results: tuple[Result, ...]
    sweeps: tuple[Sweep, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    relations: tuple[Relation, ...] = ()
    trends: tuple[Trend, ...] = ()


def capacity_of(
    measured: Sequence[Measured],
    run: Mapping[str, Any],
    health: Sequence[Health],
    findings: Sequence[Finding],
    slo: Mapping[str, float | None],
) -> Capacity:
    """Look at all stages of all targets. `run`: run.json, empty where it is missing; `findings`: those of validity."""
    workers = by_worker(health)
    scalings: dict[int, Scaling] = {}
    sweeps, diagnoses, relations = [], [], []
    for group in grouped(measured).values():
        limits = [client_limit(each, workers, findings) for each in group]
        sweep, own, _ = scaled(group, limits, slo)
        scalings |= {id(each): scaling for each, scaling in zip(group, own, strict=True)}
        sweeps.append(sweep)
        diagnoses.append(diagnose(group, limits, run))
        relations += relations_of(group)
    results = [
        msgspec.structs.replace(each.result, scaling=scalings[id(each)], outliers=outliers_of(each))
        for each in measured
    ]
    trends = [trend for each in measured for trend in trends_of(each)]
    return Capacity(tuple(results), tuple(sweeps), tuple(diagnoses), tuple(relations), tuple(trends))
