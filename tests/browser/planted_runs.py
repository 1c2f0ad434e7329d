"""Folders of runs for the dashboard: three simulated providers in virtual time, and runs that cannot be shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from analysis.report import write_report
from analysis.summarise import summarise, write_summary
from analysis.summary import Summary
from harness.plan_file import plan_of
from harness.rundir import RunDir
from harness.simulator.config import config_from
from harness.simulator.offline import Client, play_offline

HOSTILE = "<img src=x onerror=alert(1)>"


def _provider(ttft_s: float, itl_s: float, faults: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "dialects": ["openai-chat"],
        "ttft": {"kind": "lognormal", "median_s": ttft_s, "sigma": 0.25},
        "itl": {"kind": "lognormal", "median_s": itl_s, "sigma": 0.2},
        "faults": faults,
    }


PROVIDERS = {
    "swift": _provider(0.18, 0.012, [{"kind": "rate_limit", "probability": 0.004}]),
    "steady": _provider(0.32, 0.010, []),
    "frugal": _provider(0.30, 0.018, [{"kind": "truncate", "probability": 0.01}]),
}
PRICES = {"swift": (2.0, 8.0), "steady": (1.5, 6.0), "frugal": (0.15, 0.6)}


def planted_run(root: Path, name: str = "20260301T090000Z-a1b2", *, plan: str = "chat") -> tuple[RunDir, Summary]:
    """A run of three providers at two loads, with its summary and report."""
    targets = [
        {
            "name": each,
            "dialect": "openai-chat",
            "base_url": f"sim://{each}",
            "model": f"{each}-1",
            "price": dict(zip(("input", "output"), PRICES[each], strict=True)),
        }
        for each in PROVIDERS
    ]
    document = {
        "name": plan,
        "seed": 5,
        "repeats": 4,
        "warmup_s": 2,
        "targets": targets,
        "workload": {"kind": "chat", "name": "talk", "input_tokens": 200, "output_tokens": 24},
        "stages": [{"concurrency": users, "duration_s": 15} for users in (2, 6)],
        "slo": {"ttft_s": 0.5},
    }
    run_dir = RunDir(root / plan / name)
    client = Client(spread=0.02)
    play_offline(plan_of(document, plan), config_from({"seed": 5, "providers": PROVIDERS}), run_dir, client)
    summary, samples = summarise(run_dir)
    write_summary(run_dir, summary)
    write_report([(summary, samples)], run_dir.report)
    return run_dir, summary


def hostile_run(root: Path, like: RunDir) -> str:
    """The name of a copy of a run whose summary, not made by this program, names a target by HTML that would run a
    script."""
    run_dir = RunDir(Path(shutil.copytree(like.root, root / "hostile" / "20260303T090000Z-05ed")))
    content = run_dir.summary.read_text().replace('"chat/20260301T090000Z-a1b2"', '"hostile/20260303T090000Z-05ed"')
    run_dir.summary.write_text(content.replace('"swift"', json.dumps(HOSTILE)).replace("swift", HOSTILE))
    return run_dir.root.relative_to(root).as_posix()


def broken_runs(root: Path) -> None:
    """Runs that cannot be shown: without a summary, with a damaged one, and with that of another version."""
    for name, content in (
        ("20260302T090000Z-0001", None),
        ("20260302T100000Z-0002", b'{"schema": 1, "run": '),
        ("20260302T110000Z-0003", json.dumps({"schema": 99}).encode()),
    ):
        folder = root / "broken" / name
        (folder / "journal").mkdir(parents=True)
        (folder / "run.json").write_text("{}")
        if content is not None:
            (folder / "summary.json").write_bytes(content)
