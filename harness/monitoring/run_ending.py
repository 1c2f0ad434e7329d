"""Whether a run goes on, has ended or has died, by what stands in its directory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from harness.errors import UNREADABLE
from harness.records.monitor_record import RunState
from harness.rundir import RunDir

S = 1_000_000_000
DIED_AFTER_S = 120.0


@dataclass(frozen=True)
class Ending:
    """How a run stands, and when it ended if it did (ns, wall clock)."""

    state: RunState
    began_ns: int | None = None
    ended_ns: int | None = None


def ending_of(run_dir: RunDir, now_ns: int) -> Ending:
    """By `run.json`; a run that says that it goes on but writes nothing for two minutes has died."""
    try:
        said = msgspec.json.decode(run_dir.run_json.read_bytes(), type=dict[str, Any])
    except (OSError, *UNREADABLE):
        said = {}
    began_ns = _ns_of(said.get("started_utc"))
    ended_ns = _ns_of(said.get("ended_utc"))
    if said and said.get("ended") != "running":
        return Ending("ended", began_ns, ended_ns)
    newest_s = _newest_change_s(run_dir)
    if newest_s is None:
        return Ending("waiting", began_ns)
    if now_ns / S - newest_s > DIED_AFTER_S:
        return Ending("died", began_ns, round(newest_s * S))
    return Ending("running", began_ns)


def _ns_of(utc: Any) -> int | None:
    try:
        return round(datetime.fromisoformat(utc).timestamp() * S)
    except (TypeError, ValueError, OverflowError):
        return None


def _newest_change_s(run_dir: RunDir) -> float | None:
    """When a journal or the health of the workers was written last."""
    found = []
    for path in (run_dir.health, run_dir.run_json, *run_dir.journals.glob("*.jsonl")):
        try:
            found.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(found, default=None)
