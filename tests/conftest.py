"""What the end-to-end tests share: the real commands, and a simulator in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast a machine is decides no test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
FINISHED = (0, 3)  # a run that came to its end; 3: on a machine too busy to measure well, which it then says
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tokenswarm(tmp_path: Path) -> Command:
    """Run the real `tokenswarm` in an empty folder."""

    def run(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(BIN / "tokenswarm"), *map(str, arguments)]
        variables = os.environ | (env or {})
        return subprocess.run(
            command, capture_output=True, text=True, timeout=100, cwd=tmp_path, env=variables, check=False
        )

    return run


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[str]:
    """The URL of a simulator that lives for one test."""
    command = [str(BIN / "tokenswarm"), "simulate", "--truth", str(tmp_path / "truth.jsonl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        word, _, url = process.stdout.readline().strip().partition(" ")
        assert word == "ready"
        yield url
        process.terminate()
        assert process.wait(10) == 0
