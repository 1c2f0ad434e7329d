"""Digests: their numbers are those of the samples, their intervals hold, and names stay text."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from runs_on_disk import HOSTILE, S, header, sample, write_journal, write_plan

from analysis.digests.digest import digest_of, render
from analysis.digests.digest_figures import quantile, row_of
from analysis.digests.digest_hours import Hour, hours_of, together
from analysis.digests.digest_record import Digest, before, span_of, today
from analysis.digests.wording_digest import few_words
from analysis.watching.slices import sketch_of
from harness.alerting.alert_log import append_action, append_events
from harness.alerts import States, step
from harness.errors import ErrorKind
from harness.plan import Slo
from harness.plan_file import read_plan
from harness.records.alert_record import AlertAction, AlertConfig, Reading, Rule, Sla, utc_text
from harness.records.monitor_record import Minute, Window, encode_minute
from harness.rundir import RunDir
from harness.sample import Outcome

DAY = date(2026, 11, 27)
T0 = datetime(2026, 11, 27, tzinfo=UTC).timestamp()
H = 3600


def _minute(at_s: float, ok: int, failed: int, values: list[float], target: str = "t") -> Minute:
    counts = {"ok": ok, "failed": failed}
    window = Window(
        window_s=60, since_s=60, attempted=ok + failed, outcomes=counts, errors={"server": failed},
        completed_rps=None, goodput_rps=None, output_tokens_per_s=None, error_ratio=None, throttled_ratio=None,
        ttft_s=None, itl_s=None, tpot_s=None, e2e_s=None,
    )  # fmt: skip
    spreads = {"ttft": sketch_of(np.array(values))}
    return Minute(at_utc=utc_text(at_s), target=target, workload="w", window=window, usd=0.001, spreads=spreads)


def _watch(folder: Path) -> RunDir:
    """An hour of samples kept (one each 10 s, each tenth failed), and minutes of what is no longer kept."""
    run_dir = write_plan(folder, slo={"ttft_s": 0.105, "availability": 0.95})
    failed = {"outcome": Outcome.FAILED, "error": ErrorKind.SERVER_ERROR, "event_ns": (), "first_text_ns": None}
    samples = [sample(k, k * 10 * S, **(failed | {"usage": None} if k % 10 == 0 else {})) for k in range(360)]
    write_journal(run_dir, samples, head=header(wall_ns=round((T0 + 20 * H) * S)))
    lines = [encode_minute(_minute(T0 + 60 * k, 3, 0, [0.2, 0.21, 0.22])) for k in range(1, 61)]
    lines += [encode_minute(_minute(T0 - 60 * k, 4, 0, [0.1] * 4)) for k in range(60)]
    run_dir.history.write_bytes(b"".join(lines) + b'{"torn')
    return run_dir


def _digest(run_dir: RunDir, day: date = DAY, **config: object) -> Digest:
    plan = read_plan(str(run_dir.plan))
    return digest_of(run_dir, plan, AlertConfig(**config), span_of("daily", day, "UTC"), T0 + 30 * H)  # type: ignore[arg-type]


def test_samples_and_minutes_together_make_the_day(tmp_path: Path) -> None:
    (row,) = _digest(_watch(tmp_path)).rows
    assert (row.target, row.workload, row.whole.counted) == ("t", "w", 360 + 180)
    assert [hour.counted for hour in row.hours if hour.counted] == [180, 360]
    assert row.availability == pytest.approx(504 / 540) and dict(row.whole.classes) == {"server": 36}
    assert row.latencies["ttft.p50"] == pytest.approx(0.1, rel=0.011), "324 of 504 took 0.1 s"
    assert row.latencies["ttft.p95"] == pytest.approx(0.22, rel=0.011)
    assert row.latencies["e2e.p50"] == pytest.approx(0.15, rel=0.011)
    assert row.whole.usd == pytest.approx(60 * 0.001 + 324 * (10 * 1 + 5 * 2) / 1e6)
    kept = {each.objective: each for each in row.kept}
    assert kept["availability"].budget_used == pytest.approx((36 / 540) / 0.05)
    assert kept["ttft_s<=0.105"].good == 324 and kept["ttft_s<=0.105"].valid == 504


def test_an_attempt_that_is_in_a_minute_and_in_a_journal_counts_once(tmp_path: Path) -> None:
    run_dir = _watch(tmp_path)
    with run_dir.history.open("ab") as file:  # the first ten minutes of the journal's hour: six attempts each
        lines = [encode_minute(_minute(T0 + 20 * H + 60 * k, 5, 1, [0.1] * 5)) for k in range(1, 11)]
        file.write(b"\n" + b"".join(lines))
    (row,) = _digest(run_dir).rows
    assert row.whole.counted == 360 + 180


def test_a_picture_that_cannot_be_read_is_no_reason_to_have_no_page(tmp_path: Path) -> None:
    run_dir = _watch(tmp_path)
    run_dir.monitor.write_bytes(b'{"schema"')
    assert _digest(run_dir).picture is None


def test_promises_of_a_rule_file_come_before_those_of_the_plan(tmp_path: Path) -> None:
    (row,) = _digest(_watch(tmp_path), sla=Sla(ttft_s=1.0, latency_target=0.9)).rows
    assert [(each.objective, each.promised) for each in row.kept][1] == ("ttft_s<=1.0", 0.9)


def test_the_day_before_is_compared_without_an_interval_where_hours_are_few(tmp_path: Path) -> None:
    (row,) = _digest(_watch(tmp_path)).rows
    change = next(each for each in row.changes if each.metric == "availability")
    assert change.by == pytest.approx(504 / 540 - 1) and change.worse
    assert change.ci95 is None and not change.clear


def test_a_day_without_anything_is_a_page_that_says_so(tmp_path: Path) -> None:
    digest = _digest(_watch(tmp_path), date(2026, 1, 1))
    assert digest.rows == [] and "Nothing was measured." in render(digest)
    assert "Nothing was measured" in few_words(digest)


def _hours(rng: np.random.Generator, level_s: float, failed: float = 0.01, n: int = 24) -> list[Hour]:
    """Hours whose own level moves by 5 %: requests of an hour are alike."""
    found = []
    for _ in range(n):
        mean = math.log(level_s) + rng.normal(0, 0.05)
        bad = int(rng.binomial(60, failed))
        hour = Hour(spreads={"ttft": sketch_of(np.exp(rng.normal(mean, 0.3, 60 - bad)))})
        hour.outcomes.update(ok=60 - bad, failed=bad)
        hour.classes.update(server=bad)
        found.append(hour)
    return found


def test_a_planted_change_is_found_and_none_where_there_is_none() -> None:
    found = {"same": 0, "slower": 0}
    for seed in range(15):
        rng = np.random.default_rng(seed)
        yesterday = _hours(rng, 0.5)
        for name, level_s in (("same", 0.5), ("slower", 0.6)):
            row = row_of(("t", "w"), _hours(rng, level_s), yesterday, Slo(), 0.95)
            change = next(each for each in row.changes if each.metric == "ttft.p50")
            found[name] += change.clear and change.worse is (level_s > 0.5 or change.by > 0)
            assert change.ci95 is not None and change.ci95[0] < change.by < change.ci95[1]
    assert found["slower"] == 15
    assert found["same"] <= 3, "one in twenty by chance"


def test_quantiles_of_the_interval_are_those_of_the_table() -> None:
    hours = _hours(np.random.default_rng(1), 0.5)
    row = row_of(("t", "w"), hours, hours, Slo(), 0.95)
    for change in row.changes:
        if change.metric.startswith("ttft"):
            at = change.metric.partition(".")[2]
            assert change.now == pytest.approx(quantile(together(hours).spreads["ttft"], at)), change.metric
            assert change.by == 0


def _alert(run_dir: RunDir, begin_s: float, lasts_s: float) -> str:
    rule = Rule(name="slow", metric="ttft.p95", above=1.0, for_s=0, resolve_after_s=0, summary=f"{HOSTILE} is slow")
    states: States = {}
    key = ""
    for at_s, value in ((begin_s, 2.0), (begin_s + lasts_s, 0.5)):
        reading = Reading(wall_s=at_s, target=HOSTILE, workload="w", values={"ttft.p95": value})
        states, events = step([rule], states, [reading], [], at_s)
        append_events(run_dir.alerts, events)
        key = events[0].id
    return key


def test_alerts_of_the_day_are_those_that_fired_in_it_or_went_on_from_before(tmp_path: Path) -> None:
    run_dir = _watch(tmp_path)
    _alert(run_dir, T0 - 2 * H, H)  # over before
    _alert(run_dir, T0 - H / 2, H)
    key = _alert(run_dir, T0 + 23 * H, 2 * H)  # goes on into the next day
    _alert(run_dir, T0 + 25 * H, H)  # later
    said = AlertAction(at_utc=utc_text(T0), by="<b>ann</b>", kind="acknowledge", id=key)
    append_action(run_dir.alert_actions, said)
    digest = _digest(run_dir)
    assert [(each.state, each.lasted_s) for each in digest.alerts] == [("resolved", H), ("firing", H)]
    page = render(digest)
    assert "<script" not in page and "<b>ann" not in page and "&lt;b&gt;ann&lt;/b&gt;" in page and "goes on" in page
    assert "2 alerts" in few_words(digest)


def test_a_page_of_hostile_names_holds_no_script(tmp_path: Path) -> None:
    run_dir = _watch(tmp_path)
    with run_dir.history.open("ab") as file:
        file.write(b"\n" + encode_minute(_minute(T0 + 5 * H, 3, 1, [0.1] * 3, f'"><img src=x>{HOSTILE}')))
    page = render(_digest(run_dir))
    assert "<script" not in page and "<img" not in page and "&lt;img" in page
    assert "http:" not in page and "https:" not in page, "nothing is fetched"


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 10, 25), 25), (date(2026, 3, 29), 23), (date(2026, 11, 27), 24)]
)
def test_a_day_on_which_clocks_change_has_its_true_length(day: date, hours: int) -> None:
    span = span_of("daily", day, "Europe/Berlin")
    assert span.end_s - span.begin_s == hours * H


def test_weeks_begin_on_monday_and_have_iso_names() -> None:
    span = span_of("weekly", date(2027, 1, 1), "UTC")
    assert (span.name, span.first, span.last) == ("2026-W53", date(2026, 12, 28), date(2027, 1, 3))
    assert before(span).name == "2026-W52" and before(span).end_s == span.begin_s
    assert today(T0 - 1, "Europe/Berlin") == DAY and today(T0 - 1, "UTC") == date(2026, 11, 26)


def test_a_folder_without_journals_has_no_hours(tmp_path: Path) -> None:
    assert hours_of(RunDir(tmp_path), None, T0, T0 + 24 * H) == {}
