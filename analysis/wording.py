"""How numbers and answers are worded, in the terminal and in the report alike."""

from __future__ import annotations

import re
from collections.abc import Sequence

from analysis.comparing.compared_metrics import is_share
from analysis.records.comparison_record import Comparison
from analysis.summary import (
    Dist,
    Estimate,
    Fit,
    Goal,
    Integrity,
    Recovery,
    Reliability,
    Result,
    Summary,
)

NOTHING = "—"
NOT_SHOWN = "No difference is shown"
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
    "failures_per_h": "failures an hour",
}
_DISTS = {"ttft_s": "TTFT", "ttfo_s": "TTFO", "itl_s": "ITL", "tpot_s": "TPOT", "e2e_s": "E2E", "lag_s": "lag"}
_OTHERS = {
    "batch.items_per_s": "items/s",
    "quality.accuracy": "accuracy",
    "quality.accuracy_of_all": "accuracy of all",
    "quality.f1": "word F1",
    "quality.marks.relevance": "relevance",
    "quality.refused": "refusals",
    "quality.cut": "cut replies",
    "cost.usd_per_request": "USD a request",
    "cost.usd_per_1k_good": "USD per 1k good",
}
_MORE_SHARES = ("scaling.efficiency", "scaling.slo_attainment")
HEADLINES = ("ttft_s.p50", "e2e_s.p50", "failures_per_h")


def metric_name(path: str) -> str:
    """A metric as people call it."""
    head, _, statistic = path.partition(".")
    own = {**_DISTS, "response_s": "response"}.get(head)
    known = NAMES.get(path) or _OTHERS.get(path)
    return known or (f"{own} {statistic}" if own and statistic else path)


def metric_value(path: str, value: float | None) -> str:
    """A value of a metric in the unit people read."""
    if value is None:
        return NOTHING
    if path.partition(".")[0] in (*_DISTS, "response_s", "recovery"):
        return seconds(value)
    if is_share(path) or path in _MORE_SHARES:
        return percent(value)
    text = digits(value) if value else "0"
    return f"${text}" if path.startswith("cost.") else text


def metric_change(path: str, value: float | None) -> str:
    """A change of a metric, with its sign."""
    if value is None:
        return NOTHING
    sign = "+" if value > 0 else "\u2212" if value < 0 else ""
    return sign + (f"{100 * abs(value):.3g} pp" if is_share(path) else metric_value(path, abs(value)))


def change_between(path: str, found: Estimate | None) -> str:
    """A change with its interval."""
    if found is None:
        return NOTHING
    low, high = found.ci95 or (None, None)
    inside = "" if low is None and high is None else f" [{metric_change(path, low)}, {metric_change(path, high)}]"
    return metric_change(path, found.value) + inside


def seconds(value: float | None) -> str:
    """A time in the unit people read: ms below one second."""
    if value is None:
        return NOTHING
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f} s"
    if size >= 1:
        return f"{value:.2f} s"
    ms = f"{value * 1000:.0f}" if size >= 0.1 else f"{value * 1000:.1f}" if size >= 0.001 else f"{value * 1000:.2g}"
    return f"{ms} ms"


