"""What would turn a recommendation: the weight, the limit or the price at which another target has the highest total.

ln total is linear in the weights and in ln cost, so the thresholds are solved for, not searched. All speak of the
numbers quoted: between the threshold and well beyond it the answer is that it cannot be told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from analysis.deciding.burdens import Table
from analysis.deciding.draws import Measure
from analysis.deciding.hard_limits import Hard, Judged, measure_of
from analysis.deciding.recommendation_record import Turn
from analysis.quantiles import Floats
from analysis.wording import metric_name, metric_value
from harness.prices import factor_of

_LEAST_CUT = 0.01
_MOST_RISE = 100.0  # times; no price rises by more, and with a small weight of cost it need not be a number
_SAME = 1e-9


def turns_of(
    table: Table, hards: Sequence[Hard], limits: Judged, pick: int, input_tokens: float | None
) -> tuple[Turn, ...]:
    """Everything that would turn the choice from the entrant at `pick`. `input_tokens`: those of a request where the
    use case names them."""
    able = np.flatnonzero(limits.met & (table.totals <= table.totals[pick]))
    rivals = [int(place) for place in able if place != pick]
    return (
        *_of_weights(table, pick, rivals),
        *_of_limits(table, hards, limits, pick),
        *_of_prices(table, pick, rivals, input_tokens),
    )


def _of_weights(table: Table, pick: int, rivals: Sequence[int]) -> Iterator[Turn]:
    """For each category the nearest weight above, and below, at which a rival draws level; the other weights keep their
    proportions."""
    if len(table.field.metrics) < 2:
        return
    for column, category in enumerate(table.field.metrics):
        now = float(table.weights[column])
        crossings = [(at, rival) for rival in rivals if (at := _crossing(table, pick, rival, column)) is not None]
        above = min((each for each in crossings if each[0] > now), default=None)
        below = max((each for each in crossings if each[0] < now), default=None)
        for found, word in ((above, "above"), (below, "below")):
            if found is not None:
                at, rival = found
                name = table.field.entrants[rival].name
                says = f"{name} wins if the weight of {category} is {word} {at:.2f} (now {now:.2f})."
                quotes = [
                    quote
                    for place in (pick, rival)
                    for path in table.field.metrics[category]
                    for quote in table.measures[place][path].quotes
                ]
                yield Turn(
                    kind="weight",
                    what=category,
                    now=now,
                    threshold=at,
                    winner=name,
                    says=says,
                    quotes=tuple(quotes),
                )


def _crossing(table: Table, pick: int, rival: int, column: int) -> float | None:
    """The weight of a category, between 0 and 1, at which both have the same total."""
    ahead = table.points[rival] - table.points[pick]  # of the pick, in each category
    others = np.arange(len(ahead)) != column
    rest = table.weights[others]
    mean = float(ahead[others] @ rest / rest.sum()) if rest.sum() > 0 else 0.0
    slope = float(ahead[column]) - mean
    if abs(slope) < _SAME:
        return None
    at = -mean / slope
    return at if _SAME < at < 1 - _SAME else None


def _of_limits(table: Table, hards: Sequence[Hard], limits: Judged, pick: int) -> Iterator[Turn]:
    """For each limit: the bound beyond which a target with a higher total would be let in that this limit alone keeps
    out, and the bound at which the pick would be out itself."""
    totals = table.totals
    for number, hard in enumerate(hards):
        kept_out = [
            place
            for place in range(len(totals))
            if totals[place] > totals[pick]
            and all((each.met == "met") != (other == number) for other, each in enumerate(limits.limits[place]))
        ]
        worst = [(end, place) for place in kept_out if (end := _worst_end(table, place, hard)) is not None]
        if worst:
            end, place = min(worst) if hard.below else max(worst)
            yield _loosened(table, hard, place, end)
        own = _worst_end(table, pick, hard)
        if own is not None:
            others = np.where(limits.met, totals, -np.inf)
            others[pick] = -np.inf
            yield _tightened(table, hard, pick, own, int(others.argmax()) if np.isfinite(others).any() else None)


def _worst_end(table: Table, place: int, hard: Hard) -> float | None:
    """The end of the interval of an entrant's number that a bound has to clear."""
    measure = measure_of(table, place, hard.path)
    if measure is None:
        return None
    ends = measure.quotes[0].ci95 if len(measure.quotes) == 1 else None
    end = None if ends is None else ends[1] if hard.below else ends[0]
    return measure.value if end is None else end


