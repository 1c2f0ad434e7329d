"""The history of runs in a terminal: what is claimed, then a table of series. Data is never read as markup."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.histories.history_metrics import METRICS
from analysis.histories.wording_history import (
    break_line,
    change,
    claims,
    expected,
    forecast,
    name_of,
    overview,
    unclaimed,
    value,
    whose,
)
from analysis.records.history_record import Series, Trends

_MOST_LINES = 40
_MOST_ROWS = 60
_MOST_SKIPPED = 10
_HEADLINES = {metric.path for metric in METRICS if metric.headline}


def print_trends(found: Trends, console: Console, *, every: bool) -> None:
    """Print a history; `every`: all series that it holds, else those of the headline metrics that are not past."""

    def say(text: str) -> None:
        console.print(Text(text), soft_wrap=True)

    say(overview(found))
    for line in _first(claims(found.series), _MOST_LINES, "claims: --json has them all"):
        say(line)
    if not any(True for _ in claims(found.series)):
        say(unclaimed(found))
    for each in _first([break_line(each) for each in found.breaks], _MOST_LINES, "breaks"):
        say(each)
    shown = [each for each in found.series if every or (each.current and each.metric in _HEADLINES)]
    if shown:
        console.print(_table(shown[:_MOST_ROWS]))
    if len(shown) > _MOST_ROWS:
        say(f"{len(shown) - _MOST_ROWS} more series: choose by --plan, --target, --metric, or see --json")
    skipped = [f"skipped {each.path}: {each.reason}" for each in found.skipped]
    for line in (*found.notes, *_first(skipped, _MOST_SKIPPED, "skipped: --json has them all")):
        say(line)


def _first(lines: Sequence[str], most: int, rest: str) -> list[str]:
    more = [f"... and {len(lines) - most} more {rest}"] if len(lines) > most else []
    return [*lines[:most], *more]


def _table(series: Sequence[Series]) -> Table:
    table = Table(title="Latest run, 95 % of such runs by the 20 before it, and a week ahead", title_justify="left")
    for name in ("Series", "Metric"):
        table.add_column(name, overflow="fold")
    for name in ("Runs", "Latest", "Expected", "Latest is", "Changes", "A week", "In a week"):
        table.add_column(name, justify="right")
    for each in series:
        slope = each.slope.per_week.value if each.slope.per_week is not None else None
        shown = each.slope.verdict in ("better", "worse", "changed")
        cells = (
            whose(each),
            name_of(each.metric),
            f"{each.runs:,}" + (f" +{each.invalid_runs} invalid" if each.invalid_runs else ""),
            value(each.metric, each.latest.value),
            expected(each, each.latest) if each.latest.interval else "",
            each.latest.verdict,
            str(len(each.changes)),
            change(each, slope) if shown else "level",
            forecast(each),
        )
        table.add_row(*map(Text, cells))
    return table
