"""What changes within a run: a slow drift, a beginning that is not over, a level that jumps.

Requests are taken in the order in which they started, in batches of equal number; each batch gives its median. Drift:
Theil and Sen's line through the medians, Mann and Kendall's test. Settling: MSER-5 (White, Simulation 69, 1997) on the
series with its warm-up. Jumps: PELT (Killick, Fearnhead and Eckley, JASA 107, 2012) on the logarithms, as `ruptures`
does it, kept where the levels on both sides differ in size and by a rank test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from analysis.loads.relations import latency_columns
from analysis.loads.sweeps import Measured
from analysis.metrics import Window
from analysis.quantiles import Floats
from analysis.records.capacity_record import ChangePoint, Trend
from analysis.records.record import Estimate

BATCHES = 60
DRIFT = 0.05
DRIFT_P = 0.001
JUMP = 0.05
JUMP_P = 0.001
SOAK_S = 60.0
_LEAST_NOISE = 1e-6  # of logarithms
_FEWEST = 100  # requests of a series
_LEAST_BATCH = 5  # requests; batches of a level
_MSER = 5
LATENCIES = ("ttft_s", "e2e_s")


def trends_of(each: Measured) -> list[Trend]:
    """What TTFT and E2E did in each repeat of a cell."""
    found = (_trend(each, window, latency) for window in each.windows for latency in LATENCIES)
    return [trend for trend in found if trend is not None]


def _trend(each: Measured, window: Window, latency: str) -> Trend | None:
    at_s, values = _series(window, latency)
    inside = at_s >= each.warmup_s
    if inside.sum() < _FEWEST:
        return None
    target, workload = each.key
    settled_s = settles(at_s, values)
    times, medians = batch_medians(at_s[inside], values[inside])
    drift, p_value = drift_of(times, medians)
    changes = tuple(change_points(times, medians))
    says = _says(drift, p_value, settled_s, each.warmup_s, changes)
    return Trend(
        target=target,
        workload=workload,
        stage=each.result.stage or 0,
        repeat=window.repeat,
        latency=latency,
        n=int(inside.sum()),
        drift=drift,
        drift_p=p_value,
        settled_s=settled_s,
        warmup_s=each.warmup_s,
        changes=changes,
        says=says,
    )


def _series(window: Window, latency: str) -> tuple[Floats, Floats]:
    """When the good requests of a cell started, in seconds after its first arrival, and what each took; those that were
    started in its span, the warm-up among them."""
    samples = window.samples
    rows = window.everything[window.is_(window.everything, "outcome", "ok")]
    start = samples.on_axis("start_ns", rows)
    values = latency_columns(window, rows)[latency]
    known = (values > 0) & (start < window.end_ns)
    order = np.argsort(start[known], kind="stable")
    return (start[known][order] - window.first_ns) / 1e9, values[known][order]


def batch_medians(at_s: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The middle times and the medians of batches of equal number, 60 at most."""
    size = max(_LEAST_BATCH, math.ceil(len(values) / BATCHES))
    batches = [slice(begin, begin + size) for begin in range(0, len(values) - size + 1, size)]
    return (
        np.array([at_s[batch].mean() for batch in batches]),
        np.array([np.median(values[batch]) for batch in batches]),
    )


def drift_of(times: Floats, medians: Floats) -> tuple[Estimate, float]:
    """The ratio of end to beginning along Theil and Sen's line of the logarithms, and the p of Mann and Kendall."""
    found = stats.theilslopes(np.log(medians), times, 0.95)
    span = float(times[-1] - times[0])
    p_value = float(stats.kendalltau(times, medians).pvalue) if np.ptp(medians) > 0 else 1.0
    ratio, low, high = (math.exp(float(slope) * span) for slope in (found.slope, found.low_slope, found.high_slope))
    return Estimate(value=ratio, ci95=(low, high)), p_value


def settles(at_s: Floats, values: Floats) -> float | None:
    """When the beginning is over, in seconds: where cutting it off leaves the mean of the rest with the least standard
    error, by batches of five, and differs from the rest. None where that is in the second half: nothing is settled."""
    usable = len(values) // _MSER * _MSER
    means = values[:usable].reshape(-1, _MSER).mean(axis=1)
    k = len(means)
    tails = np.arange(k, 0, -1)
    sums, squares = (np.cumsum(column[::-1])[::-1] for column in (means, means**2))
    errors = np.maximum(0.0, squares / tails - (sums / tails) ** 2) / tails
    best = int(np.argmin(errors[: max(1, k - _MSER)]))
    if best == 0 or not _jumps(np.log(values[: best * _MSER]), np.log(values[best * _MSER :])):
        return 0.0
    return None if best > k // 2 else float(at_s[best * _MSER])


def change_points(times: Floats, medians: Floats) -> list[ChangePoint]:
    """Where the level jumps. A segment has five batches at least."""
    if len(medians) < 4 * _LEAST_BATCH or times[-1] - times[0] < SOAK_S:
        return []
    import ruptures  # type: ignore[import-untyped]  # noqa: PLC0415  (slow to load, for long cells alone)

    logs = np.log(medians)
    noise = float(np.median(np.abs(np.diff(logs)))) / (0.6745 * math.sqrt(2))
    penalty = 3 * max(noise, _LEAST_NOISE) ** 2 * math.log(len(logs))
    search = ruptures.KernelCPD(kernel="linear", min_size=_LEAST_BATCH)  # PELT on squared differences, in C
    ends = search.fit(logs[:, None]).predict(pen=penalty)
    edges = [0, *ends]
    return [
        ChangePoint(at_s=float(times[middle]), ratio=math.exp(float(np.median(after) - np.median(before))))
        for begin, middle, end in zip(edges, edges[1:], edges[2:], strict=False)
        if _jumps(before := logs[begin:middle], after := logs[middle:end])
    ]


def _jumps(before: Floats, after: Floats) -> bool:
    size = abs(float(np.median(after) - np.median(before)))
    return size > math.log1p(JUMP) and float(stats.mannwhitneyu(before, after).pvalue) < JUMP_P


def _says(
    drift: Estimate, p_value: float, settled_s: float | None, warmup_s: float, changes: Sequence[ChangePoint]
) -> tuple[str, ...]:
    """What a reader should know, as sentences; none where nothing changed."""
    said = []
    ratio = drift.value or 1.0
    if settled_s is None:
        said.append("it never settled")
    elif settled_s > warmup_s and changes == ():
        said.append(f"it settled after {settled_s:.3g} s: a warm-up of {warmup_s:.3g} s is too short")
    if p_value < DRIFT_P and abs(math.log(ratio)) > math.log1p(DRIFT) and not changes:
        said.append(f"it drifted by {100 * (ratio - 1):+.1f} % from beginning to end")
    said += [f"its level changed by {100 * (each.ratio - 1):+.1f} % after {each.at_s:.3g} s" for each in changes]
    return tuple(said)
