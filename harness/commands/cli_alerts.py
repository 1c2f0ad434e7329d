"""The command `alerts`: what fires and what fired, acknowledging, silencing, and whether rules and sinks are right."""

from __future__ import annotations

import getpass
import re
import sys
import time
from pathlib import Path

import click
import msgspec
from rich.table import Table
from rich.text import Text

from harness.alerting.alert_list import Alert, list_alerts, span_text
from harness.alerting.alert_log import append_action, events_after, read_actions
from harness.alerting.sinks import read_sinks, send
from harness.alerting.webhook import Notice, in_clear, unready
from harness.alerts import silences_in_force
from harness.commands.cli_shown import ERR, console
from harness.errors import UsageFault
from harness.inputs.plain_yaml import plain_yaml, text_of_file
from harness.plan_file import read_plan
from harness.records.alert_record import AlertAction, AlertConfig, SinkState, WebhookSink, utc_text
from harness.rules.alert_file import read_alerts, rules_of, sinks_of
from harness.rundir import RunDir

_SPAN = re.compile(r"^(\d{1,6}(?:\.\d{1,3})?)([smhd])$")
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class _Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What `alerts RUN_DIR --json` prints."""

    schema: int = 1
    run: str
    at_utc: str
    alerts: list[Alert]
    silences: list[AlertAction]
    sinks: dict[str, SinkState]


@click.command()
@click.argument("run_dir", metavar="[RUN_DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--every", is_flag=True, help="Also what was pending and never fired.")
@click.option("--acknowledge", metavar="ID", help="Say that somebody is on it: an id, or the start of one.")
@click.option("--silence", metavar="RULE", help="Tell nobody of a rule (a glob) for a time.")
@click.option("--unsilence", metavar="RULE", help="End a silence.")
@click.option("--target", metavar="GLOB", help="Silence it for these targets alone.")
@click.option("--for", "span", metavar="SPAN", help="How long to be silent: 30m, 2h, 1d.")
@click.option("--comment", default="", help="Why.")
@click.option("--by", help="Who says so; else the user of this machine.")
@click.option("--check", "rules", type=click.Path(path_type=Path), help="Check a rule file, or the rules of a plan.")
@click.option("--test-sinks", is_flag=True, help="With --check: send a test to each of its sinks, once.")
def alerts(
    run_dir: Path | None,
    as_json: bool,  # noqa: FBT001
    every: bool,  # noqa: FBT001
    acknowledge: str | None,
    silence: str | None,
    unsilence: str | None,
    target: str | None,
    span: str | None,
    comment: str,
    by: str | None,
    rules: Path | None,
    test_sinks: bool,  # noqa: FBT001
) -> int:
    """Alerts of a run that is or was watched: list them, acknowledge one, silence a rule; or check a rule file.

    Example: tokenswarm alerts runs/chat/20261127T101500Z-ab12 --silence slow --target acme --for 2h
    """
    if rules is not None and as_json:
        raise UsageFault("alerts: --json: is of the alerts of a run", "leave it out with --check")
    if rules is not None:
        return _check(rules, test_sinks=test_sinks)
    if run_dir is None or test_sinks:
        raise UsageFault("alerts: no RUN_DIR, and no file to --check", "`tokenswarm alerts --help` shows both")
    watched = RunDir(run_dir)
    if not run_dir.is_dir():
        raise UsageFault(f"{run_dir}: no such directory", "name the directory of a run or of a watch")
    if [acknowledge, silence, unsilence].count(None) < 2:
        raise UsageFault("alerts: more than one of --acknowledge, --silence, --unsilence", "do one at a time")
    now_s = time.time()
    said = {"at_utc": utc_text(now_s), "by": by or _user(), "comment": comment}
    if acknowledge is not None:
        found = _named(acknowledge, list_alerts((event for _, event in events_after(watched.alerts, 0)), [], now_s))
        append_action(watched.alert_actions, AlertAction(kind="acknowledge", id=found.id, **said))
    if silence is not None:
        until = utc_text(now_s + _seconds(span))
        action = AlertAction(kind="silence", rule=silence, target=target, until_utc=until, **said)
        append_action(watched.alert_actions, action)
    elif span is not None:
        raise UsageFault(f"--for {span}: goes with --silence", "name the rule to be silent about")
    if unsilence is not None:
        _end_silence(watched, AlertAction(kind="unsilence", rule=unsilence, target=target, **said), now_s)
    _show(watched, now_s, as_json=as_json, every=every)
    return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _seconds(span: str | None) -> float:
    match = _SPAN.match(span or "")
    if match is None or float(match[1]) <= 0:
        shown = "--silence: no --for" if span is None else f"--for {span[:20]!r}"
        raise UsageFault(f"{shown}: must be a number with s, m, h or d: a silence has an end", "such as --for 2h")
    return float(match[1]) * _UNIT_S[match[2]]


def _named(wanted: str, found: list[Alert]) -> Alert:
    """The alert of an id, or of the start of one that no other has."""
    fitting = [each for each in found if each.id == wanted] or [each for each in found if each.id.startswith(wanted)]
    if len(fitting) != 1:
        how = f"{len(fitting)} alerts begin so" if fitting else "no such alert"
        hint = "`tokenswarm alerts RUN_DIR` shows their ids" if found else "there was no alert yet"
        raise UsageFault(f"--acknowledge: {wanted[:120]!r}: {how}", hint)
    return fitting[0]


def _end_silence(watched: RunDir, action: AlertAction, now_s: float) -> None:
    held = silences_in_force(read_actions(watched.alert_actions), now_s)
    if not any((each.rule, each.target) == (action.rule, action.target) for each in held):
        known = ", ".join(f"{each.rule} (target {each.target or 'any'})" for each in held) or "none"
        raise UsageFault(f"--unsilence: {action.rule!r}: no such silence in force", f"there are: {known}"[:200])
    append_action(watched.alert_actions, action)


def _show(watched: RunDir, now_s: float, *, as_json: bool, every: bool) -> None:
    actions = read_actions(watched.alert_actions)
    found = list_alerts((event for _, event in events_after(watched.alerts, 0)), actions, now_s)
    shown = [each for each in found if every or each.fired or each.state == "pending"]
    silences = silences_in_force(actions, now_s)
    sinks = read_sinks(watched)
    if as_json:
        listing = _Listing(
            run=RunDir(watched.root.resolve()).name,
            at_utc=utc_text(now_s),
            alerts=shown,
            silences=silences,
            sinks=sinks,
        )
        sys.stdout.buffer.write(msgspec.json.encode(listing) + b"\n")
        return
    out = console(stderr=False)
    out.print(_table(shown) if shown else "no alert")
    for each in silences:
        words = f"silent until {each.until_utc}: {each.rule or each.id or 'all'}, target {each.target or 'any'}"
        out.print(Text(f"{words}; by {each.by}{f': {each.comment}' if each.comment else ''}"))
    for name, state in sinks.items():
        if state.failing_since_wall_s is not None or state.lost or state.skipped:
            failing = "fails" if state.failing_since_wall_s is not None else "works"
            out.print(Text(f"sink {name} {failing}: {state.lost} lost, {state.skipped} left out; {state.last_error}"))


def _table(found: list[Alert]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("state", "severity", "since", "lasted", "what", "id"):
        table.add_column(title, overflow="fold")
    for each in found:
        state = f"{each.state}, acknowledged by {each.acknowledged_by}" if each.acknowledged_by else each.state
        since = each.since_utc[:19].replace("T", " ")
        cells = (state, each.severity, since, span_text(each.lasted_s), each.summary, each.id)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _config(path: Path) -> AlertConfig:
    """The rules in a rule file or in a plan."""
    document = plain_yaml(text_of_file(path, "a rule file", "docs/alerts.md shows a file"), str(path))
    is_plan = isinstance(document, dict) and "targets" in document
    return read_plan(str(path)).alerts if is_plan else read_alerts(path)


def _check(path: Path, *, test_sinks: bool) -> int:
    config = _config(path)
    named = sinks_of(config)
    rules = ", ".join(rule.name for rule in rules_of(config)) or "none"
    click.echo(f"{path}: rules: {rules}\n{path}: sinks: {', '.join(name for name, _ in named) or 'none'}")
    for name, sink in named:
        fault = unready(sink) if isinstance(sink, WebhookSink) else None
        if fault is not None and not test_sinks:
            ERR.print(Text(f"sink {name}: {fault} here"))
        if fault is None and isinstance(sink, WebhookSink) and (warning := in_clear(sink)) is not None:
            ERR.print(Text(f"warning: sink {name}: {warning}"))
    if not test_sinks:
        return 0
    now = utc_text(time.time())
    failed = False
    for name, sink in named:
        notice = Notice(kind="test", key=f"test/{name}/{now}", run="", text=f"test of the sink {name} at {now}")
        sent = send(sink, notice)
        failed = failed or not sent.ok
        ERR.print(Text(f"sink {name}: {'told' if sent.ok else sent.said}"))
    return 1 if failed else 0
