"""Child processes are asked to end, and ended."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterable


def end_all(processes: Iterable[subprocess.Popen[bytes]], number: signal.Signals, grace_s: float) -> None:
    """Ask every process that still runs to end; after the grace, end it."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.send_signal(number)
    end_s = time.monotonic() + grace_s
    for process in running:
        try:
            process.wait(timeout=max(0.1, end_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
