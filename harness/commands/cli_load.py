"""The commands that make load: init, check, run, simulate, calibrate, collect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from harness import launch
from harness.allowances.allowance import limited
from harness.allowances.budget import check_limits
from harness.attempts.prepare import check_parser, key_of
from harness.capacity.estimate import estimate, most_streams, workers_needed
from harness.commands.cli_grade import grade_run
from harness.commands.cli_shown import (
    ERR,
    ProgressShown,
    as_text,
    complain,
    console,
    door_of,
    finish,
    metrics_options,
    plan_options,
    warn_of_clear,
    warn_of_clear_redis,
)
from harness.errors import UsageFault
from harness.inputs.loopback import is_loopback
from harness.plan import Plan, left_out, stages_of
from harness.plan_file import dump_plan, plan_schema, read_plan, read_text, suites
from harness.prices import price_of, priced
from harness.rundir import RunDir, new_run_dir
from harness.runs.swarm import DEFAULT_PORT, Swarm, check_port
from harness.workloads.conversation_files import read_conversations

if TYPE_CHECKING:  # with it comes the library of metrics
    from harness.live.scraping import Door


_REDIS_HELP = """Redis URL for the journals of workers on other hosts. One with a password belongs into the variable
TOKENSWARM_REDIS: as a word here, other users of this machine can read it, until the command has begun."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("plan.yaml"))
def init(file: Path) -> None:
    """Write a commented starter plan to FILE (plan.yaml).

    Example: tokenswarm init my-plan.yaml
    """
    if file.exists():
        raise UsageFault(f"{file}: exists already", "name another file: tokenswarm init other.yaml")
    file.write_text(read_text("suite:starter"), encoding="utf-8")
    click.echo(file)


@click.command()
@click.argument("plan", required=False)
@plan_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a plan and nothing else.")
def check(
    plan: str | None,
    settings: tuple[str, ...],
    targets: Path | None,
    prices: Path | None,
    as_json: bool,  # noqa: FBT001
    schema: bool,  # noqa: FBT001
) -> None:
    """Validate PLAN; print it resolved, and its estimated requests, tokens, cost and duration. Sends nothing.

    Example: tokenswarm check suite:latency --set repeats=5
    """
    if schema:
        click.echo(as_text(plan_schema()))
        return
    if plan is None:
        raise UsageFault("check: no PLAN given", f"a file, or suite:NAME with NAME one of {', '.join(suites())}")
    checked = checked_plan(plan, settings, targets, prices)
    figures = estimate(checked) | {"workers": _workers(checked)}
    if as_json:
        click.echo(as_text({"plan": msgspec.to_builtins(checked), "estimate": figures}))
        return
    click.echo(dump_plan(checked))
    for target, price in figures.pop("prices").items():
        click.echo(f"# price of {target}: {price}")
    for name, value in figures.items():
        unknown = "unknown (this machine was not calibrated: tokenswarm calibrate)" if name == "workers" else "unknown"
        click.echo(f"# {name}: {unknown if value is None else value}")


