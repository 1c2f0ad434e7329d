"""A run directory -> its summary. The same files give the same summary, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from analysis.answers.grading import questions_of, with_grades
from analysis.answers.opinions import read_opinions
from analysis.cells.asked import but_for_batch, load_of, request_of
from analysis.cells.health import read_health
from analysis.cells.lengths import lengths_of
from analysis.cells.recovery import integrity_of, recovery_of
from analysis.cells.resources import by_worker, resources_of
from analysis.cells.token_counts import tokens_of
from analysis.cells.turns import structured_of, turns_of
from analysis.comparing.goals import judge
from analysis.comparisons import Answers, compare
from analysis.cost import COUNTED, cost_of, with_accuracy
from analysis.failures.outages import Watch
from analysis.loads.capacity import capacity_of
from analysis.loads.searches import read_search
from analysis.loads.sweeps import Measured, grouped
from analysis.locust_csv import prefix_of, summarise_csv
from analysis.metrics import Rates, Window, injected, latencies, meets_slo, rates_of, repeat_record, window_of
from analysis.quality import quality_of, replies_of, under_load
from analysis.reading.gaps import Whole
from analysis.reconcile import reconcile
from analysis.records.quality_record import Quality, QualityUnderLoad
from analysis.reliability import Counts, counts_of, reliability_of, watches_of
from analysis.rivals import files
from analysis.samples import Samples, load_samples
from analysis.summary import Batch, Dist, Provider, Result, ServerTimes, Summary
from analysis.summary import Window as WindowPart
from analysis.validity import judge_run
from harness.cells import Cell, cells, stages_of
from harness.errors import UNREADABLE, UsageFault
from harness.plan import OutageRule, Plan
from harness.plan_file import read_plan, with_outage
from harness.prices import priced
from harness.records.health_record import Health
from harness.records.sequential_record import read_sequential
from harness.rundir import RunDir, write_whole


def read_source(source: Path, outage: Iterable[str] = ()) -> tuple[Summary, Samples | None]:
    """The numbers of a run directory with its samples, of the Locust CSV with this prefix, or of result files of other
    tools. `outage`: `KEY=VALUE` texts laid over the rule of outages. Raises UsageFault."""
    if files.are_at(source):
        return files.summarise_files(source), None
    source = prefix_of(source)
    is_run = source.is_dir() and (RunDir(source).journals.is_dir() or not Path(f"{source}_stats.csv").exists())
    return (
        summarise(RunDir(source), outage)
        if is_run
        else (summarise_csv(source, with_outage(OutageRule(), outage)), None)
    )


def read_sources(sources: Sequence[Path], outage: Iterable[str] = ()) -> list[tuple[Summary, Samples | None]]:
    """Each as by `read_source`. Raises UsageFault, also for one that is named twice: it would be its own rival."""
    seen: dict[Path, Path] = {}
    for source in sources:
        place = source.resolve()
        if place in seen:
            raise UsageFault(f"{source}: is {seen[place]}, which is named already", "name each run once")
        seen[place] = source
    rule = tuple(outage)
    return [read_source(source, rule) for source in sources]


def summarise(run_dir: RunDir, outage: Iterable[str] = (), prices: Path | None = None) -> tuple[Summary, Samples]:
    """All numbers of a run, and the samples they come from. `outage`: `KEY=VALUE` texts laid over the plan's rule of
    outages; `prices`: a table of prices for the targets whose price does not stand in the plan that was run. Raises
    UsageFault when there is nothing to read."""
    samples = load_samples(run_dir)
    plan = _plan_of(run_dir)
    plan = msgspec.structs.replace(plan, outage=with_outage(plan.outage, outage))
    plan = plan if prices is None else priced(plan, prices, shipped=False)
    asked, opinions = questions_of(plan, run_dir), read_opinions(run_dir.grades)
    samples = with_grades(samples, asked)
    run, sequential = _run_json(run_dir), read_sequential(run_dir)
    cells_seen = windows_of(plan, samples)
    origin_ns = _origin_ns(samples) if cells_seen else 0.0
    watched = [_watched(cell, own, plan, origin_ns) for cell, own in cells_seen]
    health = read_health(run_dir)
    results = with_batches([_result(each, plan, samples, by_worker(health)) for each in watched])
    results = [
        _with_quality(result, quality_of(each.windows, each.cell.workload, result.target, asked, opinions))
        for result, each in zip(results, watched, strict=True)
    ]
    rows = reconcile(run_dir, samples.table)
    repeats = max((result.repeats for result in results), default=0)
    validity = judge_run(samples, run, results, rows, repeats, health, plan)
    measured = [
        Measured(result, each.windows, each.cell.stage, each.cell.warmup_s)
        for result, each in zip(results, watched, strict=True)
    ]
    capacity = capacity_of(measured, run, health, validity.findings, msgspec.to_builtins(plan.slo))
    summary = Summary(
        run=run_dir.name,
        plan=plan.name,
        source="samples",
        started_utc=run.get("started_utc"),
        duration_s=_duration_s(samples),
        ended=str(run.get("ended", "died")).replace("running", "died"),
        validity=validity,
        results=tuple(_with_goals(result, plan) for result in capacity.results),
        providers=_providers(watched, plan),
        comparisons=compare(results, _answers(measured), asked=None if sequential is None else sequential.metrics),
        diagnoses=capacity.diagnoses,
        sweeps=capacity.sweeps,
        search=read_search(run_dir),
        sequential=sequential,
        relations=capacity.relations,
        quality_under_load=_under_load(measured),
        trends=capacity.trends,
        reconciliation=rows,
        slo=msgspec.to_builtins(plan.slo),
        environment=run.get("environment", {}),
    )
    return summary, samples


def _plan_of(run_dir: RunDir) -> Plan:
    """The plan that was run. Raises UsageFault."""
    try:
        return read_plan(str(run_dir.plan))
    except UsageFault as fault:
        hint = "a run is read by the plan that made it: put that file there again; the samples are still in journal/"
        raise UsageFault(fault.message, hint) from fault


def _with_quality(result: Result, quality: Quality | None) -> Result:
    """A result with its quality, and what that is worth."""
    accuracy = quality.accuracy.value if quality is not None and quality.accuracy is not None else None
    return with_accuracy(msgspec.structs.replace(result, quality=quality), accuracy)


def _answers(measured: Sequence[Measured]) -> Answers:
    """Whether each answer was right, and to which question, of every cell with graded ones."""
    graded = [each for each in measured if each.result.quality is not None and each.result.quality.graded]
    return {
        (each.result.target, each.result.workload, each.result.stage): replies_of(each.windows).graded()
        for each in graded
    }


def _under_load(measured: Sequence[Measured]) -> tuple[QualityUnderLoad, ...]:
    found = (under_load(group) for group in grouped(measured).values())
    return tuple(each for each in found if each is not None)


def windows_of(plan: Plan, samples: Samples) -> list[tuple[Cell, list[Window]]]:
    """Every cell that has samples, in the order of the plan, with the steady window of each of its repeats."""
    rows_of = _rows_of_cells(samples.table)
    return [
        (cell, [window_of(samples, own[repeat], repeat, cell.stage, cell.warmup_s) for repeat in sorted(own)])
        for cell in _in_order(plan)
        if (own := rows_of.get((cell.target.name, cell.workload.name, cell.stage_index)))
    ]


def write_summary(run_dir: RunDir, summary: Summary) -> None:
    """Write summary.json, whole or not at all."""
    write_whole(run_dir.summary, summary_json(summary))


def summary_json(summary: Summary) -> bytes:
    """The summary as indented JSON; numbers of numpy become plain ones."""
    return msgspec.json.format(msgspec.json.encode(summary, enc_hook=float), indent=2) + b"\n"


def _run_json(run_dir: RunDir) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(run_dir.run_json.read_bytes())
    except (OSError, *UNREADABLE):
        return {}
    return found if isinstance(found, dict) else {}


def _in_order(plan: Plan) -> list[Cell]:
    """Every cell once, targets in the order of the plan."""
    names = [target.name for target in plan.targets]
    workloads = [workload.name for workload in plan.workloads]

    def key(cell: Cell) -> tuple[int, int, int]:
        return workloads.index(cell.workload.name), cell.stage_index, names.index(cell.target.name)

    return sorted(cells(plan, 1), key=key)


def _duration_s(samples: Samples) -> float | None:
    if samples.table.empty:
        return None
    return float(np.nanmax(samples.on_axis("end_ns")) - _origin_ns(samples)) / 1e9


def _origin_ns(samples: Samples) -> float:
    """The first start, on the run's axis; where nothing was sent, the first end."""
    start = samples.on_axis("start_ns")
    return float(np.nanmin(start)) if not np.isnan(start).all() else float(samples.on_axis("end_ns").min())


