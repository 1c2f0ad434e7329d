"""How throughput grows with load: the Universal Scalability Law over the stages of a target under a workload.

X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)), N* = sqrt((1 - sigma) / kappa) (N. Gunther, Guerrilla Capacity
Planning, 2007). N / X is linear in 1/lambda, sigma/lambda and kappa/lambda, so that the non-linear problem with
sigma, kappa >= 0 is solved by non-negative least squares on relative errors: there is one minimum, and it is found.
Intervals: a wild bootstrap (Wu, Ann. Statist. 14, 1986) of the relative residuals of all repeats at all loads, since
loads do not spread alike: each residual keeps its place, is made larger by its leverage as in HC3 (MacKinnon and White,
J. Econometrics 29, 1985), and is multiplied by a normal number. Each repeat has a level of its own, whose mean is drawn
from Student's t over the repeats. They are widened from the normal distribution to Student's t of the degrees of
freedom that are left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from analysis.quantiles import Floats
from analysis.records.capacity_record import Band, Shape, Usl
from analysis.records.record import Estimate

FEWEST_POINTS = 6
PAST_KNEE = 2
WORST_RESIDUAL = 0.10
DECLINE = 0.03
DRAWS = 1000
SUPPORT = 4.0
_BAND_POINTS = 40
_NOTHING = 1e-12
_ALPHA = 0.05
_MOST_LEVERAGE = 0.9


@dataclass(frozen=True)
class Observations:
    """Throughput of each repeat at each load: `point` and `repeat` are numbers from 0, `n` the mean in flight, `x` the
    requests/s."""

    point: npt.NDArray[np.int64]
    repeat: npt.NDArray[np.int64]
    n: Floats
    x: Floats

    @property
    def points(self) -> int:
        """How many loads."""
        return len(np.unique(self.point))

    def means(self) -> tuple[Floats, Floats]:
        """N and X of each load, the mean of its repeats, in order of N."""
        n, x = (
            np.array([column[self.point == k].mean() for k in np.unique(self.point)]) for column in (self.n, self.x)
        )
        order = np.argsort(n)
        return n[order], x[order]


@dataclass(frozen=True)
class Law:
    """A fitted law of throughput, and how badly it fits: `rss` of the relative errors, with `parameters` free."""

    shape: Shape
    x: Callable[[Floats], Floats]
    rss: float
    parameters: int


@dataclass(frozen=True)
class Fit:
    """What `fit_sweep` found. `law` is None where nothing is told; `draws` are bootstrapped (lambda, sigma, kappa)."""

    usl: Usl
    law: Law | None = None
    draws: Floats | None = None
    widening: float = 1.0


def usl_x(n: Floats, parameters: Floats) -> Floats:
    """X(N) for (lambda, sigma, kappa), or for rows of them."""
    rate, sigma, kappa = np.moveaxis(np.asarray(parameters), -1, 0)[..., None]
    return np.asarray(np.squeeze(rate * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))), dtype=np.float64)


def fit_usl(n: Floats, x: Floats, *, terms: int = 3) -> Floats:
    """(lambda, sigma, kappa) of least relative error; with fewer `terms` kappa, then sigma, is zero."""
    columns = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1)[:, :terms]
    scale = np.abs(columns).max(axis=0).clip(_NOTHING)
    found = np.zeros(3)
    found[:terms] = optimize.nnls(columns / scale * (x / n)[:, None], np.ones_like(n))[0] / scale
    return np.array([1 / found[0], found[1] / found[0], found[2] / found[0]]) if found[0] > 0 else np.full(3, np.nan)


def _law(shape: Shape, seen: Observations, x: Callable[[Floats], Floats], parameters: int) -> Law:
    return Law(shape, x, float(((x(seen.n) / seen.x - 1) ** 2).sum()), parameters)


def laws(seen: Observations) -> list[Law]:
    """The four laws that are set against each other, the simplest first."""
    found = []
    for shape, terms in _USL_SHAPES.items():
        fitted = fit_usl(seen.n, seen.x, terms=terms)
        if np.isfinite(fitted).all():
            found.append(_law(shape, seen, lambda n, fitted=fitted: np.atleast_1d(usl_x(n, fitted)), terms))  # type: ignore[misc]
    rate, limit = _fit_ceiling(seen)
    found.insert(2, _law("ceiling", seen, lambda n: np.minimum(rate * n, limit), 2))
    return found


_USL_SHAPES: dict[Shape, int] = {"linear": 1, "contention": 2, "retrograde": 3}


def _fit_ceiling(seen: Observations) -> tuple[float, float]:
    """(rate, limit) of X = min(rate N, limit), of least relative error: every place of the corner between two loads is
    tried."""
    best = (math.inf, 0.0, 0.0)
    for corner in np.unique(seen.n):
        rising = seen.n <= corner
        rate = _least_relative(seen.x[rising] / seen.n[rising])
        limit = _least_relative(seen.x[~rising]) if not rising.all() else math.inf
        rss = float(((np.minimum(rate * seen.n, limit) / seen.x - 1) ** 2).sum())
        best = min(best, (rss, rate, limit))
    return best[1], best[2]


def _least_relative(values: Floats) -> float:
    """The number c that makes the sum of (c / value - 1)^2 least."""
    return float((1 / values).sum() / (1 / values**2).sum())


def aicc(law: Law, count: int) -> float:
    """Akaike's criterion, corrected for few observations (Hurvich and Tsai, Biometrika 76, 1989)."""
    k = law.parameters + 1  # the variance is one more
    if count - k - 1 <= 0:
        return math.inf
    return count * math.log(max(law.rss, _NOTHING) / count) + 2 * k + 2 * k * (k + 1) / (count - k - 1)


