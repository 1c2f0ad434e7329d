"""How sure the numbers of targets are: seeded draws of what they might truly be, given the repeats that were made.

Of what each repeat has a value of its own, the logarithms are resampled with Gaussian weights on the repeats, the same
weights for all metrics and all targets of a run (whose targets take turns within a repeat, so that what a repeat did to
all of them cancels), and widened by Student's t. For n repeats x_r with mean m and weights z_r ~ N(0, 1),

    draw = ln(value) + sqrt(nu / chi2_nu) * sum_r z_r (x_r - m) / sqrt(n (n - 1)),  nu = n - 1,

which for any one metric, and any difference of two, is Student's posterior under Jeffreys' prior (Box and Tiao,
Bayesian Inference in Statistical Analysis, 1973, section 2.4): the bootstrap of repeats alone is too narrow for few.
Shares (success, accuracy) have the Beta posterior of Jeffreys' prior, on as many replies as they are worth. Another
number with an interval is drawn from Student's t of that width; one without an interval is not drawn at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.comparing.repeat_values import is_exact
from analysis.deciding.entrants import Entrant
from analysis.deciding.quotes import Quote
from analysis.quantiles import Floats, student
from analysis.summary import Result

DRAWS = 4000
SEED = 20_260_101
_COUNTED = ("completed_rps", "goodput_rps", "achieved_rps")


@dataclass(frozen=True)
class OfRepeats:
    """The logarithms of the repeats' values, less their mean, by repeat. `grain`: the variance that rounding to whole
    requests gives to one of them."""

    logs: Mapping[int, float]
    grain: float = 0.0


@dataclass(frozen=True)
class OfCounts:
    """So many good and bad replies, as many as they are worth. `graded`: of graded replies, which a repeat of the same
    questions makes no more of."""

    good: float
    bad: float
    graded: bool = False


@dataclass(frozen=True)
class OfWidth:
    """The standard error of the logarithm, and its degrees of freedom; 0: exact."""

    error: float
    df: float


Spread = OfRepeats | OfCounts | OfWidth


@dataclass(frozen=True)
class Measure:
    """A number, what is quoted for it (itself, or what it is worked out from), and how sure it is (None: nothing
    tells)."""

    value: float
    quotes: tuple[Quote, ...]
    spread: Spread | None


def measured(entrant: Entrant, path: str) -> Measure | None:
    """A number of an entrant; None: not measured."""
    quote = entrant.quote(path)
    return None if quote is None else Measure(quote.value, (quote,), _spread(entrant, path, quote))


def _spread(entrant: Entrant, path: str, quote: Quote) -> Spread | None:
    result = entrant.result
    if path == "success_ratio":
        return _of_success(result, quote.value)
    if path.startswith("quality."):
        return _of_quality(entrant, path, quote)
    if path.startswith("cost."):
        return OfWidth(0.0, 1) if is_exact(result, path) else _of_cost(result)
    own = _of_repeats(result, path)
    return own if own is not None else _of_interval(quote, result.repeats)


def _of_repeats(result: Result, path: str) -> OfRepeats | None:
    """Repeats that do not tell the number are passed over; a rate of 0 has no logarithm, and so no spread."""
    values = {each.repeat: each.values.get(path) for each in result.repeat_values}
    whole = {repeat: value for repeat, value in values.items() if value is not None}
    if len(whole) < 2 or min(whole.values()) <= 0:
        return None
    logs = {repeat: math.log(value) for repeat, value in whole.items()}
    mean = sum(logs.values()) / len(logs)
    grain = 0.0
    if path in _COUNTED:
        spans = {each.repeat: each.window_s or 0.0 for each in result.repeat_values}
        counts = [value * spans[repeat] for repeat, value in whole.items()]
        grain = float(np.mean([1 / (12 * max(1.0, count) ** 2) for count in counts]))
    return OfRepeats({repeat: value - mean for repeat, value in logs.items()}, grain)


def _of_success(result: Result, share: float) -> OfCounts | None:
    """Attempts are worth less where the repeats differ more than chance makes them (the design effect: Rao and Scott,
    Biometrics 48, 1992)."""
    n = sum(result.outcomes.values()) - sum(result.outcomes.get(name, 0) for name in ("cancelled", "dropped"))
    if n <= 0:
        return None
    own = [each.values.get("success_ratio") for each in result.repeat_values]
    whole = [value for value in own if value is not None]
    chance = share * (1 - share) * len(whole) / n
    inflated = float(np.var(whole, ddof=1)) / chance if len(whole) >= 2 and chance > 0 else 1.0
    worth = n / max(1.0, inflated)
    return OfCounts(share * worth, (1 - share) * worth)


def _of_quality(entrant: Entrant, path: str, quote: Quote) -> Spread | None:
    """The number of independent answers that an accuracy is worth stands beside it; of other shares it follows from
    the width of the interval."""
    found = None if entrant.graded is None else entrant.summary.results[entrant.graded].quality
    if found is None or not 0 <= quote.value <= 1:
        return None
    if path == "quality.accuracy" and found.effective_n:
        return OfCounts(quote.value * found.effective_n, (1 - quote.value) * found.effective_n, graded=True)
    ends = quote.ci95
    if ends is None or ends[0] is None or ends[1] is None or ends[1] <= ends[0]:
        return None
    middle, half = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
    worth = max(1.0, (1.96 / half) ** 2 * max(1e-4, middle * (1 - middle)) - 4)  # Wilson's, solved for n
    return OfCounts(quote.value * worth, (1 - quote.value) * worth, graded=True)


def _of_cost(result: Result) -> OfWidth | None:
    """A price is exact; how many tokens a request takes varies with the repeats."""
    cost, df = result.cost, len(result.repeat_values) - 1
    if cost is None or cost.usd <= 0:
        return None if cost is None else OfWidth(0.0, 1)
    spend = cost.spend
    parts = ((spend.output_usd + spend.reasoning_usd, result.output_tokens), (spend.input_usd, result.input_tokens))
    error = 0.0
    for usd, tokens in parts:
        ends = None if tokens is None else tokens.ci95.get("mean")
        if ends is not None and tokens is not None and tokens.mean and df > 0:
            half = (ends[1] - ends[0]) / 2 / tokens.mean
            error = math.hypot(error, usd / cost.usd * half / student(df))
    return OfWidth(error, max(1, df)) if df > 0 else None


def _of_interval(quote: Quote, repeats: int) -> OfWidth | None:
    ends = quote.ci95
    if ends is None or ends[0] is None or ends[1] is None or quote.value <= 0:
        return None
    df = max(1, repeats - 1)
    half = (ends[1] - ends[0]) / 2 / quote.value
    return OfWidth(half / student(df), df)


@dataclass(frozen=True)
class Weights:
    """What all numbers of one run have in common: the weights of its repeats in each draw, and a probability that
    Student's t is widened by."""

    of_repeats: Mapping[int, Floats]
    widening: Floats


