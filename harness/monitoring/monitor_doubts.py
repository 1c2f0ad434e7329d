"""What a monitor doubts of itself: clocks, files that it cannot read or write, attempts that it had to leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.journals.tail import Tail
from harness.records.monitor_record import Doubt, Gravity, LiveCell

GRAVITY: dict[Gravity, int] = {"note": 0, "suspect": 1, "invalid": 2}


@dataclass
class Troubles:
    """What went wrong and still matters. `clock_set_s`: how far the wall clock was set back (negative: ahead) since the
    monitor began; `ahead_s`: how far the clocks of journals are ahead; `not_written`, `not_read`: a file, and why;
    `not_probed`: why no probes are sent."""

    clock_set_s: float | None = None
    ahead_s: dict[str, float] = field(default_factory=dict)
    not_written: str | None = None
    not_read: str | None = None
    not_probed: str | None = None


def doubts_of(troubles: Troubles, tail: Tail, found: Sequence[LiveCell]) -> list[Doubt]:
    """All of them, in words."""
    return [*_of_clocks(troubles), *_of_probes(troubles), *_of_files(troubles, tail), *_of_windows(found)]


def _of_clocks(troubles: Troubles) -> Iterator[Doubt]:
    if troubles.clock_set_s is not None:
        how = f"{abs(troubles.clock_set_s):.1f} s {'back' if troubles.clock_set_s > 0 else 'ahead'}"
        why = "times that are shown go on by the clock from before"
        yield _doubt("clock-set", "note", f"the wall clock was set {how}, or this machine slept", why, "start it again")
    if troubles.ahead_s:
        name, ahead_s = max(troubles.ahead_s.items(), key=lambda each: each[1])
        saw = f"the clock of {name} was {ahead_s:.1f} s ahead of this one"
        yield _doubt("clock-ahead", "note", saw, "its attempts count when they are read", "have NTP set the clocks")


def _of_files(troubles: Troubles, tail: Tail) -> Iterator[Doubt]:
    if tail.bad_lines:
        saw = f"{tail.bad_lines} lines of journals are no record"
        yield _doubt("bad-lines", "note", saw, "what they said is in no figure", "was the disk full, or a file edited?")
    if tail.faults:
        name, fault = next(iter(tail.faults.items()))
        saw = f"{len(tail.faults)} journals cannot be read now: {name}: {fault}"
        yield _doubt("unreadable", "suspect", saw, "what is in them is missing", "look at permissions and the disk")
    if troubles.not_read is not None:
        why = "silences that are newer are not known of"
        yield _doubt("unreadable", "suspect", troubles.not_read, why, "look at permissions and the disk")
    if troubles.not_written is not None:
        why = "after a restart it would not know where it stands"
        yield _doubt("cannot-write", "suspect", troubles.not_written, why, "free some space")


def _of_probes(troubles: Troubles) -> Iterator[Doubt]:
    if troubles.not_probed is not None:
        why = "nothing is known of the targets meanwhile"
        yield _doubt("no-probes", "invalid", troubles.not_probed, why, "free some space; see locust/probe.log")


def _of_windows(found: Sequence[LiveCell]) -> Iterator[Doubt]:
    thinned = {cell.target for cell in found if any(each.thinned for each in cell.windows.values())}
    if thinned:
        saw = f"windows of {', '.join(sorted(thinned))} hold a random part of their attempts"
        yield _doubt(
            "thinned", "note", saw, "quantiles are those of the part; counts are exact", "nothing need be done"
        )


def _doubt(code: str, severity: Gravity, saw: str, why: str, hint: str) -> Doubt:
    return Doubt(code=code, severity=severity, saw=saw, why=why, hint=hint)
