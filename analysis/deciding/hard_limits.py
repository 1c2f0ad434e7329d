"""Hard limits of a use case on its targets: met, missed, or not shown, as the interval of the number says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.comparing.goals import read_goal
from analysis.deciding.burdens import COST, Table, stream_of
from analysis.deciding.draws import Measure, OfWidth, measured
from analysis.deciding.entrants import Entrant
from analysis.deciding.recommendation_record import Limit, Met
from analysis.deciding.use_cases import UseCase
from analysis.quantiles import student
from harness.prices import factor_of

SHOWN = 0.975  # how often a limit must be met in the draws where more repeats are supposed
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Hard:
    """A limit: the number at `path` must be below (`below`) or above `bound`; `strict`: and not equal to it."""

    text: str
    path: str
    bound: float
    below: bool
    strict: bool

    def meets(self, value: float) -> bool:
        """Whether a number is within it."""
        if value == self.bound:
            return not self.strict
        return (value < self.bound) == self.below


def hard_limits(use_case: UseCase) -> list[Hard]:
    """The limits of a use case, and its budget as a limit on the USD of a request."""
    found = []
    for text in use_case.limits:
        path, symbol, bound = read_goal(text)
        found.append(Hard(text, path, bound, symbol in ("<", "<="), "=" not in symbol))
    if use_case.budget_usd is not None and use_case.requests_per_month is not None:
        text = f"budget of {use_case.budget_usd:g} USD for {use_case.requests_per_month:,.0f} requests a month"
        found.append(Hard(text, COST, use_case.budget_usd / use_case.requests_per_month, below=True, strict=False))
    return found


def costs_of(entrants: Sequence[Entrant], use_case: UseCase) -> dict[int, Measure] | None:
    """USD of a request of the use case's tokens by each entrant's price, of those whose price holds for so much input;
    None where it names no tokens: then what was measured counts. Where it names no output tokens they are as measured.
    """
    if use_case.input_tokens is None:
        return None
    found = {place: _cost(entrant, use_case) for place, entrant in enumerate(entrants)}
    return {place: each for place, each in found.items() if each is not None}


def _cost(entrant: Entrant, use_case: UseCase) -> Measure | None:
    cost, tokens = entrant.result.cost, entrant.result.output_tokens
    wanted = use_case.input_tokens or 0.0
    if cost is None or (cost.price.up_to_input_tokens is not None and wanted > cost.price.up_to_input_tokens):
        return None
    price, error = cost.price, 0.0
    factor = factor_of(price, entrant.result.dialect or "")
    quotes = [entrant.quote("cost.price.input"), entrant.quote("cost.price.output")]
    if factor != 1:
        quotes.append(entrant.quote("cost.price.batch_factor"))
    if price.per_request_usd:
        quotes.append(entrant.quote("cost.price.per_request_usd"))
    output = use_case.output_tokens
    if output is None:
        output = tokens.mean if tokens is not None and tokens.mean is not None else 0.0
        quotes.append(entrant.quote("output_tokens.mean"))
    out_usd = factor * output * price.output / 1e6
    value = factor * wanted * price.input / 1e6 + out_usd + price.per_request_usd
    df = max(1, len(entrant.result.repeat_values) - 1)
    ends = tokens.ci95.get("mean") if tokens is not None and use_case.output_tokens is None else None
    if ends is not None and tokens is not None and tokens.mean and value > 0:
        half = (ends[1] - ends[0]) / 2 / tokens.mean
        error = out_usd / value * half / student(df)
    return Measure(value, tuple(each for each in quotes if each is not None), OfWidth(error, df))


@dataclass(frozen=True)
class Judged:
    """The limits of each entrant, whether all of them are met (or none is missed), and in which draws."""

    limits: tuple[tuple[Limit, ...], ...]
    met: Flags
    possible: Flags
    in_draws: Flags | None  # (draw, entrant)


def judged(table: Table, hards: Sequence[Hard]) -> Judged:
    """Every entrant of a table on every limit."""
    rows, flags = [], []
    for place, entrant in enumerate(table.field.entrants):
        own, drawn = [], None if table.draws is None else np.ones(len(table.draws), dtype=bool)
        for hard in hards:
            measure = measure_of(table, place, hard.path)
            values = None
            if measure is not None and table.draws is not None:
                values = table.drawn.of(measure, entrant.summary.run, (table.places[place], stream_of(hard.path)))
            within = None if values is None else _within(hard, values)
            if drawn is not None:
                known = within if within is not None else np.full(len(drawn), _plainly(hard, measure))
                drawn = drawn & known
            own.append(_limit(entrant.name, hard, measure, within))
        rows.append(tuple(own))
        flags.append(drawn)
    met = np.array([all(each.met == "met" for each in own) for own in rows], dtype=bool)
    possible = np.array([all(each.met in ("met", "not shown") for each in own) for own in rows], dtype=bool)
    known_flags = [each for each in flags if each is not None]
    return Judged(tuple(rows), met, possible, np.stack(known_flags, axis=1) if known_flags else None)


def measure_of(table: Table, place: int, path: str) -> Measure | None:
    """The number of an entrant that a limit is on."""
    if path == COST and table.field.given:
        return table.field.given.get(place)
    return measured(table.field.entrants[place], path)


def _within(hard: Hard, values: npt.NDArray[np.float64]) -> Flags:
    inside = values < hard.bound if hard.below else values > hard.bound
    return np.asarray(inside if hard.strict else inside | (values == hard.bound), dtype=bool)


def _plainly(hard: Hard, measure: Measure | None) -> bool:
    return measure is not None and hard.meets(measure.value)


def _limit(target: str, hard: Hard, measure: Measure | None, within: Flags | None) -> Limit:
    chance = None if within is None else float(within.mean())
    quote = None if measure is None else measure.quotes[0]
    return Limit(target=target, text=hard.text, met=_met(hard, measure, chance), quote=quote, chance=chance)


def _met(hard: Hard, measure: Measure | None, chance: float | None) -> Met:
    if measure is None:
        return "not measured"
    (quote, *more) = measure.quotes
    ends = None if more else quote.ci95
    known = () if ends is None else tuple(end for end in ends if end is not None)
    if len(known) == 2:
        inside = [hard.meets(end) for end in known]
        return "met" if all(inside) else "not shown" if any(inside) else "missed"
    if chance is None:  # no interval: one number shows nothing either way
        return "not shown"
    return "met" if chance >= SHOWN else "missed" if chance <= 1 - SHOWN else "not shown"
