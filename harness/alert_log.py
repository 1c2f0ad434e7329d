"""The files of alerts in a run directory: events, what people did about them, states; and what a restart makes of them.

An event is on the disk before anybody else hears of it. A line that a crash tore is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.alert_record import AlertAction, AlertEvent, Episode
from harness.rundir import RunDir


def append_events(path: Path, events: Sequence[AlertEvent]) -> None:
    """Append events to `alerts.jsonl`, and have them on the disk. Raises OSError."""
    raise NotImplementedError


def read_events(path: Path) -> list[AlertEvent]:
    """Every whole event of `alerts.jsonl`, oldest first; none where there is no file. Raises OSError."""
    raise NotImplementedError


def append_action(path: Path, action: AlertAction) -> None:
    """Append to `alert_actions.jsonl`. Raises OSError."""
    raise NotImplementedError


def read_actions(path: Path) -> list[AlertAction]:
    """Every whole action, oldest first; none where there is no file. Raises OSError."""
    raise NotImplementedError


def keep_states(run_dir: RunDir, states: Mapping[str, Episode]) -> None:
    """Write `alert_states.json`, after the events of the same step. Raises OSError."""
    raise NotImplementedError


def recover(run_dir: RunDir) -> dict[str, Episode]:
    """The states to go on with after a restart: those kept, and what `alerts.jsonl` says since. Never raises for
    broken files; raises OSError where they cannot be read."""
    raise NotImplementedError
