"""The dashboard's pages in a real browser: what they do, whether their numbers are the summary's, who can use them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dashboards import LOOKS, Served, browser, faults, needs_chromium, patient, served, visit
from planted_runs import HOSTILE, broken_runs, hostile_run, planted_run

from analysis.deciding.burdens import normalised
from analysis.deciding.quotes import number_at
from analysis.ranking import rank
from analysis.summary import Summary
from analysis.wording import metric_value, statistic
from benchmarks.synthetic_history import Planned, write_runs

__all__ = ["browser"]  # a fixture
pytestmark = [needs_chromium, patient]
FOCUS = """(() => {
  const here = document.activeElement;
  if (here === document.body) return ["", ""];
  return [here.innerText.trim() || here.id, getComputedStyle(here).outlineStyle];
})()"""
RUN = "chat/20260301T090000Z-a1b2"
PAGES = {
    "leaderboard": "?run={run}",
    "matrix": "matrix?run={run}",
    "run": "run?run={run}",
    "history": "history?plan=followed",
}


@dataclass(frozen=True)
class Shown:
    """A dashboard, and the run that it shows."""

    served: Served
    summary: Summary
    document: Any


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    root = tmp_path_factory.mktemp("runs")
    run_dir, summary = planted_run(root)
    hostile_run(root, run_dir)
    broken_runs(root)
    for _ in write_runs(root, Planned("followed", 60, targets=2, step=1.3, step_at=40), 3):
        pass
    with served(root) as found:
        yield Shown(found, summary, json.loads(run_dir.summary.read_bytes()))


def _order(page: Any) -> list[str]:
    return [str(each) for each in page.eval_on_selector_all(".place", "all => all.map(each => each.dataset.target)")]


def test_a_slider_moves_the_ranking_to_the_one_of_its_weights(shown: Shown, browser: Any) -> None:
    with visit(browser, shown.served.url) as seen:
        seen.go(f"?run={RUN}")
        assert _order(seen.page) == ["frugal", "swift", "steady"]
        seen.page.focus("#leaderboard-cost")
        seen.page.keyboard.press("Home")
        seen.wait("document.querySelector('.place')?.dataset.target === 'swift'")
        weights = normalised({"latency": 1, "throughput": 1, "reliability": 1})
        (expected,) = rank([shown.summary], weights, stage=1)
        assert _order(seen.page) == [place.target for place in expected.places]
        totals = seen.page.eval_on_selector_all(".score", "all => all.map(each => Number(each.dataset.value))")
        assert totals == pytest.approx([place.total.value for place in expected.places], rel=1e-12)
        seen.wait("document.getElementById('leaderboard-cost-share').innerText === '0 %'")
        seen.page.get_by_role("button", name="equal").click()
        seen.wait("document.querySelector('.place')?.dataset.target === 'frugal'")


def test_a_number_of_the_matrix_opens_what_it_is_against_the_others(shown: Shown, browser: Any) -> None:
    with visit(browser, shown.served.url) as seen:
        seen.go(f"matrix?run={RUN}&load=1 talk")
        results = {each.target: each for each in shown.summary.results if each.stage == 1}
        for target, result in results.items():
            cell = seen.page.locator(f".cell[data-metric='ttft_s.p50'][data-target='{target}']")
            assert result.ttft_s is not None and float(cell.get_attribute("data-value")) == result.ttft_s.p50
            assert metric_value("ttft_s.p50", result.ttft_s.p50) in cell.inner_text()
        seen.page.locator(".cell[data-metric='ttft_s.p50'][data-target='frugal']").press("Enter")
        seen.drawn("#matrix-drill")
        text = seen.page.inner_text("#matrix-drill")
        assert "frugal: TTFT p50" in text and "swift beats frugal in TTFT p50" in text
        verdicts = seen.page.eval_on_selector_all(
            "#matrix-drill tbody tr", "rows => rows.map(row => [row.cells[0].innerText, row.cells[1].innerText])"
        )
        told = {
            (each.a, each.b): each.verdict
            for each in shown.summary.comparisons
            if (each.stage, each.metric) == (1, "ttft_s.p50")
        }
        swapped = {"better": "worse", "worse": "better"}
        for other, verdict in verdicts:
            whole = told.get(("frugal", other))
            assert verdict == (whole or swapped.get(told[other, "frugal"], told[other, "frugal"]))
        assert {other for other, _ in verdicts} == {"swift", "steady"}


def test_every_number_of_the_run_page_is_that_of_its_summary(shown: Shown, browser: Any) -> None:
    with visit(browser, shown.served.url) as seen:
        seen.go(f"run?run={RUN}")
        seen.drawn("#run-distributions")
        numbers = seen.page.eval_on_selector_all(
            "[data-path]", "all => all.map(each => [each.dataset.path, JSON.parse(each.dataset.value), each.innerText])"
        )
        assert len(numbers) > 90
        assert all(number_at(shown.document, path) == value for path, value, _ in numbers)
        texts = {path: text for path, _, text in numbers}
        for index, result in enumerate(shown.summary.results):
            assert texts[f"results[{index}].ttft_s.p95"].split("\n")[0] == statistic(result.ttft_s, "p95")
        findings = seen.page.eval_on_selector_all("#run-findings .finding strong", "all => all.map(e => e.innerText)")
        assert findings == [f"{each.severity}: {each.saw}" for each in shown.summary.validity.findings]
        with seen.page.expect_download() as download:
            seen.page.get_by_role("link", name="report.html").click()
        assert download.value.suggested_filename.endswith("report.html")


def test_history_tells_what_changed_and_leads_to_its_run(shown: Shown, browser: Any) -> None:
    with visit(browser, shown.served.url) as seen:
        seen.go("history?plan=followed")
        seen.drawn("#page")
        assert "TTFT p50 became worse by +" in seen.page.inner_text("#page .claims")
        seen.page.get_by_role("link", name="E2E p50").click()
        seen.wait("document.querySelector('.chip.on[href*=\"metric=e2e\"]') !== null")
        seen.drawn("#page")
        opened = seen.page.get_by_role("link", name="Open followed/")
        while not opened.count():  # a chart that is still being drawn takes no clicks
            seen.page.locator(".scatterlayer .trace .points path").nth(-1).click(force=True)
            seen.page.wait_for_timeout(200)
        opened.click()
        seen.page.wait_for_selector("#run-findings")
        seen.wait("document.querySelector('h1').innerText === 'followed'")


@pytest.mark.parametrize("look", LOOKS)
def test_everybody_can_use_every_page(shown: Shown, browser: Any, look: str) -> None:
    with visit(browser, shown.served.url, look) as seen:
        for name, path in PAGES.items():
            seen.go(path.format(run=RUN))
            if name == "matrix":
                seen.page.locator(".cell").first.click()
                seen.drawn("#matrix-drill")
            elif name != "leaderboard":
                seen.drawn("#run-distributions" if name == "run" else "#page")
            seen.wait("document.title.startsWith(document.querySelector('h1').innerText)")
            assert seen.page.evaluate("document.documentElement.scrollWidth") == LOOKS[look][0][0]
            assert not faults(seen.page), name
            seen.picture(f"{name}-{look}")


def test_the_keyboard_alone_reaches_what_there_is(shown: Shown, browser: Any) -> None:
    with visit(browser, shown.served.url) as seen:
        seen.go(f"?run={RUN}")
        reached = []
        for _ in range(30):
            seen.page.keyboard.press("Tab")
            reached.append(seen.page.evaluate(FOCUS))
        names = [name for name, _ in reached]
        assert names[0] == "Skip to the content"
        assert {"Matrix", "Dark", "leaderboard-latency", "leaderboard-cost", "equal"} <= set(names)
        assert [name for name, outline in reached if outline == "none"] == []
        seen.page.focus("#theme")
        seen.page.keyboard.press("Enter")
        assert seen.page.evaluate("document.documentElement.dataset.theme") == "dark"
        seen.page.get_by_role("link", name="History").press("Enter")
        seen.wait("document.activeElement.innerText === 'History' && document.activeElement.tagName === 'H1'")


def test_a_search_finds_a_run_among_others(shown: Shown, browser: Any) -> None:
    with visit(browser, shown.served.url) as seen:
        seen.go("run?run=followed/20250101T000000Z-0000")
        seen.page.locator(".picker summary").click()
        seen.page.fill("#picker-search", "chat swift valid")
        seen.wait("document.querySelectorAll('.found .entry').length === 1")
        seen.page.locator(".found .entry").click()
        seen.wait("document.querySelector('h1').innerText === 'chat'")


def test_the_link_with_the_token_logs_in_and_the_button_logs_out(browser: Any, tmp_path: Path) -> None:
    with served(tmp_path, "--login") as closed, visit(browser, closed.url) as seen:
        seen.page.goto(closed.url)
        seen.page.wait_for_selector("#token")
        assert not faults(seen.page)
        seen.picture("login")
        seen.page.goto("about:blank")
        seen.page.goto(f"{closed.url}login#token={closed.token}")
        seen.page.wait_for_selector("#page h1")
        assert closed.token not in seen.page.url
        seen.page.click("#leave")
        seen.page.wait_for_selector("#token")
        seen.page.fill("#token", "not this one")
        seen.page.click("button")
        seen.page.wait_for_selector("[role=alert]:has-text('not the token')")
        seen.until(lambda: bool(seen.complaints))
        assert all("401" in each for each in seen.complaints)
        seen.complaints.clear()


def test_names_stay_text(shown: Shown, browser: Any) -> None:
    run = "hostile/20260303T090000Z-05ed"
    with visit(browser, shown.served.url) as seen:
        for path in (f"?run={run}", f"matrix?run={run}", f"run?run={run}"):
            seen.go(path)
            if path.startswith("matrix"):
                seen.page.locator(".cell").first.click()
                seen.drawn("#matrix-drill")
            assert HOSTILE in seen.page.inner_text("#page")
            assert seen.page.locator("#page img").count() == 0


def test_what_cannot_be_shown_says_what_to_do(shown: Shown, browser: Any, tmp_path: Path) -> None:
    with visit(browser, shown.served.url) as seen:
        for name, says in (
            ("20260302T090000Z-0001", "has no summary.json"),
            ("20260302T100000Z-0002", "damaged"),
            ("20260302T110000Z-0003", "schema 99"),
        ):
            seen.go(f"run?run=broken/{name}")
            text = seen.page.inner_text("#page .empty")
            assert says in text and "tokenswarm analyze" in text
        seen.go("run?run=../../etc")
        assert "no such run" in seen.page.inner_text("#page .empty")
        seen.go("nowhere")
        assert "No such page" in seen.page.inner_text("#page .empty")
    with served(tmp_path) as nothing, visit(browser, nothing.url) as seen:
        for path in ("", "matrix", "run", "history"):
            seen.go(path)
            assert "tokenswarm run suite:demo" in seen.page.inner_text("#page .empty")
        assert not faults(seen.page)
        seen.picture("no-runs")
