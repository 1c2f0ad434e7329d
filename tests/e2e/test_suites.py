"""The suites `latency` and `throughput` as docs/suites.md says to run them: every goal of theirs is known."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN, FINISHED

SHORT = ("--set", "scale=0.1", "--set", "repeats=1")


def started(suite: str, folder: Path) -> subprocess.Popen[str]:
    command = [str(BIN / "tokenswarm"), "run", f"suite:{suite}", *SHORT]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(600)
def test_every_goal_of_both_suites_is_met_or_missed_at_the_scale_that_is_told(tmp_path: Path) -> None:
    """Both at once, which takes as long as the longer of them."""
    goals: dict[str, list[Any]] = {}
    with started("latency", tmp_path) as one, started("throughput", tmp_path) as other:
        for run in (one, other):
            out, err = run.communicate(timeout=550)
            assert run.returncode in FINISHED, err
            run_dir = tmp_path / out.splitlines()[-1]
            summary = json.loads((run_dir / "summary.json").read_text())
            goals[summary["plan"]] = [
                (result["target"], result["workload"], result["stage_label"], goal["text"], goal["met"])
                for result in summary["results"]
                for goal in result["goals"]
            ]
            assert summary["ended"] == "complete"
            assert not [result for result in summary["results"] if set(result["outcomes"]) - {"ok"}]
    assert [goal for found in goals.values() for goal in found if goal[-1] not in (True, False)] == []
    assert {suite: len(found) for suite, found in goals.items()} == {"latency": 7, "throughput": 37}
    assert "Batch efficiency" in (run_dir / "report.html").read_text()
