"""A run directory -> its summary. The same files give the same summary, byte for byte."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pandas as pd

from analysis.compare import compare
from analysis.cost import cost_of
from analysis.goals import judge
from analysis.metrics import Rates, latencies, meets_slo, rates_of, repeat_record, window_of
from analysis.reconcile import reconcile
from analysis.reliability import reliability_of
from analysis.samples import Samples, load_samples
from analysis.summary import Batch, Result, Summary
from analysis.validity import judge_run
from harness.plan import Cell, Plan, cells
from harness.plan_file import read_plan
from harness.rundir import RunDir


def summarise(run_dir: RunDir) -> tuple[Summary, Samples]:
    """All numbers of a run, and the samples they come from. Raises UsageFault when there is nothing to read."""
    samples = load_samples(run_dir)
    plan = read_plan(str(run_dir.plan))
    run = _run_json(run_dir)
    results = with_batches([found for cell in _in_order(plan) if (found := _result(cell, plan, samples.table))])
    results = [_with_goals(result, plan) for result in results]
    rows = reconcile(run_dir, samples.table)
    repeats = int(samples.table["repeat"].nunique()) if len(samples.table) else 0
    summary = Summary(
        run=run_dir.name,
        plan=plan.name,
        source="samples",
        started_utc=run.get("started_utc"),
        duration_s=_duration_s(samples.table),
        ended=str(run.get("ended", "died")).replace("running", "died"),
        validity=judge_run(samples, run, results, rows, repeats),
        results=tuple(results),
        comparisons=compare(results),
        reconciliation=rows,
        slo=msgspec.to_builtins(plan.slo),
        environment=run.get("environment", {}),
    )
    return summary, samples


def write_summary(run_dir: RunDir, summary: Summary) -> None:
    """Write summary.json, whole or not at all."""
    part = run_dir.summary.with_suffix(".tmp")
    part.write_bytes(summary_json(summary))
    part.replace(run_dir.summary)


def summary_json(summary: Summary) -> bytes:
    """The summary as indented JSON; numbers of numpy become plain ones."""
    return msgspec.json.format(msgspec.json.encode(summary, enc_hook=float), indent=2) + b"\n"


def _run_json(run_dir: RunDir) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(run_dir.run_json.read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _in_order(plan: Plan) -> list[Cell]:
    """Every cell once, targets in the order of the plan."""
    names = [target.name for target in plan.targets]
    workloads = [workload.name for workload in plan.workloads]

    def key(cell: Cell) -> tuple[int, int, int]:
        return workloads.index(cell.workload.name), cell.stage_index, names.index(cell.target.name)

    return sorted(cells(plan, 1), key=key)


def _duration_s(table: pd.DataFrame) -> float | None:
    if table.empty:
        return None
    return float(table["end_abs_ns"].max() - table["start_abs_ns"].min()) / 1e9


def _result(cell: Cell, plan: Plan, table: pd.DataFrame) -> Result | None:
    mine = (table["target"] == cell.target.name) & (table["workload"] == cell.workload.name)
    rows = table[mine & (table["stage"] == cell.stage_index)]
    if rows.empty:
        return None
    windows = [
        window_of(rows[rows["repeat"] == repeat], repeat, cell.stage, cell.warmup_s)
        for repeat in sorted(int(each) for each in rows["repeat"].unique())
    ]
    inside = pd.concat([window.inside for window in windows])
    rates = [rates_of(window, plan.slo) for window in windows]
    origin_ns = float(table["start_abs_ns"].min())
    spans_s = [((window.begin_ns - origin_ns) / 1e9, (window.end_ns - origin_ns) / 1e9) for window in windows]
    good = meets_slo(inside, plan.slo)
    return Result(
        target=cell.target.name,
        dialect=cell.target.dialect,
        model=cell.target.model,
        workload=cell.workload.name,
        kind=cell.workload.kind,
        stage=cell.stage_index,
        stage_label=cell.stage.label,
        load=_load(cell),
        repeats=len(windows),
        attempted=len(inside),
        warmup_attempts=len(rows) - len(inside),
        outcomes=_counts(inside["outcome"]),
        errors=_counts(inside["error"]),
        error_classes=_counts(inside["error_class"]),
        window_s=sum(window.length_s for window in windows),
        offered_rps=cell.stage.rate_rps,
        tokens_per_event=_tokens_per_event(inside),
        **_mean_rates(rates),
        **latencies(windows),
        reliability=reliability_of(inside, spans_s, origin_ns),
        batch=_batch(cell, rates),
        cost=cost_of(inside, cell.target.price, good),
        repeat_values=tuple(
            repeat_record(window, rate, latencies([window])) for window, rate in zip(windows, rates, strict=True)
        ),
    )


def _load(cell: Cell) -> dict[str, Any]:
    stage = cell.stage
    load: dict[str, Any] = {"concurrency": stage.concurrency, "rate_rps": stage.rate_rps}
    return {name: value for name, value in load.items() if value is not None} | {"duration_s": stage.duration_s}


def _counts(column: pd.Series[str]) -> dict[str, int]:
    return dict(sorted(Counter(str(each) for each in column if isinstance(each, str)).items()))


def _tokens_per_event(rows: pd.DataFrame) -> float | None:
    streamed = rows[(rows["outcome"] == "ok") & rows["output_tokens"].notna()]
    events = int(streamed["event_ns"].map(len).sum()) if len(streamed) else 0
    return float(streamed["output_tokens"].astype(float).sum()) / events if events else None


_RATES = (
    "achieved_rps",
    "completed_rps",
    "goodput_rps",
    "output_tokens_per_s",
    "input_tokens_per_s",
    "ramp_to_drain_tokens_per_s",
    "in_flight_mean",
)


def _mean_rates(rates: list[Rates]) -> dict[str, Any]:
    """The mean over the repeats, whose windows are equally long."""
    return {name: _mean([getattr(each, name) for each in rates]) for name in _RATES}


def _mean(values: list[float | None]) -> float | None:
    whole = [value for value in values if value is not None]
    return sum(whole) / len(whole) if whole else None


def _batch(cell: Cell, rates: list[Rates]) -> Batch | None:
    if cell.workload.kind == "chat":
        return None
    return Batch(size=cell.workload.batch, items_per_s=_mean([each.items_per_s for each in rates]))


def with_batches(results: list[Result]) -> list[Result]:
    """Batches set against the batch of one that the same target ran at the same load."""
    single = {
        (result.target, str(result.load)): result.batch.items_per_s
        for result in results
        if result.batch is not None and result.batch.size == 1
    }
    return [_with_batch(result, single.get((result.target, str(result.load)))) for result in results]


def _with_batch(result: Result, single_per_s: float | None) -> Result:
    batch = result.batch
    if batch is None or not single_per_s or batch.items_per_s is None:
        return result
    ratio = batch.items_per_s / single_per_s
    done = msgspec.structs.replace(batch, versus_sequential=ratio, efficiency=ratio / batch.size)
    return msgspec.structs.replace(result, batch=done)


def _with_goals(result: Result, plan: Plan) -> Result:
    goals = next(workload.goals for workload in plan.workloads if workload.name == result.workload)
    return msgspec.structs.replace(result, goals=tuple(judge(goal, result) for goal in goals))
