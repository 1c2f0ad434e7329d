"""Reading in small batches when much arrives, as network cards moderate their interrupts.

Each wake-up of the event loop costs more than the read that it is for. Where streams come in by the thousands of reads
a second, a pause before the loop waits lets several chunks lie ready, which one wake-up then serves. It is made only
while the kernel stamps what arrives, so that no stamp is late because of it. What it costs: chunks of one stream that
come within the same pause are read as one, with the stamp of the last; and a closed user sends its next request by up
to the pause later, which is why nothing pauses where replies are short. An arrival of an open stage does not wait.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import gevent
from gevent import monkey

_sleep = monkey.get_original("time", "sleep")  # Locust replaces the other by one that only greenlets may call
_LOOK_NS = 20_000_000
_STREAMED = 60  # reads in that time: 3 000 a second
_READS_OF_A_STREAM = 32  # for each response that ended
_STREAMED_PAUSE_S = 0.001
_MANY = 400  # 20 000 a second, of whatever replies
_MANY_PAUSE_S = 0.0002
NEVER_NS = 2**63


class Moderation:
    """One event loop's. Whoever reads adds to `reads`, whoever sees the end of a response to `ended`; `due_ns` is when
    the next arrival of an open stage is due (monotonic)."""

    def __init__(self, loop: Any) -> None:
        self.reads = 0
        self.ended = 0
        self.due_ns = NEVER_NS
        self._pause_s = 0.0
        self._look_ns = 0
        self._watcher = loop.prepare(ref=False)
        self._watcher.start(self._before_waiting)

    def _before_waiting(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns >= self._look_ns:
            self._pause_s = pause_s(self.reads, self.ended)
            self.reads = self.ended = 0
            self._look_ns = now_ns + _LOOK_NS
        if self._pause_s and now_ns + self._pause_s * 1e9 < self.due_ns:
            _sleep(self._pause_s)


def pause_s(reads: int, ended: int) -> float:
    """How long to pause, by the reads of the last 20 ms and by the responses that ended then."""
    if reads > _MANY:
        return _MANY_PAUSE_S
    return _STREAMED_PAUSE_S if reads > _STREAMED and reads > ended * _READS_OF_A_STREAM else 0.0


def moderation() -> Moderation:
    """That of this process's event loop."""
    loop: Any = gevent.get_hub().loop
    return _of(loop)


@lru_cache(maxsize=1)
def _of(loop: Any) -> Moderation:
    return Moderation(loop)
