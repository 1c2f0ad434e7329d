"""The report in a real browser: its plots are drawn and nothing complains."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Command

CHROMIUM = shutil.which("chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FLAGS += ["--virtual-time-budget=8000", "--enable-logging=stderr"]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's package `chromium`)")
def test_every_plot_is_drawn_without_a_complaint(tokenswarm: Command, tmp_path: Path) -> None:
    settings = ["--set", "repeats=1", "--set", "stages=[{concurrency: 2, duration_s: 2}]"]
    done = tokenswarm("run", "suite:demo", *settings)
    assert done.returncode == 0, done.stderr
    page = tmp_path / done.stdout.splitlines()[-1] / "report.html"
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"file://{page}"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "CONSOLE" not in shown.stderr
    assert shown.stdout.count('class="card"') == shown.stdout.count('class="plot-container') >= 6
