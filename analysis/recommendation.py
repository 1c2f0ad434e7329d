"""Recommend: which target to take for a use case, why, how sure that is, and what would change it.

Nothing is said that cannot be looked up: each reason quotes numbers with their places in summary.json. Names have no
part in the choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.answers.model_drift import ModelDrift
from analysis.deciding.burdens import COST, FORMULA, Field, Table, field_of, normalised, table_of
from analysis.deciding.decision import SURE, Decision, Needed, decide, needed
from analysis.deciding.draws import DRAWS, SEED, Measure
from analysis.deciding.entrants import Apart, Contest, Entrant, contests, stands_apart
from analysis.deciding.failover import fail_overs
from analysis.deciding.hard_limits import Hard, Judged, costs_of, hard_limits, judged
from analysis.deciding.quotes import Quote
from analysis.deciding.recommendation_record import Choice, Reason, Recommendation
from analysis.deciding.risks import risks_of
from analysis.deciding.sensitivity import turns_of
from analysis.deciding.strategies import strategies_of
from analysis.deciding.use_cases import UseCase
from analysis.deciding.wording_decision import LIMITS, quote_text, share_text
from analysis.ranking import chosen, places_of
from analysis.records.record import Estimate
from analysis.summary import Summary
from analysis.wording import metric_name
from harness.errors import UsageFault


def recommend(
    summaries: Sequence[Summary],
    use_case: UseCase,
    *,
    workload: str | None = None,
    stage: int | None = None,
    changes: Sequence[ModelDrift] = (),
    seed: int = SEED,
) -> Recommendation:
    """The recommendation for a use case from some runs, under one load: that of `workload` and `stage`, else the last
    stage of the only workload that fits. Raises UsageFault."""
    contest = _one_load(contests(summaries), use_case, workload, stage)
    costs = costs_of(contest.entrants, use_case)
    table = table_of(field_of(contest.entrants, normalised(use_case.weights), use_case.metrics, costs), seed)
    hards = hard_limits(use_case)
    limits = judged(table, hards)
    decision = _decided(table, limits)
    wanted = Needed(None, None)
    if decision.answer == "cannot tell" and len(table.field.entrants) > 1:
        wanted = needed(table, hards, min(each.result.repeats for each in table.field.entrants))
    case = _Case(contest, use_case, table, hards, limits, decision, wanted)
    return _put_together(case, summaries, changes)


@dataclass(frozen=True)
class _Case:
    """What a recommendation is made of."""

    contest: Contest
    use_case: UseCase
    table: Table
    hards: list[Hard]
    limits: Judged
    decision: Decision
    wanted: Needed

    @property
    def entrants(self) -> tuple[Entrant, ...]:
        """Who can be chosen."""
        return self.table.field.entrants

    @property
    def alone(self) -> bool:
        """Whether there is nothing to choose from."""
        return len(self.entrants) < 2


def _decided(table: Table, limits: Judged) -> Decision:
    """One target alone is compared with nobody."""
    if len(table.field.entrants) < 2:
        return Decision("cannot tell", None, None, None, None)
    return decide(table, limits.met, limits.possible, limits.in_draws)


def _one_load(found: Sequence[Contest], use_case: UseCase, workload: str | None, stage: int | None) -> Contest:
    named = chosen(found, workload, stage)
    fitting = [each for each in named if not use_case.kinds or each.kind in use_case.kinds]
    if not fitting:
        kinds = " or ".join(use_case.kinds)
        there = ", ".join(dict.fromkeys(f"{each.workload} ({each.kind})" for each in named))
        raise UsageFault(f"--use-case {use_case.name}: wants a workload of kind {kinds}", f"there are: {there}")
    names = list(dict.fromkeys(each.workload for each in fitting))
    if len(names) > 1:
        several = [name for name in names if any(len(each.entrants) > 1 for each in fitting if each.workload == name)]
        if len(several) != 1:
            message = f"--use-case {use_case.name}: {len(names)} workloads fit, and none is named"
            raise UsageFault(message, f"name one with --workload: {', '.join(names)}")
        names = several
    return [each for each in fitting if each.workload == names[0]][-1]


def _put_together(case: _Case, summaries: Sequence[Summary], changes: Sequence[ModelDrift]) -> Recommendation:
    field, decision, table = case.table.field, case.decision, case.table
    pick = decision.pick
    return Recommendation(
        use_case=case.use_case,
        workload=case.contest.workload,
        stage=case.contest.stage,
        stage_label=case.contest.label,
        answer=decision.answer,
        says=_says(case),
        primary=None if pick is None else field.entrants[pick].name,
        confidence=None if pick is None or decision.best is None else float(decision.best[pick]),
        loss_bound=None if pick is None or decision.loss_bound is None else float(decision.loss_bound[pick]),
        repeats_needed=case.wanted.repeats,
        replies_factor=case.wanted.replies,
        weights=field.weights,
        left_out=field.left_out,
        formula=FORMULA,
        choices=() if case.alone else _choices(case),
        places=() if case.alone else places_of(table),
        reasons=tuple(_reasons(case)),
        apart=_stand_apart(case),
        draws=DRAWS,
        seed=table.drawn.seed,
        **_of_pick(case, summaries, changes),
    )


def _of_pick(case: _Case, summaries: Sequence[Summary], changes: Sequence[ModelDrift]) -> dict[str, Any]:
    """What is said of the pick alone; nothing where there is none."""
    pick, use_case = case.decision.pick, case.use_case
    if pick is None:
        return {"sensitivity": (), "risks": (), "fail_over": (), "strategies": ()}
    entrant = case.entrants[pick]
    others = [each for each in case.entrants if each is not entrant]
    settled = case.decision.answer in ("recommended", "no difference")
    turns = turns_of(case.table, case.hards, case.limits, pick, use_case.input_tokens) if settled else ()
    return {
        "sensitivity": turns,
        "risks": risks_of(entrant, use_case, changes),
        "fail_over": fail_overs(summaries, (entrant.summary.run, entrant.target), several=len(summaries) > 1),
        "strategies": strategies_of(entrant, others, use_case),
    }


def _stand_apart(case: _Case) -> tuple[Apart, ...]:
    why = "nobody else is comparable under this load"
    alone = [stands_apart(each.name, each.summary.run, each.result, why) for each in case.entrants]
    return (*case.contest.apart, *case.table.field.apart, *(alone if case.alone else ()))


def _says(case: _Case) -> str:
    """The answer in a sentence or two."""
    decision, wanted = case.decision, case.wanted
    names = [each.name for each in case.entrants]
    if len(names) < 2:
        whom = f"{names[0]} is the only one" if names else "there is no target"
        return f"cannot tell: {whom} to choose from."
    if decision.pick is None:
        missed = dict.fromkeys(
            f"{each.target} ({each.text}{': not measured' if each.met == 'not measured' else ''})"
            for own in case.limits.limits
            for each in own
            if each.met != "met"
        )
        return f"none qualifies: {', '.join(missed)}."
    name = names[decision.pick]
    if decision.best is None or decision.loss_bound is None:
        repeats = wanted.repeats or 1
        what = f"needs {repeats} more {'repeat' if repeats == 1 else 'repeats'}"
        return f"cannot tell: {case.table.unsure}; {what}. By the numbers alone {name} is ahead."
    sure, loss = share_text(float(decision.best[decision.pick])), 100 * float(decision.loss_bound[decision.pick])
    if decision.answer == "recommended":
        return f"take {name}: it is the best in {sure} of the draws."
    if decision.answer == "no difference":
        return f"no difference that matters: take {name}; it is hardly {loss:.1f} % below the best, whichever that is."
    likeliest = f"{name} is likeliest ({sure} of the draws; {100 * SURE:.0f} % are wanted)"
    return f"cannot tell yet: {likeliest}; {_wanted_text(wanted)}."


def _wanted_text(wanted: Needed) -> str:
    parts = []
    if wanted.repeats is not None:
        parts.append(f"{wanted.repeats} more {'repeat' if wanted.repeats == 1 else 'repeats'}")
    if wanted.replies is not None:
        parts.append(f"{wanted.replies:g} times as many questions")
    return f"it needs {' and '.join(parts)}" if parts else "more of the same would not tell"


def _choices(case: _Case) -> tuple[Choice, ...]:
    """The pick first, then the others by how often they are best; who does not qualify last."""
    table, limits, decision = case.table, case.limits, case.decision
    number = len(case.entrants)
    best = decision.best if decision.best is not None else np.zeros(number)
    order = sorted(
        range(number), key=lambda k: (k != decision.pick, not limits.possible[k], -best[k], -table.totals[k])
    )
    return tuple(_choice(case, place) for place in order)


def _choice(case: _Case, place: int) -> Choice:
    entrant, decision = case.entrants[place], case.decision
    loss = Estimate(value=None)
    if decision.loss is not None and decision.loss_bound is not None:
        loss = Estimate(value=float(decision.loss[place]), ci95=(0.0, float(decision.loss_bound[place])))
    return Choice(
        target=entrant.name,
        run=entrant.summary.run,
        best=None if decision.best is None else float(decision.best[place]),
        loss=loss,
        limits=case.limits.limits[place],
        usd_per_month=_monthly(case.table, place, case.use_case),
    )


def _monthly(table: Table, place: int, use_case: UseCase) -> Estimate | None:
    entrant = table.field.entrants[place]
    measure: Measure | None = table.measures[place].get(COST)
    if measure is None:
        quote = entrant.quote(COST)
        measure = None if quote is None else Measure(quote.value, (quote,), None)
    if measure is None or use_case.requests_per_month is None:
        return None
    return Estimate(value=measure.value * use_case.requests_per_month)


def _reasons(case: _Case) -> Iterator[Reason]:
    """The pick against the next best, category by category, what weighs most first; its limits; who is out, and why."""
    table, limits, decision = case.table, case.limits, case.decision
    if case.alone:
        return
    if decision.pick is not None:
        rival = _runner_up(table, limits, decision)
        if rival is not None:
            yield from _against(table, decision.pick, rival)
        for each in limits.limits[decision.pick]:
            if each.quote is not None:
                path = _path_of(each.quote)
                says = f"{each.target}: {each.text}: {LIMITS[each.met]}: {quote_text(path, each.quote)}."
                yield Reason(says=says, quotes=(each.quote,))
    for place, own in enumerate(limits.limits):
        for each in own:
            if place != decision.pick and each.met != "met" and each.quote is not None:
                text = quote_text(_path_of(each.quote), each.quote)
                says = f"{each.target} is out: {each.text}: {LIMITS[each.met]}: {text}."
                yield Reason(says=says, quotes=(each.quote,))


def _path_of(quote: Quote) -> str:
    """The path in a result, without its place in the summary."""
    path = quote.path.partition("].")[2].removesuffix(".value")
    return path.removeprefix("reliability.") if path.startswith("reliability.") else path


def _runner_up(table: Table, limits: Judged, decision: Decision) -> int | None:
    others = [place for place in range(len(table.field.entrants)) if place != decision.pick and limits.possible[place]]
    best = decision.best if decision.best is not None else np.zeros(len(table.field.entrants))
    return max(others, key=lambda place: (float(best[place]), float(table.totals[place])), default=None)


def _against(table: Table, pick: int, rival: int) -> Iterator[Reason]:
    """For each category: what it adds to the pick's lead, in words and with the numbers of both."""
    field: Field = table.field
    gains = table.weights * (table.points[rival] - table.points[pick])
    mine, theirs = field.entrants[pick].name, field.entrants[rival].name
    for column in np.argsort(-gains, kind="stable"):
        category, paths = list(field.metrics.items())[column]
        parts, quotes = [], []
        for path in paths:
            a, b = table.measures[pick][path], table.measures[rival][path]
            if len(a.quotes) == 1:
                mine_text, their_text = (quote_text(path, each.quotes[0]) for each in (a, b))
                parts.append(f"{metric_name(path)} {mine_text} against {their_text}")
            else:
                parts.append(f"{metric_name(path)} ${a.value:.3g} against ${b.value:.3g} by its prices")
            quotes += [*a.quotes, *b.quotes]
        lead = 100 * (float(np.exp(gains[column])) - 1)
        word = f"adds {lead:.1f} %" if lead >= 0.05 else f"takes {-lead:.1f} %" if lead <= -0.05 else "changes nothing"
        weighted = f"{category} (weight {100 * field.weights[category]:.0f} %)"
        says = f"{weighted} {word} in the total of {mine} over {theirs}: {'; '.join(parts)}."
        yield Reason(says=says, quotes=tuple(quotes))