def simplest(rivals: Sequence[Law], count: int) -> Law:
    """The law of fewest parameters among those within `SUPPORT` of the best criterion: what is farther has considerably
    less support (Burnham and Anderson, Model Selection and Multimodel Inference, 2002)."""
    values = [aicc(each, count) for each in rivals]
    close = [place for place, value in enumerate(values) if value <= min(values) + SUPPORT]
    return rivals[min(close, key=lambda place: (rivals[place].parameters, values[place]))]


def fit_sweep(seen: Observations, *, seed: int = 0, draws: int = DRAWS) -> Fit:
    """The law of a sweep, its parameters with intervals, and what is refused and why."""
    if seen.points < FEWEST_POINTS:
        return Fit(Usl(points=seen.points, refused=f"{seen.points} load points can be used: it takes {FEWEST_POINTS}"))
    law = simplest(laws(seen), len(seen.n))
    residual, p_value = _misfit(seen, law)
    if residual > WORST_RESIDUAL:
        why = f"no law fits: the points are {residual:.0%} off it (root mean square; limit {WORST_RESIDUAL:.0%})"
        return Fit(Usl(points=seen.points, residual=residual, lack_of_fit_p=p_value, refused=why))
    known = Usl(points=seen.points, shape=law.shape, residual=residual, lack_of_fit_p=p_value)
    if law.shape == "ceiling":
        return Fit(_with_ceiling(known, seen, law), law)
    fitted = fit_usl(seen.n, seen.x)
    drawn, widening = bootstrap(seen, fitted, np.random.default_rng(seed), draws)
    estimates = [_estimate(fitted[k], drawn[:, k], widening) for k in range(3)]
    usl = msgspec.structs.replace(known, lambda_rps=estimates[0], sigma=estimates[1], kappa=estimates[2])
    return Fit(_with_knee(usl, fitted, drawn, widening, _no_knee(seen, law, fitted)), law, drawn, widening)


def _misfit(seen: Observations, law: Law) -> tuple[float, float | None]:
    """The root mean square of the points' relative errors, and the p of the F test of lack of fit: None without
    repeats."""
    n, x = seen.means()
    residual = float(np.sqrt(((x / law.x(n) - 1) ** 2).mean()))
    relative = seen.x / law.x(seen.n)
    pure = float(
        sum(((relative[seen.point == k] - relative[seen.point == k].mean()) ** 2).sum() for k in np.unique(seen.point))
    )
    pure_df, lack_df = len(seen.x) - seen.points, seen.points - law.parameters
    if pure_df < 1 or lack_df < 1 or pure <= _NOTHING:
        return residual, None
    lack = max(0.0, float(((relative - 1) ** 2).sum()) - pure)
    return residual, float(stats.f.sf((lack / lack_df) / (pure / pure_df), lack_df, pure_df))


