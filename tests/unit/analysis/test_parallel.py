"""Work on several processes, and what becomes of it at Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from analysis.reading.parallel import over_parts

_ROOT = Path(__file__).parents[3]
_PROGRAM = """
import time
from analysis.reading import parallel
from analysis.reading.parallel import over_parts

parallel.cores = lambda: 2

def slow(part):
    print("begun", flush=True)
    time.sleep(0.5)

try:
    list(over_parts(slow, range(8), here=False))
except KeyboardInterrupt:
    raise SystemExit(130)
"""


def test_parts_come_back_in_their_order() -> None:
    assert list(over_parts(abs, [-3, 2, -1], here=False)) == [3, 2, 1]
    assert list(over_parts(abs, [-3, 2, -1], here=True)) == [3, 2, 1]


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    """As a terminal sends it: to all processes of the group."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        begun = ""
        while begun.count("begun") < 2:  # both processes are at work
            begun += process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        told = process.stderr.read()
        assert (process.wait(30), told) == (130, "")