class Drawn:
    """Draws of the numbers of some entrants. Each stream depends on the seed and on an entrant's place alone, so the
    caller orders them by their numbers: names decide nothing.

    `repeats`, `replies`: how many times as many repeats, and as many graded replies to other questions, to suppose.
    """

    def __init__(
        self, entrants: Sequence[Entrant], seed: int = SEED, *, repeats: float = 1.0, replies: float = 1.0
    ) -> None:
        self.seed, self._repeats, self._replies = seed, repeats, replies
        runs = list(dict.fromkeys(each.summary.run for each in entrants))
        self._weights = {run: self._weights_of(number, entrants, run) for number, run in enumerate(runs)}
        self._widened: dict[tuple[str, float], Floats] = {}  # slow to work out, and the same for many numbers

    def _weights_of(self, number: int, entrants: Sequence[Entrant], run: str) -> Weights:
        rng = np.random.default_rng([self.seed, 0, number])
        widening = rng.uniform(size=DRAWS)
        own = [each.result for each in entrants if each.summary.run == run]
        repeats = sorted({repeat.repeat for result in own for repeat in result.repeat_values})
        return Weights({repeat: rng.standard_normal(DRAWS) for repeat in repeats}, widening)

    def of(self, measure: Measure, run: str, stream: tuple[int, int]) -> Floats | None:
        """Draws of one number; `stream`: the entrant's place and that of the metric. None: nothing tells how sure."""
        rng = np.random.default_rng([self.seed, 1, *stream])
        value, spread = measure.value, measure.spread
        if isinstance(spread, OfCounts):
            more = self._replies if spread.graded else self._repeats
            good, bad = spread.good * more, spread.bad * more
            return rng.beta(good + 0.5, bad + 0.5, DRAWS)
        if isinstance(spread, OfWidth):
            df = max(1.0, (spread.df + 1) * self._repeats - 1)
            noise = spread.error / math.sqrt(self._repeats) * rng.standard_t(df, DRAWS)
            return np.asarray(value * np.exp(np.clip(noise, -20, 20)), dtype=np.float64)
        if isinstance(spread, OfRepeats):
            noise = self._of_repeats(spread, run, rng)
            return np.asarray(value * np.exp(np.clip(noise, -20, 20)), dtype=np.float64)
        return None

    def _of_repeats(self, spread: OfRepeats, run: str, rng: np.random.Generator) -> Floats:
        n, weights = len(spread.logs), self._weights[run]
        supposed = n * self._repeats
        df = supposed - 1
        if (run, df) not in self._widened:
            self._widened[run, df] = np.sqrt(df / np.maximum(1e-12, stats.chi2.ppf(weights.widening, df)))
        summed = sum((weights.of_repeats[repeat] * log for repeat, log in spread.logs.items()), np.zeros(DRAWS))
        noise = self._widened[run, df] * summed / math.sqrt(supposed * (n - 1))
        return np.asarray(noise + math.sqrt(spread.grain / supposed) * rng.standard_normal(DRAWS), dtype=np.float64)
