"""Strategies for quality and cost: the load and the cap of answers, batch prices, cached input, shorter replies, and a
cheaper target that answers as well. Rules as in `analysis/deciding/strategies_speed.py`."""

from __future__ import annotations

from collections.abc import Sequence

from scipy import stats

from analysis.deciding.entrants import Entrant
from analysis.deciding.quotes import Quote, estimate_quoted
from analysis.deciding.recommendation_record import Strategy
from analysis.deciding.strategies_speed import SHORTER, Rule, known_quotes, share_of
from analysis.records.record import Estimate
from analysis.wording import percent
from analysis.wording import share as share_words

_CUT = 0.01  # of the replies
_WORTH = 0.05  # of the cost
_CHEAPER = 0.9  # times the cost
_AS_GOOD = 0.05  # by how much the accuracy may be lower at most, at the end of the interval


def calmer(entrant: Entrant) -> Strategy | None:
    """Accuracy that is shown to fall under load."""
    for place, each in enumerate(entrant.summary.quality_under_load):
        own = (each.target, each.workload) == (entrant.target, entrant.result.workload)
        if own and each.verdict == "falls" and each.accuracy is not None and each.accuracy.value is not None:
            found = each.accuracy
            low, high = found.ci95 or (None, None)
            ends = (None if high is None else -high, None if low is None else -low)
            gain = Estimate(value=-each.accuracy.value, ci95=ends)
            says = f"Less load: at {each.lowest} its accuracy is higher by {share_words(gain)} than at {each.highest}."
            quote = estimate_quoted(entrant.summary.run, f"quality_under_load[{place}].accuracy", found)
            return Strategy(
                aim="quality",
                name="less load",
                says=says,
                gain=gain,
                unit="of accuracy",
                share=None,
                rule="the accuracy at the highest load is shown to be below that at the lowest",
                verify=f"run the questions at {each.lowest} alone and compare quality.accuracy",
                quotes=known_quotes(quote),
            )
    return None


def longer_cap(entrant: Entrant) -> Strategy | None:
    """Replies that are shown to end at the cap, and so may have no answer."""
    cut, at = entrant.quote("quality.cut"), entrant.graded
    quality = None if at is None else entrant.summary.results[at].quality
    if cut is None or quality is None or cut.ci95 is None or (cut.ci95[0] or 0.0) < _CUT:
        return None
    if quality.accuracy is None or quality.accuracy_of_all is None:
        return None
    accuracy, of_all = entrant.quote("quality.accuracy"), entrant.quote("quality.accuracy_of_all")
    if accuracy is None or of_all is None or accuracy.value <= of_all.value:
        return None
    gain = min(cut.value, accuracy.value - of_all.value)
    says = (
        f"A longer cap: {share_words(quality.cut)} of the replies ended at it; answered as well as the others, they add"
        f" {percent(gain)} to the accuracy of all at most."
    )
    return Strategy(
        aim="quality",
        name="longer cap",
        says=says,
        gain=Estimate(value=gain, ci95=(0.0, gain)),
        unit="of accuracy of all",
        share=None,
        rule="more than 1 % of the replies are shown to end at the cap, and answers are missing",
        verify="run with twice the `output_tokens` and compare quality.cut and quality.accuracy_of_all",
        quotes=known_quotes(cut, accuracy, of_all),
    )


def batch_price(entrant: Entrant) -> Strategy | None:
    """A provider that sells the same tokens cheaper as jobs."""
    cost = entrant.result.cost
    factor = None if cost is None else entrant.quote("cost.price.batch_factor")
    request = entrant.quote("cost.usd_per_request")
    if cost is None or factor is None or request is None or (entrant.result.dialect or "").endswith("-batches"):
        return None
    tokens_usd = (cost.usd - cost.spend.requests_usd) / cost.requests
    gain = (1 - factor.value) * tokens_usd
    if request.value <= 0 or gain / request.value < _WORTH:
        return None
    says = (
        f"Jobs: the batch endpoint costs {percent(factor.value)} of the price; what can wait saves ${gain:.3g} of"
        f" ${request.value:.3g} a request."
    )
    return Strategy(
        aim="cost",
        name="batch API price",
        says=says,
        gain=Estimate(value=gain),
        unit="USD a request",
        share=share_of(gain, request.value),
        rule="the price has a batch_factor below 1, and the target is not a batch endpoint",
        verify="run the prompts as `kind: batch`: items/s and cost.usd_per_request tell whether the wait is worth it",
        quotes=known_quotes(factor, request),
    )


