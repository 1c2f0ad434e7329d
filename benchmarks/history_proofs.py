"""`python -m benchmarks.history_proofs`: what is promised of `tokenswarm trend`, on histories whose truth is known.

Ten thousand runs, whole summaries as a run writes them, are read by the real command, whole process; then histories of
a target with all of its metrics, seed by seed: steps, drifts, seasons and nothing planted in noise that has memory.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table as Shown

from analysis.histories.history import History
from analysis.histories.history_index import NAME, Table
from analysis.histories.history_metrics import METRICS, PLACES
from analysis.histories.history_reading import RunEntry, SeriesKey
from analysis.records.history_record import Series, Trends
from analysis.trends import judge, trends_of
from benchmarks.synthetic_history import MANY, START, Floats, Planned, autoregressive, write_runs

_ROUNDS = 5
_SIGMA = 0.02
_RUNS = 200
_METRIC = "ttft_s.p50"
_DAY_S = 86_400.0
_KEY = SeriesKey("plan", "target", "w", 0, "4 users", "chat", "openai-chat", "m", "{}", "{}")
_ERR = Console(stderr=True)


def history_of(values: Floats, gap_s: float) -> History:
    """A history of one target, one run every `gap_s`: `values` of its metrics (runs x metrics)."""
    began = START.timestamp()
    runs = len(values)
    entries = [
        RunEntry(f"plan/{run}/summary.json", run, 1, "", f"plan/{run}", began + run * gap_s, "valid", "{}")
        for run in range(runs)
    ]
    figures = np.full((runs, len(METRICS), 3), np.nan, np.float32)
    figures[:, :, 0] = values
    table = Table(entries, [_KEY], np.arange(runs, dtype=np.int32), np.zeros(runs, np.int32), figures)
    return History(Path("runs"), table, (), {}, fresh=True)


def played(rng: np.random.Generator, runs: int, phi: float) -> Floats:
    """Every metric of a target that does not change: noise of 2 % with memory about its own level; shares below one."""
    columns = [np.exp(autoregressive(rng, runs, phi, _SIGMA)) for _ in METRICS]
    shares = np.array([0.45 if metric.share else 1.0 for metric in METRICS])
    return np.asarray(np.column_stack(columns) * shares)


def told_of(values: Floats, gap_s: float) -> Trends:
    """What is told of such a history, without its values."""
    history = history_of(values, gap_s)
    return trends_of(history, judge(history), last=0)


def of_metric(found: Trends, metric: str = _METRIC) -> Series:
    """The series of a metric."""
    return next(each for each in found.series if each.metric == metric)


@dataclass(frozen=True)
class Seen:
    """How often something was as promised, of how many times it was tried."""

    hits: int = 0
    tries: int = 0

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.hits + other.hits, self.tries + other.tries)


def dated(seed: int, step: float, phi: float) -> dict[str, Seen]:
    """Whether a planted step of one metric is dated within two runs, and how many of the others change."""
    rng = np.random.default_rng(seed)
    values = played(rng, _RUNS, phi)
    at = int(rng.integers(_RUNS // 5, _RUNS * 4 // 5))
    values[at:, PLACES[_METRIC]] *= 1 + step
    found = told_of(values, 6 * 3600)
    places = [int(change.run.partition("/")[2]) for change in of_metric(found).changes]
    hit = any(abs(place - at) <= 2 for place in places)
    more = sum(abs(place - at) > 2 for place in places)
    others = [each for each in found.series if each.metric != _METRIC]
    false = sum(bool(each.changes) for each in others)
    return {"found": Seen(hit, 1), "more": Seen(more > 0, 1), "others": Seen(false, len(others))}


def unchanged(seed: int, phi: float) -> dict[str, Seen]:
    """Whether anything at all is claimed of a history in which nothing changes, kind by kind, and how many of the runs
    of the week to come lie where the forecast says."""
    rng = np.random.default_rng(seed)
    per_day, ahead = 4, 7
    whole = played(rng, _RUNS + per_day * ahead, phi)
    found = told_of(whole[:_RUNS], _DAY_S / per_day)
    claims: dict[str, Callable[[Series], bool]] = {
        "changes": lambda each: bool(each.changes),
        "slopes": lambda each: each.slope.verdict not in ("no difference", "too little data"),
        "seasons": lambda each: "seasonal" in (each.hour.verdict, each.weekday.verdict),
        "latest": lambda each: each.latest.verdict not in ("no difference", "too little data"),
    }
    seen = {name: Seen(any(claim(each) for each in found.series), 1) for name, claim in claims.items()}
    return seen | {"coverage": sum((_covered(each, whole, per_day) for each in found.series), Seen())}


def _covered(series: Series, whole: Floats, per_day: int) -> Seen:
    week = series.forecast
    rows = [_RUNS - 1 + round((day + 0.5) * per_day) for day in range(len(week.expected))]
    truth = whole[rows, PLACES[series.metric]]
    inside = sum(low <= value <= high for low, value, high in zip(week.low, truth, week.high, strict=True))
    return Seen(int(inside), len(rows))


def moving(seed: int, phi: float) -> dict[str, Seen]:
    """Whether a drift of 1 % a week is found and not taken for steps, a season of 4 % by the hour, and a latest run
    that is 15 % worse."""
    rng = np.random.default_rng(seed)
    drifting, seasonal, latest = (PLACES[name] for name in (_METRIC, "e2e_s.p50", "tpot_s.p50"))
    values = played(rng, 400, phi)
    weeks = np.arange(400) / 28
    values[:, drifting] *= 1.01**weeks
    values[:, seasonal] *= np.where(np.arange(400) % 4 == 2, 1.04, 1.0)
    values[-1, latest] = 1.15
    found = told_of(values, _DAY_S / 4)
    drift, season, last = (of_metric(found, name) for name in (_METRIC, "e2e_s.p50", "tpot_s.p50"))
    return {
        "slope": Seen(drift.slope.verdict == "worse", 1),
        "steps": Seen(bool(drift.changes), 1),
        "season": Seen(season.hour.verdict == "seasonal", 1),
        "latest": Seen(last.latest.verdict == "worse", 1),
    }


def over_seeds(trial: Callable[[int], dict[str, Seen]], seeds: int, what: str) -> dict[str, Seen]:
    """What was seen over all seeds."""
    total: dict[str, Seen] = {}
    with ProcessPoolExecutor() as pool:
        for seen in track(pool.map(trial, range(seeds), chunksize=4), what, total=seeds, console=_ERR):
            total = {name: total.get(name, Seen()) + each for name, each in seen.items()}
    return total


def seconds(root: Path, *options: str, cold: bool) -> float:
    """The median of five whole processes of `tokenswarm trend`; `cold`: without an index."""
    command = [sys.executable, "-m", "harness", "trend", str(root), *options]
    spans = []
    for _ in range(_ROUNDS):
        if cold:
            (root / NAME).unlink(missing_ok=True)
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        spans.append(time.perf_counter() - began)
    return statistics.median(spans)


def timings(runs: int) -> Iterator[tuple[str, str, bool]]:
    """Promise, what was seen, and whether it was kept."""
    with tempfile.TemporaryDirectory(prefix="tokenswarm-history-") as folder:
        root = Path(folder)
        sizes = []
        for number, plan in enumerate(MANY):
            mine = Planned(plan.name, plan.runs * runs // 10_000, plan.targets, plan.loads, plan.gap_s)
            written = write_runs(root, mine, number)
            sizes += [path.stat().st_size for path in track(written, plan.name, total=mine.runs, console=_ERR)]
        size = f"{len(sizes):,} runs of {statistics.mean(sizes) / 1000:.0f} kB"
        for options in ((), ("--json",)):
            cold, warm = (seconds(root, *options, cold=each) for each in (True, False))
            name = " ".join(("trend", *options))
            yield f"{name}, {size}, no index: < 5 s", f"{cold:.2f} s", cold < 5
            yield f"{name}, indexed: < 1 s", f"{warm:.2f} s", warm < 1


def proofs(seeds: int) -> Iterator[tuple[str, str, bool]]:
    """Promise, what was seen, and whether it was kept."""
    others = Seen()
    for step in (0.1, 0.05):
        for phi in (0.0, 0.3):
            seen = over_seeds(partial(dated, step=step, phi=phi), seeds, f"steps of {step:.0%}, memory {phi}")
            others += seen["others"]
            yield _row(
                f"a step of {step:.0%} in noise of 2 %, memory {phi}: dated within 2 runs: >= 90 %",
                seen["found"],
                least=0.9,
            )
            yield _row("  another change claimed in that series: <= 5 %", seen["more"], most=0.05)
    yield _row("a change claimed in an unchanged series of those histories: <= 5 %", others, most=0.05)
    for phi in (0.0, 0.3, 0.6):
        seen = over_seeds(partial(unchanged, phi=phi), seeds, f"unchanged, memory {phi}")
        for kind in ("changes", "slopes", "seasons", "latest"):
            yield _row(f"{kind} claimed anywhere in an unchanged history, memory {phi}: <= 5 %", seen[kind], most=0.05)
        coverage = _row(
            f"runs of the next week inside the forecast, memory {phi}: 93 to 97 %", seen["coverage"], least=0.93
        )
        yield coverage[0], coverage[1], coverage[2] and seen["coverage"].hits <= 0.97 * seen["coverage"].tries
    seen = over_seeds(partial(moving, phi=0.3), seeds, "drifts, seasons, latest runs")
    yield _row("a drift of 1 % a week over 14 weeks is found: >= 90 %", seen["slope"], least=0.9)
    yield _row("  and taken for steps: <= 10 %", seen["steps"], most=0.1)
    yield _row("an hour that is 4 % slower is found: >= 90 %", seen["season"], least=0.9)
    yield _row("a latest run that is 15 % slower is found: >= 90 %", seen["latest"], least=0.9)


def _row(promise: str, seen: Seen, *, least: float = 0.0, most: float = 1.0) -> tuple[str, str, bool]:
    share = seen.hits / max(1, seen.tries)
    return promise, f"{share:.1%} of {seen.tries:,}", least <= share <= most


@click.command(help="Try what is promised of trend. Example: python -m benchmarks.history_proofs --seeds 50")
@click.option("--seeds", type=click.IntRange(1), default=200, show_default=True)
@click.option("--runs", type=click.IntRange(0), default=10_000, show_default=True, help="Of the folder; 0: none.")
def main(*, seeds: int, runs: int) -> None:  # noqa: D103
    table = Shown("promise", "seen", "kept", title="What is promised of trend")
    whole = True
    for promise, seen, kept in (*(timings(runs) if runs else ()), *proofs(seeds)):
        table.add_row(promise, seen, "yes" if kept else "[bold]no[/bold]")
        whole &= kept
    Console(width=140).print(table)
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
