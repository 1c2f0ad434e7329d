"""What could make a target better, each shown only where the measurements support it, with what it would gain."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.deciding.entrants import Entrant
from analysis.deciding.recommendation_record import Strategy
from analysis.deciding.strategies_speed import SPEED
from analysis.deciding.strategies_worth import WORTH, cheaper
from analysis.deciding.use_cases import UseCase


def strategies_of(entrant: Entrant, others: Sequence[Entrant], use_case: UseCase) -> tuple[Strategy, ...]:
    """Every strategy whose rule the measurements of a target meet, those for what weighs most first."""
    found = [rule(entrant) for rule in (*SPEED, *WORTH)]
    found += [cheaper(entrant, others)]
    shown = [each for each in found if each is not None]

    return tuple(sorted(shown, key=lambda each: -use_case.weights.get(each.aim, 0.0)))
