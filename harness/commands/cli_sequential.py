"""`compare --sequential`: a plan is run with as many repeats as it takes to decide, or such a run is gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from harness import launch
from harness.allowances.budget import check_limits
from harness.commands.cli_load import check_keys, checked_plan, grade_after, warn_of_load
from harness.commands.cli_shown import ERR, ProgressShown, as_text, finish
from harness.errors import UsageFault
from harness.plan_file import read_plan
from harness.records.sequential_record import SequentialRecord, read_sequential, write_sequential
from harness.rundir import RunDir, new_run_dir
from harness.runs.swarm import Swarm
from harness.sequential_run import pursue, resumed

if TYPE_CHECKING:  # scipy comes with them
    from analysis.records.comparison_record import Comparison
    from analysis.summary import Summary

MOST = 30  # repeats
_METRICS = ("ttft_s.p50", "e2e_s.p50")


def sequentially(sources: tuple[str, ...], options: dict[str, Any]) -> int:
    """Run a plan with as many repeats as it takes, or go on with such a run."""
    if len(sources) > 1:
        raise UsageFault(f"compare --sequential: {sources[1]}: one PLAN or one RUN_DIR", "runs are compared without it")
    if options["gates"] or options["junit"] or options["markdown"]:
        hint = "first the run, then: tokenswarm compare RUN_DIR --gate ..."
        raise UsageFault("compare --sequential: gates are asked of a run that is over", hint)
    run_dir, record = _again(sources[0], options) if Path(sources[0]).is_dir() else _begun(sources[0], options)
    plan = msgspec.structs.replace(read_plan(str(run_dir.plan)), repeats=record.most)
    swarm = Swarm(local=options["workers"])
    check_limits(plan, swarm.workers, shared=False)
    check_keys(plan)
    warn_of_load(plan, swarm.workers)
    ERR.print(f"run directory: {run_dir.root}", markup=False, highlight=False)
    with ProgressShown() as watch:
        ending = pursue(plan, run_dir, swarm, record, watch, lambda repeat: _standing(run_dir, repeat))
    for missing in ending.missing:
        ERR.print(f"missing: {missing}", markup=False, highlight=False)
    if plan.wants_grading and ending.ended != "interrupted":
        grade_after(run_dir)
    code = finish(run_dir)
    _answer(run_dir, as_json=options["as_json"])
    return {"interrupted": 130, "failed": 1}.get(ending.ended, code)


def _begun(source: str, options: dict[str, Any]) -> tuple[RunDir, SequentialRecord]:
    from harness.plan_file import dump_plan  # noqa: PLC0415

    metrics = tuple(_path(name) for name in options["metrics"]) or _METRICS
    plan = checked_plan(source, options["settings"], options["targets"], options["prices"])
    most = options["most"] or MOST
    launch.check_runnable(plan)
    if len(plan.targets) < 2:
        raise UsageFault(f"compare --sequential: {source}: one target alone", "a plan with two targets or more")
    run_dir = new_run_dir(options["out"], plan.name)
    run_dir.plan.write_text(dump_plan(msgspec.structs.replace(plan, repeats=most)), encoding="utf-8")
    record = SequentialRecord(metrics=metrics, most=most)
    write_sequential(run_dir, record)
    return run_dir, record


def _path(name: str) -> str:
    from analysis.comparing.compared_metrics import OF_REPEATS  # noqa: PLC0415
    from analysis.gating.gate_rules import path_of  # noqa: PLC0415

    path = path_of(name)
    if path not in OF_REPEATS:
        raise UsageFault(
            f"--metric {name}: not a metric that repeats are told apart by", f"one of {', '.join(OF_REPEATS)}"
        )
    return path


def _again(source: str, options: dict[str, Any]) -> tuple[RunDir, SequentialRecord]:
    """A run that was begun. Raises UsageFault."""
    run_dir = RunDir(Path(source))
    if options["metrics"] or options["settings"] or options["targets"] or options["prices"]:
        raise UsageFault(f"compare --sequential: {source}: what it asks stands in it", "only --most can be another")
    record = resumed(run_dir, options["most"])
    if record is None:
        hint = "go on with a run that `compare PLAN --sequential` began"
        raise UsageFault(f"{run_dir.sequential}: no such file: its plan decided how many repeats it has", hint)
    return run_dir, record


def _standing(run_dir: RunDir, repeat: int) -> tuple[int, int]:
    """How many of the comparisons that were asked for are decided, and how many there are."""
    from analysis.summarise import summarise  # noqa: PLC0415

    summary, _ = summarise(run_dir)
    asked = _asked(summary)
    decided = sum(each.decided for each in asked)
    ERR.print(f"repeat {repeat}: {decided} of {len(asked)} comparisons decided", markup=False, highlight=False)
    return decided, len(asked)


def _asked(summary: Summary) -> list[Comparison]:
    metrics = () if summary.sequential is None else summary.sequential.metrics
    return [each for each in summary.comparisons if each.metric in metrics]


def _answer(run_dir: RunDir, *, as_json: bool) -> None:
    from analysis.comparisons import METHOD, METHOD_SEQUENTIAL  # noqa: PLC0415
    from analysis.summarise import summarise  # noqa: PLC0415
    from analysis.wording import sequential_sentence  # noqa: PLC0415

    summary, _ = summarise(run_dir)
    record, asked = read_sequential(run_dir), _asked(summary)
    assert record is not None
    if as_json:
        method = f"{METHOD} {METHOD_SEQUENTIAL}"
        document = {"run_dir": str(run_dir.root), "sequential": record, "method": method, "comparisons": asked}
        click.echo(as_text(msgspec.to_builtins(document)))
        return
    for each in asked:
        click.echo(f"{each.workload}, stage {each.stage}: {sequential_sentence(each)}")
    ended = {"most": "as many as there may be", "nothing": "nothing to compare"}.get(record.ended or "", record.ended)
    click.echo(f"{record.decided} of {record.comparisons} decided after {record.repeats} repeats: {ended}")
    click.echo(run_dir.root)
