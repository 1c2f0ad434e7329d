"""`python -m benchmarks.market_proofs`: what is promised of recommendations, in markets whose truth is known.

Each market is drawn, measured in virtual time and read like any run (`benchmarks/markets.py` says how). Then the true
utilities of its providers, by the formula of the ranking on true numbers, say whether the recommendation was right.
Several minutes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from analysis.recommendation import recommend
from analysis.summarise import summarise
from analysis.summary import Summary
from benchmarks.markets import Market, draw_market, play_market, true_utilities

KINDS = ("real_time_chat", "batch_processing", "high_quality_analysis", "embedding_generation", "own")


@dataclass(frozen=True)
class Trial:
    """One market: what was answered, how sure it was, and the true loss of the pick (None: there was none)."""

    seed: int
    kind: str
    answer: str
    confidence: float
    best: bool
    loss: float | None


def trial(seed: int, *, alike: bool = False) -> Trial:
    """Draw, measure and judge a market; use cases take turns."""
    kind = KINDS[seed % len(KINDS)]
    market = draw_market(seed, kind, alike=alike)
    with tempfile.TemporaryDirectory(prefix="tokenswarm-market-") as folder:
        summary, _ = summarise(play_market(market, Path(folder)))
    return judge(market, kind, summary)


def judge(market: Market, kind: str, summary: Summary) -> Trial:
    """What is recommended from a measurement, against the true utilities."""
    found = recommend([summary], market.use_case, workload="chat")
    true = true_utilities(market)
    most = max(true.values())
    if found.primary is None:
        return Trial(market.seed, kind, found.answer, 0.0, best=most == 0, loss=None)
    own = true[found.primary]
    loss = 1 - own / most if most else 1.0
    return Trial(market.seed, kind, found.answer, found.confidence or 0.0, best=own == most > 0, loss=loss)


@click.command(help="Try what is promised of recommendations. Example: python -m benchmarks.market_proofs --markets 40")
@click.option("--markets", type=click.IntRange(1), default=200, show_default=True)
@click.option("--alike", type=click.IntRange(0), default=40, show_default=True, help="Markets of near equals.")
@click.option("--first", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--workers", type=click.IntRange(1), default=None, help="Processes (as many as cores).")
@click.option("--trials", "file", type=click.Path(path_type=Path), help="Also write each market as a line of JSON.")
def main(*, markets: int, alike: int, first: int, workers: int | None, file: Path | None) -> None:  # noqa: D103
    console = Console()
    with ProcessPoolExecutor(workers) as pool:
        trials = _kept(pool.map(trial, range(first, first + markets)), markets, "markets", file)
        equals = _kept(pool.map(partial(trial, alike=True), range(first, first + alike)), alike, "near equals", file)
    for line in _by_kind(trials):
        console.print(line)
    console.print(_missed(trials))
    table, kept = promises(trials, equals)
    console.print(table)
    sys.exit(0 if kept else 1)


def _kept(done: Iterable[Trial], total: int, what: str, file: Path | None) -> list[Trial]:
    """The trials as they come, each written down where that is wanted."""
    trials = []
    for each in track(done, what, total=total, console=Console(stderr=True)):
        trials.append(each)
        if file is not None:
            with file.open("a") as lines:
                lines.write(f"{json.dumps(asdict(each))}\n")
    return trials


def promises(trials: Sequence[Trial], equals: Sequence[Trial]) -> tuple[Table, bool]:
    """The table of promises, and whether all are kept. `equals`: the markets of near equals."""
    table = Table("promise", "seen", "kept", title="What is promised of recommendations")
    committed = [each for each in trials if each.answer == "recommended"]
    alike = [each for each in (*trials, *equals) if each.answer == "no difference"]
    right = sum(each.best for each in committed) / max(1, len(committed))
    share = len(committed) / len(trials)
    worst = max((each.loss or 0.0 for each in alike), default=0.0)
    rows = (
        ("truly best where it commits: >= 90 %", f"{right:.1%} of {len(committed)}", right >= 0.9),
        ("it commits: >= 70 %", f"{share:.1%} of {len(trials)}", share >= 0.7),
        ('true loss of its pick where "no difference": < 3 %', f"{worst:.2%} at most of {len(alike)}", worst < 0.03),
    )
    for promise, seen, kept in rows:
        table.add_row(promise, seen, "yes" if kept else "[bold]no[/bold]")
    return table, all(kept for *_, kept in rows)


def _by_kind(trials: Sequence[Trial]) -> Iterator[str]:
    """What became of the markets of each use case."""
    for kind in KINDS:
        own = [each for each in trials if each.kind == kind]
        counts = {answer: sum(each.answer == answer for each in own) for answer in _ANSWERS}
        right = sum(each.best for each in own if each.answer == "recommended")
        losses = [each.loss for each in own if each.loss is not None and each.answer != "cannot tell"]
        mean = f"{sum(losses) / len(losses):.2%}" if losses else "none known"
        told = ", ".join(f"{answer} {count}" for answer, count in counts.items())
        yield f"{kind}: {len(own)} markets: {told}; truly best where recommended {right}; mean true loss {mean}"


_ANSWERS = ("recommended", "no difference", "cannot tell", "none qualifies")


def _missed(trials: Sequence[Trial]) -> Table:
    table = Table("seed", "use case", "confidence", "true loss", title="Committed, and another was truly best")
    for each in trials:
        if each.answer == "recommended" and not each.best:
            table.add_row(str(each.seed), each.kind, f"{each.confidence:.1%}", f"{each.loss or 0:.2%}")
    return table


if __name__ == "__main__":
    main()
