"""Whole sweeps on the real simulator: its known capacity is found again, and what holds it up is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import FINISHED, Command

SIGMA, KAPPA = 0.05, 0.0148


def _run(tokenswarm: Command, folder: Path, provider: dict[str, Any], loads: tuple[int, ...]) -> tuple[Path, Any]:
    """The run directory of a sweep of one simulated target, and its summary."""
    plan = {
        "name": "sweep",
        "repeats": 2,
        "warmup_s": 0.6,
        "drain_s": 5,
        "targets": [{"name": "known", "dialect": "openai-chat", "base_url": "sim://known", "model": "m"}],
        "workload": {"kind": "chat", "name": "w", "input_tokens": 20, "output_tokens": 4},
        "stages": [{"concurrency": n, "duration_s": 2.5} for n in loads],
        "simulator": {"providers": {"known": {"dialects": ["openai-chat"], **provider}}},
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    done = tokenswarm("run", "plan.yaml")
    assert done.returncode in FINISHED, done.stderr
    run_dir = folder / done.stdout.splitlines()[-1]
    return run_dir, json.loads((run_dir / "summary.json").read_text())


@pytest.mark.alone
def test_the_knee_of_a_real_sweep_is_where_the_simulators_law_has_it(tokenswarm: Command, tmp_path: Path) -> None:
    provider = {"ttft": 0.1, "itl": 0.01, "usl": {"sigma": SIGMA, "kappa": KAPPA}}
    run_dir, summary = _run(tokenswarm, tmp_path, provider, (1, 2, 4, 8, 16, 24))
    (sweep,) = summary["sweeps"]
    assert sweep["usl"]["shape"] == "retrograde", sweep
    assert sweep["usl"]["n_star"]["value"] == pytest.approx(((1 - SIGMA) / KAPPA) ** 0.5, rel=0.15)
    assert summary["results"][0]["scaling"]["usl"] == sweep["usl"]
    asked = ("predict", run_dir, "--concurrency", "6", "--json")
    foretold = json.loads(tokenswarm(*asked).stdout)
    (rps,) = [each for each in foretold["predictions"] if each["metric"] == "completed_rps"]
    assert rps["value"] == pytest.approx((1 / 0.13) * 6 / (1 + SIGMA * 5 + KAPPA * 30), rel=0.1)


@pytest.mark.alone
def test_a_line_before_a_real_provider_is_told_from_slow_decoding(tokenswarm: Command, tmp_path: Path) -> None:
    run_dir, summary = _run(tokenswarm, tmp_path, {"ttft": 0.1, "itl": 0.01, "slots": 3}, (1, 3, 12))
    (diagnosis,) = summary["diagnoses"]
    assert [cause["cause"] for cause in diagnosis["causes"]][:1] == ["provider queueing"], diagnosis
    refused = tokenswarm("predict", run_dir, "--concurrency", "6")
    assert (refused.returncode, refused.stderr.count("hint:")) == (2, 1)
    neither = tokenswarm("predict", run_dir)
    assert neither.returncode == 2
