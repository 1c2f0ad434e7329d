"""The simulator as a process of its own, started and stopped from another program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import UsageFault
from harness.simulator.serve import DEFAULT_HOST, END_WITH_STDIN

_STOP_S = 10.0


@contextmanager
def running(config: Path | None = None, truth: Path | None = None, port: int = 0) -> Iterator[str]:
    """A simulator that runs as long as the block: yields its `http://HOST:PORT`.

    Afterwards it has ended and its truth is written. Raises UsageFault with its own words when it does not start.
    """
    command = [sys.executable, "-m", "harness.simulator", "--host", DEFAULT_HOST, "--port", str(port)]
    command += ["--truth", str(truth)] if truth else []
    command += ["--", str(config)] if config else []
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {END_WITH_STDIN: "1"},  # it ends with this process, however that ends
    ) as process:
        try:
            yield _url_of(process)
        finally:
            _stop(process)


def _url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    word, _, url = process.stdout.readline().strip().partition(" ")
    if word == "ready":
        return url
    said = process.stderr.read().strip().splitlines() or ["it said nothing"]
    hint = said[-1].removeprefix("hint: ")
    raise UsageFault(
        said[0].removeprefix("error: ") if len(said) == 2 else f"simulator: {said[-1]}: did not start", hint
    )


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
