"""Telling people of alerts: `alerts.jsonl` first, then each sink in a thread of its own, from where it had come to.

A sink that fails, hangs or is gone delays no other and never the caller. How far each has come is in `sinks.json`, so
that after `kill -9` it goes on there; only an event that was sent and not yet noted is sent again, under the same key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from harness.alert_record import AlertConfig, AlertEvent, Reading
from harness.rundir import RunDir


class Delivery:
    """Delivers events of a run directory to the sinks of a configuration. `run` names the run in what is sent."""

    def __init__(self, config: AlertConfig, run_dir: RunDir, *, run: str | None = None) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        raise NotImplementedError

    def deliver(self, events: Sequence[AlertEvent]) -> None:
        """Record events in `alerts.jsonl`, on the disk, and wake the sinks. Does not wait for them and does not raise:
        what cannot be written is kept, tried again at the next call, and said on stderr."""
        raise NotImplementedError

    def readings(self, now_wall_s: float) -> list[Reading]:
        """How the sinks fare, as readings for the rules (`sink_failing_s`): a bad sink is told of by the others."""
        raise NotImplementedError

    def close(self, timeout_s: float = 5.0) -> bool:
        """Wait until every event is delivered, at most so long; whether it was. What is left goes at the next start."""
        raise NotImplementedError
