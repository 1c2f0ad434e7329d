"""Is it still the same model? Answers and fingerprints of one run against those of an earlier one.

Two replies to a question agree more or less often within each run, since models are not exact; if the model is the
same, replies of different runs agree as often. The excess of agreement within over that between, for each question
that both runs asked twice or more, has the mean 0 then (it is an energy distance, unbiased; Szekely and Rizzo, J. Stat.
Plan. Inference 143, 2013), and is tested by Student's t over the questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd

from analysis.answers.consistency import alike
from analysis.answers.grading import ANSWER
from analysis.records.quality_record import Part
from analysis.records.record import Estimate
from analysis.samples import Samples
from analysis.statistics import clusters
from analysis.summary import Summary

_ASKED_TWICE = 2
Answers = dict[str, list[str]]


class ModelDrift(Part, frozen=True, kw_only=True):
    """A target under a workload in run `a` against run `b`, over the `questions` that both asked twice or more.

    `within` and `between`: the shares of pairs of replies that agree, of one run and of both; `excess` is their
    difference with its interval. `fingerprints`: what the provider itself says of its model. "changed": the excess is
    above 0 beyond noise, or no fingerprint is common to both runs.
    """

    target: str
    workload: str
    a_run: str
    b_run: str
    questions: int
    within: float | None = None
    between: float | None = None
    excess: Estimate | None = None
    a_fingerprints: tuple[str, ...] = ()
    b_fingerprints: tuple[str, ...] = ()
    verdict: Literal["changed", "no change shown", "not measured"]


def drifts(b: tuple[Summary, Samples | None], a: tuple[Summary, Samples | None]) -> Iterator[ModelDrift]:
    """Of every target and workload that both runs have; `b` is the earlier run. None of plain CSV."""
    if a[1] is None or b[1] is None:
        return
    here, there = _by_cell(a[1].table), _by_cell(b[1].table)
    for target, workload in sorted(here.keys() & there.keys()):
        ours, theirs = here[target, workload], there[target, workload]
        yield _drift(target, workload, (a[0].run, ours), (b[0].run, theirs))


def _by_cell(table: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    good = table[(table["outcome"] == "ok").to_numpy()]
    groups = good.groupby(["target", "workload"], observed=True)
    return {(str(target), str(workload)): rows for (target, workload), rows in groups}


def _drift(target: str, workload: str, a: tuple[str, pd.DataFrame], b: tuple[str, pd.DataFrame]) -> ModelDrift:
    (a_run, ours), (b_run, theirs) = a, b
    prints = tuple(_fingerprints(rows) for rows in (ours, theirs))
    within, between, names = _agreement(_answers(ours), _answers(theirs))
    excess = clusters.mean(within - between, names)
    apart = bool(prints[0] and prints[1] and not set(prints[0]) & set(prints[1]))
    return ModelDrift(
        target=target,
        workload=workload,
        a_run=a_run,
        b_run=b_run,
        questions=len(names),
        within=float(np.mean(within)) if names else None,
        between=float(np.mean(between)) if names else None,
        excess=excess,
        a_fingerprints=prints[0],
        b_fingerprints=prints[1],
        verdict=_verdict(excess, apart=apart, told=bool(prints[0] and prints[1])),
    )


def _agreement(ours: Answers, theirs: Answers) -> tuple[clusters.Floats, clusters.Floats, list[str]]:
    """For each question that both asked twice or more: the agreement within the runs, and between them."""
    names = [
        name for name in sorted(ours.keys() & theirs.keys()) if min(len(ours[name]), len(theirs[name])) >= _ASKED_TWICE
    ]
    within = [(alike(ours[name]) + alike(theirs[name])) / 2 for name in names]
    between = [_across(ours[name], theirs[name]) for name in names]
    return np.array(within), np.array(between), names


def _across(ours: list[str], theirs: list[str]) -> float:
    return sum(ours.count(answer) * theirs.count(answer) for answer in set(ours)) / (len(ours) * len(theirs))


def _answers(rows: pd.DataFrame) -> Answers:
    """The answers to each question; one that could not be read is an answer of its own."""
    found: Answers = {}
    if ANSWER in rows:
        for prompt, answer in zip(rows["prompt_id"], rows[ANSWER], strict=True):
            found.setdefault(str(prompt), []).append("" if pd.isna(answer) else str(answer))
    return found if any(any(own) for own in found.values()) else {}


def _fingerprints(rows: pd.DataFrame) -> tuple[str, ...]:
    return tuple(sorted(str(each) for each in rows["fingerprint"].dropna().unique()))


def _verdict(
    excess: Estimate | None, *, apart: bool, told: bool
) -> Literal["changed", "no change shown", "not measured"]:
    low = excess.ci95[0] if excess is not None and excess.ci95 is not None else None
    if apart or (low is not None and low > 0):
        return "changed"
    return "no change shown" if low is not None or told else "not measured"
