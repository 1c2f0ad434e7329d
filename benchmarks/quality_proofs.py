"""`python -m benchmarks.quality_proofs`: what is promised of quality, on providers whose truth is known.

Runs in virtual time, seed by seed: whether the true accuracy lies in the interval, and whether a fall under load is
found where there is one, and nowhere else. Some minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from analysis.summarise import summarise
from analysis.summary import Summary
from harness.plan_file import plan_of
from harness.rundir import RunDir
from harness.simulator.config import config_from
from harness.simulator.offline import play_offline

_TRUE = (0.60, 0.80, 0.95)
_FALL = 0.10
_LOW, _PEAK = 2, 24


@dataclass(frozen=True)
class Trial:
    """One seeded run: whether each true accuracy lay in its interval, and what was said of the busy targets."""

    seed: int
    inside: dict[float, bool]
    falls: str
    steady: str


def document(seed: int, questions: int, span_s: float) -> dict[str, Any]:
    """Three targets of known accuracy at a low load; one that falls under load and one that does not, at two loads."""
    names = [*(f"true-{accuracy:g}" for accuracy in _TRUE), "falls", "steady"]
    source = f"own:{questions}"
    skills: dict[str, dict[str, Any]] = {f"true-{a:g}": {"accuracy": a} for a in _TRUE}
    skills["falls"] = {"accuracy": 0.80, "busy_accuracy": 0.80 - _FALL, "busy_in_flight": _LOW * 2}
    skills["steady"] = {"accuracy": 0.80}
    providers = {
        name: {
            "dialects": ["openai-chat"],
            "ttft": {"kind": "lognormal", "median_s": 0.1, "sigma": 0.2},
            "itl": 0.005,
            "skill": {"questions": source, "steadiness": 0.95} | skill,
        }
        for name, skill in skills.items()
    }
    ask = {"kind": "chat", "name": "asked", "questions": source, "output_tokens": 128}
    target = {"dialect": "openai-chat", "model": "m"}
    return {
        "name": "quality-proofs",
        "seed": seed,
        "repeats": 2,
        "warmup_s": 0,
        "targets": [{"name": name, "base_url": f"sim://{name}"} | target for name in names],
        "workloads": [ask],
        "stages": [{"concurrency": _LOW, "duration_s": span_s}, {"concurrency": _PEAK, "duration_s": span_s / 8}],
        "simulator": {"seed": seed, "providers": providers},
    }


def trial(seed: int, questions: int, span_s: float) -> Trial:
    """Play a run in virtual time and read its summary."""
    with tempfile.TemporaryDirectory(prefix="tokenswarm-quality-") as folder:
        run_dir = RunDir(Path(folder) / "quality" / f"seed-{seed}")
        plan = plan_of(document(seed, questions, span_s), "proof")
        play_offline(plan, config_from(plan.simulator), run_dir)
        summary, _ = summarise(run_dir)
    said = {found.target: found.verdict for found in summary.quality_under_load}
    return Trial(seed, dict(_inside(summary)), said["falls"], said["steady"])


def _inside(summary: Summary) -> Iterator[tuple[float, bool]]:
    for accuracy in _TRUE:
        result = next(each for each in summary.results if each.target == f"true-{accuracy:g}" and each.stage == 0)
        found = result.quality.accuracy if result.quality is not None else None
        ends = found.ci95 if found is not None else None
        low, high = ends if ends is not None else (1.0, 0.0)
        yield accuracy, (low or 0.0) <= accuracy <= (1.0 if high is None else high)


def _play(arguments: tuple[int, int, float]) -> Trial:
    return trial(*arguments)


@click.command(help="Try what is promised of quality. Example: python -m benchmarks.quality_proofs --seeds 20")
@click.option("--seeds", type=click.IntRange(1), default=100, show_default=True)
@click.option("--first", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--questions", type=click.IntRange(10), default=1000, show_default=True)
@click.option("--span", "span_s", type=float, default=24.0, show_default=True, help="Seconds of the lower load.")
def main(*, seeds: int, first: int, questions: int, span_s: float) -> None:  # noqa: D103
    jobs = [(seed, questions, span_s) for seed in range(first, first + seeds)]
    console = Console()
    with ProcessPoolExecutor() as pool:
        trials = list(track(pool.map(_play, jobs), "trials", total=seeds, console=Console(stderr=True)))
    table = Table("promise", "seen", "kept", title="What is promised of quality")
    kept = True
    for accuracy in _TRUE:
        inside = sum(each.inside[accuracy] for each in trials)
        kept &= _row(
            table, f"true accuracy {accuracy:g} inside its interval: >= 93 %", inside / seeds, inside / seeds >= 0.93
        )
    found = sum(each.falls == "falls" for each in trials) / seeds
    kept &= _row(table, f"a fall of {_FALL:g} at peak load is found: >= 90 %", found, found >= 0.9)
    alarms = sum(each.steady == "falls" for each in trials) / seeds
    kept &= _row(table, "a fall is claimed where there is none: <= 5 %", alarms, alarms <= 0.05)
    console.print(table)
    sys.exit(0 if kept else 1)


def _row(table: Table, promise: str, seen: float, kept: bool) -> bool:  # noqa: FBT001
    table.add_row(promise, f"{seen:.1%}", "yes" if kept else "[bold]no[/bold]")
    return kept


if __name__ == "__main__":
    main()