def _rows_of_cells(table: pd.DataFrame) -> dict[tuple[str, str, int], dict[int, Whole]]:
    """The rows of each cell (target, workload, stage), by repeat, as places in the table."""
    found: dict[tuple[str, str, int], dict[int, Whole]] = {}
    groups: Any = table.groupby(["target", "workload", "stage", "repeat"], observed=True, sort=True).indices
    for (target, workload, stage, repeat), rows in groups.items():
        found.setdefault((target, workload, int(stage)), {})[int(repeat)] = np.asarray(rows, dtype=np.int64)
    return found


@dataclass(frozen=True)
class _Watched:
    """What there is of one cell: the window of each repeat, and as watches of its provider; `unmeasured`: the attempts
    of repeats that were cut off in their warm-up, and so have no window."""

    cell: Cell
    windows: list[Window]
    watches: list[Watch]
    counts: Counts
    unmeasured: int


def _watched(cell: Cell, every: list[Window], plan: Plan, origin_ns: float) -> _Watched:
    windows = [window for window in every if window.length_s > 0] or every
    unmeasured = sum(len(window.everything) for window in every) - sum(len(window.everything) for window in windows)
    return _Watched(cell, windows, watches_of(windows, plan.outage, origin_ns), counts_of(windows), unmeasured)


