"""Collecting side of the relay: what workers ship of their journals is appended to files here, exactly once.

`python -m harness.journals.collect --run NAME --folder RUN_DIR` does it in a process of its own, with the URL of Redis
in TOKENSWARM_REDIS; no gevent here.

Each worker's journal is the write-ahead log, and a file here is a prefix of it in whole lines. So the size of that file
is all there is to remember: bytes are appended only where they begin at its end, an overlap is cut off, and what lies
beyond the end is dropped and asked for again. Redis may lose everything at any moment. What stands in it:

- `tokenswarm:RUN:journal`, a stream of {worker, journal, offset, data}: whole lines from byte `offset` of a journal.
  `journal` is the identity of the file, so that two journals of workers with one name are never spliced.
- `tokenswarm:RUN:sent`, a hash, WORKER:JOURNAL -> up to which byte it was put into the stream; written with the entry.
- `tokenswarm:RUN:acked`, a hash, WORKER:JOURNAL -> "SIZE ASKS": how much stands in the file here, and a count that
  rises when bytes beyond SIZE were sent and lost. It is written again every second.

One collector for each run; another for the same folder is refused.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis

from harness.errors import UsageFault
from harness.journals.redis_client import REDIS_URL, TIMEOUT_S, connect, redacted_url, told
from harness.journals.relay_entries import FIELD, read_ends, read_entry
from harness.rundir import RunDir

TTL_S = 7 * 24 * 3600
_DRAIN_S = 10.0
_MOST_ENTRIES = 16  # read at once: with entries of 256 KiB that is 4 MiB
_PUBLISH_S = 1.0
_ASK_AGAIN_S = 1.0
_MOST_PAUSE_S = 2.0
_QUIET_S = 60.0
_CHUNK = 1 << 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Keys:
    """The names in Redis of one run."""

    journal: str
    sent: str
    acked: str


@dataclass(frozen=True)
class CollectReport:
    """What one call of `collect` did. `drained`: at the end all that was ever sent stood in the files. `missing_bytes`:
    what is known to be missing, by WORKER:JOURNAL. `gaps_asked`: how often lost bytes were asked for again. `refused`:
    entries in the stream that are none of ours."""

    drained: bool
    workers: tuple[str, ...]
    written_bytes: int
    gaps_asked: int
    redis_errors: int
    refused: int
    missing_bytes: dict[str, int]


def keys_of(run: str) -> Keys:
    """The names in Redis of a run."""
    return Keys(*(f"tokenswarm:{run}:{part}" for part in ("journal", "sent", "acked")))


def field_of(worker: str, first_line: bytes) -> str:
    """WORKER:JOURNAL: the name of one journal. Its first line holds process, host and clocks: no two are alike.

    Raises UsageFault for a worker's name that cannot be a file's.
    """
    field = f"{worker}:{_identity(first_line)}"
    if not FIELD.fullmatch(field):
        raise UsageFault(
            f"worker: {worker!r}: this cannot be a file's name", "letters, digits, `_`, `-` and `.` will do"
        )
    return field


def _identity(first_line: bytes) -> str:
    return hashlib.blake2s(first_line, digest_size=8).hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A file open for reading. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def first_line(file: int) -> bytes:
    """The first line of an open file with its newline, or b"" while it is not whole."""
    head = os.pread(file, _CHUNK, 0)
    return head[: head.find(b"\n") + 1]


def whole_lines(file: int) -> int:
    """How many bytes of an open file are whole lines: all but a torn last one."""
    end = os.fstat(file).st_size
    if end and os.pread(file, 1, end - 1) == b"\n":
        return end
    while end > 0:
        begin = max(0, end - _CHUNK)
        newline = os.pread(file, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0


def append(path: Path, offset: int, data: bytes) -> tuple[int, int]:
    """Append what of `data`, whole lines from byte `offset` of a journal, is not yet in its copy at `path`.

    Returns (bytes of whole lines in the copy, bytes written). Nothing is written when `offset` lies beyond the copy.
    A torn last line, left by a writer that was killed, is overwritten. Raises OSError.
    """
    if offset and not path.exists():
        return 0, 0
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        end = whole_lines(file)
        rest = data[end - offset :] if offset <= end else b""
        if rest:
            os.ftruncate(file, end)
            _write_all(file, rest, end)
        return end + len(rest), len(rest)
    finally:
        os.close(file)


def _write_all(file: int, data: bytes, offset: int) -> None:
    written = 0
    while written < len(data):  # a nearly full disk takes a part, then raises
        written += os.pwrite(file, data[written:], offset + written)


class _Collector:
    """What is known while collecting: the copies and their sizes, by WORKER:JOURNAL. All of it but the counts can be
    told from the files."""

    def __init__(self, client: redis.Redis, run: str, run_dir: RunDir) -> None:
        self.written_bytes = self.gaps_asked = self.refused = 0
        self.missing_bytes: dict[str, int] = {}
        self._client: Any = client
        self._keys = keys_of(run)
        self._run_dir = run_dir
        self._copies = dict(_copies(run_dir))
        self._sizes = {field: _size(path) for field, path in self._copies.items()}
        self._asks: dict[str, int] = {}
        self._asked_s: dict[str, float] = {}
        self._published_s = -_PUBLISH_S

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers of which something is here."""
        return tuple(sorted({field.partition(":")[0] for field in self._copies}))

    def look(self, wait_s: float) -> bool:
        """Take what is in the stream, waiting for it if need be. True when there was something. Raises RedisError when
        Redis fails and OSError when a file does."""
        wait_ms = max(1, int(wait_s * 1000))
        found = self._client.xread({self._keys.journal: "0"}, count=_MOST_ENTRIES, block=wait_ms)
        entries = found[0][1] if found else []
        changed = {field for _, fields in entries if (field := self._take(fields))}
        if entries:  # first, since it is allowed when Redis is full, and makes room
            self._client.xdel(self._keys.journal, *(number for number, _ in entries))
        else:
            changed |= self._find_lost()
        self._publish(changed)
        return bool(entries)

    def _take(self, fields: dict[bytes, bytes]) -> str | None:
        """Write one entry. Returns the journal whose copy or asks changed."""
        entry = read_entry(fields)
        if entry is None:
            self.refused += 1
            return None
        field = entry.field
        path = self._copies.get(field) or self._new_copy(field)
        size, written = append(path, entry.offset, entry.data)
        if size:
            self._copies[field] = path
        self._sizes[field] = size
        self.written_bytes += written
        if entry.offset > size:
            self._ask(field)
        return field

    def _new_copy(self, field: str) -> Path:
        """Where a journal that is not yet here goes: a name of its own when another journal has the worker's."""
        worker, _, identity = field.partition(":")
        path = self._run_dir.journal(worker)
        return self._run_dir.journal(f"{worker}.{identity}") if path in self._copies.values() else path

    def _find_lost(self) -> set[str]:
        """What was sent and is neither here nor in the stream, is lost: ask for it."""
        sent = self._client.hgetall(self._keys.sent)
        if self._client.xlen(self._keys.journal):
            return set()  # it came between the two questions
        beyond = {name: end - self._sizes.get(name, 0) for name, end in read_ends(sent).items()}
        self.missing_bytes = {name: count for name, count in beyond.items() if count > 0}
        for field in self.missing_bytes:
            self._sizes.setdefault(field, 0)
            self._ask(field)
        return set(self.missing_bytes)

    def _ask(self, field: str) -> None:
        now_s = time.monotonic()
        if now_s - self._asked_s.get(field, -_ASK_AGAIN_S) >= _ASK_AGAIN_S:
            self._asked_s[field] = now_s
            self._asks[field] = self._asks.get(field, 0) + 1
            self.gaps_asked += 1

    def _publish(self, changed: set[str]) -> None:
        """Tell the sizes that changed; and all of them again every second, for a Redis that was restarted empty."""
        now_s = time.monotonic()
        whole = now_s - self._published_s >= _PUBLISH_S
        fields = self._sizes.keys() if whole else changed
        values = {field: f"{self._sizes[field]} {self._asks.get(field, 0)}" for field in fields}
        if values:
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.hset(self._keys.acked, mapping=values)
                pipeline.expire(self._keys.acked, TTL_S)
                pipeline.execute()
        if whole:
            self._published_s = now_s


