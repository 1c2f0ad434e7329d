"""The documentation is what the code says, and every link in it leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
from conftest import ROOT

from benchmarks.evidence import chart
from benchmarks.tally import Results

BIN = Path(sys.executable).parent
CELL = re.compile(r"^\| `([\w-]+)` \|(.*)\|$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#?\s]+)(?:#[^)]*)?\)")


def test_the_reference_is_what_the_code_says() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_reference_leaves_nothing_out() -> None:
    said = {name: (ROOT / "docs" / "reference" / name).read_text() for name in ("findings.md", "errors.md")}
    rows = [row for text in said.values() for row in CELL.findall(text)]
    assert len(rows) > 50 and all(cell.strip(" …") for _, cells in rows for cell in cells.split("|"))
    table = (ROOT / "docs" / "metrics.md").read_text().split("## Validity")[1]
    named = set(re.findall(r"`([a-z]+-[a-z]+)`", table))
    assert {"no-price", "loop-lag"} <= named <= {code for code, _ in CELL.findall(said["findings.md"])}


def test_a_finding_has_its_own_reason_and_not_its_neighbour_s() -> None:
    found = dict(CELL.findall((ROOT / "docs" / "reference" / "findings.md").read_text()))
    assert "or:" not in found["worker-lost"] and "journal was damaged" in found["journal-damaged"]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [str(BIN / "mkdocs"), "build", "--strict", "--site-dir", str(tmp_path / "site")]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    site = {path: path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html")}
    assert not [path.name for path, text in site.items() if "```" in text], "a block that is shown as its source"
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert not {page for page in pages if not (tmp_path / "site" / page).exists()}


def test_the_chart_of_the_readme_is_that_of_the_latest_results() -> None:
    results = msgspec.json.decode((ROOT / "benchmarks" / "results.json").read_bytes(), type=Results)
    assert (ROOT / "docs" / "evidence.svg").read_text() == chart(results)


def test_nothing_of_the_site_comes_from_elsewhere() -> None:
    config = (ROOT / "mkdocs.yml").read_text()
    assert "font: false" in config and "extra_javascript" not in config and "extra_css" not in config


def test_links_to_files_lead_to_files() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    ]
    dead = [
        (page.relative_to(ROOT), link)
        for page in pages
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link and not link.startswith("mailto:") and not (page.parent / link).exists()
    ]
    assert not dead
