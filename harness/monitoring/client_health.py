"""What the workers of a run say of themselves now: the last rows of `health.jsonl`, and doubts about the figures.

Doubts are worded and limited as in the final judgement (`analysis/cells/health.py`).
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from analysis.cells.health import judge_workers, worker_of
from harness.errors import UNREADABLE
from harness.records.health_record import Health, decode_health
from harness.records.monitor_record import Doubt

_ROWS = 10  # of each worker
_FEWEST = 3  # fewer say little
_MOST_BYTES = 262_144
_MOST_WORKERS = 500


@dataclass
class ClientHealth:
    """Follows the file. Only its end is read, however long it is; a worker that says nothing for `most_age_s` is
    forgotten."""

    path: Path
    most_age_s: float = 30.0
    _offset: int | None = None
    _rows: dict[str, tuple[float, deque[Health]]] = field(default_factory=dict)

    def look(self, now_s: float) -> list[Doubt]:
        """The doubts about the client now, by rows that came lately; `now_s` of any clock that goes on."""
        for row in self._new_rows():
            _, rows = self._rows.get(row.worker, (now_s, deque(maxlen=_ROWS)))
            rows.append(row)
            self._rows[row.worker] = (now_s, rows)
        for name, (heard_s, _) in list(self._rows.items()):
            if now_s - heard_s > self.most_age_s or len(self._rows) > _MOST_WORKERS:
                del self._rows[name]
        busy = {name: [row for row in rows if row.in_flight] for name, (_, rows) in sorted(self._rows.items())}
        workers = [worker_of(name, None, rows) for name, rows in busy.items() if len(rows) >= _FEWEST]
        return [msgspec.convert(msgspec.to_builtins(each), Doubt) for each in judge_workers(workers, [])]

    def _new_rows(self) -> list[Health]:
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                begin = self._offset if self._offset is not None and self._offset <= size else 0
                begin = max(begin, size - _MOST_BYTES)
                file.seek(begin)
                data = file.read(size - begin)
        except OSError:
            return []
        whole = data.rfind(b"\n") + 1
        self._offset = begin + whole
        return [row for line in data[:whole].splitlines() if (row := _row(line)) is not None]


def _row(line: bytes) -> Health | None:
    try:
        return decode_health(line)
    except UNREADABLE:
        return None
