"""The command `capacity`: the largest load at which a target keeps an SLO."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from harness.allowances.budget import check_limits
from harness.commands.cli_shown import ERR, as_text, chosen, complain, console, finish, warn_of_clear
from harness.errors import UNREADABLE, UsageFault
from harness.handover.question_sets import write_questions
from harness.plan import Plan, Slo
from harness.plan_file import read_plan
from harness.prices import priced
from harness.records.health_record import Health
from harness.records.search_record import Question, SearchRecord, State, StepRecord
from harness.rundir import RunDir, new_run_dir
from harness.runs.reachable import reachable

if TYPE_CHECKING:  # scipy and plotly come with them
    from analysis.records.capacity_record import CapacitySearch
    from harness.capacity.capacity_search import Search

_LIMITS = ("ttft_s", "tpot_s", "e2e_s")


@click.command()
@click.argument("plan", required=False)
@click.option("--target", help="Which target; not needed where there is only one.")
@click.option("--workload", help="Which workload; not needed where there is only one.")
@click.option("--slo", "slos", multiple=True, metavar="NAME=SECONDS", help="A limit, such as e2e_s=2; else the plan's.")
@click.option("--by", type=click.Choice(["concurrency", "rate"]), default="concurrency", help="Users, or arrivals/s.")
@click.option("--begin", type=click.FloatRange(0.01), default=1.0, help="The load to begin with (1).")
@click.option("--most", type=click.FloatRange(0.01, 100_000), default=512.0, help="Ask for no more than this (512).")
@click.option("--attainment", type=click.FloatRange(0.5, 0.999), default=0.95, help="The part within the SLO (0.95).")
@click.option("--precision", type=click.FloatRange(0.005, 0.5), default=0.05, help="How exactly (0.05: to 5 %).")
@click.option("--spend-requests", type=click.IntRange(1), help="Send no more than this.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Lay a value over the plan.")
@click.option("--targets", type=click.Path(path_type=Path), help="YAML list of targets to use instead.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of run directories (runs).")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the search of this run directory.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def capacity(plan: str | None, resume: Path | None, *, as_json: bool, out: Path, **options: Any) -> int:
    """Find the largest load at which a target keeps an SLO, with as few requests as that takes.

    Prints the answer and, as the last line, the run directory. Example:
    tokenswarm capacity plan.yaml --target openai --slo e2e_s=2 --slo ttft_s=0.5
    """
    from analysis.cells.health import judge_workers, worker_of  # noqa: PLC0415  (all of it before the load begins)
    from analysis.loads.searches import read_search  # noqa: PLC0415
    from harness.capacity.capacity_run import Scene, pursue  # noqa: PLC0415

    def client_limit(rows: Sequence[Health]) -> str | None:
        """What shows that this process was the bottleneck; None where nothing does."""
        invalid = [each for each in judge_workers([worker_of("r1-w0", None, rows)], []) if each.severity == "invalid"]
        return invalid[0].saw if invalid else None

    whole, record, run_dir, part = _resumed(resume, plan) if resume else _asked(plan, out, options)
    if options["spend_requests"] is not None:
        question = msgspec.structs.replace(record.question, requests=options["spend_requests"])
        record = msgspec.structs.replace(record, question=question)
    target = next(each for each in whole.targets if each.name == record.target)
    workload = next(each for each in whole.workloads if each.name == record.workload)
    ERR.print(f"run directory: {run_dir.root}", markup=False, highlight=False, soft_wrap=True)
    fault: OSError | None = None
    with reachable(whole, target, run_dir.truth) as (there, key), _Shown(record.question) as watch:
        try:
            pursue(Scene(whole, there, workload, key, run_dir, part), record, watch, client_limit)
        except OSError as error:
            fault = error
    code = finish(run_dir)
    done = read_search(run_dir)
    assert done is not None
    assert done.answer is not None
    if as_json:
        click.echo(as_text(_document(done, run_dir)))
    else:
        _tell(done)
        click.echo(run_dir.root)
    if fault is not None:
        complain(str(fault), f"what was measured is kept: free some space, then {_again(run_dir)}")
        return 1
    if done.answer.reason == "stopped":
        ERR.print(f"to go on: {_again(run_dir)}", markup=False, highlight=False, soft_wrap=True)
        return 130
    return 3 if done.answer.reason == "client" else code


def _again(run_dir: RunDir) -> str:
    return f"tokenswarm capacity --resume {run_dir.root}"


def _asked(plan: str | None, out: Path, options: dict[str, Any]) -> tuple[Plan, SearchRecord, RunDir, int]:
    """A new search, from the command line. Raises UsageFault."""
    if plan is None:
        raise UsageFault("capacity: no PLAN given", "name a plan file or suite:NAME, or --resume RUN_DIR")
    whole = priced(read_plan(plan, options["settings"], options["targets"]))
    warn_of_clear(whole)
    target = chosen("capacity", "target", options["target"], whole.targets)
    fitting = [each for each in whole.workloads if each.kind == target.kind]
    workload = chosen("capacity", "workload", options["workload"], fitting)
    if options["by"] == "rate" and workload.turns > 1:
        rule = f"workload {workload.name} has {workload.turns} turns: a turn follows the reply before it, and no rate"
        raise UsageFault(f"--by rate: {rule}", "--by concurrency: so many conversations are held at once")
    slo = _slo(whole.slo, options["slos"])
    check_limits(msgspec.structs.replace(whole, targets=(target,)), 1, shared=False)
    if options["begin"] > options["most"]:
        rule = f"it is more than --most {options['most']:g}"
        raise UsageFault(f"--begin {options['begin']:g}: {rule}", "begin with a load that is surely kept, such as 1")
    question = Question(
        unit=options["by"],
        begin=options["begin"],
        most=options["most"],
        wanted=options["attainment"],
        precision=options["precision"],
        deadline_s=slo.e2e_s,
    )
    record = SearchRecord(
        target=target.name,
        workload=workload.name,
        slo=msgspec.to_builtins(slo),
        question=question,
        state=State(),
    )
    whole = msgspec.structs.replace(whole, slo=slo)
    run_dir = new_run_dir(out, whole.name)
    write_questions(whole, run_dir)
    return whole, record, run_dir, 0


def _slo(slo: Slo, texts: Sequence[str]) -> Slo:
    """The plan's limits with those of the command line laid over them."""
    for text in texts:
        name, _, value = text.partition("=")
        if name not in _LIMITS:
            raise UsageFault(f"--slo {text}: the limit of a request is one of {', '.join(_LIMITS)}", "as --slo e2e_s=2")
        try:
            slo = msgspec.convert(msgspec.to_builtins(slo) | {name: float(value)}, Slo)
        except (ValueError, msgspec.ValidationError):
            raise UsageFault(f"--slo {text}: a limit is a number of seconds above 0", "as --slo e2e_s=2") from None
    if all(getattr(slo, name) is None for name in _LIMITS):
        raise UsageFault("capacity: no limit to keep", "give one, as --slo e2e_s=2, or an `slo` in the plan")
    return slo