def bootstrap(seen: Observations, fitted: Floats, rng: np.random.Generator, draws: int) -> tuple[Floats, float]:
    """Rows of (lambda, sigma, kappa) fitted to resampled sweeps, and by how much intervals must be widened: the normal
    distribution's 97.5 % point against that of Student's t."""
    base = np.atleast_1d(usl_x(seen.n, fitted))
    logs = np.log(seen.x / base)
    repeats, of = np.unique(seen.repeat, return_inverse=True)
    levels = np.bincount(of, logs) / np.bincount(of)
    own = (logs - levels[of]) / (1 - _leverage(seen.n, fitted, of))
    free = max(1, len(logs) - 3 - (len(repeats) - 1))
    shifts = np.zeros(draws)
    if len(repeats) > 1:
        error = float(np.std(levels, ddof=1)) / math.sqrt(len(repeats))
        shifts = error * rng.standard_t(len(repeats) - 1, draws)
    wild = (own * rng.standard_normal(len(own)) for _ in shifts)
    found = np.array([fit_usl(seen.n, base * np.exp(shift + each)) for shift, each in zip(shifts, wild, strict=True)])
    whole = found[np.isfinite(found).all(axis=1)]
    return whole, float(stats.t.ppf(1 - _ALPHA / 2, free) / stats.norm.ppf(1 - _ALPHA / 2))


def _leverage(n: Floats, fitted: Floats, repeat: npt.NDArray[np.int64]) -> Floats:
    """How far each observation draws the fit to itself: the diagonal of the hat matrix of log X(N), linearised at the
    fitted (lambda, sigma, kappa), with a level for each repeat."""
    rate, sigma, kappa = fitted
    slowed = 1 + sigma * (n - 1) + kappa * n * (n - 1)
    slopes = np.stack([np.full_like(n, 1 / rate), -(n - 1) / slowed, -n * (n - 1) / slowed], axis=1)
    design = np.concatenate([slopes, np.eye(int(repeat.max()) + 1)[repeat]], axis=1)
    hat = design @ np.linalg.pinv(design)
    return np.asarray(np.clip(np.diag(hat), 0.0, _MOST_LEVERAGE), dtype=np.float64)


def _estimate(value: float, drawn: Floats, widening: float) -> Estimate:
    low, high = np.quantile(drawn, [_ALPHA / 2, 1 - _ALPHA / 2])
    return Estimate(value=float(value), ci95=(_widened(value, low, widening), _widened(value, high, widening)))


def _widened(value: float, end: float, widening: float) -> float:
    return max(0.0, float(value + (end - value) * widening))


def _no_knee(seen: Observations, law: Law, fitted: Floats) -> str | None:
    """Why there is no knee to be told; None where there is one."""
    if law.shape == "linear":
        return "no knee: throughput grows in proportion to the load"
    if law.shape == "contention":
        return "no knee: throughput grows ever more slowly, but does not fall"
    knee = n_star(fitted)
    n, _ = seen.means()
    if not n[0] <= knee <= n[-1]:
        return f"no knee: it would be at {knee:.3g} in flight, outside the tested {n[0]:.3g} to {n[-1]:.3g}"
    past = int((n > knee).sum())
    if past < PAST_KNEE:
        return f"no knee: {past} of the loads lie beyond {knee:.3g} in flight, and it takes {PAST_KNEE}"
    if not _declines(seen):
        return "no knee: throughput at the highest load is not shown to be lower than at the best"
    return None


