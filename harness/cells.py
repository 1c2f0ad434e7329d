"""The cells of a plan, and the order in which they are run.

A cell is one target under one workload at one stage. A repeat runs every cell once; within a repeat the targets
take turns in a seeded order, so that what changes with time hits all of them alike.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from harness.plan import Plan, Stage, Target, Workload


@dataclass(frozen=True)
class Cell:
    """One target under one workload at one stage. `stage_index` counts the stages of that workload."""

    target: Target
    workload: Workload
    stage_index: int
    stage: Stage
    warmup_s: float

    @property
    def span_s(self) -> float:
        """How long requests are started: warm-up and duration."""
        return self.warmup_s + self.stage.duration_s

    @property
    def entry(self) -> str:
        """The cell's name in Locust's statistics: target and workload."""
        return entry_name(self.target.name, self.workload.name)


def entry_name(target: str, workload: str) -> str:
    """The Name column of Locust's statistics."""
    return f"{target} {workload}"


def cells(plan: Plan, repeat: int, simulator_url: str | None = None) -> tuple[Cell, ...]:
    """Every cell of the plan in the order of one repeat (counted from 1).

    Workloads and stages keep the order of the plan; at each of them the targets come in an order drawn from
    `plan.seed` and `repeat`. A cell whose fault cannot be injected is left out: see `left_out`.
    `simulator_url`: where the embedded simulator listens, if the plan's targets have that address already.
    """
    rng = random.Random(f"{plan.seed}/order/{repeat}")  # noqa: S311  (a schedule, not a secret)
    ordered: list[Cell] = []
    for workload in plan.workloads:
        for index, stage in enumerate(stages_of(plan, workload)):
            fitting = [target for target in plan.targets if target.kind == workload.kind]
            rng.shuffle(fitting)
            warmup_s = plan.warmup_s if stage.warmup_s is None else stage.warmup_s
            made = [target for target in fitting if _can_inject(target, stage, simulator_url)]
            ordered += [Cell(target, workload, index, stage, warmup_s) for target in made]
    return tuple(ordered)


def _can_inject(target: Target, stage: Stage, simulator_url: str | None = None) -> bool:
    """Whether a stage can be run against a target: nobody but the provider can answer that a limit is passed."""
    played = target.simulated or (simulator_url is not None and target.base_url.startswith(simulator_url))
    return stage.inject is None or played or stage.inject.kind != "rate_limit"


def left_out(plan: Plan) -> tuple[tuple[Target, Workload, Stage], ...]:
    """What the plan says and cannot be done."""
    return tuple(
        (target, workload, stage)
        for workload in plan.workloads
        for stage in stages_of(plan, workload)
        for target in plan.targets
        if target.kind == workload.kind and not _can_inject(target, stage)
    )


def stages_of(plan: Plan, workload: Workload) -> tuple[Stage, ...]:
    """The stages a workload runs through: its own, else the plan's."""
    return workload.stages or plan.stages