def _providers(watched: Sequence[_Watched], plan: Plan) -> tuple[Provider, ...]:
    """Each target over all of its cells."""
    found = []
    for target in dict.fromkeys(each.cell.target.name for each in watched):
        own = [each for each in watched if each.cell.target.name == target]
        watches = [watch for each in own for watch in each.watches]
        counts = sum((each.counts for each in own), Counts())
        found.append(Provider(target=target, reliability=reliability_of(watches, counts, plan.outage)))
    return tuple(found)


def _result(watched: _Watched, plan: Plan, samples: Samples, health: Mapping[str, Sequence[Health]]) -> Result:
    cell, windows = watched.cell, watched.windows
    rates = [rates_of(window, plan.slo) for window in windows]
    found, own = latencies(windows)
    distributions: dict[str, Any] = {**found}
    places = np.concatenate([window.inside for window in windows])
    inside = samples.table[_COUNTED].iloc[places]
    untouched = ~injected(samples, places)
    tokens = tokens_of(windows, cell.target)
    parts = {name: distributions.pop(f"server_{name}_ns") for name in _SERVER_PARTS}
    return Result(
        target=cell.target.name,
        dialect=cell.target.dialect,
        model=cell.target.model,
        workload=cell.workload.name,
        kind=cell.workload.kind,
        stage=cell.stage_index,
        stage_label=cell.stage.label,
        load=load_of(cell),
        request=request_of(cell),
        repeats=len(windows),
        attempted=len(inside),
        warmup_attempts=_in_warmup(windows) + watched.unmeasured,
        outcomes=_counts(inside["outcome"]),
        errors=_counts(inside["error"]),
        error_classes=_counts(inside["error_class"]),
        stamps=_counts(inside["stamps"]),
        limits_left=_limits_left(inside),
        window=_window(windows),
        window_s=sum(window.length_s for window in windows),
        tokens_per_event=None if tokens is None else tokens.tokens_per_event,
        **_mean_rates(rates),
        **distributions,
        server_s=_server_times(inside, parts),
        reliability=reliability_of(watched.watches, watched.counts, plan.outage),
        recovery=recovery_of(cell, windows),
        integrity=integrity_of(samples, places[untouched], echo=True) if cell.workload.echo else None,
        batch=_batch(cell, rates),
        cost=cost_of(inside, cell.target, sum(meets_slo(window, plan.slo) for window in windows)),
        tokens=tokens,
        turns=turns_of(inside),
        structured=structured_of(inside),
        lengths=lengths_of(inside),
        resource_utilization=resources_of(windows, health),
        repeat_values=tuple(
            repeat_record(window, rate, each, _more(window, rate, cell, plan))
            for window, rate, each in zip(windows, rates, own, strict=True)
        ),
    )


