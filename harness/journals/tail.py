"""Following the journals of a run while they grow: every record once, whatever happens to the files.

New files are found, a torn last line waits for its end, and a file that is replaced or gone is noticed. A journal is
known by its first line (who wrote it, and when): a copy of the same journal goes on where the first had come to,
another one in its place is read from its beginning. Memory is bounded by `most_bytes` a look, however large they are.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from harness.errors import UNREADABLE
from harness.sample import OLDEST_READ, SCHEMA, Footer, Header, Sample, decode

MOST_BYTES = 4_000_000
LONGEST_LINE = 64_000_000  # a line beyond it is no record: it is passed over
_LAST_NS = 1 << 62  # the year 2116
_MOST_MISSING = 100


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far a journal was read: `offset` is the byte behind the last whole line.

    `head` is its first bytes, to the end of its first line, empty while there are none, and `inode` the file's number;
    `skipping`: within a line that is too long. `bad_lines` were no record; `closed`: it has its footer. `anchor_ns`:
    the wall time of its times' zero by the clock of whoever reads; None: no header yet. `counted_to`: up to which byte
    bad lines are counted, since a restart reads some lines again.
    """

    offset: int = 0
    head: bytes = b""
    inode: int = 0
    skipping: bool = False
    bad_lines: int = 0
    closed: bool = False
    anchor_ns: int | None = None
    counted_to: int = 0


@dataclass(frozen=True)
class Read:
    """What one look at one journal found. `samples` follow each other as they were written, `ends` are the bytes behind
    each of their lines. `behind`: there is more. `anew`: it is another journal than before, read from its beginning."""

    name: str
    samples: list[Sample]
    ends: list[int]
    anchor_ns: int
    behind: bool
    anew: bool = False


