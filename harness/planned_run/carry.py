"""Locust's statistics carried from one repeat's process to the next, so that its CSV speaks of the whole run.

Each repeat is a fresh Locust; without this its `_stats.csv` would know only itself, and percentiles cannot be
merged afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
from locust.env import Environment
from locust.runners import WorkerRunner
from locust.stats import StatsEntry, StatsError

from harness.rundir import RunDir


def carry_in(environment: Environment, run_dir: RunDir, repeat: int) -> None:
    """Begin with what earlier repeats counted. The master, or a process alone, does this when its test starts."""
    if isinstance(environment.runner, WorkerRunner):
        return
    earlier = [_path(run_dir, past) for past in range(repeat - 1, 0, -1)]
    found = next((path for path in earlier if path.exists()), None)
    if found is None:
        return
    state = msgspec.json.decode(found.read_bytes())
    stats = environment.stats
    for entry in state["entries"]:
        key = (entry["name"], entry["method"])
        stats.entries[key] = _entry(environment, entry)
    stats.total = _entry(environment, state["total"])
    for key, error in state["errors"].items():
        stats.errors[key] = StatsError.unserialize(error)


def carry_out(environment: Environment, run_dir: RunDir, repeat: int) -> None:
    """Leave the counts for the next repeat."""
    if isinstance(environment.runner, WorkerRunner) or environment.runner is None:
        return
    stats = environment.stats
    state = {
        "entries": [_state(entry) for entry in stats.entries.values()],
        "total": _state(stats.total),
        "errors": {key: error.serialize() for key, error in stats.errors.items()},
    }
    _path(run_dir, repeat).write_bytes(msgspec.json.encode(state))


def _path(run_dir: RunDir, repeat: int) -> Path:
    return run_dir.locust_logs / f"r{repeat}_state.json"


def _state(entry: StatsEntry) -> dict[str, Any]:
    return dict(entry.serialize())


def _entry(environment: Environment, state: Any) -> StatsEntry:
    entry = StatsEntry.unserialize(state, environment.stats)
    # JSON made the keys of Locust's three counters into text, and the counters into plain dicts.
    entry.response_times = _counter(state["response_times"], float)
    entry.num_reqs_per_sec = _counter(state["num_reqs_per_sec"], int)
    entry.num_fail_per_sec = _counter(state["num_fail_per_sec"], int)
    entry.use_response_times_cache = True
    return entry


def _counter(counts: dict[str, int], number: type[int | float]) -> Any:
    return defaultdict(int, {number(key): count for key, count in counts.items()})
