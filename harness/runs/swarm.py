"""The Locust processes of one repeat, on this host or on many: their commands, and what each is told.

On many hosts the plan travels in the locustfile that the master hands to its workers (`locust -f -`): a generated file
that holds the plan and imports `locustfiles.planned`. Workers need nothing but this package and their own secrets.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files

from harness import __version__
from harness.allowances.allowance import Purse
from harness.environment import boot_id
from harness.handover.carried_traces import packed
from harness.handover.planned import REDIS, HandedOver, to_environment
from harness.handover.question_sets import packed_questions
from harness.plan import Plan
from harness.rundir import RunDir

DEFAULT_PORT = 5557
_WAIT_FOR_HOSTS_S = 300
_WAIT_FOR_PROCESSES_S = 60


@dataclass(frozen=True)
class Swarm:
    """Who makes the load. `local`: so many processes on this host, and no other host. Else `expected` workers come
    from other hosts to a master that listens at `bind_host` and `port`."""

    local: int = 1
    expected: int = 0
    bind_host: str = "0.0.0.0"  # noqa: S104  (workers on other hosts must reach it)
    port: int = DEFAULT_PORT
    redis: str | None = field(default=None, repr=False)
    web: tuple[str, int] | None = None  # Locust's web UI, host and port; None: headless

    @property
    def workers(self) -> int:
        """How many workers send."""
        return self.expected or self.local

    @property
    def patience_s(self) -> int:
        """How long a master waits for its workers."""
        return _WAIT_FOR_HOSTS_S if self.expected else _WAIT_FOR_PROCESSES_S


@dataclass(frozen=True)
class Command:
    """One process of a repeat: its name (which names its log), what is run, and its variables."""

    name: str
    words: list[str]
    variables: dict[str, str] = field(repr=False)


def commands(
    plan: Plan, run_dir: RunDir, repeat: int, swarm: Swarm, simulator_url: str | None, purse: Purse
) -> list[Command]:
    """Every process that this host starts for a repeat, the one that leads first."""
    if swarm.expected:
        return [_master_of_hosts(plan, run_dir, repeat, swarm, simulator_url, purse)]
    plain = _plain(plan, _planned())
    relay = {REDIS: swarm.redis} if swarm.redis else {}
    shares = [(k, swarm.local) for k in range(swarm.local)]
    variables = [to_environment(run_dir, repeat, share, simulator_url, purse) | relay for share in shares]
    lead = _csv(run_dir, repeat) + _web(swarm)
    if swarm.local == 1 and swarm.web is None:  # a web UI gets a process of its own: looking must not slow the load
        return [Command(f"r{repeat}-w0", plain + lead, variables[0])]
    port = str(_free_port())
    lead += ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    lead += ["--expect-workers", str(swarm.local), "--expect-workers-max-wait", str(swarm.patience_s)]
    lead += ["--enable-rebalancing"]
    worker = [*plain, "--worker", "--master-host", "127.0.0.1", "--master-port", port]
    workers = [Command(f"r{repeat}-w{k}", worker, variables[k]) for k in range(swarm.local)]
    return [Command(f"r{repeat}-master", plain + lead, variables[0]), *workers]


def _master_of_hosts(
    plan: Plan, run_dir: RunDir, repeat: int, swarm: Swarm, simulator_url: str | None, purse: Purse
) -> Command:
    handed = HandedOver(
        run=run_dir.name,
        plan=run_dir.plan.read_text(encoding="utf-8"),
        repeat=repeat,
        last=repeat == plan.repeats,
        purse=purse,
        redis=swarm.redis is not None,
        traces=packed(plan),
        questions=packed_questions(plan, run_dir),
        simulator_port=None if simulator_url is None else int(simulator_url.rpartition(":")[2]),
        version=__version__,
        locust_version=version("locust"),
        boot_id=boot_id(),
    )
    locustfile = run_dir.locust_logs / f"r{repeat}_locustfile.py"
    locustfile.write_text(handed.as_locustfile(), encoding="utf-8")
    words = _plain(plan, str(locustfile)) + _csv(run_dir, repeat) + _web(swarm)
    words += ["--master", "--master-bind-host", swarm.bind_host, "--master-bind-port", str(swarm.port)]
    words += ["--expect-workers", str(swarm.expected), "--expect-workers-max-wait", str(swarm.patience_s)]
    words += ["--enable-rebalancing"]
    variables = to_environment(run_dir, repeat, (0, swarm.expected), simulator_url, purse)
    return Command(f"r{repeat}-master", words, variables)


def worker_command(master_host: str, port: int) -> list[str]:
    """A worker that gets everything from its master."""
    words = [sys.executable, "-m", "locust", "-f", "-", "--worker", "--loglevel", "WARNING"]
    return [*words, "--master-host", master_host, "--master-port", str(port)]


def _plain(plan: Plan, locustfile: str) -> list[str]:
    words = [sys.executable, "-m", "locust", "-f", locustfile, "--stop-timeout", f"{plan.drain_s:g}"]
    return [*words, "--exit-code-on-error", "0", "--loglevel", "WARNING"]


def _planned() -> str:
    return str(files("locustfiles").joinpath("planned.py"))


def _csv(run_dir: RunDir, repeat: int) -> list[str]:
    return ["--csv", str(run_dir.locust_logs / f"r{repeat}"), "--csv-full-history", "--only-summary"]


def _web(swarm: Swarm) -> list[str]:
    if swarm.web is None:
        return ["--headless"]
    host, port = swarm.web
    return ["--autostart", "--autoquit", "0", "--web-host", host, "--web-port", str(port)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def check_port(host: str, port: int) -> str | None:
    """Why nothing can listen there; None when it can."""
    try:
        with socket.create_server((host, port)):
            return None
    except (OSError, OverflowError) as error:
        return f"{host}:{port}: {getattr(error, 'strerror', None) or error}"


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for a Locust process, without what another run may have left in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")} | dict(more)