def number(value: float | None) -> str:
    """A count or rate with about three digits."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def digits(value: float) -> str:
    """Three digits, also of small numbers."""
    return number(value) if abs(value) >= 1 else f"{value:.3g}"


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
    a, b = named(found.a, found.a_run), named(found.b, found.b_run)
    name = metric_name(found.metric)
    if found.verdict in ("better", "worse"):
        ahead, behind = (a, b) if found.verdict == "better" else (b, a)
        by = by_how_much(found)
        return f"{ahead} beats {behind} in {name}{by}."
    if found.verdict == "not comparable":
        what = "" if found.metric == "all" else f" in {name}"
        return f"{a} and {b} are not comparable{what}: {found.reason}."
    seen = f" (ratio {ratio_between(found)})" if found.repeats_needed else ""
    return f"{NOT_SHOWN} between {a} and {b} in {name}{seen}: {found.reason}{more(found)}."


def under(found: Comparison) -> str:
    """Under which load a comparison was made; results of other tools have no workload of the plan."""
    return f"{found.workload}, stage {found.stage}" if found.workload else "the same load"


def sentences(comparisons: Sequence[Comparison]) -> list[str]:
    """Comparisons as a person would say them, each with its load. Metrics of one pair that are not comparable for one
    reason are named together."""
    together: dict[tuple[object, ...], list[Comparison]] = {}
    for number, each in enumerate(comparisons):
        pair = (each.workload, each.stage, each.a, each.a_run, each.b, each.b_run)
        apart = each.reason if each.verdict == "not comparable" else number
        together.setdefault((*pair, apart), []).append(each)
    return [f"{under(group[0])}: {_of_group(group)}" for group in together.values()]


def _of_group(group: Sequence[Comparison]) -> str:
    one = group[0]
    if len(group) == 1:
        return sentence(one)
    names = ", ".join(metric_name(each.metric) for each in group)
    return f"{named(one.a, one.a_run)} and {named(one.b, one.b_run)} are not comparable in {names}: {one.reason}."


def sequential_sentence(found: Comparison) -> str:
    """A comparison of a run that adds repeats until it is decided."""
    if found.decided or found.verdict == "not comparable":
        return sentence(found)
    needs = found.repeats_needed
    more_of_them = "no number of repeats that is in reach would tell" if needs is None else f"needs about {needs} more"
    a, b = named(found.a, found.a_run), named(found.b, found.b_run)
    what = f"{a} and {b} in {metric_name(found.metric)} (ratio {ratio_between(found)})"
    return f"Cannot tell {what} apart after {found.repeats} repeats: {more_of_them}."


def principal_first(comparisons: Sequence[Comparison]) -> tuple[list[Comparison], list[Comparison]]:
    """The comparisons of headline metrics, and all that could not be made; then the others."""
    principal = [each.headline or each.verdict == "not comparable" for each in comparisons]
    return (
        [each for each, first in zip(comparisons, principal, strict=True) if first],
        [each for each, first in zip(comparisons, principal, strict=True) if not first],
    )


def named(target: str, run: str | None) -> str:
    """A target, with its run where that must be told."""
    return target if run is None else f"{target} ({run})"


def ratio(value: float | None) -> str:
    """A ratio with three decimals."""
    return NOTHING if value is None else f"{value:.3f}"


def detectable(found: Comparison) -> str:
    """The smallest change that is shown nine times in ten: in percentage points of shares, else as a ratio."""
    if is_share(found.metric) and found.detectable_difference is not None:
        return f"{100 * found.detectable_difference:.3g} pp"
    if found.detectable is not None and found.detectable > _MOST_SHOWN:
        return f">{_MOST_SHOWN:g}"
    return ratio(found.detectable)


_MOST_SHOWN = 10.0  # times: repeats that show no smaller change show nothing


def more(found: Comparison) -> str:
    """How many further repeats would decide, as the end of a sentence; "" where that is not known."""
    n = found.repeats_needed
    return f"; about {n} more {'repeat' if n == 1 else 'repeats'} would decide" if n else ""


def estimate(found: Estimate) -> str:
    """A time with its interval, of which one end may be open."""
    low, high = found.ci95 or (None, None)
    if found.value is None:
        return NOTHING if low is None else f"over {seconds(low)}"
    return seconds(found.value) + (f" [{seconds(low)}, {seconds(high)}]" if low is not None else "")


_SECONDS = re.compile(r"_s[. ]")


def goal_saw(goal: Goal) -> str:
    """The value that a goal was set against, in its unit."""
    if goal.text.split()[0].rstrip("<>=") in ("success_ratio", "availability", "integrity"):
        return percent(goal.saw)
    return seconds(goal.saw) if _SECONDS.search(goal.text) else number(goal.saw)


VERDICTS = {True: "met", False: "missed", None: "not measured"}


def recovery(found: Recovery) -> str:
    """How long the recovery took, the longest of the repeats; or that there was none."""
    if not found.failed:
        return "nothing failed"
    if found.worst_s is None:
        return f"not within {seconds(found.at_least_s)}"
    return seconds(found.worst_s)


def made_to_fail(found: Recovery) -> str:
    """How many attempts had the fault, and what became of them."""
    kinds = ", ".join(f"{n} {kind}" for kind, n in found.errors.items())
    return f"{found.failed:,} of {found.injected:,}" + (f" ({kinds})" if kinds else "")


def integrity(found: Integrity | None) -> str:
    """The share of the replies that are whole and their requests' own."""
    if found is None:
        return NOTHING
    if found.own is None:
        return f"{found.whole:,} of {found.replies:,} whole; belonging not checked"
    broken = found.replies - found.whole - (found.other or 0)
    parts = [(found.other, "to other requests"), (found.missing, "without their code"), (broken, "not whole")]
    wrong = ", ".join(f"{n:,} {what}" for n, what in parts if n)
    return f"{percent(found.ratio.value)} ({found.own:,} of {found.replies:,}{'; ' + wrong if wrong else ''})"


