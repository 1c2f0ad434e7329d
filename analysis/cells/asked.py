"""What a cell was asked, as a summary tells it: its load and its requests. Where these differ nothing is compared."""

from __future__ import annotations

from typing import Any

import msgspec

from analysis.summary import Result
from harness.cells import Cell
from harness.plan import Workload

_PLAIN = Workload()
# Left out at their defaults: runs of before have none of them.
_LATER = (
    "turns",
    "conversations",
    "nonce",
    "images",
    "tools",
    "structured",
)
_OF_CHAT = ("output_tokens", "stream", "temperature", "prefix_share")


def load_of(cell: Cell) -> dict[str, Any]:
    """What load the stage was: only the plan's keys that describe it, and only where they are set."""
    stage = msgspec.structs.asdict(cell.stage)
    names = ("concurrency", "end_concurrency", "rate_rps", "end_rate_rps", "trace", "inject")
    load: dict[str, Any] = {name: msgspec.to_builtins(stage[name]) for name in names if stage[name] is not None}
    if cell.stage.open:
        load |= {name: stage[name] for name in ("arrival", "max_in_flight", "max_lag_s")}
    return load | {"duration_s": cell.stage.duration_s}


def request_of(cell: Cell) -> dict[str, Any]:
    """What the workload asks: the plan's keys that describe a request."""
    workload = msgspec.structs.asdict(cell.workload)
    described = {
        name: msgspec.to_builtins(value)
        for name, value in workload.items()
        if name not in ("name", "kind", "goals", "stages") and not (name in _LATER and value == getattr(_PLAIN, name))
    }
    foreign = ("stream",) if cell.workload.kind == "batch" else _OF_CHAT if cell.workload.kind != "chat" else ()
    return {name: value for name, value in described.items() if name not in foreign}


def but_for_batch(result: Result) -> tuple[str, str, str]:
    """What two results have in common that differ in nothing but how many items a request holds."""
    request = {name: value for name, value in result.request.items() if name != "batch"}
    return result.target, str(result.load), str(request)
