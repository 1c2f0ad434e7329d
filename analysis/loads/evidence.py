"""What single requests tell of what holds a target up: columns of good requests, and small questions asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.loads.sweeps import Measured
from analysis.metrics import Window
from analysis.quantiles import Floats
from analysis.reading.gaps import Flags
from analysis.samples import Samples

ENOUGH = 200
_FEWEST = 20
_IDLE_NS = 0.3e9
_MOST = 20_000
_TYPES = {"fresh": "?", "part": "i8"}
_MOST_SHARED = 0.9  # of their variance: a variance inflation of 10 (Marquardt, Technometrics 12, 1970)


@dataclass(frozen=True)
class Requests:
    """Good requests of the lowest loads, in order of load. `first_s` is the TTFT, or E2E where nothing is streamed;
    `relative` is that over the median of its own stage. NaN: not measured. `part` numbers the third of the window (of
    its repeat) in which each was started."""

    first_s: Floats
    relative: Floats
    connect_s: Floats
    fresh: Flags
    input_tokens: Floats
    cached_tokens: Floats
    network_s: Floats
    part: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first_s)

    def chosen(self, flags: Flags) -> Requests:
        """Those of these flags."""
        return Requests(**{name: column[flags] for name, column in vars(self).items()})


def requests_of(group: Sequence[Measured]) -> Requests:
    """The good requests of the lowest load, and of the next ones until they are enough."""
    columns: dict[str, list[npt.NDArray[np.generic]]] = {name: [] for name in Requests.__dataclass_fields__}
    for each in group:
        for name, column in _of_stage(each).items():
            columns[name].append(column)
        if sum(map(len, columns["first_s"])) >= ENOUGH:
            break
    joined = {name: np.concatenate([np.empty(0, _TYPES.get(name, "f8")), *parts]) for name, parts in columns.items()}
    known = ~np.isnan(joined["first_s"].astype(np.float64))
    return Requests(**{name: column[known] for name, column in joined.items()})


def _of_stage(each: Measured) -> dict[str, npt.NDArray[np.generic]]:
    parts = [_of_window(number, window) for number, window in enumerate(each.windows)]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    first = joined["first_s"].astype(np.float64)
    known = first[first > 0]
    return joined | {"relative": first / (np.median(known) if len(known) else 1.0)}


def _of_window(number: int, window: Window) -> dict[str, npt.NDArray[np.generic]]:
    samples, rows = window.samples, window.good
    rows = rows[:: max(1, len(rows) // _MOST)]
    start = samples.column("start_ns", rows)
    first = samples.column("first_event_ns", rows)
    first = np.where(np.isnan(first), samples.column("end_ns", rows), first)
    connect_s = np.nan_to_num((samples.column("connect_ns", rows) - start) / 1e9)
    age = (samples.on_axis("start_ns", rows) - window.begin_ns) / max(1.0, window.end_ns - window.begin_ns)
    return {
        "first_s": (first - start) / 1e9,
        "connect_s": connect_s,
        "fresh": ~np.isnan(samples.column("connect_ns", rows)),
        "input_tokens": samples.column("input_tokens", rows),
        "cached_tokens": samples.column("cached_tokens", rows),
        "network_s": _network_s(samples, rows, start, connect_s),
        "part": 3 * number + np.clip(3 * age, 0, 2).astype(np.int64),
    }


def _network_s(samples: Samples, rows: npt.NDArray[np.int64], start: Floats, connect_s: Floats) -> Floats:
    """What passed besides what the server says it took: until the headers where it tells that, else in all."""
    until_headers = samples.column("headers_ns", rows) - start - samples.column("server_headers_ns", rows)
    in_all = samples.column("end_ns", rows) - start - samples.column("server_total_ns", rows)
    return np.where(np.isnan(until_headers), in_all, until_headers) / 1e9 - connect_s


@dataclass(frozen=True)
class TokenEffects:
    """What prompt tokens and cached tokens do to the relative time to first content, by least squares. `long` and
    `short`: the time of prompts at the 90th and 10th percentile of length; `miss` and `hit`: without and with what hits
    have in the cache, all within what was seen. None: they do not vary, or are not told, or (`together`) both grow
    with each other, as in conversations, so that neither can be held still. `t_...`: the coefficient over its standard
    error."""

    per_token: float = 0.0
    t_input: float = 0.0
    long: float | None = None
    short: float | None = None
    t_cached: float = 0.0
    miss: float | None = None
    hit: float | None = None
    together: bool = False


def token_effects(seen: Requests) -> TokenEffects:
    """Both effects at once, so that each is told with the other held still."""
    tokens, cached = seen.input_tokens, np.nan_to_num(seen.cached_tokens)
    known = ~np.isnan(tokens)
    if known.sum() < _FEWEST:
        return TokenEffects()
    tokens, cached, y = tokens[known], cached[known], seen.relative[known]
    varying = [column for column in (tokens, cached) if np.ptp(column) > 0]
    if not varying:
        return TokenEffects()
    if len(varying) == 2 and np.corrcoef(tokens, cached)[0, 1] ** 2 > _MOST_SHARED:
        return TokenEffects(together=True)
    matrix = np.stack([np.ones_like(y), *varying], axis=1)
    slopes, t_values = _least_squares(matrix, y)
    found = dict(zip([id(column) for column in varying], zip(slopes[1:], t_values[1:], strict=True), strict=True))
    at = np.array([1.0, *(float(column.mean()) for column in varying)]) @ slopes
    effects = TokenEffects()
    if id(tokens) in found:
        slope, t = found[id(tokens)]
        low, high = np.quantile(tokens, [0.1, 0.9])
        middle = float(tokens.mean())
        long, short = (_seen_in(y, at + slope * (quantile - middle)) for quantile in (high, low))
        effects = TokenEffects(slope, t, long, short)
    if id(cached) in found and (cached == 0).sum() >= _FEWEST <= (cached > 0).sum():
        slope, t = found[id(cached)]
        miss = at - slope * float(cached.mean())
        hit = miss + slope * float(cached[cached > 0].mean())
        effects = replace(effects, t_cached=t, miss=_seen_in(y, miss), hit=_seen_in(y, hit))
    return effects


def _seen_in(y: Floats, value: float) -> float:
    """A value of the fitted line, but none beyond the quickest and the slowest request: a line goes below zero."""
    return float(np.clip(value, y.min(), y.max()))


def _least_squares(matrix: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Coefficients, and each over its standard error, which allows unequal variances (White, Econometrica 48, 1980)."""
    inverse = np.linalg.pinv(matrix.T @ matrix)
    slopes = inverse @ matrix.T @ y
    weighted = matrix * (y - matrix @ slopes)[:, None]
    errors = np.sqrt(np.diag(inverse @ (weighted.T @ weighted) @ inverse))
    return slopes, slopes / np.maximum(errors, 1e-12)


