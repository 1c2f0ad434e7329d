"""What the commands share: consoles, two-line errors, progress, and the numbers at the end of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment

from harness.errors import UsageFault
from harness.plan import Plan, Target, Workload
from harness.rules.target_rules import travels_in_clear
from harness.rundir import RunDir

if TYPE_CHECKING:
    from analysis.summary import Summary
    from harness import launch  # slow to load
    from harness.live.scraping import Door

Named = TypeVar("Named", Target, Workload)


class _Console(Console):
    """Shows control characters as `?`: names in journals of others, and what their programs said, are text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As inherited, without what a terminal would obey."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(legible(segment.text), segment.style)


def console(*, stderr: bool) -> Console:
    """A console that is wide enough where nobody's terminal limits it."""
    terminal = _Console(stderr=stderr)
    return terminal if terminal.is_terminal else _Console(stderr=stderr, width=140)


ERR = console(stderr=True)


def complain(message: str, hint: str) -> None:
    """An error is two lines: place, value and rule; then what to do."""
    first = " ".join(message.split())
    click.echo(f"error: {legible(first)}\nhint: {legible(hint)}", err=True)


def legible(text: str) -> str:
    """The text with what a terminal would obey as `?`: messages quote the files and names of others."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def warn_of_clear(plan: Plan) -> None:
    """Say which keys travel unencrypted to another machine."""
    for target in plan.targets:
        if travels_in_clear(target):
            _warn(
                f"target {target.name}: {target.base_url}: its key travels unencrypted to another machine", "https://"
            )


def warn_of_clear_redis(url: str | None) -> None:
    """The same of the password of Redis, where there is one. Raises UsageFault for what is no Redis URL."""
    from harness.journals.redis_client import in_clear, redacted_url  # noqa: PLC0415  (slow to load)

    if url is not None and in_clear(url):
        _warn(f"redis: {redacted_url(url)}: its password travels unencrypted to another machine", "rediss://")


def _warn(what: str, instead: str) -> None:
    ERR.print(f"warning: {what}", markup=False, highlight=False)
    ERR.print(f"hint: use {instead}, or a tunnel whose end is on this machine", markup=False, highlight=False)


def chosen(verb: str, what: str, name: str | None, found: Sequence[Named]) -> Named:
    """The one of that name; the only one, where none was named. Raises UsageFault."""
    names = [each.name for each in found]
    if name is None and len(names) == 1:
        return found[0]
    if name not in names:
        said = f"no --{what} given" if name is None else f"--{what} {name}: no such {what}"
        raise UsageFault(f"{verb}: {said}", f"there are: {', '.join(names) or 'none of its kind'}")
    return found[names.index(name)]


def given_options(ctx: click.Context) -> dict[str, str]:
    """The options that stand on the command line, each by its parameter's name, as it is written."""
    on_the_line = click.core.ParameterSource.COMMANDLINE
    return {
        param.name: param.opts[0]
        for param in ctx.command.params
        if param.name is not None and ctx.get_parameter_source(param.name) is on_the_line
    }


def refuse(given: Mapping[str, str], names: Iterable[str], why: str, hint: str) -> None:
    """Raises UsageFault for the first of the named options that is `given`, which would be passed over."""
    for name in names:
        if name in given:
            raise UsageFault(f"{given[name]}: {why}", hint)


def as_text(document: Any) -> str:
    """A JSON document for people and scripts."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def finish(run_dir: RunDir) -> int:
    """Numbers, samples as a table, report, and the tables on stderr; 3 when the run is invalid."""
    from analysis.report import write_report  # noqa: PLC0415
    from analysis.samples import write_parquet  # noqa: PLC0415
    from analysis.showing.tables import print_summary  # noqa: PLC0415
    from analysis.summarise import summarise, write_summary  # noqa: PLC0415

    summary, samples = summarise(run_dir)
    write_parquet(samples, run_dir.samples)
    write_summary(run_dir, summary)
    print_summary(summary, ERR)
    write_report([(summary, samples)], run_dir.report)
    ERR.print(f"report: {run_dir.report}", markup=False, highlight=False, soft_wrap=True)
    return 3 if summary.validity.verdict == "invalid" else 0


class ProgressShown:
    """A bar on a terminal; elsewhere a plain line every ten seconds."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._last_s = 0.0

    def __enter__(self) -> Callable[[launch.Progress], None]:
        if ERR.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[counts]}"), console=ERR)
            self._task = self._bar.add_task("starting", total=None, counts="")
            self._bar.start()
        return self._update

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _update(self, now: launch.Progress) -> None:
        title = f"repeat {now.repeat}/{now.repeats}"
        usd = "" if now.usd is None else f", {now.usd:.4f} USD so far"
        counts = f"{now.samples} requests, {now.failures} failed, {now.rate_rps:.1f}/s{usd}"
        if self._bar is not None:
            done = min(now.elapsed_s, now.expected_s)
            self._bar.update(self._task, description=title, completed=done, total=now.expected_s, counts=counts)
        elif now.elapsed_s - self._last_s >= 10:
            self._last_s = now.elapsed_s
            left_s = max(0.0, now.expected_s - now.elapsed_s)
            click.echo(f"{title}: {now.elapsed_s:.0f} s, about {left_s:.0f} s left: {counts}", err=True)


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of whatever reads a plan."""
    setting = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Lay a value over the plan.")
    targets = click.option("--targets", type=click.Path(path_type=Path), help="YAML list of targets to use instead.")
    prices = click.option("--prices", type=click.Path(path_type=Path), help="YAML table of prices (docs/cost.md).")
    return setting(targets(prices(command)))


def metrics_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of whatever serves `/metrics`; `door_of` makes something of them."""
    where = "Where (127.0.0.1); another address wants TOKENSWARM_METRICS_TOKEN."
    wait = "Seconds to wait at the end for the last scrape, if there were any (15)."
    seconds = click.FloatRange(0, 3600)
    port = click.option("--metrics-port", type=click.IntRange(0, 65535), help="Serve /metrics for Prometheus; 0: any.")
    host = click.option("--metrics-host", default="127.0.0.1", help=where)
    linger = click.option("--metrics-linger", type=seconds, default=15.0, help=wait)
    return port(host(linger(command)))


def door_of(port: int | None, host: str, linger_s: float) -> Door | None:
    """Where to serve metrics; None: nowhere. Raises UsageFault where that cannot be."""
    if port is None:
        return None
    from harness.live.scraping import Door, check_host  # noqa: PLC0415
    from harness.runs.swarm import check_port  # noqa: PLC0415

    check_host(host)
    trouble = check_port(host, port)
    if trouble is not None:
        raise UsageFault(f"--metrics-port: cannot listen: {trouble}", "choose another, or end what has that one")
    return Door(host, port, linger_s)


def code_of(summaries: Iterable[Summary]) -> int:
    """Name the runs that are invalid: 3 where there is one, else 0."""
    invalid = [summary.run for summary in summaries if summary.validity.verdict == "invalid"]
    for run in invalid:
        ERR.print(f"invalid: {run}", markup=False, highlight=False)
    return 3 if invalid else 0
