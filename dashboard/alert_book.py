"""Alerts of the runs below a folder: what is pending and firing now, what was, and what people said about it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dashboard.run_list import folders
from harness.alerting.alert_log import append_action, read_actions, read_events, recover
from harness.alerts import silences_in_force
from harness.errors import UsageFault
from harness.records.alert_record import AlertAction, AlertEvent, Episode, utc_text
from harness.rundir import RunDir

MOST_RUNS = 20  # whose alerts are read, the latest
MOST_PAST = 200  # lines of the past that are shown
LONGEST_S = 30 * 86_400
_MOST_TEXT = 500

Kind = Literal["acknowledge", "silence", "unsilence"]


@dataclass(frozen=True)
class Alert:
    """An episode of the run `run`, as it stands now."""

    run: str
    episode: Episode


@dataclass(frozen=True)
class Silence:
    """A silence that holds now."""

    run: str
    action: AlertAction


@dataclass(frozen=True)
class Book:
    """`now`: pending and firing, the gravest first; `past`: events, the latest first; `troubles`: what could not be
    read, by run."""

    now: tuple[Alert, ...]
    past: tuple[tuple[str, AlertEvent], ...]
    silences: tuple[Silence, ...]
    troubles: tuple[str, ...]


_GRAVEST = ("critical", "warning", "info")


def runs_with_alerts(root: Path, most: int = MOST_RUNS) -> list[str]:
    """The runs in which an alert was ever raised, the latest event first."""
    found: list[tuple[float, str]] = []
    for plan in folders(root):
        for name in folders(root / plan):
            with suppress(OSError):
                found.append((RunDir(root / plan / name).alerts.stat().st_mtime, f"{plan}/{name}"))
    return [name for _, name in sorted(found, reverse=True)[:most]]


def read_book(root: Path, runs: Sequence[str], now_wall_s: float | None = None) -> Book:
    """The alerts of some runs. Times in s since 1970."""
    now_s = time.time() if now_wall_s is None else now_wall_s
    now: list[Alert] = []
    past: list[tuple[str, AlertEvent]] = []
    silences: list[Silence] = []
    troubles: list[str] = []
    for run in runs:
        run_dir = RunDir(root / run)
        try:
            now += [Alert(run, each) for each in recover(run_dir).values() if each.state != "resolved"]
            past += [(run, each) for each in read_events(run_dir.alerts)]
            silences += [Silence(run, each) for each in silences_in_force(read_actions(run_dir.alert_actions), now_s)]
        except OSError as error:
            troubles.append(f"{run}: {error.strerror}")
    now.sort(key=lambda each: _order(each.episode))
    past.sort(key=lambda each: each[1].at_wall_s, reverse=True)
    return Book(tuple(now), tuple(past[:MOST_PAST]), tuple(silences), tuple(troubles))


def _order(episode: Episode) -> tuple[bool, int, float]:
    return episode.state != "firing", _GRAVEST.index(episode.severity), episode.since_wall_s


def act(
    root: Path,
    run: str,
    kind: Kind,
    by: str,
    *,
    episode: str | None = None,
    rule: str | None = None,
    target: str | None = None,
    for_s: float | None = None,
    comment: str = "",
) -> AlertAction:
    """Append what somebody did to the run's `alert_actions.jsonl`, which its monitor reads. Raises UsageFault."""
    if run not in runs_with_alerts(root, most=10**6):
        raise UsageFault(f"run {run[:80]!r}: has no alerts", "choose one of the list")
    if for_s is not None and not 60 <= for_s <= LONGEST_S:
        raise UsageFault(f"silence: {for_s:g} s: from a minute to 30 days", "choose how long")
    until = None if for_s is None else utc_text(time.time() + for_s)
    action = AlertAction(
        at_utc=utc_text(time.time()),
        by=by[:_MOST_TEXT],
        kind=kind,
        id=episode,
        rule=rule,
        target=target,
        until_utc=until,
        comment=" ".join(comment.split())[:_MOST_TEXT],
    )
    path = RunDir(root / run).alert_actions
    if path.is_symlink():
        raise UsageFault(f"{run}: {path.name} is a link", "a link may lead anywhere: put a plain file in its place")
    try:
        append_action(path, action)
    except OSError as error:
        raise UsageFault(f"{run}: cannot be written: {error.strerror}", "check space and permissions") from error
    return action
