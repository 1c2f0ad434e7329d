"""`sequential.json`: what decided how many repeats a run has, where that was not its plan."""

from __future__ import annotations

from typing import Literal

import msgspec

from harness.errors import UNREADABLE, UsageFault
from harness.rundir import RunDir, write_whole

Ended = Literal["decided", "most", "budget", "nothing", "interrupted", "failed"]


class SequentialRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Repeats were added until every comparison of `metrics` was decided, there were `most` of them, or the budget
    was spent. `ended` says which (null: it goes on, or was killed); "nothing": no two targets could be compared.
    `decided` of `comparisons` were, after so many `repeats`."""

    schema: int = 1
    metrics: tuple[str, ...]
    most: int
    ended: Ended | None = None
    repeats: int = 0
    decided: int = 0
    comparisons: int = 0


def read_sequential(run_dir: RunDir) -> SequentialRecord | None:
    """Of a run; None where its plan decided. Raises UsageFault."""
    try:
        return msgspec.json.decode(run_dir.sequential.read_bytes(), type=SequentialRecord)
    except FileNotFoundError:
        return None
    except (OSError, *UNREADABLE) as error:
        hint = "take it from a copy of the run: without it p-values would be too small"
        raise UsageFault(f"{run_dir.sequential}: {error}", hint) from None


def write_sequential(run_dir: RunDir, record: SequentialRecord) -> None:
    """Write it, whole or not at all."""
    write_whole(run_dir.sequential, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
