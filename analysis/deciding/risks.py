"""What might go wrong with a target, how bad it is by what was measured, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from analysis.answers.model_drift import ModelDrift
from analysis.deciding.entrants import Entrant
from analysis.deciding.quotes import Quote, estimate_quoted
from analysis.deciding.recommendation_record import Risk
from analysis.deciding.use_cases import UseCase
from analysis.deciding.wording_decision import quote_text
from analysis.records.capacity_record import Trend
from analysis.summary import Outage
from analysis.wording import number, percent, seconds, share

Level = Literal["low", "medium", "high", "unknown"]
_AVAILABLE = (0.999, 0.99)  # the lower end of availability: low above the first, high below the second
_LEFT = (0.5, 0.1)  # of a provider's limit
_CV = (0.05, 0.15)
_TAIL = 5.0  # p99 over p50
_THROTTLED = 0.01


def risks_of(entrant: Entrant, use_case: UseCase, changes: Sequence[ModelDrift]) -> tuple[Risk, ...]:
    """Every risk of a target; `changes`: its model's answers in these runs against an earlier one."""
    return (
        _outage(entrant, use_case),
        _rate_limit(entrant),
        _variance(entrant),
        _drift(entrant, changes),
    )


def _level(value: float, fine: float, bad: float) -> Level:
    """Low on the fine side, high on the bad one."""
    if fine > bad:
        return "low" if value >= fine else "high" if value < bad else "medium"
    return "low" if value <= fine else "high" if value > bad else "medium"


def _outage(entrant: Entrant, use_case: UseCase) -> Risk:
    """One provider alone is as available as it is. Without an outage the time watched bounds nothing: then the share
    of failed attempts tells what is known."""
    place = next((k for k, each in enumerate(entrant.summary.providers) if each.target == entrant.target), None)
    if place is None:
        return Risk(kind="outage", level="unknown", says="It was not watched.", mitigation=_FAIL_OVER)
    found = entrant.summary.providers[place].reliability
    at = f"providers[{place}].reliability"
    no_interval = found.availability.ci95 is None
    what, estimate, name = (
        (found.success_ratio, "success_ratio", "no outage was seen; success ratio")
        if no_interval
        else (found.availability, "availability", "availability")
    )
    quote = estimate_quoted(entrant.summary.run, f"{at}.{estimate}", what)
    if quote is None:
        return Risk(kind="outage", level="unknown", says="No attempt was counted.", mitigation=_FAIL_OVER)
    low = quote.ci95[0] if quote.ci95 is not None else None
    worst = quote.value if low is None else low
    lost = ""
    if use_case.requests_per_month is not None:
        ends = [(1 - each) * use_case.requests_per_month for each in _ends(quote)]
        lost = (
            f": of {number(use_case.requests_per_month)} requests a month {number(ends[1])}"
            f" [{number(ends[0])}, {number(ends[2])}] would be lost"
        )
    longest = "" if found.longest_outage_s is None else f", the longest of {seconds(found.longest_outage_s)}"
    seen = "" if not found.outages else f" ({_outages(found.outages)}{longest})"
    says = f"{name} {share(what)}{seen}{lost}."
    return Risk(
        kind="outage",
        level=_level(worst, *_AVAILABLE),
        says=says[0].upper() + says[1:],
        mitigation=_FAIL_OVER,
        quotes=(quote,),
    )


_FAIL_OVER = "Fail over to another provider after a few failures in a row (see fail-over); retry with a pause."


def _outages(found: Sequence[Outage]) -> str:
    return "1 outage" if len(found) == 1 else f"{len(found)} outages"


def _ends(quote: Quote) -> tuple[float, float, float]:
    """The upper end, the value and the lower end: from the fewest lost to the most."""
    low, high = quote.ci95 or (None, None)
    return (1.0 if high is None else high), quote.value, (0.0 if low is None else low)


