"""What a Locust process needs to know of the run it is part of. On this host it is handed over in environment
variables; to other hosts in the text of the locustfile that the master sends them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import msgspec

from harness import __version__
from harness.allowances.allowance import Purse, limited
from harness.attempts.prepare import key_of
from harness.errors import UsageFault
from harness.handover.carried_traces import unpacked
from harness.handover.question_sets import unpack_questions, with_copied_questions
from harness.plan import SIMULATED, Plan
from harness.plan_file import plan_of_text, read_plan, with_traces
from harness.rundir import RunDir

RUN_DIR = "TOKENSWARM_RUN_DIR"
REPEAT = "TOKENSWARM_REPEAT"
SHARE = "TOKENSWARM_SHARE"
SIMULATOR_URL = "TOKENSWARM_SIMULATOR_URL"
HANDED_OVER = "TOKENSWARM_HANDED_OVER"
OUT = "TOKENSWARM_OUT"
PURSE = "TOKENSWARM_PURSE"
REDIS = "TOKENSWARM_REDIS"
MASTER_HOST = "TOKENSWARM_MASTER_HOST"
DONE_FILE = "TOKENSWARM_DONE_FILE"
MET_FILE = "TOKENSWARM_MET_FILE"


@dataclass(frozen=True)
class Assignment:
    """One process's part of a run: the plan, the repeat (from 1), and its share (k, n). A worker on another host has no
    share until its master gives it one. `local_simulator` is the URL of the embedded simulator, `last` tells the last
    repeat, `boot_id` the machine that the master runs on; `purse` is what all workers may spend together."""

    run_dir: RunDir
    plan: Plan
    repeat: int
    share: tuple[int, int] | None
    simulator_url: str | None = None
    redis: str | None = field(default=None, repr=False)
    purse: Purse = field(default_factory=Purse)
    last: bool = False
    boot_id: str | None = None


class HandedOver(msgspec.Struct, frozen=True, kw_only=True):
    """What a master tells the workers of other hosts. No secret is in it: `plan` names variables only. `redis`: whether
    the master has one. `traces`: the files of arrivals that the plan names, by path, compressed; `questions`: the sets
    of its workloads, by name, compressed."""

    run: str
    plan: str
    repeat: int
    last: bool
    purse: Purse
    redis: bool
    traces: dict[str, bytes]
    questions: dict[str, bytes] = {}
    simulator_port: int | None
    version: str
    locust_version: str
    boot_id: str | None

    def as_locustfile(self) -> str:
        """The locustfile that carries it."""
        text = msgspec.json.encode(self).decode()
        lines = [
            '"""A run of tokenswarm, as its master hands it to workers."""',
            "import os",
            f"os.environ.setdefault({HANDED_OVER!r}, {text!r})",
            "from locustfiles.planned import *",
        ]
        return "\n".join(lines) + "\n"


def assignment_from_environment() -> Assignment:
    """What `to_environment`, or else a master on another host, said. Raises UsageFault where the versions differ."""
    if RUN_DIR in os.environ:
        run_dir = RunDir(Path(os.environ[RUN_DIR]))
        k, _, n = os.environ[SHARE].partition("/")
        url = os.environ.get(SIMULATOR_URL)
        plan = with_copied_questions(with_simulator(read_plan(str(run_dir.plan)), url), run_dir)
        share = (int(k), int(n))
        purse = msgspec.json.decode(os.environ[PURSE], type=Purse)
        return Assignment(run_dir, plan, int(os.environ[REPEAT]), share, url, os.environ.get(REDIS), purse)
    if HANDED_OVER not in os.environ:
        raise UsageFault("planned.py: no plan was handed over", "`tokenswarm run PLAN` starts this file itself")
    return _from_master(msgspec.json.decode(os.environ[HANDED_OVER], type=HandedOver))


def _from_master(handed: HandedOver) -> Assignment:
    for package, mine, theirs in (
        ("tokenswarm", __version__, handed.version),
        ("locust", version("locust"), handed.locust_version),
    ):
        if mine != theirs:
            message = f"this worker has {package} {mine}, its master {theirs}: they must be the same"
            raise UsageFault(message, f"install {package} {theirs} on this host")
    name, _, start = handed.run.partition("/")
    run_dir = RunDir(Path(os.environ.get(OUT, "runs")) / name / start)
    run_dir.journals.mkdir(parents=True, exist_ok=True)
    port = handed.simulator_port
    url = None if port is None else f"http://{os.environ.get(MASTER_HOST, '127.0.0.1')}:{port}"
    plan = with_simulator(plan_of_text(handed.plan, "the master's plan"), url)
    unpack_questions(handed.questions, run_dir)
    plan = with_copied_questions(with_traces(plan, unpacked(handed.traces, run_dir.root)), run_dir)
    redis = os.environ.get(REDIS)
    if handed.redis and redis is None and limited(plan):
        message = "--redis: not given to this worker, but to its master, and the plan has limits or a budget"
        raise UsageFault(message, "give every worker the master's --redis, so that all keep one ledger")
    for target in plan.targets:
        if url is None or not target.base_url.startswith(url):
            key_of(target)  # of this host: refused now, and not at the first request
    return Assignment(run_dir, plan, handed.repeat, None, url, redis, handed.purse, handed.last, handed.boot_id)


def to_environment(
    run_dir: RunDir, repeat: int, share: tuple[int, int], simulator_url: str | None, purse: Purse
) -> dict[str, str]:
    """The variables for one Locust process on this host."""
    variables = {RUN_DIR: str(run_dir.root.resolve()), REPEAT: str(repeat), SHARE: f"{share[0]}/{share[1]}"}
    variables |= {PURSE: msgspec.json.encode(purse).decode()}
    return variables | ({SIMULATOR_URL: simulator_url} if simulator_url else {})


def with_simulator(plan: Plan, url: str | None) -> Plan:
    """The plan with every `sim://NAME` replaced by where the embedded simulator listens."""
    if url is None:
        return plan
    targets = tuple(
        msgspec.structs.replace(target, base_url=_simulated_url(target.base_url, target.dialect, url))
        if target.simulated
        else target
        for target in plan.targets
    )
    return msgspec.structs.replace(plan, targets=targets)


def _simulated_url(base_url: str, dialect: str, url: str) -> str:
    """What an official SDK would be given: many want the `/v1`; a project of Vertex is a part of the path."""
    prefix = f"{url}/{base_url.removeprefix(SIMULATED).strip('/')}"
    if dialect == "vertex":
        return f"{prefix}/v1/projects/simulated/locations/nowhere"
    return f"{prefix}/v1" if dialect.startswith(("openai-", "jina-", "mistral", "infinity-")) else prefix


def write_lost(run_dir: RunDir, repeat: int, lost: list[str]) -> None:
    """Leave word for the launcher."""
    run_dir.lost(repeat).write_bytes(msgspec.json.encode(lost))


def write_late(run_dir: RunDir, repeat: int, late: list[str]) -> None:
    """Leave word of workers that came late and had load: their journals are waited for as well."""
    run_dir.late(repeat).write_bytes(msgspec.json.encode(late))


def read_late(run_dir: RunDir, repeat: int) -> list[str]:
    """The names of workers that came late and had load."""
    path = run_dir.late(repeat)
    return msgspec.json.decode(path.read_bytes(), type=list[str]) if path.exists() else []


def lost_workers(run_dir: RunDir, repeat: int) -> list[str]:
    """The names of those that the master of a repeat lost."""
    return [said.partition(" ")[0] for said in read_lost(run_dir, repeat)]


def read_lost(run_dir: RunDir, repeat: int) -> list[str]:
    """What the master of a repeat said of workers that were lost."""
    path = run_dir.lost(repeat)
    return msgspec.json.decode(path.read_bytes(), type=list[str]) if path.exists() else []
