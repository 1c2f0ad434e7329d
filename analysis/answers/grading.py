"""Grades of the replies of a run: the answer read from each, and whether it is right, as columns beside its sample.

The questions are those that the run directory keeps, so that a run can be graded again, by a better reader.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.answers.answers import Grade, graded
from analysis.quantiles import Floats
from analysis.samples import Samples
from harness.plan import Plan
from harness.records.question import Question, read_questions
from harness.rundir import RunDir

ANSWER, CORRECT, OVERLAP = "answer", "correct", "answer_f1"


@dataclass(frozen=True)
class Asked:
    """What was asked in a run: the questions of each workload, by the prompt ids of its samples."""

    questions: dict[str, dict[str, Question]]

    def of(self, workload: str | None) -> dict[str, Question]:
        """The questions of a workload by prompt id; empty where it asks none."""
        return self.questions.get(workload or "", {})


def questions_of(plan: Plan, run_dir: RunDir) -> Asked:
    """Of every workload that asks some. Raises UsageFault where they are missing or damaged."""
    found = {}
    for workload in plan.workloads:
        if workload.questions is not None:
            every = read_questions(run_dir.questions(workload.name))
            found[workload.name] = {f"{workload.name}-{question.id}": question for question in every}
    return Asked(found)


def with_grades(samples: Samples, asked: Asked) -> Samples:
    """The samples with `answer` (None: none could be read), `correct` (NaN: not graded) and `answer_f1`."""
    if not asked.questions:
        return samples
    table = samples.table
    answers = np.full(len(table), None, dtype=object)
    correct, overlap = np.full(len(table), np.nan), np.full(len(table), np.nan)
    known: dict[tuple[str, str], Grade] = {}
    texts = table["text"]
    rows = np.flatnonzero((texts.notna() & (table["outcome"] == "ok")).to_numpy())
    columns = (table[name].iloc[rows] for name in ("workload", "prompt_id", "text"))
    for row, workload, prompt_id, text in zip(rows, *columns, strict=True):
        question = asked.of(str(workload)).get(prompt_id)
        if question is None:
            continue
        grade = known.get((prompt_id, text)) or known.setdefault((prompt_id, text), graded(text, question))
        answers[row] = grade.answer
        correct[row] = np.nan if grade.correct is None else float(grade.correct)
        overlap[row] = np.nan if grade.f1 is None else grade.f1
    wider = table.copy(deep=False)
    wider[ANSWER], wider[CORRECT], wider[OVERLAP] = pd.Categorical(answers), correct, overlap
    return replace(samples, table=wider)


def answers_of(samples: Samples | None) -> dict[tuple[str, str | None, int | None], tuple[Floats, list[str]]]:
    """Whether each answer was right, and to which question, of every (target, workload, stage) of a run, its warm-up
    included; empty where nothing was graded."""
    if samples is None or CORRECT not in samples.table:
        return {}
    graded = samples.table[samples.table[CORRECT].notna().to_numpy()]
    groups = graded.groupby(["target", "workload", "stage"], observed=True)
    return {
        (str(target), str(workload), int(str(stage))): (
            rows[CORRECT].to_numpy(dtype=np.float64),
            [str(each) for each in rows["prompt_id"]],
        )
        for (target, workload, stage), rows in groups
    }