def _more(window: Window, rates: Rates, cell: Cell, plan: Plan) -> dict[str, float | None]:
    """What only some cells have in each repeat: cost and batches."""
    rows = window.samples.table[_COUNTED].iloc[window.inside]
    cost = None if cell.target.price is None else cost_of(rows, cell.target, meets_slo(window, plan.slo))
    names = ("usd_per_request", "usd_per_1k_good", "usd_per_1m_output_tokens", "usd_per_1m_tokens")
    found: dict[str, float | None] = {} if cost is None else {f"cost.{name}": getattr(cost, name) for name in names}
    return found if cell.workload.kind == "chat" else found | {"batch.items_per_s": rates.items_per_s}


_COUNTED = [
    *("outcome", "error", "error_class", "stamps", "server_source", "events", "usage_source"),
    *("turn", "max_tokens", "valid", "start_ns", "end_ns", "first_event_ns"),
    *COUNTED,
    *("rate_limit_requests", "rate_remaining_requests", "rate_limit_tokens", "rate_remaining_tokens"),
]
_SERVER_PARTS = ("total", "headers", "queue", "prompt", "output")


def _in_warmup(windows: list[Window]) -> int:
    """The attempts that belong to no window."""
    return sum(len(window.everything) - len(window.inside) for window in windows)


def _window(windows: list[Window]) -> WindowPart:
    begin = [(window.begin_ns - window.first_ns) / 1e9 for window in windows]
    end = [(window.end_ns - window.first_ns) / 1e9 for window in windows]
    return WindowPart(begin_s=sum(begin) / len(begin), end_s=sum(end) / len(end))


def _server_times(rows: pd.DataFrame, parts: dict[str, Dist | None]) -> ServerTimes | None:
    sources = _counts(rows["server_source"])
    return ServerTimes(sources=sources, **parts) if sources else None


def _counts(column: pd.Series[Any]) -> dict[str, int]:
    counts = column.value_counts()
    return {str(text): int(n) for text, n in sorted(counts.items()) if n}


def _limits_left(rows: pd.DataFrame) -> dict[str, float]:
    """The least part of each limit that was left, of those that were told with what remains."""
    left = {
        what: (rows[f"rate_remaining_{what}"] / rows[f"rate_limit_{what}"]).min() for what in ("requests", "tokens")
    }
    return {what: float(least) for what, least in left.items() if np.isfinite(least)}


_RATES = (
    "offered_rps",
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
    """Batches set against the batch of one that the same target ran at the same load, of items as long."""
    single = {
        but_for_batch(result): result.batch.items_per_s
        for result in results
        if result.batch is not None and result.batch.size == 1
    }
    return [_with_batch(result, single.get(but_for_batch(result))) for result in results]


def _with_batch(result: Result, single_per_s: float | None) -> Result:
    batch = result.batch
    if batch is None or not single_per_s or batch.items_per_s is None:
        return result
    ratio = batch.items_per_s / single_per_s
    done = msgspec.structs.replace(batch, versus_sequential=ratio, efficiency=ratio / batch.size)
    return msgspec.structs.replace(result, batch=done)


def _with_goals(result: Result, plan: Plan) -> Result:
    """The goals of its workload, and those of its stage."""
    workload = next(each for each in plan.workloads if each.name == result.workload)
    goals = (*workload.goals, *stages_of(plan, workload)[result.stage or 0].goals)
    return msgspec.structs.replace(result, goals=tuple(judge(goal, result) for goal in goals))
