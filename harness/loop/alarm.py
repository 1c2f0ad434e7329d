"""Waking a greenlet at a moment, to some tens of microseconds.

The event loop's own timers are up to a millisecond late: they end in a time-out of whole milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import Any

import gevent
from gevent.hub import get_hub

from harness.loop.moderation import NEVER_NS, moderation

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC if sys.platform.startswith("linux") else 0  # those of timerfd_create


class _Spec(ctypes.Structure):
    """`struct itimerspec`: interval, then when it goes off first; seconds and nanoseconds each."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("first_s", ctypes.c_long),
        ("first_ns", ctypes.c_long),
    )


class Alarm:
    """One greenlet's alarm clock: a timer descriptor of Linux, and the event loop's timers elsewhere."""

    def __init__(self) -> None:
        self._libc: Any = ctypes.CDLL(None, use_errno=True) if _FLAGS else None
        self._fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS) if self._libc else -1
        self._moderation = moderation()
        self._watcher: Any = get_hub().loop.io(self._fd, 1) if self._fd >= 0 else None

    def wait_until(self, due_ns: int) -> None:
        """Sleep until that moment of the monotonic clock; not at all where it has passed."""
        if due_ns <= time.monotonic_ns():
            return
        if self._watcher is None:
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                gevent.sleep(left_ns / 1e9)
            return
        seconds, nanoseconds = divmod(due_ns, 1_000_000_000)
        spec = _Spec(0, 0, seconds, nanoseconds)
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        self._moderation.due_ns = due_ns
        try:
            get_hub().wait(self._watcher)
        finally:
            self._moderation.due_ns = NEVER_NS
        os.read(self._fd, 8)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
            self._watcher = None
