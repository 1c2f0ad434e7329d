"""The stages of a target under a workload, taken together: which count as load points, how each compares with the
lowest, and the law that they follow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.cells.health import judge_workers, worker_of
from analysis.cells.sends import place_of
from analysis.metrics import Window
from analysis.quantiles import interval
from analysis.records.capacity_record import ConcurrentCapacity, Scaling, Sweep
from analysis.records.record import Estimate
from analysis.scaling import Fit, Observations, band_of, fit_sweep
from analysis.summary import Finding, Result
from harness.plan import Stage
from harness.records.health_record import Health

THROTTLED_SHARE = 0.01
WANTED = 0.95
DEGRADING = ("ttft_s.p50", "ttft_s.p95", "itl_s.p50", "tpot_s.p50", "e2e_s.p50", "e2e_s.p95", "per_user_tokens_per_s")
_STEADY = 1.5
_LIMITS = ("ttft_s", "tpot_s", "e2e_s")


@dataclass(frozen=True)
class Measured:
    """A result with the windows that it was made of, and its stage in the plan."""

    result: Result
    windows: Sequence[Window]
    stage: Stage
    warmup_s: float

    @property
    def key(self) -> tuple[str, str]:
        """Target and workload."""
        return self.result.target, self.result.workload or ""


def grouped(measured: Sequence[Measured]) -> dict[tuple[str, str], list[Measured]]:
    """By target and workload; loads ascending by the mean in flight."""
    found: dict[tuple[str, str], list[Measured]] = {}
    for each in measured:
        found.setdefault(each.key, []).append(each)
    return {key: sorted(group, key=lambda each: each.result.in_flight_mean or 0) for key, group in found.items()}


def by_worker(health: Sequence[Health]) -> dict[str, list[Health]]:
    """The rows of each worker."""
    found: dict[str, list[Health]] = {}
    for row in health:
        found.setdefault(row.worker, []).append(row)
    return found


def client_limit(each: Measured, health: Mapping[str, Sequence[Health]], findings: Sequence[Finding]) -> str | None:
    """What shows that the client was the bottleneck of a stage; None where nothing does."""
    late = [f for f in findings if f.code == "late-sends" and f.severity == "invalid"]
    for finding in late:
        if finding.saw.startswith(f"{place_of(each.result)}:"):
            return finding.saw
    workers = [worker_of(name, each.result.stage, rows) for name, rows in _rows_of(each, health).items() if rows]
    invalid = [finding for finding in judge_workers(workers, [each.result]) if finding.severity == "invalid"]
    return invalid[0].saw if invalid else None


def _rows_of(each: Measured, health: Mapping[str, Sequence[Health]]) -> dict[str, list[Health]]:
    """The rows of each worker whose middle lies in a window of the stage."""
    found: dict[str, list[Health]] = {}
    for window in each.windows if health else ():
        table = window.samples.table
        codes = table["worker"].cat.codes.to_numpy()[window.everything]
        for code in np.unique(codes):
            name = str(table["worker"].cat.categories[code])
            anchor_ns = float(window.samples.column("axis_ns", window.everything[codes == code][:1])[0])
            found.setdefault(name, []).extend(
                row
                for row in health.get(name, ())
                if window.begin_ns <= row.t_ns - row.span_s * 5e8 + anchor_ns < window.end_ns
            )
    return found


def left_out(each: Measured, limit: str | None) -> str | None:
    """Why a stage is no load point; None where it is one."""
    stage, result = each.stage, each.result
    throttled = result.outcomes.get("throttled", 0) / result.attempted if result.attempted else 0.0
    if stage.end_concurrency is not None or stage.end_rate_rps is not None or stage.trace is not None:
        return "its load is not one number"
    if limit is not None:
        return f"the client was the bottleneck: {limit}"
    if throttled > THROTTLED_SHARE:
        return f"{throttled:.1%} of the requests were throttled (limit {THROTTLED_SHARE:.0%})"
    if not result.outcomes.get("ok") or not result.in_flight_mean:
        return "no request ended ok"
    if stage.open and _grows(each):
        return "the requests under way kept growing: it was asked for more than it can do, and there is no steady state"
    return None


def _grows(each: Measured) -> bool:
    """Whether more were under way in the last third of the window than in the first, in most repeats."""
    return sum(_growth(window) > _STEADY for window in each.windows) > len(each.windows) / 2


def _growth(window: Window) -> float:
    """The mean in flight of the last third of the window over that of the first; 1 more each for few."""
    start, end = (window.samples.on_axis(name, window.everything) for name in ("start_ns", "end_ns"))
    third = (window.end_ns - window.begin_ns) / 3
    if third <= 0:
        return 1.0
    parts = []
    for begin in (window.begin_ns, window.end_ns - third):
        inside = np.minimum(end, begin + third) - np.maximum(start, begin)
        parts.append(float(np.nansum(np.maximum(inside, 0))) / third)
    return (parts[1] + 1) / (parts[0] + 1)


def values_of(result: Result, metric: str) -> dict[int, float]:
    """A metric of each repeat, where it was measured; `per_user_tokens_per_s` is tokens/s over N."""
    if metric == "per_user_tokens_per_s":
        tokens, n = (values_of(result, name) for name in ("output_tokens_per_s", "in_flight_mean"))
        return {repeat: tokens[repeat] / n[repeat] for repeat in tokens.keys() & n.keys()}
    found = {each.repeat: each.values.get(metric) for each in result.repeat_values}
    return {repeat: value for repeat, value in found.items() if value is not None and value > 0}


def ratio_of(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate | None:
    """The geometric mean of the repeats' ratios, with Student's t interval of their logarithms."""
    logs = [math.log(ours[repeat] / theirs[repeat]) for repeat in sorted(ours.keys() & theirs.keys())]
    if not logs:
        return None
    ends = interval(logs)
    return Estimate(value=math.exp(float(np.mean(logs))), ci95=ends and (math.exp(ends[0]), math.exp(ends[1])))


def _per_load(result: Result) -> dict[int, float]:
    """X / N of each repeat."""
    x, n = (values_of(result, name) for name in ("throughput_rps", "in_flight_mean"))
    return {repeat: x[repeat] / n[repeat] for repeat in x.keys() & n.keys()}


def observations(points: Sequence[Measured]) -> Observations:
    """Throughput and load of every repeat of the load points, given in order of load."""
    rows = []
    for number, each in enumerate(points):
        x, n = (values_of(each.result, name) for name in ("throughput_rps", "in_flight_mean"))
        rows += [(number, repeat, n[repeat], x[repeat]) for repeat in sorted(x.keys() & n.keys())]
    point, repeat, n_all, x_all = (
        (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.empty(0)] * 4
    )
    return Observations(point.astype(np.int64), repeat.astype(np.int64), n_all.astype(float), x_all.astype(float))


def scaled(
    group: Sequence[Measured], limits: Sequence[str | None], slo: Mapping[str, float | None]
) -> tuple[Sweep, list[Scaling], Fit]:
    """The sweep of a target under a workload, and how each of its stages compares. `group` as `grouped` gives it."""
    reasons = [left_out(each, limit) for each, limit in zip(group, limits, strict=True)]
    points = [each for each, reason in zip(group, reasons, strict=True) if reason is None]
    seen = observations(points)
    fit = fit_sweep(seen)
    lowest = points[0].result if points else None
    scalings = [_scaling(each, lowest, reason, fit, slo) for each, reason in zip(group, reasons, strict=True)]
    sweep = Sweep(
        target=group[0].result.target,
        workload=group[0].result.workload or "",
        usl=fit.usl,
        band=band_of(fit, seen),
        left_out={each.result.stage or 0: why for each, why in zip(group, reasons, strict=True) if why is not None},
        concurrent_capacity=_capacity([each.result for each in points], scalings, slo),
    )
    return sweep, scalings, fit


def _scaling(
    each: Measured, lowest: Result | None, reason: str | None, fit: Fit, slo: Mapping[str, float | None]
) -> Scaling:
    result = each.result
    asked = values_of(result, "offered_rps") or values_of(result, "achieved_rps")
    tokens = values_of(result, "per_user_tokens_per_s")
    against = {} if lowest is None or lowest is result else _degradation(result, lowest)
    return Scaling(
        in_flight=result.in_flight_mean,
        workers=_workers(each),
        efficiency=None if lowest is None else ratio_of(_per_load(result), _per_load(lowest)),
        load_handling=_share(values_of(result, "completed_rps"), asked),
        slo_attainment=_attainment(result, asked) if any(slo.get(name) for name in _LIMITS) else None,
        output_tokens_per_s_per_user=float(np.mean(list(tokens.values()))) if tokens else None,
        degradation=against,
        left_out=reason,
        usl=fit.usl,
    )


def _degradation(result: Result, lowest: Result) -> dict[str, Estimate]:
    ratios = {name: ratio_of(values_of(result, name), values_of(lowest, name)) for name in DEGRADING}
    return {name: ratio for name, ratio in ratios.items() if ratio is not None}


def _share(part: Mapping[int, float], asked: Mapping[int, float]) -> Estimate | None:
    shares = [part.get(repeat, 0.0) / asked[repeat] for repeat in sorted(asked)]
    ends = interval(shares)
    return Estimate(value=float(np.mean(shares)), ci95=ends) if shares else None


def _attainment(result: Result, asked: Mapping[int, float]) -> float | None:
    found = _share(values_of(result, "goodput_rps"), asked)
    return None if found is None else found.value


def _workers(each: Measured) -> int | None:
    """How many workers made the load, the most of any repeat."""
    counts = [
        len(np.unique(window.samples.table["worker"].cat.codes.to_numpy()[window.everything]))
        for window in each.windows
    ]
    return max(counts, default=None)


def _capacity(
    points: Sequence[Result], scalings: Sequence[Scaling], slo: Mapping[str, float | None]
) -> ConcurrentCapacity | None:
    """The largest load that meets the SLO, as do all below it; None where there is no SLO, or none meets it."""
    if not any(slo.get(name) for name in _LIMITS):
        return None
    shares = [scaling.slo_attainment or 0.0 for scaling in scalings if scaling.left_out is None]
    meeting = next((k for k, share in enumerate(shares) if share < WANTED), len(shares))
    if meeting == 0:
        return None
    best = points[meeting - 1]
    return ConcurrentCapacity(
        in_flight=best.in_flight_mean or 0.0,
        stage=best.stage or 0,
        attainment=shares[meeting - 1],
        wanted=WANTED,
        exceeded=meeting < len(shares),
    )
