"""A target of a plan as it can be asked from this process: a simulated one is served meanwhile."""

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
from harness.simulator.process import running


@contextmanager
def reachable(plan: Plan, target: Target, truth: Path | None = None) -> Iterator[tuple[Target, str | None]]:
    """The target with the URL that it has now, and its key; for as long as the block lasts. `truth`: where a simulated
    one writes what it did. Raises UsageFault: there is no key."""
    if not target.simulated:
        yield target, key_of(target)
        return
    check_parser(target)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "simulator.yaml"
        config.write_text(yaml.safe_dump(plan.simulator, sort_keys=False), encoding="utf-8")
        with running(config, truth) as url:
            alone = msgspec.structs.replace(plan, targets=(target,))
            yield with_simulator(alone, url).targets[0], simulator_key(target)
