"""The command `limits`: what a target allows, measured within a bounded spend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from harness.capacity.estimate import Load, load_of
from harness.capacity.limits_probe import Concurrency, Found, Rate, Refusals, probe, sender_of
from harness.capacity.limits_sender import Bounds, Sender, Spent
from harness.commands.cli_shown import ERR, as_text, chosen, console, warn_of_clear
from harness.errors import UsageFault
from harness.plan import Plan, Target, cells
from harness.plan_file import plan_of_targets, read_plan
from harness.prices import priced
from harness.runs.reachable import reachable
from harness.sample import RateLimit

_PHASES = 4


@click.command()
@click.argument("plan", required=False)
@click.option("--target", "name", help="Which target; not needed where there is only one.")
@click.option("--targets", type=click.Path(path_type=Path), help="YAML list of targets, instead of a PLAN or its own.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Lay a value over the plan.")
@click.option("--spend-requests", type=click.IntRange(1), default=1500, help="Send no more than this (1500).")
@click.option("--spend-tokens", type=click.IntRange(1), default=200_000, help="Use no more than this (200000).")
@click.option("--spend-usd", type=click.FloatRange(0), help="Pay no more than this, by the target's price.")
@click.option("--most-at-once", type=click.IntRange(1, 1000), default=64, help="Most requests at once (64).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def limits(
    plan: str | None,
    name: str | None,
    targets: Path | None,
    settings: tuple[str, ...],
    spend_requests: int,
    spend_tokens: int,
    spend_usd: float | None,
    most_at_once: int,
    *,
    as_json: bool,
) -> None:
    """Measure what a target allows: requests and tokens a minute, requests at once. It is asked for more than that.

    With a PLAN also how much of it the plan's load would take. Example: tokenswarm limits --targets my.yaml --target a
    """
    whole = priced(_plan(plan, targets, settings))
    warn_of_clear(whole)
    target = chosen("limits", "target", name, whole.targets)
    bounds = Bounds(spend_requests, spend_tokens, spend_usd)
    if spend_usd is not None and target.price is None:
        message = f"--spend-usd {spend_usd:g}: target {target.name} has no price, so its cost is not known"
        raise UsageFault(message, "give it a `price`, or bound the probe by --spend-tokens")
    load = None if plan is None else _load(whole, target)
    with reachable(whole, target) as (there, key), _Shown() as watch:
        sender = sender_of(there, key, bounds, lambda: watch(None, sender))
        try:
            found = probe(sender, most_at_once, watch)
        finally:
            sender.close()
    if as_json:
        click.echo(as_text(_document(found, load, sender.spent)))
    else:
        _print(found, load, sender.spent)


def _plan(plan: str | None, targets: Path | None, settings: tuple[str, ...]) -> Plan:
    if plan is not None:
        return read_plan(plan, settings, targets)
    if targets is None:
        raise UsageFault("limits: no target given", "name a PLAN that has it, or a YAML list with --targets FILE")
    if settings:
        raise UsageFault(f"--set {settings[0]}: there is no PLAN", "change the file of --targets instead")
    return plan_of_targets(targets)


def _load(plan: Plan, target: Target) -> Load:
    """The height of every figure over the stages that the target runs."""
    loads = [load_of(cell) for cell in cells(plan, 1) if cell.target.name == target.name]
    rpm = max((each.rpm for each in loads), default=0.0)
    tpm = max((each.tpm for each in loads), default=0.0)
    return Load(rpm, tpm, max((each.streams for each in loads), default=0))


def _rows(found: Found, load: Load | None) -> list[dict[str, Any]]:
    """One row for each limit: told, measured, what the load takes, and the part of the limit that is left then."""
    told = found.told or RateLimit()
    tokens = told.limit_tokens or told.limit_input_tokens
    concurrency = found.concurrency
    return [
        _row("requests a minute", told.limit_requests, found.requests, None if load is None else load.rpm),
        _row("tokens a minute", tokens, found.tokens, None if load is None else load.tpm),
        _row(
            "requests at once",
            None,
            Rate(per_minute=concurrency.limit, at_least=concurrency.at_least, note=concurrency.note),
            None if load is None else load.streams,
        ),
    ]


def _row(limit: str, told: int | None, rate: Rate, load: float | None) -> dict[str, Any]:
    holds = rate.per_minute or told
    return {
        "limit": limit,
        "told": told,
        "measured": rate.per_minute,
        "plus_minus": rate.plus_minus,
        "at_least": rate.at_least,
        "burst": rate.burst,
        "load": load,
        "headroom": None if holds is None or load is None else 1 - load / holds,
        "note": rate.note,
    }


def _document(found: Found, load: Load | None, spent: Spent) -> dict[str, Any]:
    return {
        "target": found.target,
        "limits": _rows(found, load),
        "told": found.told,
        "levels": found.concurrency.levels,
        "refusals": found.refusals,
        "spent": spent,
    }


def _print(found: Found, load: Load | None, spent: Spent) -> None:
    table = Table("limit", "told by headers", "measured", "burst", "load of the plan", "headroom", title=found.target)
    rows = _rows(found, load)
    for row in rows:
        headroom = "" if row["headroom"] is None else f"{row['headroom']:.0%}"
        table.add_row(
            row["limit"], _number(row["told"]), _measured(row), *map(_number, (row["burst"], row["load"])), headroom
        )
    console(stderr=False).print(table)
    for row in rows:
        if row["note"]:
            click.echo(f"{row['limit']}: {row['note']}")
    for line in _behaviour(found.refusals, found.concurrency):
        click.echo(line)
    usd = "" if spent.usd is None else f", {spent.usd:.4f} USD"
    click.echo(f"spent: {spent.requests:,} requests ({spent.refused:,} of them refused), {spent.tokens:,} tokens{usd}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _measured(row: dict[str, Any]) -> str:
    if row["measured"] is None:
        return "not found" if row["at_least"] is None else f"at least {row['at_least']:,}"
    return f"{row['measured']:,.0f}" + ("" if row["plus_minus"] is None else f" ± {row['plus_minus']:,.0f}")


def _behaviour(refusals: Refusals, concurrency: Concurrency) -> Iterator[str]:
    """How the target behaves when it is asked for too much."""
    for status, count in refusals.statuses.items():
        yield f"refuses with status {status} ({count} times)" + _how_fast(refusals)
    if refusals.statuses:
        waits = dict.fromkeys(f"{each:g}" for each in refusals.wait_s or ())
        yield "it says to wait " + (" to ".join(waits) + " s" if waits else "for no certain time")
    for kind, count in refusals.failures.items():
        yield f"fails with {kind} ({count} times)"
    if refusals.latency_growth is not None:
        most = max((level.at_once for level in concurrency.levels), default=1)
        how = "it queues" if refusals.latency_growth > 2 else "no queue"
        yield f"replies took {refusals.latency_growth:.2g} times as long with {most} requests at once: {how}"


def _how_fast(refusals: Refusals) -> str:
    if refusals.refused_p50_s is None or refusals.reply_p50_s is None:
        return ""
    return f", after {refusals.refused_p50_s * 1e3:.2g} ms; a short reply takes {refusals.reply_p50_s * 1e3:.0f} ms"


class _Shown:
    """A bar on a terminal; elsewhere a line for each phase."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._phase = ""
        self._done = -1

    def __enter__(self) -> Callable[[str | None, Sender], None]:
        if ERR.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[counts]}"), console=ERR)
            self._task = self._bar.add_task("starting", total=_PHASES, counts="")
            self._bar.start()
        return self._update

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _update(self, phase: str | None, sender: Sender) -> None:
        """`phase`: one begins; None: one more request has ended."""
        if phase is not None:
            self._phase = phase
            self._done += 1
        spent = sender.spent
        counts = f"{spent.requests} requests, {spent.refused} refused, {spent.tokens} tokens"
        if self._bar is not None:
            self._bar.update(self._task, description=self._phase, completed=self._done, counts=counts)
        elif phase is not None:
            click.echo(f"{phase} (so far {counts})", err=True)