@click.command()
@click.argument("plan", required=False)
@plan_options
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of run directories (runs).")
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Processes on this host (1).")
@click.option("--ui", is_flag=True, help="Also serve Locust's web UI while it runs.")
@click.option("--web-host", default="127.0.0.1", help="Where the web UI listens (127.0.0.1).")
@click.option("--web-port", type=click.IntRange(1, 65535), default=8089, help="Its port (8089).")
@click.option("--master", is_flag=True, help="Load is made by workers on other hosts; this one leads and collects.")
@click.option("--expect-workers", type=click.IntRange(1, 10_000), default=1, help="With --master: how many (1).")
@click.option("--master-bind-host", default="0.0.0.0", help="With --master: where it listens (all addresses).")  # noqa: S104
@click.option("--worker", is_flag=True, help="Serve a master on another host: no PLAN, it comes from there.")
@click.option("--master-host", help="With --worker: where the master is.")
@click.option("--master-port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, help="The master's port (5557).")
@click.option("--redis", envvar="TOKENSWARM_REDIS", help=_REDIS_HELP)
@metrics_options
def run(
    plan: str | None,
    settings: tuple[str, ...],
    targets: Path | None,
    prices: Path | None,
    out: Path,
    *,
    master: bool,
    worker: bool,
    **options: Any,
) -> int:
    """Run PLAN and print the run directory as the last line of stdout.

    Example: tokenswarm run plan.yaml --set repeats=5 --out runs

    On many hosts: tokenswarm run plan.yaml --master --expect-workers 2 --redis redis://HOST, and on each of the others
    tokenswarm run --worker --master-host MASTER --redis redis://HOST
    """
    if worker:
        return _serve_master(plan, out, options)
    if plan is None:
        raise UsageFault("run: no PLAN given", "name a plan file or suite:NAME; only a --worker has none")
    checked = checked_plan(plan, settings, targets, prices)
    launch.check_runnable(checked)
    swarm = _swarm(options, master=master, local_redis=limited(checked))
    door = _door(options, swarm)
    check_limits(checked, swarm.workers, shared=swarm.redis is not None)
    if not master:
        check_keys(checked)  # the workers of other hosts have their own
    warn_of_load(checked, swarm.workers)
    run_dir = new_run_dir(out, checked.name)
    ERR.print(f"run directory: {run_dir.root}", markup=False, highlight=False)
    if swarm.web:
        ERR.print("live figures: http://{}:{}/tokenswarm".format(*swarm.web), markup=False, highlight=False)
    try:
        code = _run_andfinish(checked, run_dir, swarm, door)
    except KeyboardInterrupt:
        complain("interrupted", f"what was measured is kept: `tokenswarm analyze {run_dir.root}`")
        code = 130
    except OSError as error:  # a full disk, most likely
        hint = f"what was measured is kept: free some space, then `tokenswarm analyze {run_dir.root}`"
        complain(f"{error.filename or run_dir.root}: {error.strerror or error}", hint)
        code = 1
    click.echo(run_dir.root)
    return code


def _swarm(options: dict[str, Any], *, master: bool, local_redis: bool) -> Swarm:
    """`local_redis`: whether workers of this host alone have a use for Redis."""
    from harness.journals.redis_client import check_redis  # noqa: PLC0415

    web = (options["web_host"], options["web_port"]) if options["ui"] else None
    trouble = check_port(*web) if web else None
    if trouble is not None:
        raise UsageFault(f"--ui: cannot listen: {trouble}", "choose another --web-port, or end what has that one")
    redis = options["redis"] if master or local_redis else None
    if redis:
        warn_of_clear_redis(redis)
        check_redis(redis)
    if not master:
        return Swarm(local=options["workers"], redis=redis, web=web)
    swarm = Swarm(
        expected=options["expect_workers"],
        bind_host=options["master_bind_host"],
        port=options["master_port"],
        redis=redis,
        web=web,
    )
    trouble = check_port(swarm.bind_host, swarm.port)
    if trouble is not None:
        raise UsageFault(f"--master: cannot listen: {trouble}", "end the other master, or choose another --master-port")
    return swarm


def _serve_master(plan: str | None, out: Path, options: dict[str, Any]) -> int:
    """A worker's part: 0 when the master's run was served to its end."""
    from harness.runs.worker_loop import serve  # noqa: PLC0415

    host = options["master_host"]
    if plan is not None:
        raise UsageFault(f"run --worker: {plan}: a worker gets its plan from the master", "leave the plan out")
    if host is None:
        raise UsageFault("run --worker: no --master-host given", "name the host where `run PLAN --master` is started")

    def tell(text: str) -> None:
        ERR.print(text, markup=False, highlight=False)

    warn_of_clear_redis(options["redis"])
    served = serve(host, options["master_port"], out, options["redis"], tell)
    tell(f"served {served.repeats} repeats")
    return 130 if served.interrupted else 0 if served.done else 1


def _workers(plan: Plan) -> int | None:
    """How many workers the plan needs by this machine's calibration; None: it was never calibrated."""
    from harness.capacity.calibrate import kept  # noqa: PLC0415

    calibration = kept()
    return None if calibration is None else workers_needed(plan, calibration)


def warn_of_load(plan: Plan, workers: int) -> None:
    """Say so where this machine's calibration wants more workers."""
    needed = _workers(plan)
    if needed is not None and needed > workers:
        streams = most_streams(plan)
        warning = (
            f"warning: up to {streams} requests at once on {workers} worker{'s' * (workers > 1)}: by the calibration"
        )
        ERR.print(f"{warning} of this machine {needed} are needed", markup=False, highlight=False)
        ERR.print(f"hint: add --workers {needed}", markup=False, highlight=False)


def _door(options: dict[str, Any], swarm: Swarm) -> Door | None:
    if options["metrics_port"] is not None and swarm.expected and swarm.redis is None:
        message = "--metrics-port: the journals are on the workers' hosts, since there is no --redis"
        raise UsageFault(message, "add --redis; or --ui, and scrape /tokenswarm/metrics of the web UI")
    return door_of(options["metrics_port"], options["metrics_host"], options["metrics_linger"])


def _run_andfinish(plan: Plan, run_dir: RunDir, swarm: Swarm, door: Door | None) -> int:
    if door is None:
        return _run_told(plan, run_dir, swarm)
    from harness.live.run_metrics import metrics_of_run  # noqa: PLC0415

    def tell(text: str) -> None:
        ERR.print(text, markup=False, highlight=False)

    with metrics_of_run(plan, run_dir, door, launch.expected_s(plan), tell):
        return _run_told(plan, run_dir, swarm)


def _run_told(plan: Plan, run_dir: RunDir, swarm: Swarm) -> int:
    with ProgressShown() as watch:
        ending = launch.run(plan, run_dir, swarm, watch)
    for missing in ending.missing:
        ERR.print(f"missing: {missing}", markup=False, highlight=False)
    if swarm.expected and not any(run_dir.journals.glob("*.jsonl")):
        complain(
            "the journals are on the workers' hosts, since there was no --redis",
            f"copy their run folders here, then: tokenswarm collect FOLDER... --into {run_dir.root}",
        )
        return {"interrupted": 130, "failed": 1}.get(ending.ended, 0)
    if ending.ended == "interrupted" and not any(run_dir.journals.glob("*.jsonl")):
        complain("interrupted before anything was sent", "run it again")
        return 130
    if plan.wants_grading and ending.ended != "interrupted":
        grade_after(run_dir)
    code = finish(run_dir)
    return {"interrupted": 130, "failed": 1}.get(ending.ended, code)


def grade_after(run_dir: RunDir) -> None:
    """After the load. What cannot be asked now can be asked later: the run is finished all the same."""
    try:
        grade_run(run_dir)
    except UsageFault as fault:
        complain(f"grading: {fault.message}", fault.hint)


@click.command()
@click.option("--quick", is_flag=True, help="Fewer and shorter levels: some 20 seconds instead of 90.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def calibrate(*, quick: bool, as_json: bool) -> None:
    """Find out what one worker of this machine can measure, against the simulator's truth.

    The result is kept, and `check` and `run` say how many workers a plan needs. Example: tokenswarm calibrate --quick
    """
    from rich.table import Table  # noqa: PLC0415

    from harness.capacity import calibrate as calibration  # noqa: PLC0415

    def tell(what: str) -> None:
        ERR.print(what, markup=False, highlight=False)

    found = calibration.calibrate(quick=quick, tell=tell)
    path = calibration.keep(found)
    if as_json:
        click.echo(as_text(msgspec.to_builtins(found)))
        return
    table = Table(*calibration.COLUMNS)
    for row in calibration.rows_of(found):
        table.add_row(*row)
    console(stderr=False).print(table)
    for doubt in calibration.doubts_of(found):
        click.echo(doubt)
    most = max(level.streams for level in found.levels if level.pace != calibration.ZERO_GAP)
    within_1ms, within_5ms = (
        f"{streams}{' (the most that were tried)' * (streams == most)}"
        for streams in (found.streams_within_1ms, found.streams_within_5ms)
    )
    click.echo(f"one worker measures {within_1ms} paced streams within 1 ms at p99")
    click.echo(f"and {within_5ms} within 5 ms; {found.chunks_per_s:,.0f} chunks/s at most")
    click.echo(f"bias: {found.ttft_bias_s * 1e3:.3f} ms on TTFT, {found.itl_bias_s * 1e3:.3f} ms on ITL (median)")
    tell(f"kept in {path}")


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The run directory that gets everything.")
def collect(folders: tuple[Path, ...], into: Path) -> int:
    """Merge run folders that were copied from workers' hosts into one run directory, then analyse it.

    Example: tokenswarm collect host1/20261124T... host2/20261124T... --into runs/chat/20261124T...
    """
    from harness.journals.merge import merge  # noqa: PLC0415

    merge(folders, into)
    code = finish(RunDir(into))
    click.echo(into)
    return code


def checked_plan(plan: str, settings: tuple[str, ...], targets: Path | None, prices: Path | None) -> Plan:
    """The plan, resolved and priced, with notes on what it cannot do. Raises UsageFault."""
    from analysis.comparing.goals import check_goal  # noqa: PLC0415

    checked = priced(read_plan(plan, settings, targets), prices)
    for workload in checked.workloads:
        if workload.conversations is not None:
            read_conversations(workload.conversations)
        of_stages = [goal for stage in stages_of(checked, workload) for goal in stage.goals]
        for goal in (*workload.goals, *of_stages):
            check_goal(goal)
    for target, workload, stage in left_out(checked):
        note = f"not applicable to {target.name}: {workload.name}, {stage.label}: no client can inject that"
        ERR.print(f"note: {note}; it is left out", markup=False, highlight=False)
    for each in checked.targets:
        if each.price is None and not each.simulated and not is_loopback(each.base_url):
            ERR.print(f"note: price of {each.name}: {price_of(each)}: its cost will not be told", markup=False)
    warn_of_clear(checked)
    return checked


def check_keys(plan: Plan) -> None:
    """Before anything is sent: every key is there, and every library. The value is read again by each worker. Raises
    UsageFault."""
    for target in plan.targets:
        check_parser(target)
        if not target.simulated:
            key_of(target)


@click.command()
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
