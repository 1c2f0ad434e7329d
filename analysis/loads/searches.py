"""What a search for a capacity found, as the summary tells it."""

from __future__ import annotations

import msgspec

from analysis.records.capacity_record import CapacitySearch
from harness.errors import UNREADABLE
from harness.records.search_record import SearchRecord
from harness.rundir import RunDir


def read_search(run_dir: RunDir) -> CapacitySearch | None:
    """The search that this run directory is of; None where it is of none, or what is kept cannot be read."""
    try:
        record = msgspec.json.decode(run_dir.capacity.read_bytes(), type=SearchRecord)
    except (OSError, *UNREADABLE):
        return None
    return CapacitySearch(
        target=record.target,
        workload=record.workload,
        slo=record.slo,
        question=record.question,
        answer=record.answer,
        requests=record.state.sent,
        steps=record.state.steps,
    )
