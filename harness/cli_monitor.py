"""The command `monitor`: follow a run live, or probe targets without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli_shown import ERR, as_text
from harness.errors import UsageFault

if TYPE_CHECKING:
    from harness.monitor_record import Picture


@click.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="RUN_DIR|RUNS_ROOT|PLAN")
@click.option("--alerts", "alerts_file", type=click.Path(path_type=Path), help="YAML file of rules and sinks.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Run directory to hold the figures against.")
@click.option("--prices", type=click.Path(path_type=Path), help="YAML table of prices (docs/cost.md).")
@click.option("--once", is_flag=True, help="One look, then end.")
@click.option("--json", "as_json", is_flag=True, help="Print the last picture as one JSON document.")
def monitor(
    source: Path,
    alerts_file: Path | None,
    baseline: Path | None,
    prices: Path | None,
    *,
    once: bool,
    as_json: bool,
) -> None:
    """Follow a run as it goes on: windows of 10 s, 1 min and 10 min, degradation, service levels, spend and alerts.

    It ends with the run, or by Ctrl-C (130), and goes on where it stood when it is started again. What it sees is in
    monitor.json of the run directory, alerts in alerts.jsonl. Given a folder of runs it follows each that goes on.

    Example: tokenswarm monitor runs/chat-baseline/20261127T101500Z-1a2b --alerts alerts.yaml
    """
    from harness.alert_file import read_alerts  # noqa: PLC0415
    from harness.monitor_loop import Wanted, follow  # noqa: PLC0415

    if not source.exists():
        raise UsageFault(f"{source}: there is no such folder", "name a run directory, or the folder of your runs")
    config = None if alerts_file is None else read_alerts(alerts_file)
    if baseline is None:
        baselines = {}
    else:
        from analysis.live_baseline import baselines_of  # noqa: PLC0415

        baselines = baselines_of(baseline)
    with Shown(once=once) as show:
        pictures = follow(source, Wanted(config, baselines, prices=prices), show, once=once)
    if as_json:
        click.echo(as_text(document_of(pictures)))


def document_of(pictures: Sequence[Picture]) -> object:
    """The one picture, or all under `runs`."""
    return pictures[0] if len(pictures) == 1 else {"runs": pictures}


class Shown:
    """A live table on a terminal; elsewhere it is printed when the monitor ends, and each half minute before."""

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._number = 0
        self._last: Sequence[Picture] = ()

    def __enter__(self) -> Callable[[Sequence[Picture]], None]:
        from rich.live import Live  # noqa: PLC0415

        live = ERR.is_terminal and not self._once
        self._live = Live(console=ERR, auto_refresh=False, transient=False) if live else None
        if self._live is not None:
            self._live.start()
        return self._update

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._last:
            self._print()

    def _update(self, pictures: Sequence[Picture]) -> None:
        from harness.monitor_table import shown  # noqa: PLC0415

        self._last, self._number = pictures, self._number + 1
        if self._live is not None:
            self._live.update(shown(pictures), refresh=True)
        elif self._number % 30 == 1 and not self._once:
            self._print()

    def _print(self) -> None:
        from harness.monitor_table import shown  # noqa: PLC0415

        ERR.print(shown(self._last))
