"""What a target would do at a load, or with prompts of a length, that was not tested.

Over loads: laws of throughput (`analysis.scaling`) and of latency compete, and the one that best foretells each load
from the others is taken (leave one load out). Over prompt lengths: weighted least squares on the requests of one stage,
the quantiles by those of measured / expected. Intervals (90 %) rest on the errors of the cross-validation: Student's t
times their root mean square, on logarithms. What lies far from what was tested is refused. Method: docs/capacity.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import interpolate, optimize, stats

from analysis.loads.relations import latency_columns
from analysis.loads.sweeps import values_of
from analysis.metrics import Window
from analysis.quantiles import Floats
from analysis.scaling import fit_usl, usl_x
from analysis.summarise import summarise, windows_of
from analysis.summary import Part, Result, Summary
from harness.errors import UsageFault
from harness.plan_file import read_plan
from harness.rundir import RunDir

BEYOND = 1.5  # times the highest load tested
BEYOND_TOKENS = 1.25  # times the longest prompts, and as far below the shortest
LEVEL = 0.90
FEWEST_LOADS = 4
FEWEST_REQUESTS = 100
OF_LOAD = (
    *("completed_rps", "output_tokens_per_s"),
    *(f"{name}.{statistic}" for name in ("ttft_s", "itl_s", "tpot_s", "e2e_s") for statistic in ("p50", "p95")),
)
OF_PROMPT = ("ttft_s.p50", "ttft_s.p95", "e2e_s.p50", "e2e_s.p95")
_RATES = ("completed_rps", "output_tokens_per_s")
_BINS = 8
_FEWEST_LENGTHS = 3
_LEAST_ERROR = 1e-3
_LEAST_S = 1e-9
_QUANTILE = {"p50": 0.5, "p95": 0.95}

Law = Callable[[Floats], Floats]
Fitter = Callable[[Floats, Floats], Law]


class Prediction(Part, frozen=True, kw_only=True):
    """A figure that was not measured, with its 90 % prediction interval for a measurement of as many repeats.
    `cv_error`: the root mean square of the relative errors with which `model` foretold what was measured from the rest.
    """

    metric: str
    value: float
    low: float
    high: float
    model: str
    cv_error: float
    points: int


class Predicted(Part, frozen=True, kw_only=True):
    """All that is foretold of a target under a workload at one place. `tested`: the range that was measured."""

    target: str
    workload: str
    at: dict[str, float]
    tested: tuple[float, float]
    extrapolates: bool
    predictions: tuple[Prediction, ...]


def _constant(_: Floats, y: Floats) -> Law:
    level = math.exp(float(np.log(y).mean()))
    return lambda at: np.full_like(at, level)


def _power(n: Floats, y: Floats) -> Law:
    slope, start = np.polyfit(np.log(n), np.log(y), 1)
    return lambda at: np.asarray(np.exp(start + slope * np.log(at)), dtype=np.float64)


def _usl_latency(n: Floats, y: Floats) -> Law:
    """Y = a + b (N - 1) + c N (N - 1), none negative: the law of a residence time under the USL."""
    columns = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1)
    scale = np.abs(columns).max(axis=0).clip(1e-12)
    found = optimize.nnls(columns / scale / y[:, None], np.ones_like(y))[0] / scale
    return lambda at: np.asarray(found[0] + found[1] * (at - 1) + found[2] * at * (at - 1), dtype=np.float64)


def _queue(n: Floats, y: Floats) -> Law:
    """Y = a + b max(0, N - N0): nothing waits below N0, and beyond it each request waits for those before it (the
    asymptotes of a closed queueing network: Denning and Buzen, ACM Computing Surveys 10, 1978)."""
    best: tuple[float, float, Floats] = (math.inf, 1.0, np.zeros(2))
    for corner in np.geomspace(n.min(), n.max(), 60)[:-1]:
        columns = np.stack([np.ones_like(n), np.maximum(0.0, n - corner)], axis=1)
        found, error = optimize.nnls(columns / y[:, None], np.ones_like(y))
        if error < best[0] - 1e-12:
            best = (float(error), float(corner), found)
    _, corner, found = best
    return lambda at: np.asarray(found[0] + found[1] * np.maximum(0.0, at - corner), dtype=np.float64)


def _smooth(n: Floats, y: Floats) -> Law:
    """A monotone cubic through the points (Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5, 1984), on logarithms."""
    places, of = np.unique(n, return_inverse=True)
    means = np.bincount(of, np.log(y)) / np.bincount(of)  # loads that were run twice are one point
    curve = interpolate.PchipInterpolator(np.log(places), means)
    return lambda at: np.asarray(np.exp(curve(np.log(at))), dtype=np.float64)


def _usl(terms: int) -> Fitter:
    def fit(n: Floats, y: Floats) -> Law:
        found = fit_usl(n, y, terms=terms)
        return lambda at: np.atleast_1d(usl_x(at, found))

    return fit


def _ceiling(n: Floats, y: Floats) -> Law:
    """The throughput of `_queue`: N / residence time."""
    residence = _queue(n, n / y)
    return lambda at: np.asarray(at / residence(at), dtype=np.float64)


LAWS_OF_LATENCY: dict[str, Fitter] = {
    "constant": _constant,
    "power": _power,
    "USL residence": _usl_latency,
    "closed queue": _queue,
    "monotone cubic": _smooth,
}
LAWS_OF_RATE: dict[str, Fitter] = {
    "linear": _usl(1),
    "contention": _usl(2),
    "USL": _usl(3),
    "ceiling": _ceiling,
    "monotone cubic": _smooth,
}
_INSIDE_ONLY = ("monotone cubic",)


@dataclass(frozen=True)
class _Chosen:
    name: str
    law: Law
    errors: Floats  # logarithms of foretold / measured


def _choose(laws: dict[str, Fitter], n: Floats, y: Floats, *, beyond: bool) -> _Chosen:
    """The law that foretells each load best from the others. The lowest and the highest count where the answer lies
    beyond what was tested; else foretelling them would be harder than what is asked."""
    places = range(1, len(n)) if beyond else range(1, len(n) - 1)
    found = []
    for name, fit in laws.items():
        if beyond and name in _INSIDE_ONLY:
            continue
        errors = []
        for place in places:
            others = np.arange(len(n)) != place
            foretold = float(fit(n[others], y[others])(n[place : place + 1])[0])
            errors.append(math.log(foretold / y[place]) if foretold > 0 else math.inf)
        found.append(_Chosen(name, fit(n, y), np.array(errors)))
    return min(found, key=lambda each: _rms(each.errors))


def _rms(values: Floats) -> float:
    return float(np.sqrt((values**2).mean()))


def predict_load(results: Sequence[Result], target: str, workload: str, concurrency: float) -> Predicted:
    """Every figure at a mean in flight of `concurrency`, from the stages of a summary that are load points.

    Raises UsageFault where there are too few loads, or the answer would lie far from them.
    """
    points = [each for each in results if (each.target, each.workload) == (target, workload) and _is_point(each)]
    points.sort(key=lambda each: each.in_flight_mean or 0.0)
    loads = len({each.in_flight_mean for each in points})
    if loads < FEWEST_LOADS:
        message = f"{target} {workload}: {loads} loads that can be used: a prediction takes {FEWEST_LOADS}"
        raise UsageFault(
            message, "run more stages; `scaling.left_out` in summary.json says which are left out, and why"
        )
    n = np.array([each.in_flight_mean or 0.0 for each in points])
    tested = float(n[0]), float(n[-1])
    _check_range("--concurrency", concurrency, (tested[0] / BEYOND, tested[1] * BEYOND), tested)
    beyond = not tested[0] <= concurrency <= tested[1]
    found = [_of_load(points, n, metric, concurrency, beyond=beyond) for metric in OF_LOAD]
    return Predicted(
        target=target,
        workload=workload,
        at={"concurrency": concurrency},
        tested=tested,
        extrapolates=beyond,
        predictions=tuple(one for one in found if one is not None),
    )


def _is_point(result: Result) -> bool:
    return result.scaling is not None and result.scaling.left_out is None


def _check_range(option: str, value: float, allowed: tuple[float, float], tested: tuple[float, float]) -> None:
    if not allowed[0] <= value <= allowed[1]:
        seen = f"{tested[0]:.3g} to {tested[1]:.3g} were tested"
        message = f"{option}: {value:g}: {seen}: no prediction below {allowed[0]:.3g} or above {allowed[1]:.3g}"
        raise UsageFault(message, "measure there: add a stage or a workload to the plan")


def _of_load(points: Sequence[Result], n: Floats, metric: str, at: float, *, beyond: bool) -> Prediction | None:
    own = [list(values_of(each, metric).values()) for each in points]
    if not all(own):
        return None
    y = np.array([math.exp(float(np.mean(np.log(values)))) for values in own])
    chosen = _choose(LAWS_OF_RATE if metric in _RATES else LAWS_OF_LATENCY, n, y, beyond=beyond)
    value = float(chosen.law(np.array([at]))[0])
    return _prediction(metric, value, chosen.name, chosen.errors, len(points)) if value > 0 else None


def _prediction(metric: str, value: float, model: str, errors: Floats, points: int, more: float = 0.0) -> Prediction:
    """`errors`: of the cross-validation; `more`: a further variance of the logarithm."""
    error = math.sqrt(max(_rms(errors), _LEAST_ERROR) ** 2 + more)
    half = float(stats.t.ppf((1 + LEVEL) / 2, max(1, len(errors) - 1))) * error
    return Prediction(
        metric=metric,
        value=value,
        low=value * math.exp(-half),
        high=value * math.exp(half),
        model=model,
        cv_error=_rms(errors),
        points=points,
    )


def predict_prompt(windows: Sequence[Window], target: str, workload: str, tokens: float) -> Predicted:
    """TTFT and E2E of prompts of so many tokens that no cache holds, at the load of one stage, whose windows these are.

    Raises UsageFault where too few requests tell their tokens, these do not vary, or the answer would lie far away.
    """
    columns = [_tokens_and_latencies(window) for window in windows]
    x = np.concatenate([each["tokens"] for each in columns])
    x = x[~np.isnan(x)]
    lengths = len(np.unique(x))
    few = len(x) < FEWEST_REQUESTS or lengths < _FEWEST_LENGTHS
    if few or np.quantile(x, 0.99) < 1.2 * np.quantile(x, 0.01):
        told = f"{len(x)} good requests of known prompt length, of {lengths} lengths"
        message = f"{target} {workload}: {told}, or all are about equally long"
        raise UsageFault(message, f"it takes {FEWEST_REQUESTS} of different length: `input_tokens: U(100,2000)`")
    low, high = (float(np.quantile(x, quantile)) for quantile in (0.01, 0.99))
    _check_range("--input-tokens", tokens, (low / BEYOND_TOKENS, high * BEYOND_TOKENS), (low, high))
    found = [_of_prompt(columns, metric, tokens) for metric in OF_PROMPT]
    return Predicted(
        target=target,
        workload=workload,
        at={"input_tokens": tokens},
        tested=(low, high),
        extrapolates=not low <= tokens <= high,
        predictions=tuple(one for one in found if one is not None),
    )


def _tokens_and_latencies(window: Window) -> dict[str, Floats]:
    samples, rows = window.samples, window.good
    cached = np.nan_to_num(samples.column("cached_tokens", rows))
    return {"tokens": samples.column("input_tokens", rows) - cached, **latency_columns(window, rows)}


def _of_prompt(columns: Sequence[dict[str, Floats]], metric: str, at: float) -> Prediction | None:
    name, statistic = metric.split(".")
    x, y = (np.concatenate([each[column] for each in columns]) for column in ("tokens", name))
    repeat = np.concatenate([np.full(len(each["tokens"]), k) for k, each in enumerate(columns)])
    known = ~np.isnan(x) & (y > 0)
    x, y, repeat = x[known], y[known], repeat[known]
    lengths = len(np.unique(x))
    if len(x) < FEWEST_REQUESTS or lengths < _FEWEST_LENGTHS:
        return None
    quantile, bins = _QUANTILE[statistic], _bins(x)
    degrees = (1, 2) if lengths > _FEWEST_LENGTHS else (1,)  # what is left without one of them must tell the curve
    candidates = [(degree, _bin_errors(x, y, bins, degree, quantile)) for degree in degrees]
    degree, errors = min(candidates, key=lambda each: _rms(each[1]))
    law, ratio = _regression(x, y, degree)
    levels = [math.log(float(np.quantile(ratio[repeat == k], quantile))) for k in np.unique(repeat)]
    more = float(np.var(levels, ddof=1)) if len(levels) > 1 else 0.0
    value = float(law(np.array([at]))[0]) * float(np.quantile(ratio, quantile))
    model = f"{'linear' if degree == 1 else 'quadratic'} in prompt tokens"
    return _prediction(metric, value, model, errors, len(x), more) if value > 0 else None


def _bins(x: Floats) -> np.typing.NDArray[np.int64]:
    """Eighths of the requests by their length; where so many are equally long that there are no eighths, of the
    different lengths."""
    bins = np.searchsorted(np.quantile(x, np.linspace(0, 1, _BINS + 1)[1:-1]), x, "right")
    if len(np.unique(bins)) == _BINS:
        return bins
    lengths, of = np.unique(x, return_inverse=True)
    return np.asarray((np.arange(len(lengths)) * min(_BINS, len(lengths)) // len(lengths))[of], dtype=np.int64)


def _regression(x: Floats, y: Floats, degree: int) -> tuple[Law, Floats]:
    """A polynomial in the tokens by least squares of relative errors (weights from a first, unweighted fit), and
    measured / expected of every request."""
    scale = float(x.max())
    first = np.polynomial.polynomial.polyfit(x / scale, y, degree)
    expected = np.maximum(np.polynomial.polynomial.polyval(x / scale, first), 0.05 * float(np.median(y)))
    found = np.polynomial.polynomial.polyfit(x / scale, y, degree, w=1 / expected)

    def law(at: Floats) -> Floats:
        return np.asarray(np.polynomial.polynomial.polyval(at / scale, found), dtype=np.float64)

    return law, y / np.maximum(law(x), _LEAST_S)


def _bin_errors(x: Floats, y: Floats, bins: np.typing.NDArray[np.int64], degree: int, quantile: float) -> Floats:
    """How far off the quantile of each eighth of the prompt lengths is, foretold from the other seven."""
    errors = []
    for each in np.unique(bins):
        out = bins == each
        law, ratio = _regression(x[~out], y[~out], degree)
        measured = float(np.quantile(y[out] / np.maximum(law(x[out]), _LEAST_S), quantile))
        errors.append(math.log(float(np.quantile(ratio, quantile)) / max(measured, _LEAST_S)))
    return np.array(errors)


def predict_of_run(
    run_dir: RunDir,
    *,
    target: str | None = None,
    workload: str | None = None,
    concurrency: float | None = None,
    input_tokens: float | None = None,
    stage: int | None = None,
) -> tuple[Predicted, Summary]:
    """What a run foretells at a load, or at a length of prompts (one of them is given); and the run's summary.

    `stage`: whose load prompts are foretold at (None: the lowest). Raises UsageFault, also where target or workload
    are not told and there are several.
    """
    summary, samples = summarise(run_dir)
    names = list(dict.fromkeys(result.target for result in summary.results))
    target = _one_of("--target", target, names)
    loads = [result for result in summary.results if result.target == target]
    workload = _one_of("--workload", workload, list(dict.fromkeys(result.workload or "" for result in loads)))
    if concurrency is not None:
        return predict_load(summary.results, target, workload, concurrency), summary
    own = [
        (cell, windows)
        for cell, windows in windows_of(read_plan(str(run_dir.plan)), samples)
        if (cell.target.name, cell.workload.name) == (target, workload)
    ]
    stages = [cell.stage_index for cell, _ in own]
    lowest = min(own, key=lambda each: each[0].stage.concurrency or each[0].stage.rate_rps or 0.0)[0].stage_index
    place = stages.index(int(_one_of("--stage", lowest if stage is None else stage, stages)))
    return predict_prompt(own[place][1], target, workload, input_tokens or 0.0), summary


Choice = TypeVar("Choice", str, int)


def _one_of(option: str, chosen: Choice | None, known: Sequence[Choice]) -> Choice:
    if chosen is None and len(known) == 1:
        return known[0]
    if chosen is None or chosen not in known:
        message = f"{option}: {chosen if chosen is not None else 'not given'}: the run has {len(known)} of them"
        raise UsageFault(message, f"name one of {', '.join(map(str, known))}")
    return chosen