def _declines(seen: Observations) -> bool:
    """Whether throughput at the highest load is lower than at the best one: by more than `DECLINE`, and more than the
    repeats' spread explains (one-sided t test at 5 %, paired by repeat)."""
    means = {k: float(seen.x[seen.point == k].mean()) for k in np.unique(seen.point)}
    loads = {k: float(seen.n[seen.point == k].mean()) for k in means}
    best, last = max(means, key=lambda k: means[k]), max(loads, key=lambda k: loads[k])
    if means[last] > (1 - DECLINE) * means[best]:
        return False
    ours = dict(zip(seen.repeat[seen.point == last], seen.x[seen.point == last], strict=True))
    theirs = dict(zip(seen.repeat[seen.point == best], seen.x[seen.point == best], strict=True))
    logs = [math.log(ours[repeat] / theirs[repeat]) for repeat in ours.keys() & theirs.keys()]
    if len(logs) < 2:
        return True
    error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
    return error <= _NOTHING or float(stats.t.cdf(np.mean(logs) / error, len(logs) - 1)) < _ALPHA


def n_star(parameters: Floats) -> float:
    """Where X(N) is highest; infinite where it never falls."""
    _, sigma, kappa = parameters
    return math.sqrt(max(0.0, 1 - sigma) / kappa) if kappa > _NOTHING else math.inf


def _with_knee(usl: Usl, fitted: Floats, drawn: Floats, widening: float, why: str | None) -> Usl:
    if why is not None:
        return msgspec.structs.replace(usl, refused=why)
    knees = np.array([n_star(each) for each in drawn])
    low, high = np.quantile(knees, [_ALPHA / 2, 1 - _ALPHA / 2], method="nearest")
    knee = n_star(fitted)
    ends = (_widened(knee, low, widening), _widened(knee, high, widening) if math.isfinite(high) else None)
    tops = np.array([usl_x(np.array([at]), each) for at, each in zip(knees, drawn, strict=True) if math.isfinite(at)])
    top = float(usl_x(np.array([knee]), fitted))
    return msgspec.structs.replace(usl, n_star=Estimate(value=knee, ci95=ends), max_rps=_estimate(top, tops, widening))


def _with_ceiling(usl: Usl, seen: Observations, law: Law) -> Usl:
    """The limit is the mean over the loads that lie at it, with Student's t interval over the repeats."""
    limit = float(law.x(np.array([math.inf]))[0])
    n, _ = seen.means()
    flat = law.x(seen.n) >= limit * (1 - _NOTHING)
    own = [
        float(seen.x[flat & (seen.repeat == k)].mean())
        for k in np.unique(seen.repeat)
        if (flat & (seen.repeat == k)).any()
    ]
    ends = None
    if len(own) > 1:
        half = float(stats.t.ppf(1 - _ALPHA / 2, len(own) - 1)) * float(np.std(own, ddof=1)) / math.sqrt(len(own))
        ends = (limit - half, limit + half)
    why = (
        f"no knee: throughput stays at {limit:.3g}/s up to {n[-1]:.3g} in flight; a hard limit fits better than the law"
    )
    return msgspec.structs.replace(usl, max_rps=Estimate(value=limit, ci95=ends), refused=why)


def band_of(fit: Fit, seen: Observations) -> tuple[Band, ...]:
    """The fitted curve over the tested range, with its interval where it is a USL."""
    if fit.law is None:
        return ()
    n, _ = seen.means()
    at = np.geomspace(n[0], n[-1], _BAND_POINTS)
    middle = fit.law.x(at)
    low = high = middle
    if fit.draws is not None and len(fit.draws):
        # The curve of the parameters that are told, so that band and numbers agree.
        drawn = np.atleast_2d(usl_x(at, fit.draws))
        low, high = np.quantile(drawn, [_ALPHA / 2, 1 - _ALPHA / 2], axis=0)
        middle = np.atleast_1d(usl_x(at, np.array(_told(fit.usl))))
        low, high = (middle + (end - middle) * fit.widening for end in (low, high))
    rows = zip(at, middle, low, high, strict=True)
    return tuple(Band(in_flight=float(a), rps=float(m), low_rps=float(lo), high_rps=float(hi)) for a, m, lo, hi in rows)


def _told(usl: Usl) -> list[float]:
    return [each.value or 0.0 for each in (usl.lambda_rps, usl.sigma, usl.kappa) if each is not None]
