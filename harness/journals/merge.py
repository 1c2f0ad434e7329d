"""Copies of one run's directory, brought together by hand from several hosts -> one run directory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.errors import UsageFault
from harness.rundir import RunDir, write_whole

_CHUNK = 1 << 20


def merge(folders: Iterable[Path], into: Path) -> None:
    """Merge copies of run directories, one for each host, into one: journals, and the rows of `health.jsonl`.

    `into` may hold a part already. Of a journal that is there several times the longest is taken, provided the others
    are its beginning. Raises UsageFault naming two that differ, before anything is written.
    """
    target, sources = RunDir(into), [RunDir(folder) for folder in folders]
    for source in sources:
        if not any(source.journals.glob("*.jsonl")):
            raise UsageFault(f"{source.root}: no journal in it", "name run directories, as `tokenswarm run` makes them")
    by_name: dict[str, list[Path]] = {}
    for run_dir in (target, *sources):
        for path in sorted(run_dir.journals.glob("*.jsonl")):
            by_name.setdefault(path.name, []).append(path)
    chosen = [_longest(paths) for paths in by_name.values()]
    rows = [row for run_dir in (target, *sources) for row in _whole_rows(run_dir.health)]
    target.journals.mkdir(parents=True, exist_ok=True)
    for path in chosen:
        if path.parent != target.journals:
            write_whole(target.journals / path.name, path.read_bytes())
    if rows:
        write_whole(target.health, b"".join(dict.fromkeys(rows)))


def _longest(paths: list[Path]) -> Path:
    longest = max(paths, key=lambda path: path.stat().st_size)
    for path in paths:
        if path is not longest and not _begins(longest, path):
            message = f"{path} and {longest}: two different journals of one worker"
            raise UsageFault(message, "these are hosts of different runs, or of one run that gave a name twice")
    return longest


def _begins(longer: Path, shorter: Path) -> bool:
    """Whether the longer file begins with all of the shorter one."""
    with longer.open("rb") as a, shorter.open("rb") as b:
        while part := b.read(_CHUNK):
            if a.read(len(part)) != part:
                return False
    return True


def _whole_rows(path: Path) -> list[bytes]:
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [line for line in lines if line.endswith(b"\n")]
