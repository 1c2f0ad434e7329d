"""A pure function over many parts, on all cores where there is enough to do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Part = TypeVar("Part")
Made = TypeVar("Made")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def over_parts(function: Callable[[Part], Made], parts: Sequence[Part], *, here: bool) -> Iterator[Made]:
    """What the function makes of each part, in their order; `here`: in this process, as where it has one core.

    Processes are forked where that is safe (one thread): they begin at once, and need nothing of `__main__`.
    """
    processes = min(cores(), len(parts))
    if here or processes < 2:
        yield from map(function, parts)
        return
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415  (not needed where an index answers)

    forked = sys.platform == "linux" and threading.active_count() == 1
    context = multiprocessing.get_context("fork" if forked else "spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_leave_it_to_the_parent) as pool:
        yield from pool.map(function, parts)


def _leave_it_to_the_parent() -> None:
    """Ctrl-C reaches the whole group of processes; the parent ends these, and they have nothing to say of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
