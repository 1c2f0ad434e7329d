"""How the summary's parts on capacity are said, in the terminal and in the report alike."""

from __future__ import annotations

from analysis.prediction import Predicted, Prediction
from analysis.records.capacity_record import Cause, Diagnosis, Sweep, Trend
from analysis.records.record import Estimate
from analysis.showing.wording_search import answer_lines
from analysis.summary import Summary
from analysis.wording import NOTHING, digits, number, percent, seconds

LATENCY = {"ttft_s": "TTFT", "tpot_s": "TPOT", "e2e_s": "E2E"}


def cause_line(cause: Cause) -> str:
    """A cause with its strength and what it rests on."""
    return f"{cause.cause} ({percent0(cause.strength)} of {cause.of}): {cause.saw}"


def percent0(share: float) -> str:
    """A share of one in whole per cent."""
    return f"{100 * share:.0f} %"


def verdict(found: Diagnosis) -> str:
    """What holds a target up, in one sentence."""
    who = f"{found.target} {found.workload}"
    if found.causes:
        return f"{who}: {cause_line(found.causes[0])}"
    looked = "" if not found.unchecked else f" (not looked for: {', '.join(found.unchecked)})"
    return f"{who}: nothing found that holds it up{looked}"


def law(sweep: Sweep) -> str:
    """The fitted law of a sweep, or why there is none; "" for a single load, which is no sweep."""
    usl = sweep.usl
    if usl.points < 2:
        return ""
    parts = []
    if usl.n_star is not None and usl.max_rps is not None:
        parts.append(f"most at {interval(usl.n_star)} in flight: {interval(usl.max_rps)} requests/s")
    if usl.lambda_rps is not None and usl.sigma is not None and usl.kappa is not None:
        rate, sigma, kappa = (interval(each) for each in (usl.lambda_rps, usl.sigma, usl.kappa))
        parts.append(f"lambda {rate}/s, sigma {sigma}, kappa {kappa}")
    if usl.refused is not None:
        parts.append(usl.refused)
    return f"{sweep.target} {sweep.workload}: {'; '.join(parts)}"


def interval(found: Estimate | None) -> str:
    """A number with its interval, three digits of each."""
    if found is None or found.value is None:
        return NOTHING
    text = digits(found.value)
    if found.ci95 is None:
        return text
    low, high = (("open" if end is None else digits(end)) for end in found.ci95)
    return f"{text} [{low}, {high}]"


def capacity(sweep: Sweep) -> str:
    """The load up to which the SLO is met; "" where that is not known."""
    found = sweep.concurrent_capacity
    if found is None:
        return ""
    limit = (
        f"{digits(found.in_flight)} in flight" if found.exceeded else f"at least {digits(found.in_flight)} in flight"
    )
    met = f"{percent(found.attainment)} within the SLO there, {percent0(found.wanted)} wanted"
    return f"{sweep.target} {sweep.workload}: the SLO is met up to {limit} ({met})"


def trend_line(trend: Trend) -> str:
    """What a latency did within a repeat."""
    where = f"{trend.target} {trend.workload}, stage {trend.stage}, repeat {trend.repeat}"
    return f"{where}: {LATENCY[trend.latency]}: {'; '.join(trend.says)}"


def prediction_lines(found: Predicted) -> list[str]:
    """A prediction as lines of text."""
    at = ", ".join(f"{value:g} {_AT[name]}" for name, value in found.at.items())
    low, high = (f"{end:.3g}" for end in found.tested)
    beyond = ", which is beyond: rely on it less" if found.extrapolates else ""
    head = f"{found.target} {found.workload} at {at} ({low} to {high} were tested{beyond}); 90 % prediction intervals:"
    return [head, *(_prediction_line(each) for each in found.predictions)]


def _prediction_line(found: Prediction) -> str:
    timed = "_s." in found.metric
    value, low, high = (seconds(each) if timed else number(each) for each in (found.value, found.low, found.high))
    how = f"{found.model}; off by {100 * found.cv_error:.1f} % in cross-validation"
    return f"  {found.metric:<20} {value} [{low}, {high}]  ({how})"


_AT = {"concurrency": "requests in flight", "input_tokens": "prompt tokens"}


def capacity_lines(summary: Summary) -> list[str]:
    """What a reader of the terminal wants: diagnoses, laws, limits and what changed."""
    lines = [] if summary.search is None else [f"capacity: {text}" for text in answer_lines(summary.search)]
    lines += [f"diagnosis: {verdict(each)}" for each in summary.diagnoses]
    for sweep in summary.sweeps:
        lines += [f"scaling: {text}" for text in (law(sweep), capacity(sweep)) if text]
    said = [trend for trend in summary.trends if trend.says]
    lines += [f"trend: {trend_line(trend)}" for trend in said[:MOST_TRENDS]]
    if len(said) > MOST_TRENDS:
        lines.append(f"trend: {len(said) - MOST_TRENDS} more in the report")
    return lines


MOST_TRENDS = 3
