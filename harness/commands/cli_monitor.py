"""The command `monitor`: follow a run live, or probe targets without one."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from harness.commands.cli_shown import (
    ERR,
    as_text,
    complain,
    door_of,
    given_options,
    metrics_options,
    refuse,
    warn_of_clear,
)
from harness.errors import UsageFault
from harness.monitoring.probe_record import LEAST_EVERY_S, LONGEST_S

if TYPE_CHECKING:
    from analysis.watching.slices import Slice
    from harness.live.scraping import Door
    from harness.monitor_loop import Wanted
    from harness.monitoring.probe_record import Probing
    from harness.plan import Budget
    from harness.records.monitor_record import Picture
    from harness.rundir import RunDir


_SECONDS_OF = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Span(click.ParamType):  # type: ignore[type-arg]
    """A span of time on the command line: `20s`, `10m`, `2h`, `7d`, or seconds."""

    name = "span"

    def __init__(self, least_s: float = 0.0) -> None:
        self._least_s = least_s

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """In seconds."""
        text = str(value)
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
        if found is None or float(found[1]) <= 0:
            self.fail(f"{text!r} is no span of time, such as 20s, 10m, 2h or 7d", param, ctx)
        span_s = float(found[1]) * _SECONDS_OF[found[2] or "s"]
        if not self._least_s <= span_s <= LONGEST_S:
            self.fail(f"{text!r} is less than {self._least_s:g} s or more than {LONGEST_S:g} s", param, ctx)
        return span_s


@click.command()
@click.argument("source", required=False, metavar="RUN_DIR|RUNS_ROOT|PLAN")
@click.option("--alerts", "alerts_file", type=click.Path(path_type=Path), help="YAML file of rules and sinks.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Run directory to hold the figures against.")
@click.option("--prices", type=click.Path(path_type=Path), help="YAML table of prices (docs/cost.md).")
@click.option("--once", is_flag=True, help="One look, then end.")
@click.option("--json", "as_json", is_flag=True, help="Print the last picture as one JSON document.")
@click.option("--target", "names", multiple=True, help="Probe this target of PLAN, without a load run. Repeatable.")
@click.option(
    "--every", "every_s", type=Span(LEAST_EVERY_S), default="20s", help="Ask each probed target so often (20s)."
)
@click.option("--for", "for_s", type=Span(), help="Probe for so long; else until Ctrl-C.")
@click.option("--budget-usd", type=click.FloatRange(0, min_open=True), help="Pay no more than this for probing.")
@click.option("--budget-requests", type=click.IntRange(1), help="Send no more probes than this.")
@click.option("--fresh", is_flag=True, help="Make a new connection for each probe.")
@click.option("--keep-raw", "keep_raw_s", type=Span(), default="1d", help="Keep samples of probes so long (1d).")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of run directories (runs).")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with a probing in its run directory.")
@metrics_options
@click.pass_context
def monitor(
    ctx: click.Context,
    source: str | None,
    alerts_file: Path | None,
    baseline: Path | None,
    prices: Path | None,
    names: tuple[str, ...],
    every_s: float,
    for_s: float | None,
    budget_usd: float | None,
    budget_requests: int | None,
    keep_raw_s: float,
    out: Path,
    resume: Path | None,
    metrics_port: int | None,
    metrics_host: str,
    metrics_linger: float,
    *,
    once: bool,
    as_json: bool,
    fresh: bool,
) -> int:
    """Follow a run as it goes on: windows of 10 s, 1 min and 10 min, degradation, service levels, spend and alerts.

    It ends with the run, or by Ctrl-C (130), and goes on where it stood when it is started again. What it sees is in
    monitor.json of the run directory, alerts in alerts.jsonl. Given a folder of runs it follows each that goes on.
    With --target it sends a few requests a minute itself, for weeks if need be.

    Examples: tokenswarm monitor runs/chat-baseline/20261127T101500Z-1a2b --alerts alerts.yaml;
    tokenswarm monitor plan.yaml --target openai --every 20s --budget-usd 5
    """
    from harness.live.monitor_metrics import Told  # noqa: PLC0415
    from harness.monitor_loop import Wanted  # noqa: PLC0415
    from harness.prices import read_prices  # noqa: PLC0415
    from harness.rules.alert_file import read_alerts  # noqa: PLC0415

    _check_options(ctx, probing=bool(names), resumed=resume is not None)
    config = None if alerts_file is None else read_alerts(alerts_file)
    if prices is not None:
        read_prices(prices)
    door = door_of(metrics_port, metrics_host, metrics_linger)
    told = None if door is None else Told()
    wanted = Wanted(config, _baselines(baseline), prices, keep_raw_s, told, _say)
    if names or resume is not None:
        from harness.monitoring.probe_record import Probing  # noqa: PLC0415
        from harness.plan import Budget  # noqa: PLC0415

        probing = Probing(every_s=every_s, for_s=for_s, fresh=fresh)
        budget = Budget(usd=budget_usd, requests=budget_requests)
        run_dir = _probed(source, names, probing, budget, wanted, out, resume)
        click.echo(f"run directory: {run_dir.root}", err=True)
        with _metrics(wanted, door), _ending_in_order():
            pictures, unsent = _probe(run_dir, wanted)
    else:
        with _metrics(wanted, door), _ending_in_order():
            pictures, unsent = _follow(source, wanted, once=once), None
    if as_json:
        click.echo(as_text(document_of(pictures)))
    if unsent is not None:
        complain(unsent, "free some space, then `tokenswarm monitor --resume RUN_DIR --for ...`")
    return 3 if unsent is not None else 0


def _say(text: str) -> None:
    """A line on stderr; that it goes to a disk that is full is no reason to stop."""
    with suppress(OSError):
        click.echo(text, err=True)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """SIGTERM, as systemd and docker send it, ends as Ctrl-C does, with 143."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_options(ctx: click.Context, *, probing: bool, resumed: bool) -> None:
    """Refuse what would be passed over. Raises UsageFault."""
    given = given_options(ctx)
    if (probing or resumed) and "once" in given:
        raise UsageFault("--once: takes one look at a run that is followed", "to probe for a short time: --for 10s")
    begun = ("every_s", "fresh", "out") if resumed else ()
    refuse(given, begun, "is settled when a probing is begun", "leave it out with --resume")
    alone = () if probing or resumed else ("every_s", "for_s", "budget_usd", "budget_requests", "fresh", "out")
    refuse(given, alone, "is for probing", "add --target NAME, or leave it out to follow a run")


