"""The same simulated provider measured by other tools and by this one, all read by `tokenswarm analyze`.

`python -m benchmarks.rival_files [--requests N]`: each in turn, 8 requests at a time. What the simulator truly did
stands beside each, so that the differences are those of the tools: what they take for a start, an end and a window.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.rivals.files import summarise_files
from analysis.summarise import read_source
from analysis.summary import Dist, Result
from benchmarks.clients import ROOT, Job
from benchmarks.rivals import RIVALS, Rival, install
from benchmarks.timing import Dist as TrueDist
from benchmarks.timing import Served, served, true_timing, written
from benchmarks.workloads import PROMPT_TOKENS, TOKENS, Load, write_simulator_config
from harness.simulator.process import running
from harness.simulator.truth import read_truth

STREAMS, TTFT_S, ITL_S = 8, 0.2, 0.02
_LIMIT_S = 300
_RESULTS = {
    "aiperf": "aiperf/profile_export_aiperf.json",
    "guidellm": "guidellm.json",
    "inference-perf": "report",
    "genai-bench": "genai",
}


@dataclass(frozen=True)
class Row:
    """What one tool says of its run, and what the simulator did in it."""

    tool: str
    result: Result
    true: Served


def main() -> int:
    """Print the table; 1 where a tool could not be run."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=96)
    asked = options.parse_args()
    load = Load("small", STREAMS, TTFT_S, ITL_S, duration_s=20, requests=asked.requests)
    found = [install(rival) or _of_rival(rival, load) for rival in RIVALS]
    rows = [each for each in found if isinstance(each, Row)] + [_of_ours(load)]
    Console().print(_table(rows))
    for failure in (each for each in found if isinstance(each, str)):
        print(failure, file=sys.stderr)  # noqa: T201
    return 1 if len(rows) <= len(RIVALS) else 0


def _of_rival(rival: Rival, load: Load) -> Row | str:
    with tempfile.TemporaryDirectory(prefix="tokenswarm-rival-") as name:
        folder = Path(name)
        config, truth = write_simulator_config(load, folder / "simulator.json"), folder / "truth.jsonl"
        with running(config, truth) as url:
            job = Job(url, load, folder)
            command, more = rival.command(job), rival.variables(job)
            done = subprocess.run(  # noqa: S603
                command,
                cwd=folder,
                env={**os.environ, **more},
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
            )
        if done.returncode:
            return f"{rival.package}: exit code {done.returncode}: {done.stderr.strip()[-300:]}"
        (result,) = summarise_files(folder / _RESULTS[rival.package]).results
        return Row(f"{rival.package} {rival.version()}", result, served(read_truth(truth)))


def _of_ours(load: Load) -> Row:
    with tempfile.TemporaryDirectory(prefix="tokenswarm-rival-") as name:
        folder = Path(name)
        config, truth = write_simulator_config(load, folder / "simulator.json"), folder / "truth.jsonl"
        with running(config, truth) as url:
            plan = {
                "name": "same",
                "repeats": 1,
                "targets": [{"name": "bench", "dialect": "openai-chat", "base_url": f"{url}/v1", "model": "bench"}],
                "workload": {"kind": "chat", "input_tokens": PROMPT_TOKENS, "output_tokens": TOKENS},
                "stages": [{"concurrency": STREAMS, "duration_s": round(load.requests / STREAMS * load.cycle_s)}],
                "warmup_s": 3,
            }
            (folder / "plan.yaml").write_text(json.dumps(plan), encoding="utf-8")  # JSON is YAML
            command = [sys.executable, "-m", "harness", "run", str(folder / "plan.yaml"), "--out", str(folder / "runs")]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_LIMIT_S)  # noqa: S603, PLW1510
            if done.returncode not in (0, 3):  # 3: the machine was busy, and the run says so
                raise RuntimeError(done.stderr)
        summary, _ = read_source(Path(done.stdout.strip().splitlines()[-1]))
        (result,) = summary.results
        return Row("tokenswarm", result, served(read_truth(truth)))


def _table(rows: list[Row]) -> Table:
    title = "one simulated provider: what each tool says of its run | what was true of it"
    table = Table(
        "tool", "requests", "TTFT p50 (ms)", "ITL p50 (ms)", "TPOT p50 (ms)", "E2E p50 (s)", "req/s", title=title
    )
    for row in rows:
        table.add_row(*map(Text, (row.tool, *_cells(row))))
    return table


def _cells(row: Row) -> tuple[str, ...]:
    said, true, timing = row.result, row.true, true_timing(row.true)
    spans_s = [(each.end_ns - each.received_ns) / 1e9 for each in true.truths]
    tpot_ms = [(written(each)[-1] - written(each)[0]) / 1e6 / (len(each.content) - 1) for each in true.truths]
    rate = len(true.truths) / ((true.end_ns - true.begin_ns) / 1e9)
    return (
        f"{said.attempted} | {len(true.truths) + len(true.cut)}",
        _pair(_p50_ms(said.ttft_s), _true_ms(timing.ttft)),
        _pair(_p50_ms(said.itl_s), _true_ms(timing.itl)),
        _pair(_p50_ms(said.tpot_s), float(np.median(tpot_ms))),
        _pair(_p50(said.e2e_s), float(np.median(spans_s))),
        _pair(said.completed_rps, rate),
    )


def _p50_ms(found: Dist | None) -> float | None:
    return None if found is None or found.p50 is None else found.p50 * 1e3


def _true_ms(found: TrueDist | None) -> float | None:
    return None if found is None else found.p50_ms


def _p50(found: Dist | None) -> float | None:
    return None if found is None else found.p50


def _pair(said: float | None, true: float | None) -> str:
    return " | ".join("not told" if value is None else f"{value:.3f}" for value in (said, true))


if __name__ == "__main__":
    sys.exit(main())
