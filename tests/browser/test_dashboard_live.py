"""The dashboard's pages of what goes on, in a real browser: a run started and followed, alerts, what if."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboards import LOOKS, PATIENCE_MS, Served, browser, faults, needs_chromium, patient, served, visit
from planted_runs import HOSTILE, hostile_run, planted_run

from analysis.deciding.use_cases import shipped
from analysis.recommendation import recommend
from analysis.samples import load_samples
from analysis.summary import Summary
from harness.alerting.alert_log import append_events, keep_states, read_actions
from harness.alerts import step
from harness.records.alert_record import Reading, Rule
from harness.records.monitor_record import read_picture
from harness.rundir import RunDir

__all__ = ["browser"]  # a fixture
pytestmark = [needs_chromium, patient]
RUN = "chat/20260301T090000Z-a1b2"
ALERTS = (
    Rule(name="errors", metric="error_ratio", above=0.05, for_s=0, severity="critical", summary="{target} fails"),
    Rule(name="slow", metric="ttft.p95", above=1.0, for_s=600),
)
ATTEMPTED = """all => all.filter(row => row.querySelector("[data-window='10m']")).map(row =>
  [row.cells[0].innerText, Number(row.querySelector("[data-figure=attempted]").dataset.value)])"""
PLAN: dict[str, Any] = {
    "name": "followed",
    "repeats": 1,
    "warmup_s": 0.5,
    "targets": [
        {"name": name, "dialect": "openai-chat", "base_url": f"sim://{name}", "model": "m", "price": {"input": 1}}
        for name in ("steady-sim", "flaky-sim")
    ],
    "workload": {"name": "chat", "input_tokens": 50, "output_tokens": 10},
    "stages": [{"concurrency": 2, "duration_s": 120}],  # it is stopped when it was seen
    "slo": {"ttft_s": 0.5},
    "simulator": {
        "providers": {
            "steady-sim": {"dialects": ["openai-chat"], "ttft": 0.08},
            "flaky-sim": {
                "dialects": ["openai-chat"],
                "ttft": 0.08,
                "faults": [{"kind": "truncate", "probability": 0.4}],
            },
        }
    },
}


@dataclass(frozen=True)
class Shown:
    """A dashboard that asks for a token, and the folder that it shows."""

    served: Served
    root: Path
    summary: Summary


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    root = tmp_path_factory.mktemp("runs")
    run_dir, summary = planted_run(root)
    hostile_run(root, run_dir)
    now_s = time.time()
    values = {"error_ratio@1m": 0.5, "ttft.p95@1m": 3.0}
    readings = [Reading(wall_s=now_s, target=name, workload="talk", values=values) for name in ("swift", HOSTILE)]
    states, events = step(ALERTS, {}, readings, [], now_s)
    append_events(run_dir.alerts, events)
    keep_states(run_dir, states)
    with served(root, "--login") as found:
        yield Shown(found, root, summary)


def _log_in(seen: Any, found: Served) -> None:
    seen.page.goto(f"{found.url}login#token={found.token}")
    seen.page.wait_for_selector("#page h1")


def test_a_custom_plan_is_checked_started_followed_and_reported(shown: Shown, browser: Any) -> None:
    with visit(browser, shown.served.url) as seen:
        _log_in(seen, shown.served)
        seen.go("new?from=yaml")
        page = seen.page
        page.fill("#new-text", yaml.safe_dump(PLAN | {"repeats": "often"}))
        page.click("#new-check-text")
        page.wait_for_selector("#new-refused:has-text('repeats')")
        assert page.is_disabled("#new-start")
        page.fill("#new-text", yaml.safe_dump(PLAN))
        page.click("#new-check-text")
        page.wait_for_selector("#new-estimate:has-text('Requests')")
        page.click("#new-start")
        page.get_by_role("link", name="Follow live").click()
        page.wait_for_selector("#live-windows [data-figure=attempted]")
        seen.drawn("#live-ttft")
        seen.picture("live-running")
        seen.go("new")
        page.get_by_role("button", name="Stop", exact=True).click()
        page.wait_for_selector("#new-jobs:has-text('interrupted')")
        page.get_by_role("link", name="Numbers").wait_for()
        (name,) = (f"followed/{each.name}" for each in (shown.root / "followed").iterdir())
        seen.go(f"live?run={name}")
        page.wait_for_selector(f"#live-list tr:has-text('{name}') >> text=report")
        _is_the_monitors(page, RunDir(shown.root / name))
        page.click(f"#live-list tr:has-text('{name}') >> text=numbers")
        page.wait_for_selector("#page h1:has-text('followed')")
        with page.expect_download() as download:
            page.evaluate(f"location.assign('{shown.served.url}download/{name}/report.html')")
        assert download.value.path().read_bytes() == RunDir(shown.root / name).report.read_bytes()


def _is_the_monitors(page: Any, run_dir: RunDir) -> None:
    """The page shows the monitor's last picture, and that counts every sample."""
    samples = len(load_samples(run_dir).table)
    end = time.monotonic() + PATIENCE_MS / 1000
    while True:
        picture = read_picture(run_dir.monitor)
        assert picture is not None and time.monotonic() < end
        expected = {cell.target: cell.windows["10m"].attempted for cell in picture.cells}
        shown = dict(page.eval_on_selector_all("#live-windows tbody tr", ATTEMPTED))
        if shown == expected and sum(shown.values()) == samples:
            return
        page.wait_for_timeout(200)


