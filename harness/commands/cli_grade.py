"""The command `grade`, and what `run` does of it: asking embedder and judge about the replies that were kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from harness.commands.cli_shown import ERR, as_text, complain, finish
from harness.errors import UsageFault
from harness.plan import Plan
from harness.plan_file import dump_plan, read_plan
from harness.rundir import RunDir


@click.command()
@click.argument("run_dir", metavar="RUN_DIR", type=click.Path(path_type=Path))
@click.option("--embedder", help="The target that makes embeddings (the plan's quality.embedder).")
@click.option("--judge", help="The chat target that marks replies (the plan's quality.judge).")
@click.option("--judged", type=click.IntRange(1), help="How many replies of each target and workload it marks.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def grade(run_dir: Path, as_json: bool, **named: Any) -> int:  # noqa: FBT001
    """Ask an embedder and a judge about the replies that a run kept, then analyze it again.

    A run does so at its end where its plan names them. What was asked once is not asked again.

    Example: tokenswarm grade runs/quality/20260101T000000Z-ab12 --judge openai
    """
    here = RunDir(run_dir)
    plan = read_plan(str(here.plan))
    given = {name: value for name, value in named.items() if value is not None}
    if given:
        document = msgspec.to_builtins(plan) | {"quality": msgspec.to_builtins(plan.quality) | given}
        plan = _checked(document, here)
    if not plan.wants_grading:
        hint = "name --embedder or --judge, for a run whose workload has questions, ask_times or keep_text"
        raise UsageFault(f"{run_dir}: nobody to ask, or no reply was kept", hint)
    found = grade_run(here)
    code = finish(here)
    if as_json:
        click.echo(as_text(found))
    return code


def _checked(document: dict[str, Any], run_dir: RunDir) -> Plan:
    """The plan with other helpers, which the run directory then keeps. Raises UsageFault."""
    from harness.plan_file import plan_of  # noqa: PLC0415

    plan = plan_of(document, "grade")
    run_dir.plan.write_text(dump_plan(plan), encoding="utf-8")
    return plan


def grade_run(run_dir: RunDir) -> dict[str, Any]:
    """Grade with a progress bar; what was refused is told. Raises UsageFault."""
    from harness.grading.grade_run import grade as graded  # noqa: PLC0415

    with _Bar() as watch:
        found = graded(run_dir, watch)
    if found.refused:
        hint = f"`tokenswarm grade {run_dir.root}` asks again for what is missing"
        complain(f"grading: {found.refused} requests were refused: {found.said}", hint)
    return {"embedded": found.embedded, "marks": found.judged, "refused": found.refused}


class _Bar:
    """On a terminal; elsewhere nothing: it takes seconds."""

    def __enter__(self) -> Callable[[int, int], None]:
        columns = (TextColumn("grading"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, console=ERR, disable=not ERR.is_terminal)
        self._task = self._bar.add_task("grading", total=None)
        self._bar.start()
        return lambda done, total: self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
