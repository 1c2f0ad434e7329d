"""The `tokenswarm` command. Results go to stdout; progress, logs and findings to stderr.

Exit codes: 0 done and valid; 1 failed; 2 bad usage, plan or input; 3 finished but invalid; 130 interrupted.
The analysis packages are imported by the verbs that use them: they take a second that `simulate` must not wait for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness import __version__, launch
from harness.errors import UsageFault
from harness.estimate import estimate
from harness.loopback import is_loopback
from harness.plan import Plan
from harness.plan_file import dump_plan, plan_schema, read_plan, read_text, suites
from harness.rundir import RunDir, new_run_dir

_err = Console(stderr=True)


def main() -> NoReturn:
    """Run the command; a fault of usage or input is two lines and exit code 2, never a traceback."""
    try:
        code = tokenswarm.main(standalone_mode=False)
    except UsageFault as fault:
        _complain(fault.message, fault.hint)
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "tokenswarm"
        _complain(error.format_message(), f"`{command} --help` shows usage and an example")
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except OSError as error:
        _complain(f"{error.filename or 'a file'}: {error.strerror or error}", "check space and permissions")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, hint: str) -> None:
    first = " ".join(message.split())
    click.echo(f"error: {first}\nhint: {hint}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tokenswarm")
def tokenswarm() -> None:
    """Load-test and compare LLM providers.

    Example: tokenswarm run suite:demo
    """


def _plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    setting = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Lay a value over the plan.")
    targets = click.option("--targets", type=click.Path(path_type=Path), help="YAML list of targets to use instead.")
    return setting(targets(command))


@tokenswarm.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("plan.yaml"))
def init(file: Path) -> None:
    """Write a commented starter plan to FILE (plan.yaml).

    Example: tokenswarm init my-plan.yaml
    """
    if file.exists():
        raise UsageFault(f"{file}: exists already", "name another file: tokenswarm init other.yaml")
    file.write_text(read_text("suite:starter"), encoding="utf-8")
    click.echo(file)


@tokenswarm.command()
@click.argument("plan", required=False)
@_plan_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a plan and nothing else.")
def check(
    plan: str | None,
    settings: tuple[str, ...],
    targets: Path | None,
    as_json: bool,  # noqa: FBT001
    schema: bool,  # noqa: FBT001
) -> None:
    """Validate PLAN; print it resolved, and its estimated requests, tokens, cost and duration. Sends nothing.

    Example: tokenswarm check suite:latency --set repeats=5
    """
    if schema:
        click.echo(_json(plan_schema()))
        return
    if plan is None:
        raise UsageFault("check: no PLAN given", f"a file, or suite:NAME with NAME one of {', '.join(suites())}")
    checked = _checked(plan, settings, targets)
    figures = estimate(checked)
    if as_json:
        click.echo(_json({"plan": msgspec.to_builtins(checked), "estimate": figures}))
        return
    click.echo(dump_plan(checked))
    for name, value in figures.items():
        click.echo(f"# {name}: {value}")


@tokenswarm.command()
@click.argument("plan")
@_plan_options
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of run directories (runs).")
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Processes that share the load (1).")
def run(plan: str, settings: tuple[str, ...], targets: Path | None, out: Path, workers: int) -> int:
    """Run PLAN and print the run directory as the last line of stdout.

    Example: tokenswarm run plan.yaml --set repeats=5 --out runs
    """
    checked = _checked(plan, settings, targets)
    launch.check_runnable(checked)
    _check_keys(checked)
    run_dir = new_run_dir(out, checked.name)
    _err.print(f"run directory: {run_dir.root}", markup=False, highlight=False)
    with _progress() as watch:
        ending = launch.run(checked, run_dir, workers, watch)
    for missing in ending.missing:
        _err.print(f"missing: {missing}", markup=False, highlight=False)
    code = _finish(run_dir)
    click.echo(run_dir.root)
    return {"interrupted": 130, "failed": 1}.get(ending.ended, code)


def _checked(plan: str, settings: tuple[str, ...], targets: Path | None) -> Plan:
    from analysis.goals import check_goal  # noqa: PLC0415

    checked = read_plan(plan, settings, targets)
    for workload in checked.workloads:
        for goal in workload.goals:
            check_goal(goal)
    return checked


def _check_keys(plan: Plan) -> None:
    """Before anything is sent: every key is there. The value is read again by each worker."""
    for target in plan.targets:
        missing = target.key_env is not None and not os.environ.get(target.key_env)
        if missing and not target.simulated and not is_loopback(target.base_url):
            message = f"target {target.name}: key_env: {target.key_env}: this environment variable is not set"
            raise UsageFault(message, f"export {target.key_env}=... before the run; a plan never holds the key itself")


def _finish(run_dir: RunDir) -> int:
    """Numbers, report, and the tables on stderr; 3 when the run is invalid."""
    from analysis.summarise import summarise, write_summary  # noqa: PLC0415

    summary = summarise(run_dir)
    write_summary(run_dir, summary)
    _show(summary)
    _report([run_dir], run_dir.report)
    return 3 if summary.validity.verdict == "invalid" else 0


def _show(summary: Any) -> None:
    from analysis.tables import print_summary  # noqa: PLC0415

    print_summary(summary, _err)


def _report(run_dirs: list[RunDir], out: Path) -> None:
    raise NotImplementedError


@tokenswarm.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port; 0 takes a free one (0).")
@click.option("--truth", type=click.Path(path_type=Path), help="File to write what was really sent, and when.")
def simulate(config: Path | None, host: str, port: int, truth: Path | None) -> None:
    """Simulated providers on a real socket; the key is `sim-key`. Prints `ready http://HOST:PORT`.

    Example: tokenswarm simulate --port 8123 --truth truth.jsonl
    """
    from harness.simulator.serve import serve  # noqa: PLC0415

    serve(config, host, port, truth)


def _json(document: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


class _progress:  # noqa: N801
    """A bar on a terminal; elsewhere a plain line every ten seconds."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._last_s = 0.0

    def __enter__(self) -> Callable[[launch.Progress], None]:
        if _err.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[counts]}"), console=_err)
            self._task = self._bar.add_task("starting", total=None, counts="")
            self._bar.start()
        return self._update

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _update(self, now: launch.Progress) -> None:
        title = f"repeat {now.repeat}/{now.repeats}"
        counts = f"{now.samples} requests, {now.failures} failed, {now.rate_rps:.1f}/s"
        if self._bar is not None:
            done = min(now.elapsed_s, now.expected_s)
            self._bar.update(self._task, description=title, completed=done, total=now.expected_s, counts=counts)
        elif now.elapsed_s - self._last_s >= 10:
            self._last_s = now.elapsed_s
            left_s = max(0.0, now.expected_s - now.elapsed_s)
            click.echo(f"{title}: {now.elapsed_s:.0f} s, about {left_s:.0f} s left: {counts}", err=True)
