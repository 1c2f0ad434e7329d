"""What notebooks and scripts call: runs as DataFrames, and questions to them as functions that give DataFrames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis import ranking, recommendation, trends
from analysis.answers.grading import answers_of
from analysis.answers.model_drift import drifts
from analysis.comparing.compared_metrics import FAILURES
from analysis.comparisons import compare_runs
from analysis.deciding.burdens import EQUAL, normalised
from analysis.deciding.ranking_record import Place, Ranking
from analysis.deciding.recommendation_record import Recommendation
from analysis.deciding.use_cases import UseCase, read_use_case
from analysis.deciding.wording_decision import recommendation_lines
from analysis.gating import gates
from analysis.gating.gate_rules import known_metrics, path_of, read_gate
from analysis.histories import history
from analysis.histories.history_metrics import paths_named
from analysis.prediction import predict_of_run
from analysis.records.comparison_record import Comparison
from analysis.samples import Samples
from analysis.showing.frames import findings_frame, records_frame, repeats_frame, requests_frame, results_frame
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
    all that were compared, whatever is chosen to be shown by `metrics` (`ttft_s.p95`, `ttft.p95`) and `targets` (of
    which a row has at least one). Raises UsageFault for a metric that is none.
    """
    paths = [_path(name) for name in _names(metrics)]
    found = _against(run, others) if others else run.summary.comparisons
    frame = records_frame(found, _OF_COMPARISONS)
    chosen = frame["metric"].isin(paths) if paths else pd.Series(data=True, index=frame.index)
    if targets:
        chosen &= frame["a"].isin(_names(targets)) | frame["b"].isin(_names(targets))
    return frame[chosen].reset_index(drop=True)


def _names(given: Sequence[str]) -> Sequence[str]:
    """One name alone is taken for a list of it, not for one of letters."""
    return (given,) if isinstance(given, str) else given


def _path(name: str) -> str:
    path = name if name == FAILURES else path_of(name)
    if path is None:
        raise UsageFault(f"metrics: {name[:60]!r}: no such metric", f"metrics: {known_metrics()}")
    return path


_OF_COMPARISONS = (
    *("workload", "stage", "metric", "a", "b", "a_value", "b_value", "ratio", "ratio.low", "ratio.high"),
    *("difference", "difference.low", "difference.high", "p_adjusted", "verdict", "repeats_needed"),
)
_OF_GATES = ("text", "metric", "workload", "stage", "a", "b", "ratio", "saw", "saw.low", "saw.high", "limit", "verdict")


def _against(run: Run, others: Sequence[Run]) -> Sequence[Comparison]:
    answers = [answers_of(other.samples) for other in others]
    return compare_runs(run.summary, [other.summary for other in others], answers_of(run.samples), answers)


def gate(rules: Sequence[str], run: Run, *others: Run, alpha: float = gates.ALPHA) -> pd.DataFrame:
    """Gates such as `ttft.p95:+10%` or `availability>=0.999`: each rule on every other target of a run against its
    first, or on other runs against the first. `verdict`: met, failed, cannot tell, not measured. Raises UsageFault
    where a rule cannot be read."""
    read = [read_gate(rule) for rule in _names(rules)]
    summaries = [other.summary for other in others]
    found = (
        gates.against_first(read, run.summary, summaries, alpha=alpha)
        if others
        else gates.within_run(read, run.summary.results, alpha=alpha, sequential=run.summary.sequential is not None)
    )
    return records_frame(found, _OF_GATES)


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


def rank(
    run: Run,
    *others: Run,
    weights: Mapping[str, float] = EQUAL,
    workload: str | None = None,
    stage: int | None = None,
) -> pd.DataFrame:
    """The targets of each load, the best first: `rank` with its 95 % interval, `first` (how often it comes first when
    the repeats are drawn anew), `total` and `score.<category>` from 0 to 100. What cannot be ranked has no row.

    `weights` by category: latency, throughput, quality, reliability, cost. Raises UsageFault.
    """
    summaries = [each.summary for each in (run, *others)]
    wanted = _weights(weights)
    found = ranking.rank(summaries, wanted, workload=workload, stage=stage)
    rows = [_row(each, place) for each in found for place in each.places]
    columns = ("workload", "stage", "target", "run", "rank", "rank.low", "rank.high", "first", "group", "total")
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def _weights(weights: Mapping[str, float]) -> dict[str, float]:
    try:
        return normalised(weights)
    except ValueError as error:
        raise UsageFault(f"weights: {error}", "such as {'latency': 0.4, 'cost': 0.6}") from error


def _row(found: Ranking, place: Place) -> dict[str, object]:
    low, high = place.rank_ci95 or (None, None)
    row = {"workload": found.workload, "stage": found.stage, "target": place.target, "run": place.run}
    row |= {"rank": place.rank, "rank.low": low, "rank.high": high, "first": place.first, "group": place.group}
    row |= {"total": place.total.value}
    return row | {f"score.{each.category}": each.score.value for each in place.scores}


def recommend(
    run: Run,
    *others: Run,
    use_case: str | UseCase,
    workload: str | None = None,
    stage: int | None = None,
) -> Recommendation:
    """Which target to take for a use case (a name, a YAML file, or a record): `answer`, choices, reasons with the
    numbers that they quote, what would turn it, risks and what would help; `explain` words it. Raises UsageFault."""
    wanted = read_use_case(use_case) if isinstance(use_case, str) else use_case
    read = [(each.summary, each.samples) for each in (run, *others)]
    changes = [change for other in read[1:] for change in drifts(read[0], other)]
    summaries = [summary for summary, _ in read]
    return recommendation.recommend(summaries, wanted, workload=workload, stage=stage, changes=changes)


def explain(found: Recommendation) -> str:
    """A recommendation in words."""
    return "\n".join(recommendation_lines(found))


def trend(
    root: str | Path, *, metrics: Sequence[str] = (), targets: Sequence[str] = (), plans: Sequence[str] = ()
) -> pd.DataFrame:
    """What each series of a folder of runs does: changes, slope, seasons, the latest run, the next week; the rest of a
    record is spread out by path, such as `slope.verdict`. What is chosen changes nothing of what is claimed. Raises
    UsageFault."""
    paths = paths_named(_names(metrics), "metrics")
    found = trends.trend(Path(root), metrics=paths, targets=_names(targets), plans=_names(plans), last=0)
    frame = records_frame(found.series, _OF_SERIES)
    return frame.assign(changes=[len(each.changes) for each in found.series])


_OF_SERIES = (
    *("plan", "target", "workload", "stage", "model", "metric", "runs", "slope.verdict", "hour.verdict"),
    *("weekday.verdict", "latest.verdict", "forecast.refused"),
)


def load_history(root: str | Path) -> pd.DataFrame:
    """One row for each run, target, workload, stage and metric of a folder of runs, in the order in which they began,
    with the ends of the 95 % interval. Raises UsageFault."""
    return history.table_of(history.load_history(root))