def _rate_limit(entrant: Entrant) -> Risk:
    result = entrant.result
    mitigation = "Pace the requests (`limits: {pace: true}`), and ask for higher limits before the volume grows."
    throttled = result.outcomes.get("throttled", 0) / result.attempted if result.attempted else 0.0
    if throttled > _THROTTLED:
        quote = _plain(entrant, "outcomes.throttled", float(result.outcomes["throttled"]))
        says = f"{percent(throttled)} of the requests were throttled under this load."
        return Risk(kind="rate limit", level="high", says=says, mitigation=mitigation, quotes=(quote,))
    if not result.limits_left:
        says = "The provider told no limits in its headers; `tokenswarm limits` measures them."
        return Risk(kind="rate limit", level="unknown", says=says, mitigation=mitigation)
    what, left = min(result.limits_left.items(), key=lambda each: each[1])
    quotes = [_plain(entrant, f"limits_left.{what}", left)]
    says = f"At the worst moment {percent(left)} of the limit on {what} was left"
    rate = entrant.quote("achieved_rps")
    if rate is not None and 0 < left < 1:
        says += f"; at this mix the limit is met near {number(rate.value / (1 - left))} requests/s"
        quotes.append(rate)
    return Risk(
        kind="rate limit",
        level=_level(left, *_LEFT),
        says=f"{says}.",
        mitigation=mitigation,
        quotes=tuple(quotes),
    )


def _plain(entrant: Entrant, path: str, value: float) -> Quote:
    return Quote(run=entrant.summary.run, path=f"results[{entrant.index}].{path}", value=value)


def _variance(entrant: Entrant) -> Risk:
    """How much repeats differ, and how long the tail is."""
    head = "ttft_s" if entrant.result.ttft_s is not None else "e2e_s"
    spread = getattr(entrant.result, head)
    mitigation = "Plan with the interval, not the mean; set a timeout beyond p99 and send again elsewhere."
    cv = None if spread is None else spread.cv.get("p95")
    if cv is None:
        says = "One repeat, or too few requests: how much it varies is not known."
        return Risk(kind="variance", level="unknown", says=says, mitigation=mitigation)
    quotes = [_plain(entrant, f"{head}.cv.p95", cv)]
    name = "TTFT" if head == "ttft_s" else "E2E"
    says = f"{name} p95 varies by {percent(cv)} between repeats"
    level = _level(cv, *_CV)
    p50, p99 = entrant.quote(f"{head}.p50"), entrant.quote(f"{head}.p99")
    if p50 is not None and p99 is not None and p50.value > 0:
        says += f"; p99 {quote_text(f'{head}.p99', p99)} is {p99.value / p50.value:.1f} times p50"
        quotes += [p99, p50]
        level = "medium" if level == "low" and p99.value / p50.value > _TAIL else level
    return Risk(kind="variance", level=level, says=f"{says}.", mitigation=mitigation, quotes=tuple(quotes))


def _drift(entrant: Entrant, changes: Sequence[ModelDrift]) -> Risk:
    mitigation = "Pin the model's version; run the same plan each week, and let a gate on it warn."
    changed = [each for each in changes if each.target == entrant.target and each.verdict == "changed"]
    if changed:
        says = f"Its answers or fingerprints changed between {changed[0].b_run} and {changed[0].a_run}."
        return Risk(kind="drift", level="high", says=says, mitigation=mitigation)
    own = [
        (place, trend)
        for place, trend in enumerate(entrant.summary.trends)
        if trend.target == entrant.target and trend.workload == entrant.result.workload
    ]
    telling = [(place, trend) for place, trend in own if trend.says]
    if not own:
        return Risk(
            kind="drift", level="unknown", says="Too few requests to see a drift in the run.", mitigation=mitigation
        )
    if not telling:
        return Risk(
            kind="drift", level="low", says="No drift was seen in the course of the run.", mitigation=mitigation
        )
    place, trend = telling[0]
    says = f"{trend.latency.removesuffix('_s').upper()} in repeat {trend.repeat}: {'; '.join(trend.says)}."
    return Risk(kind="drift", level="medium", says=says, mitigation=mitigation, quotes=_of_trend(entrant, place, trend))


def _of_trend(entrant: Entrant, place: int, trend: Trend) -> tuple[Quote, ...]:
    quote = estimate_quoted(entrant.summary.run, f"trends[{place}].drift", trend.drift)
    return () if quote is None else (quote,)
