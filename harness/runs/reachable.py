"""The targets of a plan as they can be asked now: simulated ones are served meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import yaml

from harness.attempts.prepare import check_parser, key_of, simulator_key
from harness.handover.planned import with_simulator
from harness.plan import Plan, Target
from harness.rundir import RunDir
from harness.simulator.process import running
from harness.simulator.serve import DEFAULT_HOST


@contextmanager
def simulator_of(plan: Plan, run_dir: RunDir, host: str = DEFAULT_HOST) -> Iterator[str | None]:
    """The embedded simulator for as long as the block lasts, if the plan has a simulated target. Yields its URL."""
    if not any(target.simulated for target in plan.targets):
        yield None
        return
    config = _config_in(run_dir.root, plan)
    with running(config, run_dir.truth, host=host, log=run_dir.root / "simulator.log") as url:
        yield url


def _config_in(folder: Path, plan: Plan) -> Path:
    path = folder / "simulator.yaml"
    path.write_text(yaml.safe_dump(plan.simulator, sort_keys=False), encoding="utf-8")
    return path


@contextmanager
def reachable(plan: Plan, target: Target, truth: Path | None = None) -> Iterator[tuple[Target, str | None]]:
    """The target with the URL that it has now, and its key; for as long as the block lasts. `truth`: where a simulated
    one writes what it did. Raises UsageFault: there is no key."""
    if not target.simulated:
        yield target, key_of(target)
        return
    check_parser(target)
    with tempfile.TemporaryDirectory() as folder, running(_config_in(Path(folder), plan), truth) as url:
        alone = msgspec.structs.replace(plan, targets=(target,))
        yield with_simulator(alone, url).targets[0], simulator_key(target)
