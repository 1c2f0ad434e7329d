"""Is it still the same model? Answers and fingerprints of one run against those of an earlier one.

Two replies to a question agree more or less often within each run, since models are not exact; if the model is the
same, replies of different runs agree as often. The excess of agreement within over that between, for each question
that both runs asked twice or more, has the mean 0 then (it is an energy distance, unbiased; Szekely and Rizzo, J. Stat.
Plan. Inference 143, 2013), and is tested by Student's t over the questions. Few questions may happen to have nearly the
same excess, and t then knows no error; so p is never below that of an exact test, which gives each question's excess
either sign: 2 / 2^n (Fisher, The Design of Experiments, 1935, section 21). Below 6 questions that is above 0.05: then
answers carry no claim of a change, whatever they are.
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
_LEVEL = 0.05
Verdict = Literal["changed", "no change shown", "cannot tell", "not measured"]
Answers = dict[str, list[str]]


class ModelDrift(Part, frozen=True, kw_only=True):
    """A target under a workload in run `a` against run `b`, over the `questions` that both asked twice or more.

    `within` and `between`: the shares of pairs of replies that agree, of one run and of both; `excess` is their
    difference with its interval. `fingerprints`: what the provider itself says of its model. "changed": the excess is
    above 0 beyond noise, or no fingerprint is common to both runs. "cannot tell": too few questions to claim anything.
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
    verdict: Verdict


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
        verdict=_verdict(excess, names, apart=apart, told=bool(prints[0] and prints[1])),
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


def _verdict(excess: Estimate | None, names: list[str], *, apart: bool, told: bool) -> Verdict:
    """By answers to the questions `names`, and by fingerprints: whether both runs told theirs, and none is common."""
    low = None if excess is None else excess.value if excess.ci95 is None else excess.ci95[0]
    seems = low is not None and low > 0
    if apart or (seems and excess is not None and clusters.p_value(excess, names, names) <= _LEVEL):
        return "changed"
    enough = clusters.least_p(len(names)) <= _LEVEL
    if (names and enough) or (told and not seems):
        return "no change shown"
    return "cannot tell" if names else "not measured"
