"""Faults made on purpose in a stage (`inject` of a plan), so that the recovery from them can be measured.

A simulated provider is asked for the fault by a header, so that it has it for exactly as long as the plan says, whoever
sends. With a real provider the client makes what a client can: it loses patience, or forgets its key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from harness.attempts.prepare import Prepared, prepare
from harness.cells import Cell
from harness.plan import Scenario
from harness.simulator.config import FAULT_HEADER
from harness.transport import Connection

_WRONG_KEY = "wrong-key-on-purpose"
_PATIENCE_S = 0.001


def injected_at(cell: Cell, elapsed_s: float) -> Scenario | None:
    """The fault that an attempt has which is sent so long after the cell began; None: it has none."""
    inject = cell.stage.inject
    if inject is None:
        return None
    begin_s = cell.warmup_s + inject.start_s
    return inject.kind if begin_s <= elapsed_s < begin_s + inject.duration_s else None


def repaired_s(cell: Cell) -> float | None:
    """When the fault of a cell ends, in seconds after the cell began; None: it has none."""
    inject = cell.stage.inject
    return None if inject is None else cell.warmup_s + inject.start_s + inject.duration_s


def struck(prepared: Prepared, kind: Scenario, *, simulated: bool) -> Prepared:
    """The request that meets the fault."""
    target = prepared.target
    if simulated:
        target = msgspec.structs.replace(target, headers={**target.headers, FAULT_HEADER: kind})
        return prepare(target, prepared.workload, prepared.prompt, prepared.key)
    if kind == "auth_failure":
        return prepare(target, prepared.workload, prepared.prompt, _WRONG_KEY)
    return prepared


@contextmanager
def impatient(connection: Connection) -> Iterator[None]:
    """A connection that gives an attempt up before any provider can have answered."""
    patient = connection.timeouts
    connection.timeouts = msgspec.structs.replace(patient, read_s=_PATIENCE_S, total_s=_PATIENCE_S)
    try:
        yield
    finally:
        connection.timeouts = patient