@dataclass(frozen=True)
class Modes:
    """Values in two groups: where they part, the share of the upper group, the medians of both, the share of the
    variance (of logarithms) that lies between them, and how empty it is where they part (0 to 1: the density there over
    that of the lower of both peaks)."""

    split: float
    share: float
    low: float
    high: float
    between: float
    valley: float


def two_modes(values: Floats) -> Modes | None:
    """The two groups of least variance within (Otsu, IEEE Trans. SMC 9, 1979), on logarithms; None for too few."""
    logs = np.sort(np.log(values[values > 0]))
    n = len(logs)
    if n < 2 * _FEWEST or logs[-1] - logs[0] <= 0:
        return None
    counts = np.arange(1, n)
    sums = np.cumsum(logs)
    means = sums[:-1] / counts, (sums[-1] - sums[:-1]) / (n - counts)
    between = counts * (n - counts) / n**2 * (means[1] - means[0]) ** 2
    cut = int(np.argmax(between)) + 1
    low, high = logs[:cut], logs[cut:]
    return Modes(
        split=float(np.exp((low[-1] + high[0]) / 2)),
        share=(n - cut) / n,
        low=float(np.exp(np.median(low))),
        high=float(np.exp(np.median(high))),
        between=float(between[cut - 1] / np.var(logs)),
        valley=_valley(low, high),
    )


def _valley(low: Floats, high: Floats) -> float:
    """How many lie in the middle third of the way between both medians, against as wide a strip about each median."""
    a, b = float(np.median(low)), float(np.median(high))
    half = (b - a) / 6
    every = np.concatenate([low, high])
    middle, *peaks = (int((np.abs(every - at) < half).sum()) for at in ((a + b) / 2, a, b))
    return middle / max(1, min(peaks))


@dataclass(frozen=True)
class Wake:
    """The first requests after a silence (or at the beginning): how many, their median time to first content, and that
    of all others; `least_s` is the quickest of them and `usual_s` the 99th percentile of the others."""

    n: int
    first_s: float
    rest_s: float
    least_s: float
    usual_s: float
    at_s: float


def wakes(group: Sequence[Measured]) -> list[Wake]:
    """Every wave of a target's requests that came after a silence, with what it saw; warm-up included. Those of one
    wave were started before the first of them ended."""
    found = []
    for each in group:
        for window in each.windows:
            found += _wakes_of(window)
    return found


def _wakes_of(window: Window) -> list[Wake]:
    samples = window.samples
    rows = window.everything[window.is_(window.everything, "outcome", "ok")]
    start, end = samples.on_axis("start_ns", rows), samples.on_axis("end_ns", rows)
    order = np.argsort(start, kind="stable")
    rows, start, end = rows[order], start[order], end[order]
    first = samples.on_axis("first_event_ns", rows)
    took_s = (np.where(np.isnan(first), end, first) - start) / 1e9
    if len(rows) < _FEWEST:
        return []
    before = np.concatenate([[-np.inf], np.maximum.accumulate(end)[:-1]])
    begins = np.flatnonzero(start - before > _IDLE_NS)
    early = np.zeros(len(rows), dtype=bool)
    waves = []
    for begin, stop in zip(begins, [*begins[1:], len(rows)], strict=True):
        last = begin + int(np.searchsorted(start[begin:stop], end[begin:stop].min()))
        waves.append(slice(begin, last))
        early[begin:last] = True
    rest = took_s[~early]
    if len(rest) < _FEWEST // 2:
        return []
    rest_s, usual_s = float(np.median(rest)), float(np.quantile(rest, 0.99))
    return [
        Wake(
            int(wave.stop - wave.start),
            float(np.median(took_s[wave])),
            rest_s,
            float(took_s[wave].min()),
            usual_s,
            float(start[wave.start] - window.first_ns) / 1e9,
        )
        for wave in waves
    ]