def share(found: Estimate) -> str:
    """A share of one as per cent, with its interval."""
    text = percent(found.value)
    if found.value is None or found.ci95 is None:
        return text
    low, high = (NOTHING if end is None else f"{100 * end:.2f}" for end in found.ci95)
    return f"{text} [{low}, {high}]"


def fit(found: Fit | None, what: str) -> str:
    """What a test says of an assumption, in a sentence without its end; "" where it was not made."""
    if found is None:
        return ""
    doubt = "speaks against" if found.p_value < 0.05 else "does not speak against"
    return f"{found.test} {doubt} {what} (p {found.p_value:.2g}, n {found.n})"


def doubts(found: Reliability) -> list[str]:
    """What was tested of the assumptions behind the intervals."""
    made = (
        fit(found.exponential, "exponential up-times"),
        fit(found.trend, "a constant rate of failures"),
        fit(found.repairs_exponential, "exponential repairs"),
    )
    return [text for text in made if text]


def window(result: Result) -> str:
    """The steady window, in seconds after the first arrival; from CSV, how long the run was."""
    if result.window is None:
        return seconds(result.window_s)
    return f"{result.window.begin_s:.1f} to {result.window.end_s:.1f} s"


def ratio_between(found: Comparison) -> str:
    """The ratio with its interval."""
    ends = found.ratio.ci95
    return ratio(found.ratio.value) + (f" [{ratio(ends[0])}, {ratio(ends[1])}]" if ends else "")


def by_how_much(found: Comparison) -> str:
    """By how much, as the end of a sentence: shares in percentage points, all else in per cent."""
    if is_share(found.metric) and found.difference is not None and found.difference.value is not None:
        values = [found.difference.value, *(end for end in found.difference.ci95 or () if end is not None)]
        lead, *ends = [100 * value * (1 if found.difference.value > 0 else -1) for value in values]
        inside = f" [{min(ends):.3g}, {max(ends):.3g}]" if len(ends) == 2 else ""
        return f" by {lead:.3g} percentage points{inside}"
    return f" by {_lead(found, found.ratio.value)}" if found.ratio.value else ""  # nothing is a percentage of none


def _lead(found: Comparison, ratio: float) -> str:
    """By how many per cent of the other's value the better one is ahead, with the interval."""
    values = [ratio, *(each for each in (found.ratio.ci95 or ()) if each)]
    if found.verdict == "worse":
        values = [1 / each for each in values]
    lead, *ends = [100 * abs(1 - each) for each in values]
    inside = f" [{min(ends):.1f}, {max(ends):.1f}]" if len(ends) == 2 else ""
    return f"{lead:.1f} %{inside}"


def answers(summary: Summary) -> list[str]:
    """The sentences a reader wants first: who is ahead on the headline metrics. What is not comparable for one and the
    same reason at several loads is said once."""
    told = [sentence(found) for found in summary.comparisons if found.metric in HEADLINES]
    return [each for place, each in enumerate(told) if "not comparable" not in each or each not in told[:place]]
