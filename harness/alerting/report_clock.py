"""When a day or a week is over, its report is written and posted, by a process of its own: a monitor does not wait."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from harness.alerting.webhook import Notice, post
from harness.errors import UNREADABLE
from harness.records.alert_record import AlertConfig, WebhookSink, utc_text
from harness.rules.alert_file import sinks_of
from harness.rundir import RunDir, write_whole

Kind = Literal["daily", "weekly"]
_LOOK_EVERY_S = 10.0
_AGAIN_AFTER_S = 300.0
_MOST_TRIES = 12
_MOST_KEPT = 60
_MOST_HTML = 1_000_000


class _Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one report: where it is, and whether it was posted. `tries` of the process that makes it."""

    file: str
    at_utc: str
    tries: int
    done: bool


class _ReportFile(msgspec.Struct, frozen=True, kw_only=True):
    """`reports.json`: the reports of a run directory, oldest first, by kind and span."""

    schema: int = 1
    reports: dict[str, _Done]


def report_names(kind: Kind, span: str) -> tuple[str, str]:
    """The name of a report's file, and what it is filed under."""
    return f"{kind}-{span}.html", f"{kind}/{span}"


def last_over(kind: Kind, now_wall_s: float, timezone: str | None) -> tuple[str, date]:
    """The last local day or week that is over: its name, and a day in it."""
    zone = ZoneInfo(timezone) if timezone else None
    day = datetime.fromtimestamp(now_wall_s, UTC).astimezone(zone).date() - timedelta(days=1)
    if kind == "daily":
        return day.isoformat(), day
    sunday = day - timedelta(days=(day.weekday() + 1) % 7)
    week = sunday.isocalendar()
    return f"{week.year}-W{week.week:02d}", sunday


def post_report(config: AlertConfig, run: str, page: Path, words: str) -> dict[str, str]:
    """Tell the webhooks of `reports` of a page that was written; what went wrong, by sink. Nothing is raised but
    OSError where the page cannot be read. The page goes along where a sink wants it and it is at most 1 MB."""
    failed: dict[str, str] = {}
    for name, sink in sinks_of(config):
        if name not in config.reports.webhooks or not isinstance(sink, WebhookSink):
            continue
        attached = sink.attach_reports and page.stat().st_size <= _MOST_HTML
        html = page.read_text(encoding="utf-8") if attached else None
        notice = Notice(
            kind="report", key=f"report/{run}/{page.stem}", run=run, text=words, file=str(page.resolve()), html=html
        )
        sent = post(sink, notice)
        if not sent.ok:
            failed[name] = sent.said
    return failed


class ReportClock:
    """The reports of one watched run directory. `look` is called every second or so and never waits.

    `began_wall_s`: before that there is nothing to report. What is made is noted in `reports.json`: a restart makes no
    report again, and makes the last one that was missed. A report that fails is tried again every five minutes, for an
    hour; a webhook may then hear of it twice, under the same key.
    """

    def __init__(self, run_dir: RunDir, config: AlertConfig, began_wall_s: float) -> None:
        self._run_dir = run_dir
        self._config = config
        self._began_wall_s = began_wall_s
        self._known = _read(run_dir.reports)
        self._process: subprocess.Popen[bytes] | None = None
        self._making = ""
        self._next_s = 0.0

    def look(self, now_wall_s: float) -> None:
        """Start what is due, and note what has been done. Raises nothing: a report is not worth a monitor."""
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + _LOOK_EVERY_S
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._note(self._making, done=self._process.returncode == 0, tried=False, now_wall_s=now_wall_s)
            self._process = None
        for key, file, day, kind in self._due(now_wall_s):
            self._making = key
            self._note(key, done=False, tried=True, now_wall_s=now_wall_s, file=file)
            with suppress(OSError):
                self._process = self._start(file, day, kind)
            return

    def close(self, timeout_s: float = 30.0) -> None:
        """Wait for the report that is being made, at most so long; else it is made at the next start."""
        if self._process is not None:
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._note(self._making, done=self._process.returncode == 0, tried=False, now_wall_s=time.time())
            self._process = None

    def _due(self, now_wall_s: float) -> Iterator[tuple[str, Path, date, Kind]]:
        reports = self._config.reports
        folders: tuple[tuple[Kind, str | None], ...] = (("daily", reports.daily), ("weekly", reports.weekly))
        for kind, folder in folders:
            if folder is None:
                continue
            span, day = last_over(kind, now_wall_s, reports.timezone)
            name, key = report_names(kind, span)
            zone = ZoneInfo(reports.timezone) if reports.timezone else None
            end = datetime.combine(day + timedelta(days=1), datetime.min.time(), zone)
            known = self._known.get(key)
            waits = known is not None and (known.done or known.tries >= _MOST_TRIES or self._rests(known, now_wall_s))
            if end.timestamp() > self._began_wall_s and not waits:
                yield key, self._run_dir.root / folder / name, day, kind

    def _rests(self, known: _Done, now_wall_s: float) -> bool:
        return abs(now_wall_s - datetime.fromisoformat(known.at_utc).timestamp()) < _AGAIN_AFTER_S

    def _start(self, file: Path, day: date, kind: Kind) -> subprocess.Popen[bytes]:
        week = ["--week"] if kind == "weekly" else []
        process = subprocess.Popen(  # noqa: S603  (this program itself)
            [sys.executable, "-m", "harness", "digest", str(self._run_dir.root), "--day", day.isoformat(), *week,
             "--out", str(file), "--post", "--config-on-stdin"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(msgspec.json.encode(self._config))
        return process

    def _note(self, key: str, *, done: bool, tried: bool, now_wall_s: float, file: Path | None = None) -> None:
        before = self._known.pop(key, None)
        self._known[key] = _Done(
            file=str(file) if file is not None else before.file if before else "",
            at_utc=utc_text(now_wall_s),
            tries=(before.tries if before else 0) + tried,
            done=done,
        )
        while len(self._known) > _MOST_KEPT:
            del self._known[next(iter(self._known))]
        with suppress(OSError):
            write_whole(self._run_dir.reports, msgspec.json.encode(_ReportFile(reports=self._known)))


def _read(path: Path) -> dict[str, _Done]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_ReportFile).reports
    except (OSError, *UNREADABLE):
        return {}
