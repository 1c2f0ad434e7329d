"""Waking greenlets one at a time: between two of them the event loop reads every socket that has something.

A greenlet that is woken decodes a whole response, which takes as long as hundreds of reads. When many responses end at
once, waking them all together would leave the sockets of the others unread for as long as that takes.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import gevent

_waiting: deque[Any] = deque()
_timers: dict[int, Any] = {}  # one for each event loop: a forked process has its own


def wake_in_turn(waiter: Any) -> None:
    """Have `waiter.switch(None)` called by the event loop, after all earlier ones and not more than one in a turn."""
    _waiting.append(waiter)
    if len(_waiting) == 1:
        _timer().start(_wake_one)


def _timer() -> Any:
    hub = gevent.get_hub()
    if id(hub.loop) not in _timers:
        _timers.clear()
        _timers[id(hub.loop)] = hub.loop.timer(0)
    return _timers[id(hub.loop)]


def _wake_one() -> None:
    _timer().stop()
    waiter = _waiting.popleft()
    if _waiting:
        _timer().start(_wake_one)
    waiter.switch(None)
