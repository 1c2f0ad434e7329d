"""A starved client says so; a healthy one does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import BIN

from harness.simulator.process import running

pytestmark = pytest.mark.alone

PLAN = """
name: judged
repeats: 1
warmup_s: 1
targets: [{name: sim, dialect: openai-chat, base_url: "URL/p/v1", model: m, key_env: OPENAI_API_KEY}]
workload: {kind: chat, input_tokens: 20, output_tokens: 64}
stages: [{concurrency: 20, duration_s: 6}]
"""
SIMULATOR = "providers: [{name: p, dialects: [openai-chat], ttft: 0.02, itl: ITL}]"
HOG = "import sys,time\nend=time.monotonic()+float(sys.argv[1])\nwhile time.monotonic()<end: pass"


@contextmanager
def hogs(count: int, core: int, seconds: float) -> Iterator[None]:
    """Processes that do nothing but use one core, for so many seconds at most. Each has a session of its own: Linux
    shares a core out by session first, and the workers have one of their own too."""
    command = ["taskset", "-c", str(core), sys.executable, "-c", HOG, str(seconds)]
    running = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


def run_plan(folder: Path, itl_s: float, *before: str) -> tuple[int, dict[str, Any], str]:
    """Run the plan, its command begun by `before`, against a simulator that has the other core for itself."""
    config = folder / "simulator.yaml"
    config.write_text(SIMULATOR.replace("ITL", str(itl_s)))
    with running(config) as url:
        (folder / "plan.yaml").write_text(PLAN.replace("URL", url))
        command = [*before, str(BIN / "tokenswarm"), "run", "plan.yaml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    run_dir = folder / done.stdout.splitlines()[-1]
    summary: dict[str, Any] = json.loads((run_dir / "summary.json").read_text())
    return done.returncode, summary["validity"], done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pins processes to a core")
def test_a_client_that_shares_its_core_with_hogs_is_found_out_and_told_why(tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))
    with hogs(8, core, 60):
        code, validity, said = run_plan(tmp_path, 0, "taskset", "-c", str(core))
    assert code == 3
    assert validity["verdict"] == "invalid"
    finding = validity["findings"][0]
    assert finding["code"] == "loop-lag"
    assert "something else held its core" in finding["saw"] or "busy" in finding["saw"]
    assert finding["saw"] in said.replace("\n", " ") or "loop" in said
    assert "hint:" in said


def test_a_healthy_client_raises_no_doubt_about_itself(tmp_path: Path) -> None:
    code, validity, _ = run_plan(tmp_path, 0.01)
    assert code == 0
    own = [each for each in validity["findings"] if each["code"] in ("loop-lag", "client-cpu", "late-sends", "ports")]
    assert own == []
