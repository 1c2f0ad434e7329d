"""Signals that come while the command is still being loaded."""

from __future__ import annotations

import os
import signal
import sys
from types import ModuleType

import pytest

from harness.runs.interrupts import as_interrupts, held


def test_a_signal_while_gevent_is_being_loaded_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gevent", ModuleType("gevent"))
    with as_interrupts(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_is_held_off_is_raised_at_the_end_of_the_outermost_block() -> None:
    done: list[str] = []
    with as_interrupts(), pytest.raises(KeyboardInterrupt):
        _in_two_blocks(done)
    assert done == ["inner", "outer"]


def _in_two_blocks(done: list[str]) -> None:
    with held():
        with held():
            os.kill(os.getpid(), signal.SIGHUP)
            done.append("inner")
        done.append("outer")
    done.append("never")
