"""What if: a recommendation asked again with other weights, limits, prices and volumes, from the same measurements.

Nothing is measured anew and no definition is written twice: a supposed use case and supposed prices go through
`analysis.recommendation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from analysis.deciding.burdens import CATEGORIES
from analysis.deciding.entrants import contests
from analysis.deciding.recommendation_record import Recommendation
from analysis.deciding.use_cases import UseCase, shipped
from analysis.recommendation import recommend
from analysis.summary import Cost, Result, Summary
from harness.errors import UsageFault
from harness.plan import Price
from harness.prices import Spend

LEAST_FACTOR, MOST_FACTOR = 0.01, 100.0
_PRICES = ("input", "output", "input_cached", "input_cache_write", "reasoning", "per_request_usd")
_OF_COST = ("usd", "usd_per_request", "usd_per_1k_good", "cost_per_token")
_PER_TOKENS = ("usd_per_1m_input_tokens", "usd_per_1m_output_tokens", "usd_per_1m_tokens")
_FROM = "the dashboard: what if"


@dataclass(frozen=True)
class Supposed:
    """What is asked. None: as the use case has it. `factors`: by target, what its prices are multiplied by."""

    use_case: str
    weights: Mapping[str, float] | None = None
    limits: tuple[str, ...] | None = None
    budget_usd: float | None = None
    requests_per_month: float | None = None
    factors: Mapping[str, float] = field(default_factory=dict)
    workload: str | None = None
    stage: int | None = None


def answer(summaries: Sequence[Summary], supposed: Supposed) -> Recommendation:
    """The recommendation for what is supposed. Raises UsageFault, which names what cannot be."""
    priced = tuple(with_prices(summary, supposed.factors) for summary in summaries)
    return recommend(priced, use_case_of(supposed), workload=supposed.workload, stage=supposed.stage)


def use_case_of(supposed: Supposed) -> UseCase:
    """The use case with what is supposed laid over it. Raises UsageFault."""
    known = shipped()
    if supposed.use_case not in known:
        raise UsageFault(f"use case {supposed.use_case[:60]!r}: there is none", f"choose one of {', '.join(known)}")
    document = msgspec.to_builtins(known[supposed.use_case])
    changes = {
        "weights": None if supposed.weights is None else {k: v for k, v in supposed.weights.items() if v},
        "limits": supposed.limits,
        "budget_usd": supposed.budget_usd,
        "requests_per_month": supposed.requests_per_month,
    }
    document |= {name: value for name, value in changes.items() if value is not None}
    try:
        return msgspec.convert(document, UseCase)
    except msgspec.ValidationError as error:
        raise UsageFault(f"what if: {' '.join(str(error).split())}", "docs/decide.md says what can be asked") from error


def usual_weights(use_case: str) -> dict[str, float]:
    """The weights of a shipped use case, 0 where it has none. Raises UsageFault."""
    found = use_case_of(Supposed(use_case)).weights
    return {name: found.get(name, 0.0) for name in CATEGORIES}


def loads_of(summaries: Sequence[Summary]) -> list[tuple[str, int, str, str | None]]:
    """Workload, stage, label and kind of every load that at least two targets can be compared under."""
    found = contests(summaries)
    return [(each.workload, each.stage, each.label, each.kind) for each in found if len(each.entrants) > 1]


def billed(summaries: Sequence[Summary]) -> list[str]:
    """The targets whose cost is known, so that a factor on their price means something."""
    found = (result.target for summary in summaries for result in summary.results if result.cost is not None)
    return list(dict.fromkeys(found))


def with_prices(summary: Summary, factors: Mapping[str, float]) -> Summary:
    """The summary as it would be if the prices of some targets were so many times what they are. Raises UsageFault."""
    changed = {name: factor for name, factor in factors.items() if factor != 1}
    for name, factor in changed.items():
        if not LEAST_FACTOR <= factor <= MOST_FACTOR:  # NaN too
            rule = f"a factor from {LEAST_FACTOR:g} to {MOST_FACTOR:g}"
            raise UsageFault(f"price of {name[:60]}: {factor}: must be {rule}", "1 leaves the price as it is")
    if not changed:
        return summary
    results = tuple(_dearer(each, changed.get(each.target, 1.0)) for each in summary.results)
    return msgspec.structs.replace(summary, results=type(summary.results)(results))


def _dearer(result: Result, factor: float) -> Result:
    if result.cost is None or factor == 1:
        return result
    repeats = [
        msgspec.structs.replace(
            each, values={k: _times(v, factor) if k.startswith("cost.") else v for k, v in each.values.items()}
        )
        for each in result.repeat_values
    ]
    cost = _cost(result.cost, factor)
    return msgspec.structs.replace(result, cost=cost, repeat_values=type(result.repeat_values)(repeats))


def _cost(cost: Cost, factor: float) -> Cost:
    per_dollar = cost.quality_per_dollar
    spend = Spend(**{name: getattr(cost.spend, name) * factor for name in Spend.__struct_fields__})
    multiplied = {name: _times(getattr(cost, name), factor) for name in (*_OF_COST, *_PER_TOKENS)}
    return msgspec.structs.replace(
        cost,
        **multiplied,
        quality_per_dollar=None if per_dollar is None else per_dollar / factor,
        spend=spend,
        price=_price(cost.price, factor),
    )


def _price(price: Price, factor: float) -> Price:
    multiplied = {name: _times(getattr(price, name), factor) for name in _PRICES}
    return msgspec.structs.replace(price, **multiplied, source=_FROM)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
