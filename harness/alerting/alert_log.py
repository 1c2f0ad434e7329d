"""The files of alerts in a run directory: events, what people did about them, states; and what a restart makes of them.

An event is on the disk before anybody else hears of it. A line that a crash tore is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.alerts import fold
from harness.errors import UNREADABLE
from harness.records.alert_record import AlertAction, AlertEvent, Episode
from harness.rundir import RunDir, append_whole, write_whole

_MAX_LINE = 1_000_000
_event = msgspec.json.Decoder(AlertEvent)
_action = msgspec.json.Decoder(AlertAction)


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """`alert_states.json`. `events_to`: how long `alerts.jsonl` was; what stands behind is not in the states."""

    schema: int = 1
    events_to: int
    states: dict[str, Episode]


def append_events(path: Path, events: Sequence[AlertEvent]) -> None:
    """Append events to `alerts.jsonl`, and have them on the disk. Raises OSError."""
    _append(path, b"".join(msgspec.json.encode(event) + b"\n" for event in events))


def append_action(path: Path, action: AlertAction) -> None:
    """Append to `alert_actions.jsonl`. Raises OSError."""
    _append(path, msgspec.json.encode(action) + b"\n")


def _append(path: Path, lines: bytes) -> None:
    """All lines or, if that fails, none of them. A torn line before them is ended first, so that it harms none of
    these."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
        append_whole(descriptor, lines if whole else b"\n" + lines, on_disk=True)
    finally:
        os.close(descriptor)


def read_events(path: Path) -> list[AlertEvent]:
    """Every whole event of `alerts.jsonl`, oldest first; none where there is no file. Raises OSError."""
    return [event for _, event in events_after(path, 0)]


def events_after(path: Path, cursor: int) -> Iterator[tuple[int, AlertEvent]]:
    """Every whole event behind a byte of `alerts.jsonl`, with the byte behind its line. A file that is shorter than
    the cursor is another one, and read from its start. Raises OSError."""
    for end, line in _lines(path, cursor):
        event = _decoded(_event, line)
        if event is not None:
            yield end, event


def read_actions(path: Path) -> list[AlertAction]:
    """Every whole action, oldest first; none where there is no file. Raises OSError."""
    found = (_decoded(_action, line) for _, line in _lines(path, 0))
    return [action for action in found if action is not None]


def _lines(path: Path, cursor: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines, each with the byte behind it. One that is longer than any event is passed over."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        end = file.seek(cursor if 0 <= cursor <= os.fstat(file.fileno()).st_size else 0)
        skipping = False
        while line := file.readline(_MAX_LINE):
            end += len(line)
            whole = line.endswith(b"\n")
            if whole and not skipping:
                yield end, line
            elif not whole and len(line) < _MAX_LINE:
                return
            skipping = not whole


def _decoded(decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    try:
        return decoder.decode(line)
    except UNREADABLE:
        return None


def keep_states(run_dir: RunDir, states: Mapping[str, Episode]) -> None:
    """Write `alert_states.json`, after the events of the same step. Raises OSError."""
    size = run_dir.alerts.stat().st_size if run_dir.alerts.is_file() else 0
    write_whole(run_dir.alert_states, msgspec.json.encode(_Kept(events_to=size, states=dict(states))))


def recover(run_dir: RunDir) -> dict[str, Episode]:
    """The states to go on with after a restart: those kept, and what `alerts.jsonl` says since. Never raises for
    broken files; raises OSError where they cannot be read."""
    try:
        kept = msgspec.json.decode(run_dir.alert_states.read_bytes(), type=_Kept)
    except (FileNotFoundError, *UNREADABLE):
        kept = _Kept(events_to=0, states={})
    return fold(kept.states, (event for _, event in events_after(run_dir.alerts, kept.events_to)))
