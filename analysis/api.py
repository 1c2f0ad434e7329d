"""What notebooks and scripts call: runs as DataFrames, and questions to them as functions that give DataFrames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis import gates
from analysis.comparison_record import Comparison
from analysis.comparisons import compare_runs
from analysis.frames import findings_frame, records_frame, repeats_frame, requests_frame, results_frame
from analysis.gate_rules import read_gate
from analysis.grading import answers_of
from analysis.prediction import predict_of_run
from analysis.samples import Samples
from analysis.summarise import read_source, windows_of
from analysis.summary import Summary
from harness.errors import UsageFault
from harness.plan_file import read_plan
from harness.rundir import RunDir


@dataclass(frozen=True)
class Run:
    """A run that was read: `summary` is what summary.json holds. The frames are made when they are first asked for.
    `samples` is None where only Locust's CSV was read."""

    path: Path
    summary: Summary
    samples: Samples | None

    @property
    def valid(self) -> bool:
        """Whether its numbers may be used; `findings` says why not."""
        return self.summary.validity.verdict != "invalid"

    @cached_property
    def results(self) -> pd.DataFrame:
        """One row for each target, workload and stage, its numbers in columns named by their path in summary.json."""
        return results_frame(self.summary)

    @cached_property
    def repeats(self) -> pd.DataFrame:
        """One row for each repeat of each result."""
        return repeats_frame(self.summary)

    @cached_property
    def findings(self) -> pd.DataFrame:
        """Every doubt about the run."""
        return findings_frame(self.summary)

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row for each attempt, times in seconds. Raises UsageFault where there are no samples."""
        if self.samples is None:
            raise UsageFault(f"{self.path}: no samples: Locust's CSV has no single requests", "name a run directory")
        plan = read_plan(str(RunDir(self.path).plan))
        windows = [window for _, own in windows_of(plan, self.samples) for window in own]
        return requests_frame(self.samples, windows)


def load_run(source: str | Path) -> Run:
    """Read a run directory, or the Locust CSV with this prefix. Raises UsageFault."""
    path = Path(source)
    return Run(path, *read_source(path))


def compare(run: Run, *others: Run, metrics: Sequence[str] = (), targets: Sequence[str] = ()) -> pd.DataFrame:
    """The targets of a run against one another, or other runs against the first: one row for each pair and metric.

    `ratio` is a / b with its 95 % interval in `ratio.low` and `ratio.high`; `verdict` speaks of a. p is corrected over
    all that were compared, whatever is chosen to be shown by `metrics` and `targets` (of which a row has at least one).
    """
    found = _against(run, others) if others else run.summary.comparisons
    frame = records_frame(found, ("workload", "stage", "metric", "a", "b", "ratio", "verdict"))
    chosen = frame["metric"].isin(metrics) if metrics else pd.Series(data=True, index=frame.index)
    if targets:
        chosen &= frame["a"].isin(targets) | frame["b"].isin(targets)
    return frame[chosen].reset_index(drop=True)


def _against(run: Run, others: Sequence[Run]) -> Sequence[Comparison]:
    answers = [answers_of(other.samples) for other in others]
    return compare_runs(run.summary, [other.summary for other in others], answers_of(run.samples), answers)


def gate(rules: Sequence[str], run: Run, *others: Run, alpha: float = gates.ALPHA) -> pd.DataFrame:
    """Gates such as `ttft.p95:+10%` or `availability>=0.999`: each rule on every other target of a run against its
    first, or on other runs against the first. `verdict`: met, failed, cannot tell, not measured. Raises UsageFault
    where a rule cannot be read."""
    read = [read_gate(rule) for rule in rules]
    summaries = [other.summary for other in others]
    found = (
        gates.against_first(read, run.summary, summaries, alpha=alpha)
        if others
        else gates.within_run(read, run.summary.results, alpha=alpha, sequential=run.summary.sequential is not None)
    )
    return records_frame(found, ("text", "workload", "stage", "a", "b", "verdict"))


def predict(
    run: Run,
    *,
    target: str | None = None,
    workload: str | None = None,
    concurrency: float | None = None,
    input_tokens: float | None = None,
    stage: int | None = None,
) -> pd.DataFrame:
    """What a target would do at a load, or with prompts of a length, that the run did not test: one row for each
    metric, with the 90 % interval. Raises UsageFault where that lies too far from what was tested."""
    found, _ = predict_of_run(
        RunDir(run.path),
        target=target,
        workload=workload,
        concurrency=concurrency,
        input_tokens=input_tokens,
        stage=stage,
    )
    return records_frame(found.predictions)
