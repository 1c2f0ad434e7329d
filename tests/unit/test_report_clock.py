"""Reports by the clock: written by the real program once a day is over, posted, and never made again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hook_receiver import LONG_S, Receiver, receiving

from harness.alerting.report_clock import ReportClock, last_over
from harness.records.alert_record import utc_text
from harness.records.monitor_record import Minute, Window, encode_minute
from harness.rules.alert_file import read_alerts
from harness.rundir import RunDir


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def _write_history(run_dir: RunDir, at_s: float) -> None:
    window = Window(
        window_s=60, since_s=60, attempted=4, outcomes={"ok": 4}, errors={}, completed_rps=None, goodput_rps=None,
        output_tokens_per_s=None, error_ratio=None, throttled_ratio=None, ttft_s=None, itl_s=None, tpot_s=None,
        e2e_s=None,
    )  # fmt: skip
    minute = Minute(at_utc=utc_text(at_s), target="acme", workload="chat", window=window)
    run_dir.history.write_bytes(encode_minute(minute))


def _look_until_done(clock: ReportClock, run_dir: RunDir, now_s: float) -> dict[str, object]:
    until_s = time.monotonic() + 3 * LONG_S  # a process that loads all of the analysis
    while True:
        clock._next_s = 0.0  # do not wait for the next look
        clock.look(now_s)
        found = json.loads(run_dir.reports.read_bytes())["reports"] if run_dir.reports.exists() else {}
        if found and all(each["done"] for each in found.values()):
            return dict(found)
        assert time.monotonic() < until_s, found
        time.sleep(0.05)


@pytest.mark.timeout(300)
def test_yesterday_is_reported_once_and_the_webhook_told(tmp_path: Path, receiver: Receiver) -> None:
    run_dir = RunDir(tmp_path)
    now_s = time.time()
    yesterday = datetime.fromtimestamp(now_s, UTC).date() - timedelta(days=1)
    _write_history(run_dir, datetime.combine(yesterday, datetime.min.time(), UTC).timestamp() + 3600)
    hook = {"kind": "webhook", "name": "hook", "url": receiver.url, "attach_reports": True}
    reports = {"daily": "reports", "timezone": "UTC", "webhooks": ["hook"]}
    config = read_alerts({"sinks": [hook], "reports": reports})
    receiver.script = [200]
    found = _look_until_done(ReportClock(run_dir, config, now_s - 2 * 86_400), run_dir, now_s)
    page = tmp_path / "reports" / f"daily-{yesterday}.html"
    assert list(found) == [f"daily/{yesterday}"] and "acme chat" in page.read_text()
    ((headers, body, _),) = receiver.got
    document = json.loads(body)
    assert document["kind"] == "report" and document["html"] == page.read_text()
    assert "acme chat: 100.00% available" in document["text"] and headers["Idempotency-Key"] == document["key"]
    page.unlink()
    again = ReportClock(run_dir, config, now_s - 2 * 86_400)
    again.look(now_s)
    again.close()
    assert not page.exists() and len(receiver.got) == 1


def test_a_watch_that_began_today_has_no_day_to_report(tmp_path: Path) -> None:
    config = read_alerts({"reports": {"daily": "reports", "weekly": "reports", "timezone": "UTC"}})
    clock = ReportClock(RunDir(tmp_path), config, time.time())
    clock.look(time.time())
    clock.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("moment", "timezone", "day", "week"),
    [
        ("2026-11-27T22:59:00+00:00", "Europe/Berlin", "2026-11-26", "2026-W47"),
        ("2026-11-27T23:01:00+00:00", "Europe/Berlin", "2026-11-27", "2026-W47"),
        ("2026-11-29T23:01:00+00:00", "Europe/Berlin", "2026-11-29", "2026-W48"),
        ("2026-11-30T12:00:00+00:00", "UTC", "2026-11-29", "2026-W48"),
    ],
)
def test_the_last_day_and_week_that_are_over(moment: str, timezone: str, day: str, week: str) -> None:
    now_s = datetime.fromisoformat(moment).timestamp()
    assert last_over("daily", now_s, timezone) == (day, date.fromisoformat(day))
    assert last_over("weekly", now_s, timezone)[0] == week
