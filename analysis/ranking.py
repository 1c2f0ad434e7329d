"""Rank: the targets of a load by weighted scores, and how sure each rank is. Formula and reasons: docs/decide.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.deciding.burdens import EQUAL, FORMULA, Field, Known, Table, field_of, table_of
from analysis.deciding.draws import DRAWS, SEED
from analysis.deciding.entrants import Contest, contests, stands_apart
from analysis.deciding.quotes import Quote
from analysis.deciding.ranking_record import Place, Ranking, Score
from analysis.quantiles import Floats
from analysis.records.record import Estimate
from analysis.summary import Summary
from harness.errors import UsageFault

APART = 0.975  # how often one must be ahead of another to be told apart from it
MATRIX = (
    *("ttft_s.p50", "ttft_s.p95", "ttft_s.p99", "itl_s.p50", "tpot_s.p50", "e2e_s.p50", "e2e_s.p95", "e2e_s.p99"),
    *("completed_rps", "goodput_rps", "output_tokens_per_s", "success_ratio", "availability"),
    *("quality.accuracy", "quality.accuracy_of_all", "cost.usd_per_request", "cost.usd_per_1k_good"),
)
_ALONE = "a total compares, and nobody else is comparable under this load"


def rank(
    summaries: Sequence[Summary],
    weights: Mapping[str, float] = EQUAL,
    *,
    workload: str | None = None,
    stage: int | None = None,
    seed: int = SEED,
) -> tuple[Ranking, ...]:
    """A ranking for each load of some runs, or of those of one workload or stage. Raises UsageFault for one that is not
    there."""
    return tuple(ranking_of(contest, weights, seed) for contest in chosen(contests(summaries), workload, stage))


def last_rankings(summary: Summary) -> tuple[Ranking, ...]:
    """With equal weights, at the last stage of each workload, where at least two targets can be ranked."""
    lasts = {each.workload: each for each in contests([summary])}
    return tuple(found for found in map(ranking_of, lasts.values()) if found.places)


def chosen(found: Sequence[Contest], workload: str | None, stage: int | None) -> list[Contest]:
    """The loads of a workload, or stage. Raises UsageFault where there is none."""
    fitting = [each for each in found if workload in (None, each.workload)]
    if not fitting:
        names = ", ".join(dict.fromkeys(each.workload for each in found))
        message = "nothing to rank: no workload is known" if workload is None else f"--workload {workload}: not run"
        raise UsageFault(message, f"there are: {names}" if names else "run a plan; plain CSV tells no loads apart")
    those = [each for each in fitting if stage in (None, each.stage)]
    if not those:
        stages = ", ".join(dict.fromkeys(f"{each.stage} ({each.label})" for each in fitting))
        raise UsageFault(f"--stage {stage}: not run", f"there are: {stages}")
    return those


def ranking_of(
    contest: Contest, weights: Mapping[str, float] = EQUAL, seed: int = SEED, *, known: Known | None = None
) -> Ranking:
    """The ranking of one load. `known`: what was drawn of it under other weights (see `burdens.table_of`)."""
    field = field_of(contest.entrants, weights)
    apart = [*contest.apart, *field.apart]
    if len(field.entrants) < 2:
        apart += [stands_apart(each.name, each.summary.run, each.result, _ALONE) for each in field.entrants]
        field = Field((), {}, {}, field.left_out, ())
    table = table_of(field, seed, known=known)
    return Ranking(
        workload=contest.workload,
        stage=contest.stage,
        stage_label=contest.label,
        weights=field.weights,
        metrics=field.metrics,
        left_out=field.left_out,
        formula=FORMULA,
        places=places_of(table),
        apart=tuple(apart),
        draws=DRAWS,
        seed=seed,
        note=f"no intervals: {table.unsure}" if table.unsure else None,
    )


def places_of(table: Table) -> tuple[Place, ...]:
    """The leaderboard; ranks go by the numbers quoted, equal totals by how often they come first."""
    totals, drawn = table.totals, table.totals_drawn
    first, ranks = (None, None) if drawn is None else (firsts(drawn), _ranks(drawn))
    order = np.lexsort([-(totals if first is None else first), -totals])
    groups = _groups([int(place) for place in order], drawn)
    scores, scores_drawn = _scores(table.points), None if table.draws is None else _scores(table.draws)
    found = []
    for number, place in enumerate(order):
        own = [_score(table, int(place), column, scores, scores_drawn) for column in range(len(table.field.metrics))]
        entrant = table.field.entrants[place]
        numbers = {path: quote for path in MATRIX if (quote := entrant.quote(path)) is not None}
        found.append(
            Place(
                target=entrant.name,
                run=entrant.summary.run,
                rank=number + 1,
                rank_ci95=None if ranks is None else _rank_ends(ranks[:, place]),
                first=None if first is None else float(first[place]),
                group=groups[number],
                total=_estimate(_total(scores, table.weights)[place], scores_drawn, table.weights, int(place)),
                scores=tuple(own),
                numbers=numbers,
            )
        )
    return tuple(found)


def firsts(drawn: Floats) -> Floats:
    """How often each entrant has the highest total; equal ones share."""
    best = drawn >= drawn.max(axis=1, keepdims=True)
    return np.asarray((best / best.sum(axis=1, keepdims=True)).mean(axis=0), dtype=np.float64)


def _ranks(drawn: Floats) -> Floats:
    """The rank of each entrant in each draw: 1 and how many are ahead of it."""
    return np.asarray(1 + (drawn[:, None, :] > drawn[:, :, None]).sum(axis=2), dtype=np.float64)


def _rank_ends(ranks: Floats) -> tuple[int, int]:
    low, high = np.quantile(ranks, [0.025, 0.975], method="inverted_cdf")
    return int(low), int(high)


def _groups(order: Sequence[int], drawn: Floats | None) -> list[int]:
    """The group of each place: who is not told apart from the leader of a group belongs to it."""
    groups: list[int] = []
    leader: int | None = None
    for place in order:
        if leader is None or (drawn is not None and _ahead(drawn, leader, place) >= APART):
            leader = place
            groups.append(groups[-1] + 1 if groups else 1)
        else:
            groups.append(groups[-1])
    return groups


def _ahead(drawn: Floats, a: int, b: int) -> float:
    return float((drawn[:, a] > drawn[:, b]).mean())


def _scores(logs: Floats) -> Floats:
    """100 * least X / own X, along the axis of the entrants."""
    if logs.shape[-2] == 0:
        return logs
    return np.asarray(100 * np.exp(logs.min(axis=-2, keepdims=True) - logs), dtype=np.float64)


def _total(scores: Floats, weights: Floats) -> Floats:
    return np.asarray(np.exp(np.log(scores) @ weights), dtype=np.float64)


def _estimate(value: float, drawn: Floats | None, weights: Floats, place: int) -> Estimate:
    ends = None if drawn is None else _ends(_total(drawn[:, place], weights))
    return Estimate(value=float(value), ci95=ends)


def _ends(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _score(table: Table, place: int, column: int, scores: Floats, drawn: Floats | None) -> Score:
    category, paths = list(table.field.metrics.items())[column]
    quotes: list[Quote] = [quote for path in paths for quote in table.measures[place][path].quotes]
    ends = None if drawn is None else _ends(drawn[:, place, column])
    return Score(category=category, score=Estimate(value=float(scores[place, column]), ci95=ends), quotes=tuple(quotes))
