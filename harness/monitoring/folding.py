"""Keeping the directory of a long probing small: a line of `history.jsonl` for each minute and target, and journals
that are a day old, of which every minute is there, are deleted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from harness.errors import UNREADABLE
from harness.monitoring.watched_cell import WatchedCell
from harness.records.alert_record import utc_text
from harness.records.monitor_record import Minute, decode_minute, encode_minute
from harness.rundir import RunDir, append_whole

MINUTE_NS = 60 * 10**9
GRACE_NS = 2 * 10**9  # after a minute is over, for what ended in it and is not written yet
KEEP_RAW_S = 86_400.0
_PART = re.compile(r"probe-\d{6,}\.jsonl")
_END_BYTES = 1_000_000


def minutes_of(cells: Iterable[WatchedCell], end_ns: int) -> list[Minute]:
    """The minute that ended then, of every cell in which something ended in it."""
    found = []
    for cell in cells:
        window, usd, spreads = cell.minute_until(end_ns)
        if window.outcomes:
            names = {"target": cell.key[0], "workload": cell.key[1]}
            found.append(Minute(at_utc=utc_text(end_ns / 1e9), **names, window=window, usd=usd, spreads=spreads))
    return found


def append_minutes(path: Path, minutes: Iterable[Minute]) -> None:
    """Append them, and have them on the disk; a line that a crash tore is cut off first. Raises OSError, and then none
    of them is there."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(file).st_size
        end = os.pread(file, _END_BYTES, max(0, size - _END_BYTES))
        if end and not end.endswith(b"\n"):
            os.ftruncate(file, size - len(end) + end.rfind(b"\n") + 1)
        append_whole(file, b"".join(map(encode_minute, minutes)), on_disk=True)
    finally:
        os.close(file)


def minutes_to_ns(path: Path) -> int | None:
    """When the last minute that is there ended, whole lines alone; None: there is none."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _END_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return None
    for line in reversed(lines):
        with suppress(*UNREADABLE, ValueError):
            return round(datetime.fromisoformat(decode_minute(line).at_utc).timestamp() * 1e9)
    return None


def old_parts(run_dir: RunDir, now_ns: int, folded_ns: int, keep_s: float = KEEP_RAW_S) -> list[Path]:
    """Journals of which the last attempt is older than is kept, and folded; never the newest one."""
    parts = sorted(path for path in run_dir.journals.glob("probe-*.jsonl") if _PART.fullmatch(path.name))
    found = []
    for path in parts[:-1]:
        with suppress(OSError):
            changed_ns = path.stat().st_mtime_ns
            if changed_ns < min(now_ns - round(keep_s * 1e9), folded_ns - MINUTE_NS):
                found.append(path)
    return found
