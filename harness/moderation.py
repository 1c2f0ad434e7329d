"""Reading in small batches when very much arrives, as network cards moderate their interrupts.

Above some 20 000 reads a second the event loop would be woken for every few bytes and read them one by one. A pause of
0.2 ms before it waits lets several chunks lie ready, which are then read together. It is made only while the kernel
stamps what arrives, so that no stamp is late because of it: but chunks of one stream that come within the same
pause are read as one, with the stamp of the last. Below that rate there is no pause.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import gevent

_PAUSE_S = 0.0002
_LOOK_NS = 10_000_000
_MANY = 200  # reads in that time


class Moderation:
    """One event loop's. Whoever reads adds to `reads`."""

    def __init__(self, loop: Any) -> None:
        self.reads = 0
        self._busy = False
        self._look_ns = 0
        self._watcher = loop.prepare(ref=False)
        self._watcher.start(self._before_waiting)

    def _before_waiting(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns >= self._look_ns:
            self._busy = self.reads > _MANY
            self.reads = 0
            self._look_ns = now_ns + _LOOK_NS
        if self._busy:
            time.sleep(_PAUSE_S)


def moderation() -> Moderation:
    """That of this process's event loop."""
    loop: Any = gevent.get_hub().loop
    return _of(loop)


@lru_cache(maxsize=1)
def _of(loop: Any) -> Moderation:
    return Moderation(loop)