def _metrics(wanted: Wanted, door: Door | None) -> AbstractContextManager[None]:
    from harness.live.monitor_metrics import metrics_of_monitor  # noqa: PLC0415

    if wanted.told is None or door is None:
        return nullcontext()
    return metrics_of_monitor(wanted.told, door, lambda text: ERR.print(text, markup=False, highlight=False))


def _baselines(root: Path | None) -> dict[tuple[str, str], Slice]:
    if root is None:
        return {}
    from analysis.watching.live_baseline import baselines_of  # noqa: PLC0415

    return baselines_of(root)


def _follow(source: str | None, wanted: Wanted, *, once: bool) -> list[Picture]:
    from harness.monitor_loop import follow  # noqa: PLC0415

    if source is None:
        raise UsageFault("monitor: nothing to watch", "name a run directory, or a plan and --target NAME")
    if not Path(source).is_dir():
        hint = "name a run directory or the folder of your runs; to probe a plan's targets, add --target NAME"
        raise UsageFault(f"{source}: {'is no folder' if Path(source).exists() else 'there is no such folder'}", hint)
    with Shown(once=once) as show:
        return follow(Path(source), wanted, show, once=once)


def _probed(
    source: str | None,
    names: tuple[str, ...],
    probing: Probing,
    budget: Budget,
    wanted: Wanted,
    out: Path,
    resume: Path | None,
) -> RunDir:
    """The directory of a probing, made or to be gone on with."""
    from harness.monitoring.prober import begin, go_on  # noqa: PLC0415
    from harness.plan_file import read_plan  # noqa: PLC0415
    from harness.prices import priced  # noqa: PLC0415
    from harness.rundir import RunDir  # noqa: PLC0415

    if resume is not None:
        if source is not None or names:
            raise UsageFault("--resume: the plan and its targets are those of before", "leave PLAN and --target out")
        run_dir = RunDir(resume)
        go_on(run_dir, budget=budget, for_s=probing.for_s)
        return run_dir
    if source is None:
        raise UsageFault(f"--target {names[0]}: there is no PLAN", "tokenswarm monitor PLAN --target NAME")
    plan = priced(read_plan(source), wanted.prices)
    warn_of_clear(plan)
    if budget.usd is not None:
        unpriced = [each.name for each in plan.targets if each.name in names and each.price is None]
        if unpriced:
            message = f"--budget-usd {budget.usd:g}: target {unpriced[0]} has no price, so its cost is not known"
            raise UsageFault(message, "give it a `price`, or use --budget-requests")
    return begin(msgspec.structs.replace(plan, budget=budget), names, probing, out)


def _probe(run_dir: RunDir, wanted: Wanted) -> tuple[list[Picture], str | None]:
    """What was seen last, and why no probes were sent in the end."""
    from harness.monitor_loop import follow  # noqa: PLC0415
    from harness.monitoring.prober import prober_of  # noqa: PLC0415

    with Shown(once=False) as show, prober_of(run_dir, wanted.say) as prober:
        return follow(run_dir.root, wanted, show, alive=prober.tend, not_probed=prober.doubt), prober.fault


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
        from harness.monitoring.monitor_table import shown  # noqa: PLC0415

        self._last, self._number = pictures, self._number + 1
        if self._live is not None:
            self._live.update(shown(pictures), refresh=True)
        elif self._number % 30 == 1 and not self._once:
            self._print()

    def _print(self) -> None:
        from harness.monitoring.monitor_table import shown  # noqa: PLC0415

        ERR.print(shown(self._last))