def cached_price(entrant: Entrant) -> Strategy | None:
    """A provider that sells cached input cheaper, and input that was paid in full."""
    cost = entrant.result.cost
    cached, full = entrant.quote("cost.price.input_cached"), entrant.quote("cost.price.input")
    fresh, request = entrant.quote("cost.spend.input_usd"), entrant.quote("cost.usd_per_request")
    if cost is None or cached is None or full is None or fresh is None or request is None or full.value <= 0:
        return None
    gain = SHORTER * fresh.value / cost.requests * (1 - cached.value / full.value)
    if request.value <= 0 or gain / request.value < _WORTH:
        return None
    says = (
        f"A shared prefix of {percent(SHORTER)} of each prompt: cached input costs ${cached.value:g} instead of"
        f" ${full.value:g} per 1M tokens and saves ${gain:.3g} of ${request.value:.3g} a request."
    )
    return Strategy(
        aim="cost",
        name="cached input",
        says=says,
        gain=Estimate(value=gain, ci95=(0.0, gain)),
        unit="USD a request",
        share=share_of(gain, request.value),
        rule="the price of cached input is lower, and a prefix of 30 % would save at least 5 % of a request",
        verify="run with `prefix_share: 0.3`: cost.spend.input_cached_usd should rise and cost.usd fall",
        quotes=known_quotes(cached, full, fresh, request),
    )


def paid_output(entrant: Entrant) -> Strategy | None:
    """Output that makes up most of the cost."""
    cost, request = entrant.result.cost, entrant.quote("cost.usd_per_request")
    if cost is None or request is None or request.value <= 0:
        return None
    output = (cost.spend.output_usd + cost.spend.reasoning_usd) / cost.requests
    gain = SHORTER * output
    if output < request.value / 2:
        return None
    quotes = known_quotes(
        entrant.quote("cost.spend.output_usd"),
        entrant.quote("cost.spend.reasoning_usd"),
        entrant.quote("cost.requests"),
        request,
    )
    says = (
        f"Shorter replies: output is {percent(output / request.value)} of the cost; {percent(SHORTER)} fewer tokens"
        f" save ${gain:.3g} of ${request.value:.3g} a request."
    )
    return Strategy(
        aim="cost",
        name="shorter replies",
        says=says,
        gain=Estimate(value=gain),
        unit="USD a request",
        share=share_of(gain, request.value),
        rule="at least half of the cost is output",
        verify="run with `output_tokens` 30 % lower, and look that quality.accuracy_of_all stays",
        quotes=quotes,
    )


def cheaper(entrant: Entrant, others: Sequence[Entrant]) -> Strategy | None:
    """Another target that costs less and answers as well, as far as the questions tell."""
    now, accuracy = entrant.quote("cost.usd_per_request"), entrant.quote("quality.accuracy_of_all")
    if now is None or accuracy is None:
        return None
    found = []
    for other in others:
        there, right = other.quote("cost.usd_per_request"), other.quote("quality.accuracy_of_all")
        if there is None or right is None or other.target == entrant.target or there.value > _CHEAPER * now.value:
            continue
        loss = _difference(accuracy, right)
        if loss is not None and (loss.ci95 or (None, None))[1] is not None and loss.ci95[1] <= _AS_GOOD:  # type: ignore[index,operator]
            found.append((there.value, there, right, loss, other))
    best = min(found, default=None, key=lambda each: each[0])
    if best is None:
        return None
    usd, there, right, loss, other = best
    says = (
        f"Send what {other.name} can do to it: a request costs ${usd:.3g} there instead of ${now.value:.3g}, and its"
        f" accuracy is lower by {share_words(loss)}."
    )
    return Strategy(
        aim="cost",
        name="cheaper at equal accuracy",
        says=says,
        gain=Estimate(value=now.value - usd),
        unit="USD a request",
        share=share_of(now.value - usd, now.value),
        rule="another target costs at least 10 % less, and its accuracy is shown to be lower by 5 points at most",
        verify=f"route a tenth of the questions to {other.name} and compare quality.accuracy_of_all on them",
        quotes=known_quotes(now, there, accuracy, right),
    )


def _difference(a: Quote, b: Quote) -> Estimate | None:
    """A - b of two shares, by the normal approximation from their intervals, taken as independent (answers to the same
    questions go together, so the interval is rather too wide)."""
    errors = [_error(each) for each in (a, b)]
    if errors[0] is None or errors[1] is None:
        return None
    half = float(stats.norm.ppf(0.975)) * (errors[0] ** 2 + errors[1] ** 2) ** 0.5
    value = a.value - b.value
    return Estimate(value=value, ci95=(value - half, value + half))


def _error(quote: Quote) -> float | None:
    low, high = quote.ci95 or (None, None)
    return None if low is None or high is None else (high - low) / 2 / float(stats.norm.ppf(0.975))


WORTH: tuple[Rule, ...] = (calmer, longer_cap, batch_price, cached_price, paid_output)
