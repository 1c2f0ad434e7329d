"""The command `trend`: the history of a folder of runs, what changed when by how much, and the next week."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click
import msgspec

from harness.commands.cli_shown import ERR, console
from harness.errors import UsageFault

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@click.command()
@click.argument("runs_root", metavar="RUNS_ROOT", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="These alone, as ttft_s.p95 or ttft.")
@click.option("--target", "targets", multiple=True, help="These targets alone.")
@click.option("--plan", "plans", multiple=True, help="These plans alone.")
@click.option("--last", type=click.IntRange(0), default=500, show_default=True, help="Values of each series in JSON.")
@click.option("--html", "page", type=click.Path(path_type=Path), help="Write a page with charts here.")
def trend(
    runs_root: Path,
    as_json: bool,  # noqa: FBT001
    metrics: tuple[str, ...],
    targets: tuple[str, ...],
    plans: tuple[str, ...],
    last: int,
    page: Path | None,
) -> None:
    """Every metric over all runs of a folder: changes, slopes, seasons, the latest run, the next week.

    What is alike makes a series: the same plan, target, load, request and model. Invalid runs are kept apart. An index
    in RUNS_ROOT makes the next look quick; it may be deleted.

    Example: tokenswarm trend runs --metric ttft --html trend.html
    """
    from analysis.histories.history_metrics import paths_named  # noqa: PLC0415
    from analysis.trends import trend as look  # noqa: PLC0415

    chosen: dict[str, Any] = {"metrics": paths_named(metrics, "--metric"), "targets": targets, "plans": plans}
    with _Bar() as progress:
        found = look(runs_root, **chosen, last=last if as_json else 0, progress=progress.update)
    _known("--target", targets, [each.target for each in found.series])
    _known("--plan", plans, [each.plan for each in found.series])
    if page is not None:
        from analysis.pages.history_page import write_page  # noqa: PLC0415

        write_page(look(runs_root, **chosen, last=found.runs), page, every=bool(metrics))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    elif page is not None:
        click.echo(page)
    else:
        from analysis.showing.history_tables import print_trends  # noqa: PLC0415

        print_trends(found, console(stderr=False), every=bool(metrics))


def _known(option: str, asked: Sequence[str], found: Sequence[str]) -> None:
    """Raise UsageFault where a name that was asked for is in no run."""
    for name in asked:
        if name not in found:
            raise UsageFault(f"{option}: {name[:60]!r}: is in no run", "leave it out to see what there is")


class _Bar:
    """A bar on a terminal, once there is something to wait for; elsewhere nothing."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, what: str, done: int, total: int) -> None:
        """So much of it is done."""
        if not ERR.is_terminal:
            return
        if self._bar is None:
            from rich.progress import Progress  # noqa: PLC0415

            self._bar = Progress(console=ERR, transient=True)
            self._bar.start()
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done)
