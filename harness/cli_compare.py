"""The command `compare`: targets of a run, runs against the first, gates; and repeats added until that is decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from harness import launch
from harness.budget import check_limits
from harness.cli_load import check_keys, checked_plan, grade_after, plan_options, warn_of_load
from harness.cli_shown import ERR, ProgressShown, as_text, console, finish
from harness.errors import UsageFault
from harness.plan_file import read_plan
from harness.rundir import RunDir, new_run_dir, write_whole
from harness.sequential_record import SequentialRecord, read_sequential, write_sequential
from harness.sequential_run import pursue, resumed
from harness.swarm import Swarm

if TYPE_CHECKING:  # scipy comes with them
    from analysis.comparison_record import Comparison
    from analysis.gate_files import Told
    from analysis.gate_rules import Rule
    from analysis.model_drift import ModelDrift
    from analysis.samples import Samples
    from analysis.summary import Summary

_METRICS = ("ttft_s.p50", "e2e_s.p50")
_MOST = 30


@click.command()
@click.argument("sources", metavar="RUN_DIR...|PLAN", nargs=-1, required=True)
@click.option("--gate", "gates", multiple=True, metavar="EXPR", help="Fail (exit 3) beyond this, as ttft.p95:+10%.")
@click.option("--alpha", type=click.FloatRange(1e-9, 0.2), help="Level at which gates fail (0.001).")
@click.option("--strict", is_flag=True, help="A gate that cannot be told fails too.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the gates as JUnit XML.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write a summary for people, as of a step of CI.")
@click.option("--sequential", is_flag=True, help="Run PLAN, and add repeats until it is decided; go on with RUN_DIR.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="With --sequential: what is to be decided.")
@click.option("--most", type=click.IntRange(2, 1000), help=f"With --sequential: repeats at most ({_MOST}).")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of run directories (runs).")
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="With --sequential: processes on this host (1).")
@plan_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def compare(sources: tuple[str, ...], *, sequential: bool, **options: Any) -> int:
    """The targets of one run against one another, or runs against the first, metric by metric.

    Example: tokenswarm compare runs/chat/MONDAY runs/chat/TUESDAY --gate ttft.p95:+10% --gate goodput:-5%

    Repeats as needed: tokenswarm compare plan.yaml --sequential --metric ttft.p50
    """
    if sequential:
        return _sequentially(sources, options)
    for name in ("metrics", "most", "settings", "targets", "prices"):
        if options[name]:
            option = {"metrics": "metric", "settings": "set"}.get(name, name)
            raise UsageFault(f"--{option}: is of runs that are still to be made", "add --sequential and name a PLAN")
    return _finished([Path(source) for source in sources], options)


def _finished(sources: list[Path], options: dict[str, Any]) -> int:
    """Of runs that are there."""
    from analysis.gate_rules import read_gate  # noqa: PLC0415
    from analysis.model_drift import drifts  # noqa: PLC0415
    from analysis.summarise import read_source  # noqa: PLC0415

    rules = [read_gate(text) for text in options["gates"]]
    read = [read_source(source) for source in sources]
    changes = [change for other in read[1:] for change in drifts(read[0], other) if change.verdict != "not measured"]
    told = _told(read, rules, options)
    if options["as_json"]:
        document = {"method": told.method, "comparisons": told.comparisons, "gates": told.gates, "drift": changes}
        click.echo(as_text(msgspec.to_builtins(document)))
    else:
        _show(told, changes)
    _write_files(told, options)
    for run in told.invalid:
        ERR.print(f"invalid: {run}", markup=False, highlight=False)
    for summary, _ in read:
        if len(read) > 1 and summary.sequential is not None:
            note = (
                f"note: {summary.run}: its repeats were chosen by looking at them: between runs p is a little too small"
            )
            ERR.print(note, markup=False, highlight=False)
    return 3 if told.invalid or any(map(told.failed, told.gates)) else 0


def _told(read: list[tuple[Summary, Samples | None]], rules: list[Rule], options: dict[str, Any]) -> Told:
    from analysis import gates  # noqa: PLC0415
    from analysis.comparisons import METHOD, METHOD_SEQUENTIAL, compare_runs  # noqa: PLC0415
    from analysis.gate_files import Told  # noqa: PLC0415
    from analysis.grading import answers_of  # noqa: PLC0415

    (first, of_first), *others = read
    alpha = options["alpha"] or gates.ALPHA
    if others:
        summaries = [summary for summary, _ in others]
        answers = [answers_of(samples) for _, samples in others]
        found = compare_runs(first, summaries, answers_of(of_first), answers)
        judged = gates.against_first(rules, first, summaries, alpha=alpha)
    else:
        found = first.comparisons
        judged = gates.within_run(rules, first.results, alpha=alpha, sequential=first.sequential is not None)
    if rules and not judged:
        raise UsageFault(f"--gate: {rules[0].text}: one target alone in {first.run}", "name a second RUN_DIR")
    invalid = [summary.run for summary, _ in read if summary.validity.verdict == "invalid"]
    told_sequentially = not others and first.sequential is not None
    method = " ".join([METHOD, *([METHOD_SEQUENTIAL] * told_sequentially), *([gates.METHOD] * bool(rules))])
    return Told(found, judged, invalid, options["strict"], method)


def _write_files(told: Told, options: dict[str, Any]) -> None:
    from analysis.gate_files import junit_xml, markdown  # noqa: PLC0415

    if options["junit"] is not None:
        write_whole(options["junit"], junit_xml(told))
    if options["markdown"] is not None:
        write_whole(options["markdown"], markdown(told).encode())


def _show(told: Told, changes: list[ModelDrift]) -> None:
    from analysis.wording import sentence  # noqa: PLC0415
    from analysis.wording_gates import gate_sentence  # noqa: PLC0415
    from analysis.wording_quality import drift_line  # noqa: PLC0415

    for change in changes:
        click.echo(drift_line(change))
    for rows in _by_pair(told.comparisons):
        console(stderr=False).print(_table(rows))
    for each in told.comparisons:
        if each.verdict != "no difference" or each.headline:
            click.echo(f"{each.workload}, stage {each.stage}: {sentence(each)}")
    for gate in told.gates:
        click.echo(gate_sentence(gate))
    click.echo(f"method: {told.method}")


def _by_pair(comparisons: Sequence[Comparison]) -> list[list[Comparison]]:
    """Those that were measured, of the same load and targets together."""
    found: dict[tuple[object, ...], list[Comparison]] = {}
    for each in comparisons:
        if each.a_value is not None:
            found.setdefault((each.workload, each.stage, each.a, each.a_run, each.b, each.b_run), []).append(each)
    return list(found.values())


def _table(rows: list[Comparison]) -> Table:
    from rich.text import Text  # noqa: PLC0415

    from analysis import wording  # noqa: PLC0415

    one = rows[0]
    a, b = wording.named(one.a, one.a_run), wording.named(one.b, one.b_run)
    title = Text(f"{one.workload}, stage {one.stage}: A = {a}, B = {b}")
    table = Table("metric", "A / B [95 %]", "A - B [95 %]", "g", "p", "detectable", "A is", title=title)
    for each in rows:
        cells = (
            wording.metric_name(each.metric),
            wording.ratio_between(each),
            wording.change_between(each.metric, each.difference),
            wording.NOTHING if each.effect_size is None else f"{each.effect_size:.2f}",
            wording.NOTHING if each.p_adjusted is None else f"{each.p_adjusted:.2g}",
            wording.detectable(each),
            each.verdict,
        )
        table.add_row(*map(Text, cells))
    return table


def _sequentially(sources: tuple[str, ...], options: dict[str, Any]) -> int:
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
    most = options["most"] or _MOST
    launch.check_runnable(plan)
    if len(plan.targets) < 2:
        raise UsageFault(f"compare --sequential: {source}: one target alone", "a plan with two targets or more")
    run_dir = new_run_dir(options["out"], plan.name)
    run_dir.plan.write_text(dump_plan(msgspec.structs.replace(plan, repeats=most)), encoding="utf-8")
    record = SequentialRecord(metrics=metrics, most=most)
    write_sequential(run_dir, record)
    return run_dir, record


def _path(name: str) -> str:
    from analysis.compared_metrics import OF_REPEATS  # noqa: PLC0415
    from analysis.gate_rules import path_of  # noqa: PLC0415

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