def test_an_alert_is_acknowledged_silenced_and_heard_again(shown: Shown, browser: Any) -> None:
    actions = RunDir(shown.root / RUN).alert_actions
    with visit(browser, shown.served.url) as seen:
        _log_in(seen, shown.served)
        seen.go(f"alerts?run={RUN}")
        page = seen.page
        firing = page.locator("section:has(h2:has-text('Firing: 2'))")
        assert firing.locator("tbody tr").count() == 2
        assert HOSTILE in firing.inner_text(), "the name of a target stays text"
        page.fill("#alerts-comment", "on it")
        row = firing.locator("tr:has-text('swift')")
        row.get_by_role("button", name="Acknowledge").click()
        page.wait_for_selector("#alerts-said:has-text('Acknowledged: errors')")
        page.fill("#alerts-hours", "8")
        row.get_by_role("button", name="Silence the rule").click()
        page.wait_for_selector("#alerts-said:has-text('Every alert of the rule errors')")
        page.get_by_role("button", name="End the silence of errors").click()
        page.wait_for_selector("#alerts-said:has-text('The silence is over')")
        page.wait_for_selector("h2:has-text('Silences')", state="detached")
        seen.picture("alerts")
    done = read_actions(actions)
    assert [(each.kind, each.rule, each.comment) for each in done] == [
        ("acknowledge", None, "on it"),
        ("silence", "errors", "on it"),
        ("unsilence", "errors", "on it"),
    ]
    assert done[0].id is not None and done[0].id.startswith("errors/swift/talk/")


def test_what_if_gives_the_recommendation_for_what_is_supposed(shown: Shown, browser: Any) -> None:
    usual = recommend([shown.summary], shipped()["real_time_chat"], workload="talk", stage=1)
    with visit(browser, shown.served.url) as seen:
        _log_in(seen, shown.served)
        seen.go(f"what-if?run={RUN}&use=real_time_chat&load=1:talk")
        page = seen.page
        assert page.get_attribute("#what-if-says [data-primary]", "data-primary") == usual.primary
        assert usual.says in page.inner_text("#what-if-says")
        expected = [each.says for each in usual.sensitivity] + [each.says for each in usual.reasons]
        assert expected and all(says in page.inner_text("#what-if-answer") for says in expected)
        for name in ("latency", "throughput", "reliability", "quality"):
            page.focus(f"#what-if-{name}")
            page.keyboard.press("Home")
        page.focus("#what-if-cost")
        page.keyboard.press("End")
        seen.wait("document.querySelector('#what-if-says [data-primary]')?.dataset.primary === 'frugal'")
        page.get_by_label("frugal", exact=True).fill("90")
        seen.wait("!['', 'frugal'].includes(document.querySelector('#what-if-says [data-primary]')?.dataset.primary)")
        page.fill("#what-if-limits", "ttft_s.p95 < 0.0001")
        seen.wait("document.querySelector('#what-if-says [data-primary]')?.dataset.answer === 'none qualifies'")
        page.fill("#what-if-limits", "ttft_s.p95 is nice")
        page.wait_for_selector("#what-if-says:has-text('is nice')")
        seen.picture("what-if-refused")


def test_without_a_login_no_run_can_be_started(tmp_path: Path, browser: Any) -> None:
    with served(tmp_path) as found, visit(browser, found.url) as seen:
        seen.go("new")
        assert "--login" in seen.page.inner_text("#page")
        assert not seen.page.query_selector("#new-start")
        answers = seen.page.evaluate(
            """(async () => (await (await fetch("_dash-dependencies")).json()).map(each => each.output).join(" "))()"""
        )
        assert "alerts-said" in answers and "new-started" not in answers
        seen.go("live")
        seen.picture("live-empty")
        seen.go("alerts")
        seen.picture("alerts-empty")


@pytest.mark.parametrize("look", LOOKS)
def test_anybody_can_use_the_pages(look: str, shown: Shown, browser: Any) -> None:
    found: list[str] = []
    with visit(browser, shown.served.url, look) as seen:
        _log_in(seen, shown.served)
        for path in ("live", f"alerts?run={RUN}", f"what-if?run={RUN}", "new", "new?from=latency"):
            seen.go(path)
            found += [f"{path}: {fault}" for fault in faults(seen.page)]
            assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            seen.picture(f"{path.partition('?')[0]}-{look}")
    assert not found


def test_a_hostile_summary_stays_text(shown: Shown, browser: Any) -> None:
    with visit(browser, shown.served.url) as seen:
        _log_in(seen, shown.served)
        seen.go("what-if?run=hostile/20260303T090000Z-05ed")
        assert HOSTILE in seen.page.inner_text("#page")
        assert not seen.page.query_selector("#page img")


def test_a_run_that_nobody_watched_says_so_and_draws_nothing(shown: Shown, browser: Any) -> None:
    with visit(browser, shown.served.url) as seen:
        _log_in(seen, shown.served)
        seen.go("live?run=hostile/20260303T090000Z-05ed")
        assert "no monitor watched it" in seen.page.inner_text("#page")
        assert not seen.page.query_selector("#live-ttft")
        seen.page.get_by_role("link", name="Its numbers").click()
        seen.page.wait_for_selector("#run-findings")
