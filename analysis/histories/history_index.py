"""The index of a folder of runs: what was read of each summary, and what was found, so that it need not be done again.

One file in the folder, `.history-index`, which may be deleted at any time: it is made anew. It is believed only whole
(a checksum), of this version, and run by run only while a summary's time of change and size are as they were. It is
written whole or not at all; of two processes that write, the last wins, and both wrote the truth.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from analysis.histories.history_metrics import METRICS
from analysis.histories.history_reading import RunEntry, SeriesKey, Values
from analysis.records.history_record import Findings
from harness.errors import UNREADABLE
from harness.rundir import write_whole

NAME = ".history-index"
_FORMAT = 2  # raised whenever what is read, or how it is analysed, changes
_MAGIC = b"tokenswarm history\n"
Places = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Table:
    """What was read of all runs. A row is one result of one run: `run` and `key` are places in `entries` and `keys`;
    `figures` has for each metric value, low and high (NaN: not measured)."""

    entries: list[RunEntry] = field(default_factory=list)
    keys: list[SeriesKey] = field(default_factory=list)
    run: Places = field(default_factory=lambda: np.empty(0, np.int32))
    key: Places = field(default_factory=lambda: np.empty(0, np.int32))
    figures: Values = field(default_factory=lambda: np.empty((0, len(METRICS), 3), np.float32))


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    stamp: str
    entries: list[RunEntry]
    keys: list[SeriesKey]
    run: bytes
    key: bytes
    figures: bytes
    findings: dict[str, Findings]


def _stamp() -> str:
    """What must be the same for an index to be believed: the format, the metrics, and the machine's order of bytes."""
    names = ",".join(metric.path for metric in METRICS)
    order = np.dtype(np.float32).newbyteorder("=").str
    return hashlib.sha256(f"{_FORMAT}|{order}|{names}".encode()).hexdigest()


def load_index(root: Path) -> tuple[Table, dict[str, Findings]]:
    """What the index holds; nothing, where there is none that can be believed."""
    try:
        content = memoryview((root / NAME).read_bytes())
        head, check, body = content[: len(_MAGIC)], content[len(_MAGIC) : len(_MAGIC) + 4], content[len(_MAGIC) + 4 :]
        if head != _MAGIC or int.from_bytes(check) != zlib.crc32(body):
            return Table(), {}
        stored = msgspec.msgpack.decode(body, type=_Stored)
        return (Table(), {}) if stored.stamp != _stamp() else (_table(stored), stored.findings)
    except (OSError, ValueError, *UNREADABLE):
        return Table(), {}


def _table(stored: _Stored) -> Table:
    """Raises ValueError where the parts do not fit one another."""
    run, key = (np.frombuffer(each, np.int32) for each in (stored.run, stored.key))
    figures = np.frombuffer(stored.figures, np.float32).reshape(len(run), len(METRICS), 3)
    bounds = ((run, len(stored.entries)), (key, len(stored.keys)))
    if len(key) != len(run) or any(len(each) and not 0 <= each.min() <= each.max() < end for each, end in bounds):
        raise ValueError("rows of no run")
    return Table(stored.entries, stored.keys, run, key, figures)


def save_index(root: Path, table: Table, findings: Mapping[str, Findings]) -> str:
    """Write the index; "" or the reason why that was not possible, which harms nothing."""
    run, key, figures = (np.ascontiguousarray(each).tobytes() for each in (table.run, table.key, table.figures))
    stored = _Stored(_stamp(), table.entries, table.keys, run, key, figures, dict(findings))
    body = msgspec.msgpack.encode(stored)
    try:
        write_whole(root / NAME, b"".join([_MAGIC, zlib.crc32(body).to_bytes(4), body]))
    except OSError as error:
        return f"the index was not written ({error.strerror}): the next look takes as long as this one"
    return ""


def digest_of(parts: Sequence[bytes]) -> str:
    """The name of a series' contents."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        made.update(part)
    return made.hexdigest()
