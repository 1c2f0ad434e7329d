"""The records of `summary.json` that say how a provider scales, what holds it up, and what changes while it is asked.

Definitions and refusal rules: docs/capacity.md.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from analysis.records.record import Estimate
from harness.records.search_record import Answer, Question, StepRecord

Shape = Literal["linear", "contention", "ceiling", "retrograde"]
CauseName = Literal[
    "client",
    "network",
    "throttling",
    "provider queueing",
    "decode saturation",
    "prefill bound",
    "connection set-up",
    "slow replica",
    "cold start",
    "cache effect",
]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of what a summary says of capacity."""


class Usl(Part, frozen=True, kw_only=True):
    """The Universal Scalability Law X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)), fitted to requests/s
    against the mean in flight.

    `shape` is the simplest law that describes the points: `linear`, `contention` (kappa = 0), `ceiling` (a hard limit,
    which is no USL: then `max_rps` is that limit), `retrograde` (throughput falls again). Only the last has a knee:
    `n_star`, the load of the highest throughput, and `max_rps`, that throughput. `refused` says why something is not
    told. `residual` is the root mean square of the relative errors of the points; `lack_of_fit_p` the p-value of the
    F test of lack of fit against the spread of repeats.
    """

    points: int
    shape: Shape | None = None
    lambda_rps: Estimate | None = None
    sigma: Estimate | None = None
    kappa: Estimate | None = None
    n_star: Estimate | None = None
    max_rps: Estimate | None = None
    residual: float | None = None
    lack_of_fit_p: float | None = None
    refused: str | None = None


class Scaling(Part, frozen=True, kw_only=True):
    """How one stage of a sweep compares with the lowest load of the same target and workload.

    `in_flight` is N, measured; `workers` how many processes made the load, which is not N. `efficiency`: X(N) / N over
    the same at the lowest load. `load_handling`: requests that ended ok / those asked for (due, or sent where nothing
    is due); `slo_attainment`: those of them within every limit too. `degradation`: each metric over the same at the
    lowest load. `left_out`: why the stage is not in the fit. `usl` is that of all stages together.
    """

    in_flight: float | None
    workers: int | None = None
    efficiency: Estimate | None = None
    load_handling: Estimate | None = None
    slo_attainment: float | None = None
    output_tokens_per_s_per_user: float | None = None
    degradation: dict[str, Estimate] = {}
    left_out: str | None = None
    usl: Usl | None = None


class Band(Part, frozen=True, kw_only=True):
    """The fitted throughput at a load, and its 95 % interval."""

    in_flight: float
    rps: float
    low_rps: float
    high_rps: float


class ConcurrentCapacity(Part, frozen=True, kw_only=True):
    """The largest load of the sweep at which, and at every lower one, at least `wanted` of the attempts met the SLO.
    `exceeded`: a higher load was tested and missed it; otherwise the limit lies beyond what was tested."""

    in_flight: float
    stage: int
    attainment: float
    wanted: float
    exceeded: bool


class Sweep(Part, frozen=True, kw_only=True):
    """The stages of a target under a workload, taken together as loads."""

    target: str
    workload: str
    usl: Usl
    band: tuple[Band, ...] = ()
    left_out: dict[int, str] = {}  # why, by stage
    concurrent_capacity: ConcurrentCapacity | None = None


class CapacitySearch(Part, frozen=True, kw_only=True):
    """A search for the largest load at which a target keeps an SLO: what was asked, what was found (None: it has not
    ended), how many requests it took and in which steps."""

    target: str
    workload: str
    slo: dict[str, float | None]
    question: Question
    answer: Answer | None
    requests: int
    steps: tuple[StepRecord, ...]


class Cause(Part, frozen=True, kw_only=True):
    """One thing that holds a target up. `strength`: the share of the time or the requests it strikes that it accounts
    for, of which `of` says what they are. `plot`: the figure of the report that shows it."""

    cause: CauseName
    strength: float
    of: str
    saw: str
    numbers: dict[str, float]
    plot: str
    hint: str


class Diagnosis(Part, frozen=True, kw_only=True):
    """What holds a target up under a workload, the strongest first; nothing where nothing was found. `unchecked`: what
    could not be looked for, and why."""

    target: str
    workload: str
    causes: tuple[Cause, ...] = ()
    unchecked: dict[str, str] = {}


class Relation(Part, frozen=True, kw_only=True):
    """Spearman's rank correlation of something about requests with a latency of them.

    `rho` is the mean over stages and repeats (each on its own), with Student's t interval over the repeats.
    """

    target: str
    workload: str
    factor: str
    latency: str
    rho: Estimate
    n: int


class Outliers(Part, frozen=True, kw_only=True):
    """Requests whose latency is far from that of the others of its stage. They stay in every figure."""

    latency: str
    method: str
    low_s: float | None
    high_s: float | None
    n: int
    share: float
    worst: tuple[str, ...] = ()  # prompt ids, the worst first


class ChangePoint(Part, frozen=True, kw_only=True):
    """When a level changed, in seconds after the cell's first arrival, and by what ratio."""

    at_s: float
    ratio: float


class Trend(Part, frozen=True, kw_only=True):
    """What a latency did in the course of one repeat of a cell.

    `drift`: the ratio of end to beginning by the Theil-Sen line, with its interval; `drift_p`: Mann and Kendall's test.
    `settled_s`: when the beginning was over (MSER-5), which `warmup_s` should cover. `changes`: where the level jumped.
    """

    target: str
    workload: str
    stage: int
    repeat: int
    latency: str
    n: int
    drift: Estimate | None = None
    drift_p: float | None = None
    settled_s: float | None = None
    warmup_s: float = 0.0
    changes: tuple[ChangePoint, ...] = ()
    says: tuple[str, ...] = ()
