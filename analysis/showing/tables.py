"""The summary as tables for a terminal. Data is never read as markup."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.failures.timeline import LETTERS, STATES, extent, has_incidents, text_line
from analysis.showing.wording_capacity import capacity_lines
from analysis.showing.wording_cost import COST_COLUMNS, TOKEN_COLUMNS, price_lines
from analysis.showing.wording_quality import bare, graded, quality_lines, rate
from analysis.summary import Provider, Result, Summary
from analysis.wording import (
    NOTHING,
    VERDICTS,
    answers,
    doubts,
    estimate,
    goal_saw,
    integrity,
    made_to_fail,
    number,
    percent,
    place,
    recovery,
    seconds,
    share,
    statistic,
    usd,
    window,
)

_STYLE = {"valid": "bold green", "suspect": "bold yellow", "invalid": "bold red"}


def print_summary(summary: Summary, console: Console) -> None:
    """Doubts first, then the figures, the goals, and who is ahead."""
    verdict = summary.validity.verdict
    console.print(Text.assemble("run ", (summary.run, "bold"), ": ", (verdict, _STYLE[verdict])))
    for finding in summary.validity.findings:
        console.print(Text(f"  {finding.severity}: {finding.saw}: {finding.why}", style="yellow"))
        console.print(Text(f"    hint: {finding.hint}"))
    if summary.results:
        console.print(_figures(summary.results, console, _COLUMNS, _FIRST_TO_GO))
    _print_tokens_and_cost(summary, console)
    _print_windows(summary, console)
    _print_recoveries(summary, console)
    _print_batches(summary, console)
    _print_reliability(summary, console)
    _print_quality(summary, console)
    _print_goals(summary, console)
    for line in capacity_lines(summary):
        console.print(Text(line))
    for answer in answers(summary):
        console.print(Text(answer))


_Columns = dict[str, Callable[[Result], str]]


def _figures(results: tuple[Result, ...], console: Console, known: _Columns, first_to_go: tuple[str, ...]) -> Table:
    """One row a result. A column without any number is left out; a narrow terminal gets fewer columns, never cut
    numbers."""
    unbounded = console.options.update(width=10_000)  # else what a table wants is never more than there is
    columns = [name for name, cell in known.items() if any(cell(result) != NOTHING for result in results)]
    for name in (*first_to_go, None):
        table = _table(results, {each: known[each] for each in columns})
        if name is None or console.measure(table, options=unbounded).minimum <= console.width:
            break
        columns = [each for each in columns if each != name]
    return table


def _table(results: tuple[Result, ...], columns: _Columns) -> Table:
    table = Table(pad_edge=False)
    table.add_column("target", overflow="fold", min_width=_word_width([result.target for result in results], 12))
    table.add_column("load", overflow="fold", min_width=_word_width([place(result) for result in results], 10))
    for name, cell in columns.items():
        width = max(len(name), *(len(cell(result)) for result in results))
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    for result in results:
        cells = (result.target, place(result) or NOTHING, *(cell(result) for cell in columns.values()))
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _word_width(texts: list[str], least: int) -> int:
    """What the longest word of some texts wants, within bounds: names are cut only where they are very long."""
    return max(least, min(22, max((len(word) for text in texts for word in text.split()), default=0)))


_FIRST_TO_GO = ("USD/1k", "TPOT p50", "lag p99", "p95", "ITL p50", "resp p95", "p95 ", "tok/s", "due/s", "requests")
_COLUMNS: _Columns = {
    "requests": lambda result: str(result.attempted),
    "ok": lambda result: percent(result.reliability.success_ratio.value if result.reliability else None),
    "TTFT p50": lambda result: statistic(result.ttft_s, "p50"),
    "p95": lambda result: statistic(result.ttft_s, "p95"),
    "ITL p50": lambda result: statistic(result.itl_s, "p50"),
    "TPOT p50": lambda result: statistic(result.tpot_s, "p50"),
    "E2E p50": lambda result: statistic(result.e2e_s, "p50"),
    "p95 ": lambda result: statistic(result.e2e_s, "p95"),
    "due/s": lambda result: number(result.offered_rps),
    "req/s": lambda result: number(result.achieved_rps),
    "lag p99": lambda result: statistic(result.lag_s, "p99"),
    "resp p95": lambda result: statistic(result.response_s, "p95") if result.lag_s else NOTHING,
    "tok/s": lambda result: number(result.output_tokens_per_s),
    "USD/1k": lambda result: usd(result.cost.usd_per_1k_good) if result.cost else NOTHING,
}


def _print_tokens_and_cost(summary: Summary, console: Console) -> None:
    """How the output was counted and what it cost, where anything of that is known; and whose prices these are."""
    counted = tuple(result for result in summary.results if result.tokens)
    billed = tuple(result for result in summary.results if result.cost)
    if counted:
        console.print(_figures(counted, console, TOKEN_COLUMNS, _COUNTS_FIRST_TO_GO))
    if billed:
        console.print(_figures(billed, console, COST_COLUMNS, ("USD/req", "USD/1M tok", *_SMALL_PARTS)))
    for line in price_lines(summary):
        console.print(Text(line, style="dim"))


_COUNTS_FIRST_TO_GO = ("events", "char/s/user", "local", "char/s", "visible", "reasoning")
_SMALL_PARTS = ("requests", "cache write", "cached", "thought", "input", "output")


def _print_windows(summary: Summary, console: Console) -> None:
    """When the figures are from, told once for loads that have the same window."""
    windows: dict[str, list[str]] = {}
    for result in summary.results:
        if result.window is not None:
            windows.setdefault(window(result), []).append(place(result))
    for text, places in windows.items():
        loads = "; ".join(dict.fromkeys(places))
        console.print(Text(f"steady window: {text} after the first arrival ({loads})", style="dim"))


def _print_recoveries(summary: Summary, console: Console) -> None:
    """One row a scenario and target; for codes asked for elsewhere, a line."""
    table = Table("target", "scenario", "failed of injected", "recovery", "integrity after it", pad_edge=False)
    for result in summary.results:
        found = result.recovery
        if found is not None:
            cells = (made_to_fail(found), recovery(found), integrity(found.integrity))
            table.add_row(*(Text(cell) for cell in (result.target, place(result), *cells)))
        elif result.integrity is not None:
            console.print(Text(f"integrity: {result.target} {place(result)}: {integrity(result.integrity)}"))
    rules = dict.fromkeys(result.recovery.rule for result in summary.results if result.recovery)
    if rules:
        console.print(table)
    for rule in rules:
        console.print(Text(rule, style="dim"))


def _print_batches(summary: Summary, console: Console) -> None:
    """One row a size of batch, where there are several."""
    rows = [(result, result.batch) for result in summary.results if result.batch is not None]
    if len({batch.size for _, batch in rows}) < 2:
        return
    table = Table("target", "load", pad_edge=False)
    for name in ("batch", "items/s", "against 1 at a time", "efficiency"):
        table.add_column(name, justify="right")
    for result, batch in sorted(rows, key=lambda row: row[0].target):
        ratio = NOTHING if batch.versus_sequential is None else f"x{number(batch.versus_sequential)}"
        cells = (str(batch.size), number(batch.items_per_s), ratio, percent(batch.efficiency))
        table.add_row(*(Text(cell) for cell in (result.target, place(result), *cells)))
    console.print(table)


def _print_reliability(summary: Summary, console: Console) -> None:
    """The timeline of each provider and how long it was up and down; a line, where none was ever down."""
    providers = [each for each in summary.providers if each.reliability.watched_s]
    if not providers:
        return
    if not has_incidents(providers):
        least = min(providers, key=lambda each: each.reliability.watched_s or 0.0).reliability
        text = (
            f"no outage seen: MTBF {estimate(least.mtbf_s)} (95 %), each watched for {seconds(least.watched_s)} or more"
        )
        console.print(Text(text, style="dim"))
        return
    console.print(_reliability_table(providers))
    _print_timeline(providers, console)
    for rule in dict.fromkeys(each.reliability.rule for each in providers):
        console.print(Text(rule, style="dim"))
    for each in providers:
        for text in doubts(each.reliability):
            console.print(Text(f"{each.target}: {text}", style="dim"))


def _reliability_table(providers: Sequence[Provider]) -> Table:
    table = Table(pad_edge=False)
    table.add_column("target", overflow="fold", min_width=12)
    for name in ("available", "outages", "longest", "MTBF", "MTTR", "degraded", "throttled"):
        table.add_column(name, justify="right")
    for each in providers:
        found = each.reliability
        throttled = sum(outage.failures for outage in found.throttled)
        cells = (
            each.target,
            share(found.availability),
            str(len(found.outages)),
            seconds(found.longest_outage_s),
            estimate(found.mtbf_s),
            estimate(found.mttr_s),
            seconds(found.degraded_s) if found.degraded else NOTHING,
            str(throttled) if throttled else NOTHING,
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table


_STATE_STYLE = {"up": "green", "degraded": "yellow", "throttled": "cyan", "down": "bold red"}


def _print_timeline(providers: Sequence[Provider], console: Console) -> None:
    """A row of letters for each provider."""
    name_width = min(24, max(len(each.target) for each in providers))
    width = max(20, min(100, console.width - name_width - 2))
    begin_s, end_s = extent(providers)
    styles = {LETTERS[state]: style for state, style in _STATE_STYLE.items()}
    for each in providers:
        line = Text(f"{each.target[:name_width]:{name_width}} ")
        for letter in text_line(each.reliability, (begin_s, end_s), width):
            line.append(letter, styles.get(letter, ""))
        console.print(line, no_wrap=True)
    legend = ", ".join(f"{LETTERS[state]} {state}" for state in STATES)
    console.print(Text(f"{seconds(begin_s)} to {seconds(end_s)} since the run began: {legend}", style="dim"))


def _print_quality(summary: Summary, console: Console) -> None:
    """One row a load whose replies were kept; what changes under load, and who judged."""
    rows = [result for result in summary.results if result.quality is not None]
    if rows:
        console.print(_quality_table(rows))
    for line in quality_lines(summary):
        console.print(Text(line))


def _quality_table(rows: Sequence[Result]) -> Table:
    table = Table(pad_edge=False)
    table.add_column("target", overflow="fold", min_width=_word_width([result.target for result in rows], 12))
    table.add_column("load", overflow="fold", min_width=_word_width([place(result) for result in rows], 10))
    for name in (
        "accuracy",
        "right of graded",
        "ungraded",
        "refused",
        "cut",
        "same words",
        "answers",
        "meaning",
        "judge",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for result in rows:
        found = result.quality
        assert found is not None
        cells = (result.target, place(result), rate(found.accuracy), graded(found), str(found.ungraded))
        shares = (percent(found.refused.value), percent(found.cut.value))
        agree = (bare(getattr(found.consistency, name, None)) for name in ("exact", "answer", "similarity"))
        marks = bare(None if found.marks is None else found.marks.relevance)
        table.add_row(*(Text(cell) for cell in (*cells, *shares, *agree, marks)))
    return table


_GOAL_STYLES = {True: "green", False: "red", None: "yellow"}


def _print_goals(summary: Summary, console: Console) -> None:
    for result in summary.results:
        for goal in result.goals:
            word = (VERDICTS[goal.met], _GOAL_STYLES[goal.met])
            said = f": {result.target} {place(result)}: {goal.text} (saw {goal_saw(goal)})"
            console.print(Text.assemble("goal ", word, said))
