"""A run whose repeats are added until its comparisons are decided, or its budget is spent; it can be gone on with.

What decides stands in the journals alone, so a run that was killed is gone on with from its last whole repeat. One that
was cut short is put aside and run again: part of a load is not a smaller sample of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from harness import launch
from harness.errors import UNREADABLE
from harness.plan import Plan
from harness.records.sequential_record import Ended, SequentialRecord, read_sequential, write_sequential
from harness.rundir import RunDir, write_whole
from harness.runs.swarm import Swarm
from harness.sample import Footer, decode

FEWEST = 3  # of less nobody should be sure, whatever a test says
Standing = tuple[int, int]


def pursue(
    plan: Plan,
    run_dir: RunDir,
    swarm: Swarm,
    record: SequentialRecord,
    watch: Callable[[launch.Progress], None],
    standing: Callable[[int], Standing],
) -> launch.Ending:
    """Add repeats. `standing` is asked after each how many comparisons are decided, and of how many. The plan's
    `repeats` is the most there may be."""
    first = whole_repeats(run_dir) + 1
    put_aside(run_dir, first)
    now = record

    def enough(repeat: int) -> bool:
        nonlocal now
        decided, every = standing(repeat)
        now = msgspec.structs.replace(now, repeats=repeat, decided=decided, comparisons=every, ended=None)
        now = msgspec.structs.replace(now, ended=_ended(now))
        write_sequential(run_dir, now)
        return now.ended is not None

    write_sequential(run_dir, msgspec.structs.replace(record, ended=None))
    if first > 1 and enough(first - 1):
        return launch.Ending()
    ending = launch.run(plan, run_dir, swarm, watch, first=first, enough=enough)
    if now.ended is None:  # something else ended it
        last = whole_repeats(run_dir)
        spent = any(run_dir.spent(repeat).exists() for repeat in (last, last + 1))
        if spent and last > now.repeats:
            enough(last)
        why: Ended = "budget" if spent else "interrupted" if ending.ended == "interrupted" else "failed"
        write_sequential(run_dir, now if now.ended is not None else msgspec.structs.replace(now, ended=why))
    return ending


def _ended(now: SequentialRecord) -> Ended | None:
    if now.repeats < FEWEST and now.repeats < now.most:
        return None
    if not now.comparisons:
        return "nothing"
    if now.decided == now.comparisons:
        return "decided"
    return "most" if now.repeats >= now.most else None


def whole_repeats(run_dir: RunDir) -> int:
    """How many repeats, from the first on, ended by themselves: every journal of theirs has its last line."""
    whole: dict[int, bool] = defaultdict(lambda: True)
    for path in run_dir.journals.glob("r*-w*.jsonl"):
        whole[_repeat_of(path)] &= _has_footer(path)
    count = 0
    while count + 1 in whole and whole[count + 1]:
        count += 1
    interrupted = _run_json(run_dir).get("ended") == "interrupted"
    return count - 1 if interrupted and count and count == max(whole) else count


def _run_json(run_dir: RunDir) -> dict[str, Any]:
    try:
        return msgspec.json.decode(run_dir.run_json.read_bytes(), type=dict[str, Any])
    except (OSError, *UNREADABLE):
        return {}


def _repeat_of(path: Path) -> int:
    number = path.name[1:].partition("-")[0]
    return int(number) if number.isdigit() else 0


def _has_footer(path: Path) -> bool:
    with path.open("rb") as journal:
        journal.seek(max(0, path.stat().st_size - 4096))
        lines = journal.read().splitlines()
    try:
        return bool(lines) and isinstance(decode(lines[-1]), Footer)
    except UNREADABLE:
        return False


def put_aside(run_dir: RunDir, first: int) -> None:
    """Take the journals, and the rows of health, of this repeat and those after it out of the run. They cost, and count
    for the budget."""
    cut = [path for path in run_dir.journals.glob("r*-w*.jsonl") if _repeat_of(path) >= first]
    if not cut:
        return
    run_dir.unfinished.mkdir(exist_ok=True)
    for path in cut:
        tries = len(list(run_dir.unfinished.glob(f"{path.stem}.*.jsonl")))
        path.replace(run_dir.unfinished / f"{path.stem}.{tries + 1}.jsonl")
    if run_dir.health.exists():
        rows = run_dir.health.read_bytes().splitlines(keepends=True)
        write_whole(run_dir.health, b"".join(row for row in rows if _repeat_of_row(row) < first))
    for mark in (run_dir.spent(first), run_dir.stopped(first)):
        mark.unlink(missing_ok=True)


def _repeat_of_row(row: bytes) -> int:
    try:
        return int(msgspec.json.decode(row, type=dict[str, Any]).get("repeat", 0))
    except (*UNREADABLE, ValueError, TypeError):
        return 0


def resumed(run_dir: RunDir, most: int | None) -> SequentialRecord | None:
    """The record of a run that is gone on with, up to `most` repeats now; None where it is no such run."""
    record = read_sequential(run_dir)
    if record is None:
        return None
    return record if most is None else msgspec.structs.replace(record, most=most)