def _resumed(resume: Path, plan: str | None) -> tuple[Plan, SearchRecord, RunDir, int]:
    """A search that was begun. Raises UsageFault."""
    if plan is not None:
        raise UsageFault(f"--resume {resume}: the plan is in it", f"leave {plan} out")
    run_dir = RunDir(resume)
    record = _kept(run_dir)
    if record.answer is not None and record.answer.reason not in ("stopped", "budget", "client"):
        raise UsageFault(f"{resume}: its search is over", f"see `tokenswarm report {resume}`, or begin another")
    whole = read_plan(str(run_dir.plan))
    return whole, record, run_dir, len(list(run_dir.journals.glob("r*-w0.jsonl")))


def _kept(run_dir: RunDir) -> SearchRecord:
    try:
        return msgspec.json.decode(run_dir.capacity.read_bytes(), type=SearchRecord)
    except OSError as error:
        hint = "name the run directory that `tokenswarm capacity` printed"
        raise UsageFault(f"{run_dir.capacity}: {error.strerror}: no search is kept here", hint) from None
    except UNREADABLE as error:
        raise UsageFault(f"{run_dir.capacity}: {error}", "it was not written by this version") from None


def _document(found: CapacitySearch, run_dir: RunDir) -> dict[str, Any]:
    """For scripts; the single requests are in the journal."""
    return {"run_dir": str(run_dir.root), **msgspec.structs.asdict(found)}


def _tell(found: CapacitySearch) -> None:
    from analysis.showing.wording_search import answer_lines  # noqa: PLC0415

    unit = "users" if found.question.unit == "concurrency" else "arrivals/s"
    title = f"{found.target} {found.workload}"
    table = Table(unit, "phase", "requests", "within the SLO", "said", "seconds", title=title)
    for step in found.steps:
        table.add_row(*_cells(step))
    console(stderr=False).print(table)
    for line in answer_lines(found):
        click.echo(line)


def _cells(step: StepRecord) -> tuple[str, ...]:
    within = f"{step.within} of {step.judged}" if step.judged else ""
    said = step.said or ""
    took_s = f"{step.ended_s - step.began_s:.1f}"
    return (
        f"{step.load:g}",
        step.phase,
        str(step.begun),
        within,
        said if step.why is None else f"{said}: {step.why}",
        took_s,
    )


class _Shown:
    """A bar of the requests that may be sent, or a mere counter; off a terminal a line for each step."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._bar: Progress | None = None
        self._steps = 0

    def __enter__(self) -> Callable[[Search], None]:
        if ERR.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[counts]}"),
                console=ERR,
            )
            self._task = self._bar.add_task("growth", total=self._question.requests, counts="")
            self._bar.start()
        return self._update

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _update(self, search: Search) -> None:
        counts = f"load {search.load:g}, {search.sent} requests"
        if self._bar is not None:
            self._bar.update(self._task, description=search.phase, completed=search.sent, counts=counts)
        while self._bar is None and self._steps < len(search.steps):
            step = search.steps[self._steps]
            self._steps += 1
            said = step.said or "not told yet"
            click.echo(
                f"{step.phase}: load {step.load:g}: {step.within} of {step.judged} within the SLO: {said}", err=True
            )
