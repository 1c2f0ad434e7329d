"""`python -m benchmarks.decision_proofs`: what is promised of comparisons and gates, on providers whose truth is known.

Runs in virtual time, seed by seed, through the real analysis. Each repeat has noise of its own, and one that drifts
from repeat to repeat and that all targets of a repeat share. `--real N` adds pairs of equal targets of the real
simulator.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import yaml
from rich.console import Console
from rich.progress import track
from rich.table import Table

from analysis.comparisons import compare
from analysis.gating.gate_rules import read_gate
from analysis.gating.gates import against_first
from analysis.records.comparison_record import Comparison, Gate
from analysis.summarise import summarise
from analysis.summary import Result, Summary
from harness.plan_file import plan_of
from harness.rundir import RunDir
from harness.simulator.config import config_from
from harness.simulator.offline import Client, play_offline

CLIENT = Client(spread=0.01, drift=0.01, memory=0.7)
TTFT = "ttft_s.p50"
GATES = ("ttft.p95:+5%", "ttft.p95:+10%", "ttft.p50:+5%", "e2e.p95:+5%", "goodput:-5%", "success_ratio:-0.5pp")
STRICTEST = "ttft.p95:+0%"
_MOST = 30
_ASKED = (TTFT, "e2e_s.p50")


def played(
    seed: int, factors: dict[str, float], repeats: int, *, span_s: float = 6.0, client: Client = CLIENT
) -> Summary:
    """The summary of a run of targets that are the same but for a factor on their time to first token."""
    providers = {
        name: {
            "dialects": ["openai-chat"],
            "ttft": {"kind": "lognormal", "median_s": 0.1 * factor, "sigma": 0.1},
            "itl": {"kind": "lognormal", "median_s": 0.005, "sigma": 0.1},
        }
        for name, factor in factors.items()
    }
    target = {"dialect": "openai-chat", "model": "m"}
    document: dict[str, Any] = {
        "name": "decisions",
        "seed": seed,
        "repeats": repeats,
        "warmup_s": 0.5,
        "targets": [{"name": name, "base_url": f"sim://{name}"} | target for name in factors],
        "workload": {"kind": "chat", "name": "w", "input_tokens": 64, "output_tokens": 4},
        "stages": [{"concurrency": 4, "duration_s": span_s}],
        "simulator": {"seed": seed, "providers": providers},
    }
    with tempfile.TemporaryDirectory(prefix="tokenswarm-decisions-") as folder:
        run_dir = RunDir(Path(folder) / "decisions" / f"seed-{seed}")
        plan = plan_of(document, "proof")
        play_offline(plan, config_from(plan.simulator), run_dir, client)
        return summarise(run_dir)[0]


def differences(found: Iterable[Comparison]) -> list[str]:
    """The metrics that are said to differ."""
    return [each.metric for each in found if each.verdict in ("better", "worse")]


@dataclass(frozen=True)
class Pair:
    """What was said of two targets: the metrics in which they are said to differ, what was said of TTFT p50, and
    whether its power was said to suffice for 5 %."""

    claimed: list[str]
    ttft: str
    suffices: bool


def pair(seed: int, factor: float, repeats: int) -> Pair:
    """A against B, whose time to first token is `factor` as long."""
    found = played(seed, {"a": 1.0, "b": factor}, repeats).comparisons
    ttft = next(each for each in found if each.metric == TTFT)
    return Pair(differences(found), ttft.verdict, ttft.detectable is not None and ttft.detectable <= 1.05)


@dataclass(frozen=True)
class Looked:
    """What was said of two targets after 2, 3, ... repeats: whether any metric was ever said to differ; what was
    said of TTFT p50 when all that was asked was decided, and after how many repeats (None: it never was)."""

    ever: bool
    ever_fixed: bool
    ttft: str
    repeats: int | None


def first(result: Result, repeats: int) -> Result:
    """The result as far as its first repeats go."""
    return msgspec.structs.replace(result, repeat_values=result.repeat_values[:repeats], repeats=repeats)


def sequence(seed: int, factor: float, most: int = _MOST) -> tuple[Looked, Looked]:
    """Look again and again at a run of targets: at two equal ones, and at one of them and one whose time to first
    token is `factor` as long."""
    a, same, other = played(seed, {"a": 1.0, "same": 1.0, "other": factor}, most, span_s=3.0).results
    return looked([a, same], most), looked([a, other], most)


def looked(results: Sequence[Result], most: int = _MOST) -> Looked:
    """Look at two targets after each repeat, by the sequential test and (wrongly) by the usual one."""
    ever = ever_fixed = False
    ttft, stopped = "undecided", None
    for repeats in range(2, most + 1):
        seen = [first(result, repeats) for result in results]
        found = compare(seen, asked=_ASKED)
        ever |= bool(differences(found))
        ever_fixed |= bool(differences(compare(seen)))
        asked = [each for each in found if each.metric in _ASKED]
        if stopped is None and repeats >= 3 and all(each.decided for each in asked):
            stopped, ttft = repeats, next(each.verdict for each in asked if each.metric == TTFT)
    return Looked(ever, ever_fixed, ttft, stopped)


def gated(seed: int, factor: float, repeats: int) -> tuple[Gate, ...]:
    """Gates of a run against an earlier one, whose time to first token was 1 / `factor` as long; and, asked by
    itself, one that allows for nothing."""
    before, after = (played(2 * seed + k, {"t": f}, repeats) for k, f in ((0, 1.0), (1, factor)))
    (strictest,) = against_first([read_gate(STRICTEST)], before, [after])
    return (*against_first([read_gate(text) for text in GATES], before, [after]), strictest)


def real_pair(seed: int, folder: Path) -> list[str]:
    """Two equal targets of the real simulator, run by the real command: the metrics that are said to differ."""
    document = {
        "name": f"real-{seed}",
        "seed": seed,
        "repeats": 4,
        "warmup_s": 0.2,
        "targets": [
            {"name": name, "dialect": "openai-chat", "base_url": f"sim://{name}", "model": "m"} for name in ("a", "b")
        ],
        "workload": {"kind": "chat", "name": "w", "input_tokens": 64, "output_tokens": 8},
        "stages": [{"concurrency": 4, "duration_s": 2}],
        "simulator": {
            "seed": seed,
            "providers": {
                name: {
                    "dialects": ["openai-chat"],
                    "ttft": {"kind": "lognormal", "median_s": 0.05, "sigma": 0.2},
                    "itl": 0.005,
                }
                for name in ("a", "b")
            },
        },
    }
    plan = folder / f"real-{seed}.yaml"
    plan.write_text(yaml.safe_dump(document), encoding="utf-8")
    command = [sys.executable, "-m", "harness", "run", str(plan), "--out", str(folder / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode not in (0, 3):
        raise click.ClickException(f"{plan.name}: exit code {done.returncode}: {done.stderr[-400:]}")
    return differences(summarise(RunDir(Path(done.stdout.splitlines()[-1])))[0].comparisons)


Row = tuple[str, str, bool]


def _same(jobs: Callable[..., list[Any]], seeds: Sequence[int], repeats: int) -> list[Row]:
    found: list[Pair] = jobs(pair, seeds, 1.0, repeats)
    claimed = sum(bool(each.claimed) for each in found)
    share = claimed / len(found)
    return [
        (
            f"A against A, {len(found)} pairs: a difference is claimed in <= 5 %",
            f"{claimed} ({share:.1%})",
            share <= 0.05,
        )
    ]


def _different(jobs: Callable[..., list[Any]], seeds: Sequence[int], repeats: int) -> list[Row]:
    found: list[Pair] = jobs(pair, seeds, 1.05, repeats)
    sure = [each for each in found if each.suffices]
    hits = sum(each.ttft == "better" for each in sure)
    every = sum(each.ttft == "better" for each in found)
    seen = f"{hits} of {len(sure)} ({hits / max(1, len(sure)):.1%}); of all {every} of {len(found)}"
    said = len(sure) / len(found)
    return [
        ("5 % more TTFT p50 is found in >= 90 % where power is said to suffice", seen, hits >= 0.9 * len(sure) > 0),
        ("and that is said in >= 25 %, so that it means something", f"{said:.1%}", said >= 0.25),
    ]


def _sequential(jobs: Callable[..., list[Any]], seeds: Sequence[int], _: int) -> list[Row]:
    found: list[tuple[Looked, Looked]] = jobs(sequence, seeds, 1.05)
    same, other = [each for each, _ in found], [each for _, each in found]
    ever = sum(each.ever for each in same)
    fixed = sum(each.ever_fixed for each in same)
    taken = [each.repeats for each in other if each.repeats is not None]
    hits = sum(each.ttft == "better" for each in other)
    wrong = sum(each.ttft in ("worse", "no difference") for each in other)
    ended = [each.repeats for each in same if each.repeats is not None]
    looks = f"{len(same)} pairs looked at after each of 2 ... {_MOST} repeats"
    return [
        (
            f"A against A, {looks}: ever a false claim in <= 5 %",
            f"{ever} ({ever / len(same):.1%})",
            ever <= 0.05 * len(same),
        ),
        ("(the usual test, looked at as often, claims one in)", f"{fixed} ({fixed / len(same):.1%})", True),
        (
            "(A against A is decided to be the same in)",
            f"{len(ended)} of {len(same)}, median {_median(ended)} repeats",
            True,
        ),
        (
            f"5 % more TTFT p50: decided rightly within {_MOST} repeats in >= 90 %",
            f"{hits} of {len(other)}, wrongly {wrong}; median {_median(taken)} repeats",
            hits >= 0.9 * len(other),
        ),
    ]


def _median(values: Sequence[float]) -> str:
    return f"{np.median(values):g} (to {max(values)})" if values else "none"


def _gate(jobs: Callable[..., list[Any]], seeds: Sequence[int], _: int) -> list[Row]:
    half = seeds[: max(1, len(seeds) // 2)]
    same: list[tuple[Gate, ...]] = jobs(gated, half, 1.0, 8)
    worse: list[tuple[Gate, ...]] = jobs(gated, half, 1.1, 8)
    alarms = sum(any(gate.verdict == "failed" for gate in gates[:-1]) for gates in same)
    strictest = sum(gates[-1].verdict == "failed" for gates in same)
    hits = [sum(gates[place].verdict == "failed" for gates in worse) for place in (0, 1)]
    told = sum(gate.verdict == "met" for gates in same for gate in gates[:-1])
    asked = sum(len(gates) - 1 for gates in same)
    return [
        (f"{len(same)} unchanged runs, {len(GATES)} gates each: none fails", str(alarms), alarms == 0),
        ("(gates of unchanged runs that are shown to be met)", f"{told} of {asked}", True),
        (f"({STRICTEST} alone fails of unchanged runs, whose days differ)", str(strictest), True),
        *(
            (f"10 % more p95 TTFT fails {GATES[place]} in >= 95 %", f"{hit} of {len(worse)}", hit >= 0.95 * len(worse))
            for place, hit in enumerate(hits)
        ),
    ]


_PROOFS = {"same": _same, "different": _different, "sequential": _sequential, "gate": _gate}


def _call(job: tuple[Callable[..., Any], tuple[Any, ...]]) -> Any:
    return job[0](*job[1])


@click.command(help="Try what is promised of comparisons. Example: python -m benchmarks.decision_proofs --only gate")
@click.option("--only", type=click.Choice(list(_PROOFS)), multiple=True, help="Not all of them.")
@click.option("--pairs", type=click.IntRange(1), default=200, show_default=True, help="Gates: half as many.")
@click.option("--first", "first_seed", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--repeats", type=click.IntRange(3), default=12, show_default=True)
@click.option("--real", type=click.IntRange(0), default=0, show_default=True, help="Pairs of the real simulator.")
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
def main(*, only: tuple[str, ...], pairs: int, first_seed: int, repeats: int, real: int, processes: int) -> None:  # noqa: D103
    seeds = range(first_seed, first_seed + pairs)
    table = Table("promise", "seen", "kept", title="What is promised of comparisons and gates")
    rows: list[Row] = []
    with ProcessPoolExecutor(processes) as pool:

        def jobs(work: Callable[..., Any], over: Sequence[int], *arguments: Any) -> list[Any]:
            made = pool.map(_call, [(work, (seed, *arguments)) for seed in over])
            return list(track(made, work.__name__, total=len(over), console=Console(stderr=True)))

        for name in only or (() if real else _PROOFS):
            rows += _PROOFS[name](jobs, seeds, repeats)
    if real:
        with tempfile.TemporaryDirectory(prefix="tokenswarm-real-") as folder:
            claimed = sum(bool(real_pair(seed, Path(folder))) for seed in track(range(real), "real pairs"))
        rows.append(
            (
                f"{real} real pairs of equal targets: a difference is claimed in <= 5 %, or in one",
                str(claimed),
                claimed <= max(1, 0.05 * real),
            )
        )
    for promise, seen, kept in rows:
        table.add_row(promise, seen, "yes" if kept else "[bold]no[/bold]")
    Console().print(table)
    sys.exit(0 if all(kept for *_, kept in rows) else 1)


if __name__ == "__main__":
    main()
