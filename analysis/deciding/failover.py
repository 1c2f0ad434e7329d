"""Whether two targets were down together, over the time in which both were watched.

Only such time tells. Targets of one run take turns, so it is found in runs that went on side by side; within one run
there is none, and the answer is that it is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from scipy import stats

from analysis.deciding.quotes import Quote, estimate_quoted
from analysis.deciding.recommendation_record import FailOver
from analysis.deciding.wording_decision import share_text
from analysis.quantiles import Floats
from analysis.records.record import Estimate
from analysis.summary import Provider, Summary
from analysis.wording import named, seconds

FEWEST = 5  # outages of each, watched together
P = 0.05
MOST_TOGETHER = 0.5  # the share of outages in common that must be excluded for "not correlated"
_SHIFTS = 2000
Spans = list[tuple[float, float]]


def fail_overs(summaries: Sequence[Summary], pick: tuple[str, str], *, several: bool) -> tuple[FailOver, ...]:
    """Every other target as the one to fail over to from `pick` (run, target), the best proven first."""
    own = next(
        (
            (summary, place)
            for summary in summaries
            for place, each in enumerate(summary.providers)
            if (summary.run, each.target) == pick
        ),
        None,
    )
    if own is None:
        return ()
    found = [
        _pair(own, (summary, place), several=several)
        for summary in summaries
        for place, each in enumerate(summary.providers)
        if each.target != pick[1]
    ]
    order = {"not correlated": 0, "unknown": 1, "correlated": 2}
    return tuple(sorted(found, key=lambda each: order[each.verdict]))


def _pair(own: tuple[Summary, int], other: tuple[Summary, int], *, several: bool) -> FailOver:
    (mine, place), (theirs, place_there) = own, other
    a, b = mine.providers[place], theirs.providers[place_there]
    name = named(b.target, theirs.run if several else None)
    if mine is not theirs and None in (_origin_s(mine), _origin_s(theirs)):
        says = f"{name}: unknown: a run does not tell when it began, so nobody knows what was watched at the same time."
        return _unknown(name, theirs.run, 0.0, 0, 0, says, _quotes(own, other))
    both = _common(_watched(mine, a), _watched(theirs, b))
    watched_s = _length(both)
    down_a, down_b = (_common(_down(*each), both) for each in ((mine, a), (theirs, b)))
    outages = len(down_a)
    together = sum(bool(_common([span], down_b)) for span in down_a)
    quotes = _quotes(own, other)
    if watched_s == 0:
        says = f"{name}: unknown: it and {a.target} were never watched at the same time (runs side by side would tell)."
        return _unknown(name, theirs.run, 0.0, 0, 0, says, quotes)
    if min(outages, len(down_b)) < FEWEST:
        says = (
            f"{name}: unknown: {outages} outages of {a.target} and {len(down_b)} of its own in {seconds(watched_s)}"
            f" watched together are too few ({FEWEST} of each are needed)."
        )
        return _unknown(name, theirs.run, watched_s, outages, together, says, quotes)
    p_value = _shifted(down_a, down_b, both)
    ends = stats.binomtest(together, outages).proportion_ci(0.95, "exact")
    share = Estimate(value=together / outages, ci95=(float(ends.low), float(ends.high)))
    apart = p_value >= P and ends.high < MOST_TOGETHER
    verdict = "correlated" if p_value < P else "not correlated" if apart else "unknown"
    inside = f"{share_text(share.value)} [{share_text(float(ends.low))}, {share_text(float(ends.high))}]"
    says = (
        f"{name}: {verdict}: down in {together} of {outages} outages of {a.target} ({inside}), p {p_value:.2g} that"
        f" chance alone brings them together as much."
    )
    return FailOver(
        target=name,
        run=theirs.run,
        verdict=verdict,  # type: ignore[arg-type]
        watched_s=watched_s,
        outages=outages,
        together=together,
        share=share,
        p_value=p_value,
        says=says,
        quotes=quotes,
    )


def _unknown(
    name: str, run: str, watched_s: float, outages: int, together: int, says: str, quotes: tuple[Quote, ...]
) -> FailOver:
    return FailOver(
        target=name,
        run=run,
        verdict="unknown",
        watched_s=watched_s,
        outages=outages,
        together=together,
        says=says,
        quotes=quotes,
    )


def _quotes(*sides: tuple[Summary, int]) -> tuple[Quote, ...]:
    found = [
        estimate_quoted(
            summary.run,
            f"providers[{place}].reliability.availability",
            summary.providers[place].reliability.availability,
        )
        for summary, place in sides
    ]
    return tuple(each for each in found if each is not None)


def _origin_s(summary: Summary) -> float | None:
    """When a run began, in seconds of wall time; None where it does not say."""
    try:
        at = datetime.fromisoformat(summary.started_utc or "")
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _watched(summary: Summary, provider: Provider) -> Spans:
    origin_s = _origin_s(summary) or 0.0
    return [(origin_s + begin, origin_s + end) for begin, end in provider.reliability.watched]


def _down(summary: Summary, provider: Provider) -> Spans:
    """Outages; one that was not over reaches to the end of the watch in which it began."""
    origin_s = _origin_s(summary) or 0.0
    watched = provider.reliability.watched
    found = []
    for outage in provider.reliability.outages:
        last = next((end for begin, end in watched if begin <= outage.start_s <= end), outage.start_s)
        found.append((origin_s + outage.start_s, origin_s + (last if outage.end_s is None else outage.end_s)))
    return found


def _common(a: Spans, b: Spans) -> Spans:
    """The spans that lie in both, in order."""
    found = [(max(x[0], y[0]), min(x[1], y[1])) for x in a for y in b]
    return sorted(span for span in found if span[0] < span[1])


def _length(spans: Spans) -> float:
    return sum(end - begin for begin, end in spans)


def _shifted(down_a: Spans, down_b: Spans, both: Spans) -> float:
    """The share of random shifts of the one's outages round the common time that put as much of it on the other's: a
    shift keeps how outages follow one another, and breaks only what they have to do with each other."""
    whole = _length(both)
    a, b = (_on_common_axis(spans, both) for spans in (down_a, down_b))
    seen = _overlap(a, b, 0.0, whole)
    rng = np.random.default_rng(0)
    shifts = rng.uniform(0, whole, _SHIFTS)
    as_much = sum(_overlap(a, b, float(shift), whole) >= seen - 1e-9 for shift in shifts)
    return float((1 + as_much) / (1 + _SHIFTS))


def _on_common_axis(spans: Spans, both: Spans) -> Floats:
    """Spans that lie in the common time, on an axis that has nothing else."""
    starts = np.array([begin for begin, _ in both])
    before = np.concatenate([[0.0], np.cumsum([end - begin for begin, end in both])[:-1]])
    inside = np.searchsorted(starts, [begin for begin, _ in spans], side="right") - 1
    return np.array([[before[k] + t - starts[k] for t in span] for k, span in zip(inside, spans, strict=True)])


def _overlap(a: Floats, b: Floats, shift: float, whole: float) -> float:
    """Time in both, with b moved on by a shift round a circle of length `whole`."""
    moved = np.concatenate([b + shift, b + shift - whole])
    low = np.maximum(a[:, None, 0], moved[None, :, 0])
    high = np.minimum(a[:, None, 1], moved[None, :, 1])
    return float(np.clip(high - low, 0, None).sum())
