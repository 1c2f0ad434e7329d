"""docs/notebook.ipynb, executed as it stands, says what the command line says of the same runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from benchmarks.planted import run_offline

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def _executed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TOKENSWARM_RUNS", str(folder))
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return notebook


def _texts(notebook: Any) -> str:
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    return "\n".join(each.get("text", "") + each.get("data", {}).get("text/plain", "") for each in outputs)


def test_the_notebook_runs_and_says_what_the_commands_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir, _ = run_offline(tmp_path, {}, loads=(4,), seed=1)
    command = [sys.executable, "-m", "harness", "analyze", str(run_dir.root), "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, env=os.environ).stdout)
    notebook = _executed(tmp_path, monkeypatch)
    texts = _texts(notebook)
    assert f"('{told['plan']}', '{told['validity']['verdict']}')" in texts
    assert f"{told['results'][0]['ttft_s']['p95']:.4g}" in texts
    assert "cannot tell" in texts  # one target alone cannot be recommended
    assert sum("application/vnd.jupyter.widget-view+json" in each.get("data", {}) for each in _outputs(notebook)) >= 2
    assert sum("application/vnd.plotly.v1+json" in each.get("data", {}) for each in _outputs(notebook)) >= 2


def _outputs(notebook: Any) -> list[Any]:
    return [each for cell in notebook.cells for each in cell.get("outputs", [])]


def test_the_notebook_that_is_published_was_executed_without_an_error() -> None:
    outputs = _outputs(nbformat.read(NOTEBOOK, as_version=4))
    assert outputs
    assert not [each for each in outputs if each.output_type == "error"]
