"""How numbers and answers are worded, in the terminal and in the report alike."""

from __future__ import annotations

from analysis.summary import Comparison, Dist, Result, Summary

NOTHING = "—"
NAMES = {
    "ttft_s.p50": "TTFT p50",
    "ttft_s.p95": "TTFT p95",
    "itl_s.p50": "ITL p50",
    "tpot_s.p50": "TPOT p50",
    "e2e_s.p50": "E2E p50",
    "e2e_s.p95": "E2E p95",
    "completed_rps": "requests/s",
    "goodput_rps": "goodput",
    "output_tokens_per_s": "tokens/s",
    "success_ratio": "success ratio",
}
HEADLINES = ("ttft_s.p50", "e2e_s.p50")


def seconds(value: float | None) -> str:
    """A time in the unit people read: ms below one second."""
    if value is None:
        return NOTHING
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms" if value >= 0.1 else f"{value * 1000:.1f} ms"


def number(value: float | None) -> str:
    """A count or rate with about three digits."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percent(value: float | None) -> str:
    """A share of one as per cent."""
    return NOTHING if value is None else f"{100 * value:.2f} %"


def usd(value: float | None) -> str:
    """US dollars with four decimals."""
    return NOTHING if value is None else f"${value:.4f}"


def statistic(dist: Dist | None, name: str, *, with_interval: bool = False) -> str:
    """One statistic of a distribution of times, with its interval where asked for and known."""
    if dist is None:
        return NOTHING
    value: float | None = getattr(dist, name)
    text = seconds(value)
    if with_interval and value is not None and name in dist.ci95:
        low, high = dist.ci95[name]
        text += f" [{seconds(low)}, {seconds(high)}]"
    return text


def place(result: Result) -> str:
    """Workload and stage of a result in one phrase."""
    return ", ".join(part for part in (result.workload, result.stage_label) if part)


def sentence(found: Comparison) -> str:
    """A comparison as a person would say it: the first named is the one that is ahead."""
    name = NAMES.get(found.metric, found.metric)
    if found.verdict in ("better", "worse") and found.ratio.value is not None:
        ahead, behind = (found.a, found.b) if found.verdict == "better" else (found.b, found.a)
        return f"{ahead} beats {behind} in {name} by {_lead(found, found.ratio.value)}."
    if found.verdict == "no difference":
        return f"{found.a} and {found.b} do not differ in {name}: {found.reason}."
    more = f"; {found.repeats_needed} more repeats would decide" if found.repeats_needed else ""
    why = f" ({found.reason})" if found.reason else ""
    return f"Cannot tell whether {found.a} or {found.b} has the better {name}{why}{more}."


def _lead(found: Comparison, ratio: float) -> str:
    """By how many per cent of the other's value the better one is ahead, with the interval."""
    values = [ratio, *(each for each in (found.ratio.ci95 or ()) if each is not None)]
    if found.verdict == "worse":
        values = [1 / each for each in values]
    lead, *ends = [100 * abs(1 - each) for each in values]
    inside = f" [{min(ends):.1f}, {max(ends):.1f}]" if len(ends) == 2 else ""
    return f"{lead:.1f} %{inside}"


def answers(summary: Summary) -> list[str]:
    """The sentences a reader wants first: who is ahead on the headline metrics."""
    return [sentence(found) for found in summary.comparisons if found.metric in HEADLINES]
