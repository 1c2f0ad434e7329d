"""The records of a recommendation: the answer, its reasons, what would change it, what may go wrong and what helps."""

from __future__ import annotations

from typing import Literal

from analysis.deciding.entrants import Apart
from analysis.deciding.quotes import Quote
from analysis.deciding.ranking_record import Place
from analysis.deciding.use_cases import UseCase
from analysis.records.record import Estimate, Part

Answer = Literal["recommended", "no difference", "cannot tell", "none qualifies"]
Met = Literal["met", "missed", "not shown", "not measured"]


class Limit(Part, frozen=True, kw_only=True):
    """A hard limit on a target. "met" and "missed" want the whole 95 % interval on one side; "not shown" is in between,
    or without an interval. `chance`: how often it is met under resampling (null: nothing tells)."""

    target: str
    text: str
    met: Met
    quote: Quote | None
    chance: float | None = None


class Reason(Part, frozen=True, kw_only=True):
    """A sentence, and the numbers of summary.json that it says."""

    says: str
    quotes: tuple[Quote, ...]


class Choice(Part, frozen=True, kw_only=True):
    """A target as a choice. `best`: how often it qualifies and has the highest total under resampling. `loss`: by which
    share its total is below the best that qualifies, with what it is not above in 95 % of the draws."""

    target: str
    run: str
    best: float | None
    loss: Estimate
    limits: tuple[Limit, ...]
    usd_per_month: Estimate | None = None


class Turn(Part, frozen=True, kw_only=True):
    """What would turn the choice to `winner`: a weight, a limit, or a price at `threshold` instead of `now`."""

    kind: Literal["weight", "limit", "price"]
    what: str
    now: float
    threshold: float
    winner: str | None
    says: str
    quotes: tuple[Quote, ...] = ()


class Risk(Part, frozen=True, kw_only=True):
    """What might go wrong with the first choice, how bad it is, and what to do about it."""

    kind: Literal["outage", "rate limit", "variance", "drift"]
    level: Literal["low", "medium", "high", "unknown"]
    says: str
    mitigation: str
    quotes: tuple[Quote, ...] = ()


class FailOver(Part, frozen=True, kw_only=True):
    """Whether another target was up when the first choice was down.

    `watched_s`: how long both were watched at the same time. Of `outages` of the first in it, `together` met one of the
    other; `share` is their ratio with Clopper and Pearson's interval, `p_value` the chance of as much time down
    together if the outages of the one are shifted round at random.
    """

    target: str
    run: str
    verdict: Literal["not correlated", "correlated", "unknown"]
    watched_s: float
    outages: int
    together: int
    share: Estimate | None = None
    p_value: float | None = None
    says: str
    quotes: tuple[Quote, ...] = ()


class Strategy(Part, frozen=True, kw_only=True):
    """Something that would make the first choice better. `gain` in `unit` (seconds, USD, ...) and `share` of what it is
    now; `rule` is what the measurements had to show for it to stand here; `verify` how to see whether it is true."""

    aim: Literal["latency", "throughput", "quality", "cost"]
    name: str
    says: str
    gain: Estimate
    unit: str
    share: float | None
    rule: str
    verify: str
    quotes: tuple[Quote, ...]


class Recommendation(Part, frozen=True, kw_only=True):
    """The answer for a use case under one load.

    `primary`: the pick, also where it makes "no difference" (then `loss_bound` says how little) and, as the likeliest,
    where it "cannot tell" (then `repeats_needed`, or `replies_factor` times as many graded replies, would; null: more
    of the same would not). None where none qualifies. `total` compares by the formula of the ranking.
    """

    use_case: UseCase
    workload: str
    stage: int
    stage_label: str
    answer: Answer
    says: str
    primary: str | None
    confidence: float | None
    loss_bound: float | None
    repeats_needed: int | None
    replies_factor: float | None
    weights: dict[str, float]
    left_out: dict[str, str]
    formula: tuple[str, ...]
    choices: tuple[Choice, ...]
    places: tuple[Place, ...]
    reasons: tuple[Reason, ...]
    sensitivity: tuple[Turn, ...]
    risks: tuple[Risk, ...]
    fail_over: tuple[FailOver, ...]
    strategies: tuple[Strategy, ...]
    apart: tuple[Apart, ...]
    draws: int
    seed: int