def _loosened(table: Table, hard: Hard, place: int, end: float) -> Turn:
    name, more = table.field.entrants[place].name, "exceed" if hard.below else "fall below"
    now, at = metric_value(hard.path, hard.bound), metric_value(hard.path, end)
    says = f"{name} wins if {metric_name(hard.path)} may {more} {now}: its interval ends at {at}."
    return _limit_turn(table, hard, place, end, name, says)


def _tightened(table: Table, hard: Hard, pick: int, end: float, other: int | None) -> Turn:
    own = table.field.entrants[pick].name
    winner = None if other is None else table.field.entrants[other].name
    side = "below" if hard.below else "above"
    then = "nobody is shown to qualify" if winner is None else f"{winner} is next"
    at = metric_value(hard.path, end)
    says = f"{own} is no longer shown to qualify if {metric_name(hard.path)} must be {side} {at}; {then}."
    return _limit_turn(table, hard, pick, end, winner, says)


def _limit_turn(table: Table, hard: Hard, place: int, end: float, winner: str | None, says: str) -> Turn:
    measure = measure_of(table, place, hard.path)
    quotes = () if measure is None else measure.quotes
    return Turn(kind="limit", what=hard.path, now=hard.bound, threshold=end, winner=winner, says=says, quotes=quotes)


def _of_prices(table: Table, pick: int, rivals: Sequence[int], input_tokens: float | None) -> Iterator[Turn]:
    """The cut of a rival's output price, or else of its input price, and the rise of the pick's whole price, that would
    draw both level."""
    if "cost" not in table.field.metrics:
        return
    weight = float(table.weights[list(table.field.metrics).index("cost")])
    totals: Floats = table.totals
    for rival in rivals:
        factor = math.exp(-float(totals[pick] - totals[rival]) / weight)  # that the rival's cost must fall to
        yield from _cut(table, rival, factor, input_tokens)
    best = max(rivals, key=lambda place: float(totals[place]), default=None)
    if best is None:
        return
    log_rise = float(totals[pick] - totals[best]) / weight
    if log_rise <= math.log(_MOST_RISE):
        yield _raised(table, pick, best, math.exp(log_rise))


def _cut(table: Table, rival: int, factor: float, input_tokens: float | None) -> Iterator[Turn]:
    entrant = table.field.entrants[rival]
    measure = table.measures[rival]["cost.usd_per_request"]
    for what, part in _parts(table, rival, measure, input_tokens):
        needed = (1 - factor) * measure.value / part if part > 0 else math.inf
        if _LEAST_CUT <= needed <= 1:
            price = entrant.quote(f"cost.price.{what}")
            if price is not None:
                now = price.value
                fall = f"its {what} price falls by {100 * needed:.0f} %, from ${now:g} per 1M tokens"
                says = f"{entrant.name} wins if {fall}."
                yield Turn(
                    kind="price",
                    what=f"{what} price of {entrant.name}",
                    now=now,
                    threshold=now * (1 - needed),
                    winner=entrant.name,
                    says=says,
                    quotes=(price, *measure.quotes),
                )
                return


def _parts(table: Table, place: int, measure: Measure, input_tokens: float | None) -> Iterator[tuple[str, float]]:
    """USD of a request by the output price, and by the input price."""
    cost = table.field.entrants[place].result.cost
    assert cost is not None
    if place in table.field.given and input_tokens is not None:
        factor = factor_of(cost.price, table.field.entrants[place].result.dialect or "")
        by_input = factor * input_tokens * cost.price.input / 1e6
        yield "output", measure.value - by_input - cost.price.per_request_usd
        yield "input", by_input
        return
    spend, requests = cost.spend, cost.requests
    dear = spend.output_usd + (spend.reasoning_usd if cost.price.reasoning is None else 0.0)
    yield "output", dear / requests
    yield "input", spend.input_usd / requests


def _raised(table: Table, pick: int, best: int, rise: float) -> Turn:
    own, other = table.field.entrants[pick].name, table.field.entrants[best].name
    measure = table.measures[pick]["cost.usd_per_request"]
    says = f"{other} wins if {own} becomes {rise:.2f} times as dear (now ${measure.value:.3g} a request)."
    return Turn(
        kind="price",
        what=f"price of {own}",
        now=measure.value,
        threshold=measure.value * rise,
        winner=other,
        says=says,
        quotes=measure.quotes,
    )
