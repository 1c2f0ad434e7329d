"""The summary as tables for a terminal. Data is never read as markup."""

from __future__ import annotations

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
    console.print(_figures(summary.results))
    _print_goals(summary, console)
    for answer in answers(summary):
        console.print(Text(answer))


def _figures(results: tuple[Result, ...]) -> Table:
    table = Table(title=None, pad_edge=False)
    table.add_column("target", overflow="fold")
    table.add_column("load", overflow="fold")
    for name in ("requests", "ok", "TTFT p50", "TTFT p95", "ITL p50", "TPOT p50", "E2E p50", "E2E p95", "req/s"):
        table.add_column(name, justify="right")
    table.add_column("tok/s", justify="right")
    table.add_column("USD/1k", justify="right")
    for result in results:
        table.add_row(*(Text(cell) for cell in _row(result)))
    return table


def _row(result: Result) -> tuple[str, ...]:
    ratio = result.reliability.success_ratio.value if result.reliability else None
    return (
        result.target,
        place(result) or NOTHING,
        str(result.attempted),
        percent(ratio),
        statistic(result.ttft_s, "p50"),
        statistic(result.ttft_s, "p95"),
        statistic(result.itl_s, "p50"),
        statistic(result.tpot_s, "p50"),
        statistic(result.e2e_s, "p50"),
        statistic(result.e2e_s, "p95"),
        number(result.achieved_rps),
        number(result.output_tokens_per_s),
        usd(result.cost.usd_per_1k_good) if result.cost else NOTHING,
    )


def _print_goals(summary: Summary, console: Console) -> None:
    for result in summary.results:
        for goal in result.goals:
            word, style = {True: ("met", "green"), False: ("missed", "red"), None: ("not measured", "yellow")}[goal.met]
            saw = seconds(goal.saw) if "_s." in goal.text else number(goal.saw)
            line = Text.assemble("goal ", (word, style), f": {result.target} {place(result)}: {goal.text} (saw {saw})")
            console.print(line)
