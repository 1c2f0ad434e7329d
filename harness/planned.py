"""What a Locust process needs to know of the run it is part of, handed over in environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.plan import SIMULATED, Plan
from harness.plan_file import read_plan
from harness.rundir import RunDir

RUN_DIR = "TOKENSWARM_RUN_DIR"
REPEAT = "TOKENSWARM_REPEAT"
SHARE = "TOKENSWARM_SHARE"
SIMULATOR_URL = "TOKENSWARM_SIMULATOR_URL"


@dataclass(frozen=True)
class Assignment:
    """One process's part of a run: the plan, the repeat (from 1), and its share (k, n)."""

    run_dir: RunDir
    plan: Plan
    repeat: int
    share: tuple[int, int]

    @property
    def worker(self) -> str:
        """The worker's name: it names the journal."""
        return f"r{self.repeat}-w{self.share[0]}"


def assignment_from_environment() -> Assignment:
    """What `to_environment` wrote."""
    run_dir = RunDir(Path(os.environ[RUN_DIR]))
    k, _, n = os.environ[SHARE].partition("/")
    plan = with_simulator(read_plan(str(run_dir.plan)), os.environ.get(SIMULATOR_URL))
    return Assignment(run_dir, plan, int(os.environ[REPEAT]), (int(k), int(n)))


def to_environment(run_dir: RunDir, repeat: int, share: tuple[int, int], simulator_url: str | None) -> dict[str, str]:
    """The variables for one Locust process."""
    variables = {RUN_DIR: str(run_dir.root.resolve()), REPEAT: str(repeat), SHARE: f"{share[0]}/{share[1]}"}
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
    """What an official SDK would be given: OpenAI and Jina want the `/v1`, Anthropic and Google do not."""
    prefix = f"{url}/{base_url.removeprefix(SIMULATED).strip('/')}"
    return prefix if dialect in ("anthropic-messages", "google-generate") else f"{prefix}/v1"
