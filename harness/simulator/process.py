"""The simulator as a process of its own, started and stopped from another program."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.errors import UsageFault, said_fault
from harness.simulator.serve import DEFAULT_HOST, END_WITH_STDIN

_STOP_S = 10.0


@contextmanager
def running(
    config: Path | None = None,
    truth: Path | None = None,
    port: int = 0,
    *,
    host: str = DEFAULT_HOST,
    log: Path | None = None,
) -> Iterator[str]:
    """A simulator that runs as long as the block: yields a URL, `http://HOST:PORT`, by which this machine reaches it.

    What it says on stderr goes to `log`. Afterwards it has ended and its truth is written. It is in a session of its
    own, so that a Ctrl-C on the terminal does not end it before the block. Raises UsageFault with its own words when it
    does not start.
    """
    command = [sys.executable, "-m", "harness.simulator", "--host", host, "--port", str(port)]
    command += ["--truth", str(truth)] if truth else []
    command += ["--", str(config)] if config else []
    with (
        tempfile.TemporaryFile() if log is None else log.open("w+b") as said,
        subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=os.environ | {END_WITH_STDIN: "1"},  # it ends with this process, however that ends
            start_new_session=True,
        ) as process,
    ):
        try:
            yield _url_of(process, said).replace("//0.0.0.0:", "//127.0.0.1:")
        finally:
            _stop(process)


def _url_of(process: subprocess.Popen[bytes], said: IO[bytes]) -> str:
    assert process.stdout is not None
    word, _, url = process.stdout.readline().decode().strip().partition(" ")
    if word == "ready":
        return url
    _stop(process)
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
    fault = said_fault(lines, lines[-1], "try `tokenswarm simulate`")
    raise UsageFault(f"the simulator did not start: {fault.message}", fault.hint)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
