"""Signals that come at a bad moment: while the command is being loaded, or while it starts a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from harness.runs import worker_loop
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


def test_a_worker_that_was_just_being_started_when_the_signal_came_is_ended_and_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def interrupted(*words: Any, **named: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*words, **named))
        os.kill(os.getpid(), signal.SIGTERM)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    command = [sys.executable, "-c", "import time; time.sleep(300)"]
    try:
        with as_interrupts():
            assert worker_loop._one(command, dict(os.environ)) is None
        assert started[0].poll() is not None
    finally:
        for process in started:
            process.kill()
            process.wait()