def _copies(run_dir: RunDir) -> Iterator[tuple[str, Path]]:
    """Every journal that stands in a run directory, by WORKER:JOURNAL."""
    for path in sorted(run_dir.journals.glob("*.jsonl")):
        with opened(path) as file:
            line = first_line(file)
        if line:
            identity = _identity(line)
            yield f"{path.stem.removesuffix(f'.{identity}')}:{identity}", path


def _size(path: Path) -> int:
    with opened(path) as file:
        return whole_lines(file)


def collect(
    url: str,
    run: str,
    folder: Path,
    *,
    stop: Callable[[], bool],
    idle_s: float = 0.2,
    drain_s: float = _DRAIN_S,
) -> CollectReport:
    """Collect the journals of a run into `folder`/journal until `stop()`, and then until all that was sent is here, for
    `drain_s` at most. `idle_s` is how often `stop` is asked when nothing comes.

    Waits for a Redis that is away. Raises UsageFault for a bad URL or when another process collects into this folder,
    OSError when a file cannot be written: then nothing is acknowledged, and another call goes on from there.
    """
    faults = in_a_row = 0
    drained = False
    end_s: float | None = None
    with _alone(RunDir(folder)) as run_dir, connect(url) as client:
        collector = _Collector(client, run, run_dir)
        while not drained and (end_s is None or time.monotonic() < end_s):
            if end_s is None and stop():
                end_s = time.monotonic() + drain_s
            try:
                found = collector.look(min(idle_s, TIMEOUT_S / 2))
                drained = not found and end_s is not None and not collector.missing_bytes
                if in_a_row:
                    _log.warning("redis: %s: it is back", redacted_url(url))
                in_a_row = 0
            except redis.RedisError as error:
                if not in_a_row:
                    _log.warning("redis: %s: %s; waiting for it", redacted_url(url), told(error, client))
                faults, in_a_row = faults + 1, in_a_row + 1
                time.sleep(min(_MOST_PAUSE_S, 0.1 * 2 ** min(in_a_row, 10)))
        counts = (collector.written_bytes, collector.gaps_asked, faults, collector.refused)
        return CollectReport(drained, collector.workers, *counts, dict(collector.missing_bytes))


