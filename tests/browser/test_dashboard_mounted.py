"""The dashboard inside Locust's web UI: behind its login, with the figures of Locust's own processes, ended with it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import psutil
from conftest import FINISHED
from dashboards import browser, faults, needs_chromium, patient, visit
from test_webui import FIGURES, LOGIN, PLAN, _planned, _samples, _stock, _wait

__all__ = ["browser"]  # a fixture
pytestmark = needs_chromium
ENTER = """
from flask_login import login_user

@events.init.add_listener
def _enter(environment, **_):
    @environment.web_ui.app.route("/enter")
    def enter():
        login_user(Somebody())
        return "<!doctype html><title>in</title><link rel=icon href='data:,'>"
"""


def _beside(folder: Path) -> list[psutil.Process]:
    """The dashboards that serve a folder behind Locust."""
    found = psutil.process_iter(["cmdline"])
    return [each for each in found if {"dashboard.behind", str(folder)} <= set(each.info["cmdline"] or ())]


@patient
def test_a_planned_run_has_the_dashboard_beside_it(tmp_path: Path, browser: Any) -> None:
    plan = PLAN | {"stages": [{"concurrency": 3, "duration_s": 60}]}
    with _planned(tmp_path, plan) as (process, url), visit(browser, url) as seen:
        assert not _beside(tmp_path / "runs"), "it is started when somebody asks for it"
        page = seen.page
        page.goto(f"{url}/tokenswarm")
        page.wait_for_selector("#test td")
        page.get_by_role("link", name="Dashboard").click()
        page.wait_for_selector("nav >> text=Leaderboard")
        page.wait_for_selector("#test [data-figure=attempted]")
        assert not page.query_selector("nav >> text=New run"), "no other run is started beside this one"
        assert not faults(page)
        seen.picture("mounted")
        page.click("nav >> text=Leaderboard")
        page.wait_for_selector("#page h1:has-text('Leaderboard')")
        page.click("nav >> text=Live")
        page.wait_for_selector("#test [data-figure=attempted]")
        assert page.inner_text("#state") == "running"
        assert _beside(tmp_path / "runs")
        foreign = {"Origin": "http://elsewhere.example", "Content-Type": "application/json"}
        assert httpx.post(f"{url}/tokenswarm/_dash-update-component", headers=foreign, json={}).status_code == 403
        assert httpx.post(f"{url}/tokenswarm/_dash-update-component", json={}).status_code == 403
        assert httpx.get(f"{url}/tokenswarm/download/..%2f..%2fplan.yaml/summary.json").status_code == 404
        assert httpx.get(f"{url}/tokenswarm/", headers={"Host": "rebound.example"}).status_code == 421
        page.goto("about:blank")
        assert httpx.post(f"{url}/stop", timeout=20).json()["success"]
        assert process.wait(120) in (130, *FINISHED)
    end = time.monotonic() + 90
    while _beside(tmp_path / "runs"):
        assert time.monotonic() < end, "it ends with the process that started it"
        time.sleep(0.1)


@patient
def test_it_is_behind_the_login_of_locust_and_shows_its_figures(simulator: str, tmp_path: Path, browser: Any) -> None:
    file = tmp_path / "locustfile.py"
    file.write_text(LOGIN + ENTER)
    started = ["-u", "3", "-r", "3", "--autostart", "--output-tokens", "10", "--run-dir", "kept"]
    with _stock(tmp_path, simulator, file, "--web-login", *started) as url, visit(browser, url) as seen:
        page = seen.page
        page.goto(f"{url}/enter")
        page.goto(f"{url}/tokenswarm/")
        page.wait_for_selector("#test [data-figure=attempted]")
        cookies = {each["name"]: each["value"] for each in page.context.cookies()}
        httpx.get(f"{url}/stop", cookies=cookies, timeout=20)
        seen.wait(f"{FIGURES}[0][1]['attempted'] === {_settled(url, cookies, tmp_path)}")
        seen.picture("mounted-stock")


def _settled(url: str, cookies: dict[str, str], folder: Path) -> int:
    """How many attempts there were, when the journals and Locust agree."""
    known = httpx.Client(base_url=url, cookies=cookies, timeout=20)
    with known:

        def counted() -> int:
            lines = known.get("/tokenswarm/live").json()["lines"]
            return sum(int(line["row"]["test"]["attempted"]) for line in lines)

        _wait(lambda: 0 < counted() == len(_samples(folder / "kept")), "the last reports")
        return counted()
