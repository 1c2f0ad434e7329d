"""The dashboard's pages of what goes on, in a real browser: a run started and followed, alerts, what if, Locust's UI."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboards import LOOKS, PATIENCE_MS, Served, browser, faults, needs_chromium, served, visit
from planted_runs import HOSTILE, hostile_run, planted_run

from analysis.recommendation import recommend
from analysis.summary import Summary
from analysis.use_cases import shipped
from harness.alert_log import append_events, keep_states, read_actions
from harness.alert_record import Reading, Rule
from harness.alerts import step
from analysis.samples import load_samples
from harness.monitor_record import read_picture
from harness.rundir import RunDir

__all__ = ["browser"]  # a fixture
pytestmark = needs_chromium
RUN = "chat/20260301T090000Z-a1b2"
ALERTS = (
    Rule(name="errors", metric="error_ratio", above=0.05, for_s=0, severity="critical", summary="{target} fails"),
    Rule(name="slow", metric="ttft.p95", above=1.0, for_s=600),
)
PLAN: dict[str, Any] = {
    "name": "followed",
    "repeats": 1,
    "warmup_s": 0.5,
    "targets": [
        {"name": name, "dialect": "openai-chat", "base_url": f"sim://{name}", "model": "m", "price": {"input": 1}}
        for name in ("steady-sim", "flaky-sim")
    ],
    "workload": {"name": "chat", "input_tokens": 50, "output_tokens": 10},
    "stages": [{"concurrency": 2, "duration_s": 5}],
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
    hostile_run(root)
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
    seen.page.wait_for_selector("#page h1", timeout=PATIENCE_MS)


def test_a_custom_plan_is_checked_started_followed_and_reported(shown: Shown, browser: Any) -> None:
    with visit(browser, shown.served.url) as seen:
        _log_in(seen, shown.served)
        seen.go("new?from=yaml")
        page = seen.page
        page.fill("#new-text", yaml.safe_dump(PLAN | {"repeats": "often"}))
        page.click("#new-check-text")
        page.wait_for_selector("#new-refused:has-text('repeats')", timeout=PATIENCE_MS)
        assert page.is_disabled("#new-start")
        page.fill("#new-text", yaml.safe_dump(PLAN))
        page.click("#new-check-text")
        page.wait_for_selector("#new-estimate:has-text('Requests')", timeout=PATIENCE_MS)
        page.click("#new-start")
        page.get_by_role("link", name="Follow live").click(timeout=PATIENCE_MS)
        page.wait_for_selector("#live-windows [data-figure=attempted]", timeout=PATIENCE_MS)
        seen.drawn("#live-ttft")
        seen.picture("live-running")
        (name,) = (f"followed/{each.name}" for each in (shown.root / "followed").iterdir())
        page.wait_for_selector(f"#live-list tr:has-text('{name}') >> text=report", timeout=PATIENCE_MS)
        _is_the_monitors(page, RunDir(shown.root / name))
        page.click(f"#live-list tr:has-text('{name}') >> text=numbers")
        page.wait_for_selector("#page h1:has-text('followed')", timeout=PATIENCE_MS)
        with page.expect_download(timeout=PATIENCE_MS) as download:
            page.evaluate(f"location.assign('{shown.served.url}download/{name}/report.html')")
        assert download.value.path().read_bytes() == RunDir(shown.root / name).report.read_bytes()


def _is_the_monitors(page: Any, run_dir: RunDir) -> None:
    """The page shows the monitor's last picture, and that counts every sample."""
    page.click("text=10m")
    samples = len(load_samples(run_dir).table)
    end = time.monotonic() + PATIENCE_MS / 1000
    while True:
        picture = read_picture(run_dir.monitor)
        assert picture is not None and time.monotonic() < end
        expected = {cell.target: cell.windows["10m"].attempted for cell in picture.cells}
        shown = dict(
            page.eval_on_selector_all(
                "#live-windows tbody tr",
                "all => all.map(row => [row.cells[0].innerText, Number(row.querySelector('[data-figure=attempted]').dataset.value)])",
            )
        )
        if shown == expected and sum(shown.values()) == samples:
            return
        page.wait_for_timeout(200)
