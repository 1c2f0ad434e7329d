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
    shown = _shown(page, tmp_path)
    assert "CONSOLE" not in shown.stderr
    assert shown.stdout.count('class="card"') == shown.stdout.count('class="plot-container') >= 6


HISTORY = "Timestamp,User Count,Type,Name,Total Request Count,Total Failure Count"
WIDEST = """<script>addEventListener("load", () => {
  const page = document.documentElement;
  const plots = document.querySelectorAll(".js-plotly-plot").length;
  document.title = `width ${page.clientWidth} needs ${page.scrollWidth} plots ${plots}`;
});</script></body>"""


def _csv_report(tokenswarm: Command, folder: Path) -> Path:
    """The report of plain CSV, which the phone's page is made of: its tables are as wide as those of samples."""
    long = "/a-rather-long-name/of-an-endpoint/that-somebody-measured"
    (folder / "x_stats.csv").write_text(f"Type,Name,Request Count,Failure Count,Requests/s,50%\nGET,{long},9,3,3.0,5\n")
    rows = [f"{1000 + k},1,GET,{long},{3 * k},{k}" for k in range(4)]
    (folder / "x_stats_history.csv").write_text("\n".join([HISTORY, *rows]) + "\n")
    done = tokenswarm("report", "x")
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.strip()


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's package `chromium`)")
def test_a_narrow_page_scrolls_its_tables_and_not_itself(tokenswarm: Command, tmp_path: Path) -> None:
    page = _csv_report(tokenswarm, tmp_path)
    page.write_text(page.read_text().replace("</body>", WIDEST))
    shown = _shown(page, tmp_path, "--window-size=500,900", "--hide-scrollbars")
    assert "CONSOLE" not in shown.stderr
    assert "<title>width 500 needs 500 plots 3</title>" in shown.stdout


def _shown(page: Path, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """The page as Chromium has it when its scripts are done."""
    command = [str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"file://{page}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
