"""The records of a ranking: scores, totals, ranks with their intervals, and who stands apart."""

from __future__ import annotations

from analysis.deciding.entrants import Apart
from analysis.deciding.quotes import Quote
from analysis.records.record import Estimate, Part


class Score(Part, frozen=True, kw_only=True):
    """0 to 100, the best of the field having 100, with its 95 % interval and the numbers that it is made of."""

    category: str
    score: Estimate
    quotes: tuple[Quote, ...]


class Place(Part, frozen=True, kw_only=True):
    """A target in the leaderboard.

    `rank` goes by the numbers quoted; `rank_ci95` is its 95 % interval and `first` how often it comes first under
    resampling (null: nothing tells how sure its numbers are). Targets of one `group` are not told apart from the first
    of that group.
    """

    target: str
    run: str
    rank: int
    rank_ci95: tuple[int, int] | None
    first: float | None
    group: int
    total: Estimate
    scores: tuple[Score, ...]
    numbers: dict[str, Quote]


class Ranking(Part, frozen=True, kw_only=True):
    """The targets of one load, the best first. `weights` add up to 1 over the categories that were measured; `left_out`
    says why of the others; `metrics` are what speaks for each category. `note` says what limits all of it."""

    workload: str
    stage: int
    stage_label: str
    weights: dict[str, float]
    metrics: dict[str, tuple[str, ...]]
    left_out: dict[str, str]
    formula: tuple[str, ...]
    places: tuple[Place, ...]
    apart: tuple[Apart, ...]
    draws: int
    seed: int
    note: str | None = None
