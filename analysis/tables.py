"""The summary as tables for a terminal. Data is never read as markup."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.summary import Result, Summary
from analysis.wording import NOTHING, answers, number, percent, place, seconds, statistic, usd

_STYLE = {"valid": "bold green", "suspect": "bold yellow", "invalid": "bold red"}


def print_summary(summary: Summary, console: Console) -> None:
    """Doubts first, then the figures, the goals, and who is ahead."""
    verdict = summary.validity.verdict
    console.print(Text.assemble("run ", (summary.run, "bold"), ": ", (verdict, _STYLE[verdict])))
    for finding in summary.validity.findings:
        console.print(Text(f"  {finding.severity}: {finding.saw}: {finding.why}", style="yellow"))
        console.print(Text(f"    hint: {finding.hint}"))
    console.print(_figures(summary.results, console.width))
    _print_goals(summary, console)
    for answer in answers(summary):
        console.print(Text(answer))


def _figures(results: tuple[Result, ...], width: int) -> Table:
    """One row a result. A narrow terminal gets fewer columns, never cut numbers."""
    columns = {name: cell for name, cell in _COLUMNS.items() if width >= _WIDE or name in _ESSENTIAL}
    table = Table(pad_edge=False)
    table.add_column("target", overflow="fold", min_width=12)
    table.add_column("load", overflow="fold", min_width=8)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        cells = (result.target, place(result) or NOTHING, *(cell(result) for cell in columns.values()))
        table.add_row(*(Text(cell) for cell in cells))
    return table


_WIDE = 125
_ESSENTIAL = ("requests", "ok", "TTFT p50", "E2E p50", "req/s")
_COLUMNS: dict[str, Callable[[Result], str]] = {
    "requests": lambda result: str(result.attempted),
    "ok": lambda result: percent(result.reliability.success_ratio.value if result.reliability else None),
    "TTFT p50": lambda result: statistic(result.ttft_s, "p50"),
    "p95": lambda result: statistic(result.ttft_s, "p95"),
    "ITL p50": lambda result: statistic(result.itl_s, "p50"),
    "TPOT p50": lambda result: statistic(result.tpot_s, "p50"),
    "E2E p50": lambda result: statistic(result.e2e_s, "p50"),
    "p95 ": lambda result: statistic(result.e2e_s, "p95"),
    "req/s": lambda result: number(result.achieved_rps),
    "tok/s": lambda result: number(result.output_tokens_per_s),
    "USD/1k": lambda result: usd(result.cost.usd_per_1k_good) if result.cost else NOTHING,
}


def _print_goals(summary: Summary, console: Console) -> None:
    for result in summary.results:
        for goal in result.goals:
            word, style = {True: ("met", "green"), False: ("missed", "red"), None: ("not measured", "yellow")}[goal.met]
            saw = seconds(goal.saw) if "_s." in goal.text else number(goal.saw)
            line = Text.assemble("goal ", (word, style), f": {result.target} {place(result)}: {goal.text} (saw {saw})")
            console.print(line)