@dataclass
class Tail:
    """Follows the journals of a folder from `places` on (by file name). `wall_ns` and `mono_ns` are this host's clocks
    as the reader sees them: a journal of a process of this host is placed by the monotonic clock, so that no step of
    the wall clock moves it."""

    folder: Path
    places: dict[str, Place] = field(default_factory=dict)
    replaced: int = 0
    shortened: int = 0
    faults: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The journals there are, in order of their names; none where the folder is missing."""
        try:
            with os.scandir(self.folder) as found:
                return sorted(entry.name for entry in found if entry.name.endswith(".jsonl"))
        except OSError:
            return []

    @property
    def bad_lines(self) -> int:
        """Whole lines, of all journals, that were no record."""
        return sum(place.bad_lines for place in self.places.values())

    def place_anew(self, wall_ns: int, mono_ns: int) -> None:
        """Place every journal in time by the clocks of now: those of before a restart may have been set since."""
        for name, place in self.places.items():
            with suppress(*UNREADABLE):
                header = decode(place.head)
                if isinstance(header, Header):
                    self.places[name] = msgspec.structs.replace(
                        place, anchor_ns=_known_anchor(header, wall_ns, mono_ns)
                    )

    def _forget_missing(self, names: list[str]) -> None:
        """A file that is gone may come back; but not of ever more of them the place is kept."""
        for name in self.faults.keys() - set(names):
            del self.faults[name]
        missing = sorted(self.places.keys() - set(names))
        for name in missing[: max(0, len(missing) - _MOST_MISSING)]:
            del self.places[name]

    def read(
        self, wall_ns: int, mono_ns: int, most_bytes: int = MOST_BYTES, skip: Container[str] = ()
    ) -> Iterator[Read]:
        """What is new in each journal, up to `most_bytes` of each; those to `skip` are left. A journal that cannot be
        read now is left for later and noted in `faults`."""
        names = self.names()
        self._forget_missing(names)
        for name in [each for each in names if each not in skip]:
            shown = os.fsencode(name).decode("utf-8", "replace")
            if shown != name:  # no file can hold it
                self.faults[shown] = "its name is no UTF-8"
                continue
            try:
                found = self._read_one(name, wall_ns, mono_ns, most_bytes)
            except OSError as error:
                self.faults[name] = error.strerror or str(error)
                continue
            self.faults.pop(name, None)
            if found is not None:
                yield found

    def _read_one(self, name: str, wall_ns: int, mono_ns: int, most_bytes: int) -> Read | None:
        with (self.folder / name).open("rb") as file:
            place = self._found_again(name, file.fileno())
            anew = place.offset == 0 and name in self.places and self.places[name].offset > 0
            size = os.fstat(file.fileno()).st_size
            if size <= place.offset:
                self.places[name] = place
                return Read(name, [], [], place.anchor_ns or 0, behind=False, anew=True) if anew else None
            file.seek(place.offset)
            data = file.read(min(most_bytes, size - place.offset))
            whole = data.rfind(b"\n") + 1
            while not whole and len(data) < min(LONGEST_LINE, size - place.offset):
                more = file.read(min(most_bytes, size - place.offset - len(data)))
                if not more:
                    break
                whole = (more.rfind(b"\n") + 1) and len(data) + more.rfind(b"\n") + 1
                data += more
        if not whole and len(data) >= LONGEST_LINE:
            head = place.head or _head_of(data)
            offset = place.offset + len(data)
            self.places[name] = msgspec.structs.replace(place, offset=offset, head=head, skipping=True)
            return Read(name, [], [], 0, behind=True, anew=anew)
        place, samples, ends = _taken(place, data[:whole], wall_ns, mono_ns)
        self.places[name] = place
        behind = place.offset < size and whole > 0
        return Read(name, samples, ends, place.anchor_ns or 0, behind, anew) if whole or anew else None

    def _found_again(self, name: str, file: int) -> Place:
        """Where to go on in a file of this name: it may be another than before, or have been cut."""
        place = self.places.get(name, Place())
        status = os.fstat(file)
        same = place.inode == status.st_ino
        known = not status.st_size or os.pread(file, len(place.head), 0) == place.head[: status.st_size]
        if not same and (not known or not place.head):
            self.replaced += bool(place.head)
            return Place(inode=status.st_ino)
        if same and not known:  # emptied, and its writer goes on: under the header that it had
            self.shortened += 1
            return Place(inode=place.inode, anchor_ns=place.anchor_ns, bad_lines=place.bad_lines)
        if same and status.st_size < place.offset:
            self.shortened += 1
            counted_to = min(place.counted_to, status.st_size)
            return msgspec.structs.replace(place, offset=status.st_size, counted_to=counted_to)
        return msgspec.structs.replace(place, inode=status.st_ino)


def _head_of(data: bytes) -> bytes:
    """What a journal is known by, whatever stands there: an empty line too."""
    return data[: data.find(b"\n", 0, 4096) + 1 or 4096]


def _taken(place: Place, data: bytes, wall_ns: int, mono_ns: int) -> tuple[Place, list[Sample], list[int]]:
    """The place behind some whole lines, the samples in them, and the byte behind each."""
    samples: list[Sample] = []
    ends: list[int] = []
    at = place.offset
    head, bad, closed, anchor_ns = place.head or _head_of(data), place.bad_lines, place.closed, place.anchor_ns
    lines = data.split(b"\n")[:-1]
    for index, line in enumerate(lines):
        at += len(line) + 1
        if index == 0 and place.skipping:
            bad += at > place.counted_to
            continue
        try:
            record = decode(line)
        except UNREADABLE:
            bad += at > place.counted_to
            continue
        if isinstance(record, Header):
            anchor_ns = _known_anchor(record, wall_ns, mono_ns)
        elif isinstance(record, Footer):
            closed = True
        elif anchor_ns is None:
            bad += at > place.counted_to
        else:
            samples.append(record)
            ends.append(at)
    found = Place(
        offset=place.offset + len(data),
        head=head,
        inode=place.inode,
        skipping=place.skipping and not lines,
        bad_lines=bad,
        closed=closed,
        anchor_ns=anchor_ns,
        counted_to=max(place.counted_to, at),
    )
    return found, samples, ends


def _known_anchor(header: Header, wall_ns: int, mono_ns: int) -> int | None:
    """As `anchor_of`; None: what follows cannot be read, or there is no such date."""
    anchor_ns = anchor_of(header, wall_ns, mono_ns)
    return anchor_ns if OLDEST_READ <= header.schema <= SCHEMA and 0 <= anchor_ns < _LAST_NS else None


def anchor_of(header: Header, wall_ns: int, mono_ns: int) -> int:
    """The wall time of a journal's zero by the reader's clock, which shows `wall_ns` and, monotonic, `mono_ns`.

    A process that runs on this host has the same monotonic clock, and it tells. Else it is the wall clock of the
    header, corrected by what its host was ahead of the master's.
    """
    if header.host == socket.gethostname() and header.mono_ns <= mono_ns and Path(f"/proc/{header.pid}").exists():
        return wall_ns - (mono_ns - header.mono_ns)
    return header.wall_ns - header.clock_offset_ns


@dataclass
class Clock:
    """The wall clock without its steps: read once, and carried on by the monotonic clock. `ahead_s` is how far it has
    come to be before the wall clock."""

    wall_ns: int = field(default_factory=time.time_ns)
    mono_ns: int = field(default_factory=time.monotonic_ns)

    def now_ns(self) -> int:
        """Nanoseconds since 1970."""
        return self.wall_ns + time.monotonic_ns() - self.mono_ns

    def ahead_s(self) -> float:
        """Seconds; more than a moment means that the wall clock was set, or that this machine slept."""
        return (self.now_ns() - time.time_ns()) / 1e9