@contextmanager
def _alone(run_dir: RunDir) -> Iterator[RunDir]:
    """Hold the folder of journals. The hold ends with the process, however it ends."""
    run_dir.journals.mkdir(parents=True, exist_ok=True)
    with opened(run_dir.journals) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"{run_dir.journals}: another process collects into it"
            raise UsageFault(message, "let that one go on, or end it first") from None
        yield run_dir


def _forsaken(parent: int, journals: Path) -> bool:
    """Whether whoever started this is gone, and nothing has come for a minute."""
    return os.getppid() != parent and time.time() - max(map(_changed_s, journals.glob("*.jsonl")), default=0) > _QUIET_S


def _changed_s(path: Path) -> float:
    return path.stat().st_mtime


def main() -> int:
    """The command. Prints the report as one JSON line; 0 when all that was sent is there, 1 when not or when a file
    cannot be written, 2 for bad usage."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.journals.collect", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--run", required=True, help="the run's id: PLAN/START-ID")
    parser.add_argument("--folder", required=True, type=Path, help="the run directory to collect into")
    given = parser.parse_args()
    asked_to_end: list[int] = []
    parent = os.getppid()
    journals = RunDir(given.folder).journals
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked_to_end.append(number))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    try:
        url = os.environ.get(REDIS_URL, "")
        report = collect(url, given.run, given.folder, stop=lambda: bool(asked_to_end) or _forsaken(parent, journals))
    except UsageFault as fault:
        print(f"error: {fault.message}\nhint: {fault.hint}", file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        print(f"error: {error.filename or given.folder}: {error.strerror}", file=sys.stderr)  # noqa: T201
        print("hint: free some space, then start it again: it goes on from there", file=sys.stderr)  # noqa: T201
        return 1
    print(json.dumps(asdict(report)))  # noqa: T201
    return 0 if report.drained else 1


if __name__ == "__main__":
    sys.exit(main())
