"""From where a monitor goes on after a restart: `monitor_state.json` of a run directory.

An attempt is in the kept figures, or it stands behind the kept byte of its journal: never both. Beside that byte there
is an earlier one for each half minute of the last ten, from which the windows are filled again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.errors import UNREADABLE
from harness.journals.tail import Place
from harness.monitoring.watched_cell import CellState
from harness.records.monitor_record import WINDOWS_S
from harness.rundir import write_whole

_SCHEMA = 1
_MARK_NS = 30 * 10**9
_BACK_NS = round(max(WINDOWS_S.values()) * 1e9)


class KeptPlace(msgspec.Struct, frozen=True, kw_only=True):
    """One journal: `taken` is the byte behind the last attempt that is in the figures; `marks` are earlier ones, each
    with the moment (ns, wall clock) at which it was that."""

    place: Place
    taken: int
    marks: list[tuple[int, int]]


class MonitorState(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `at_ns`: up to when everything was taken in and judged; `watched_ns`: when a monitor first watched
    (wall clock)."""

    schema: int = _SCHEMA
    begun_ns: int
    at_ns: int
    places: dict[str, KeptPlace]
    cells: list[CellState]
    minutes_to_ns: int = 0
    bad_lines: int = 0
    watched_ns: int = 0


def read_state(path: Path) -> MonitorState | None:
    """What was kept; None: nothing, or nothing that can be used, so that the run is gone through from its begin."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=MonitorState)
    except (OSError, *UNREADABLE):
        return None
    return found if found.schema == _SCHEMA else None


def write_state(path: Path, state: MonitorState) -> None:
    """Keep it, whole or not at all. Raises OSError."""
    write_whole(path, msgspec.json.encode(state))


@dataclass
class Taken:
    """How far each journal was taken in, and had been in the last ten minutes. `again`: up to which byte a restart
    only fills the windows."""

    to: dict[str, int] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    _marks: dict[str, deque[tuple[int, int]]] = field(default_factory=dict)

    def note(self, name: str, end: int) -> bool:
        """An attempt is taken in, whose line ends there; whether that was so for the first time."""
        if end <= self.again.get(name, 0):
            return False
        self.to[name] = end
        return True

    def forget(self, name: str) -> None:
        """It is another journal now."""
        for each in (self.to, self.again, self._marks):
            each.pop(name, None)

    def mark(self, now_ns: int) -> None:
        """Remember where all journals stand, each half minute, for ten minutes."""
        for name, end in self.to.items():
            marks = self._marks.setdefault(name, deque())
            if not marks or now_ns - marks[-1][0] >= _MARK_NS:
                marks.append((now_ns, end))
            while len(marks) > 1 and marks[1][0] <= now_ns - _BACK_NS:
                marks.popleft()

    def drop_all_but(self, names: AbstractSet[str]) -> None:
        """Forget journals that are gone."""
        for name in [each for each in self.to if each not in names]:
            self.forget(name)

    def kept(self, places: dict[str, Place]) -> dict[str, KeptPlace]:
        """For the file."""
        return {
            name: KeptPlace(place=place, taken=self.to.get(name, 0), marks=list(self._marks.get(name, ())))
            for name, place in places.items()
        }

    def restore(self, kept: dict[str, KeptPlace], at_ns: int) -> dict[str, Place]:
        """Go on from what was kept; from which places the journals are to be read again."""
        found = {}
        for name, each in kept.items():
            self.to[name] = self.again[name] = each.taken
            self._marks[name] = deque(each.marks)
            old = [end for moment, end in each.marks if moment <= at_ns - _BACK_NS]
            begin = old[-1] if old else 0
            found[name] = msgspec.structs.replace(
                each.place, offset=min(begin, each.taken), skipping=False, closed=False
            )
        return found
