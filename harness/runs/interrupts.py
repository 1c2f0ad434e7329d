"""Signals that end a run: SIGINT, SIGTERM and SIGHUP all mean "stop, and keep what was measured"."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _State:
    """Of this process: how many blocks hold signals off, and whether one came meanwhile."""

    held = 0
    came = False


def _on_signal(_number: int, _frame: Any) -> None:
    if _State.held:
        _State.came = True
    elif not _main_greenlet_told():
        raise KeyboardInterrupt


def _main_greenlet_told() -> bool:
    """Raise KeyboardInterrupt in the main greenlet where another one runs, of which it would be printed as a fault."""
    get_hub = getattr(sys.modules.get("gevent"), "get_hub", None)  # not there while gevent itself is being loaded
    hub = None if get_hub is None else get_hub()
    if hub is None or sys.modules["greenlet"].getcurrent() is hub.parent:
        return False
    hub.loop.run_callback(hub.parent.throw, KeyboardInterrupt)
    return True


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Each of the signals raises KeyboardInterrupt while the block lasts; what is ignored (`nohup`) stays so."""
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    for number, action in before.items():
        if action != signal.SIG_IGN:
            signal.signal(number, _on_signal)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


@contextmanager
def held() -> Iterator[None]:
    """A signal that comes while the block lasts is raised at its end: so no process is started and then forgotten."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
    if _State.came and not _State.held:
        _State.came = False
        raise KeyboardInterrupt
