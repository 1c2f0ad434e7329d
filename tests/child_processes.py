"""What tests do with the programs that they start: a port for one, and its end."""

from __future__ import annotations

import signal
import socket
import subprocess
from typing import Any


def free_port() -> int:
    """A port that nothing listens at now, for a program that cannot be given port 0."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def end(process: subprocess.Popen[Any], number: signal.Signals = signal.SIGINT, patience_s: float = 30) -> None:
    """Ask a program to end where it still runs, and end it where it does not; its pipes are closed."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.communicate()
