"""How soon the dashboard's pages are there with 1,000 runs, and how soon a slider answers, as Chromium sees it.

A page is there when its numbers are, a chart when it is drawn; each time in a new window, with no cache; the chart once
more in a window that has been there. The slider's time is from its event to the new board in the page. On a busy
machine all of it takes longer than it has to: beside it stands the CPU time of the page's main thread, which is most of
it, and is the same on any day. `python -m benchmarks.dashboard_speed`.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.synthetic_history import Planned, write_runs

PLANS = (
    Planned("chat", 600, targets=3, step=1.1, step_at=400),
    Planned("throughput", 250, loads=(2, 8)),
    Planned("embedding", 150, targets=2),
)
PAGES = {
    "leaderboard": ("", ".place"),
    "matrix": ("matrix", ".cell"),
    "run": ("run", "#run-latency table"),
    "history": ("history", "#page td"),
    "history's chart": ("history", ".js-plotly-plot .scatterlayer"),
}
_OPEN_S, _SLIDER_S = 2.0, 0.3
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_FLAGS += ["--disable-component-update", "--disable-sync"]
_ERR = Console(stderr=True)
_MOVE = """to => new Promise(done => {
  const slider = document.getElementById("leaderboard-cost");
  const board = document.getElementById("leaderboard-board");
  const began = performance.now();
  new MutationObserver((_, watch) => {
    watch.disconnect();
    requestAnimationFrame(() => done((performance.now() - began) / 1000));
  }).observe(board, {childList: true, subtree: true, characterData: true});
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(slider, to);
  slider.dispatchEvent(new Event("input", {bubbles: true}));
  slider.dispatchEvent(new Event("change", {bubbles: true}));
})"""


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """Where the dashboard of a folder answers, for as long as the block lasts."""
    command = [sys.executable, "-m", "harness", "dashboard", str(root), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        yield process.stdout.readline().strip().removeprefix("ready ")
        process.terminate()


@contextmanager
def window(browser: Any) -> Iterator[tuple[Any, Callable[[], float]]]:
    """A page, and how long its main thread was busy so far, in seconds of CPU."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    protocol = context.new_cdp_session(page)
    protocol.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy_s() -> float:
        found = protocol.send("Performance.getMetrics")["metrics"]
        return next(float(each["value"]) for each in found if each["name"] == "TaskDuration")

    yield page, busy_s
    context.close()


def opened_s(browser: Any, url: str, selector: str) -> tuple[float, float]:
    """From the request for a page until what is named is there; and the CPU of that."""
    with window(browser) as (page, busy_s):
        began = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.wait_for_selector(selector, timeout=60_000)
        return time.perf_counter() - began, busy_s()


def reopened_s(browser: Any, url: str, selector: str, rounds: int) -> list[tuple[float, float]]:
    """The same in a browser that has been there: with the code of libraries in its cache."""
    found = []
    with window(browser) as (page, busy_s):
        for _ in range(rounds + 1):
            began = time.perf_counter()
            page.goto(url, wait_until="commit")
            page.wait_for_selector(selector, timeout=60_000)
            found.append((time.perf_counter() - began, busy_s()))
    return found[1:]


def slid_s(browser: Any, url: str, moves: int) -> list[tuple[float, float]]:
    """The answers of a slider, in seconds; and the CPU of each."""
    found = []
    with window(browser) as (page, busy_s):
        page.goto(url)
        page.wait_for_selector(".place", timeout=60_000)
        for number in range(moves):
            before = busy_s()
            span_s = float(page.evaluate(_MOVE, str(5 * (number % 19))))
            found.append((span_s, busy_s() - before))
    return found


def measured(root: Path, rounds: int, moves: int) -> Iterator[tuple[str, str, bool]]:
    """Promise, what was seen, and whether it was kept."""
    with serving(root) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        for name, (path, selector) in PAGES.items():
            first, _ = opened_s(browser, url + path, selector)
            spans = [opened_s(browser, url + path, selector) for _ in track(range(rounds), name, console=_ERR)]
            yield _row(f"{name} opens in < {_OPEN_S:g} s (first: {first:.2f} s)", spans, _OPEN_S)
        path, selector = PAGES["history's chart"]
        yield _row(
            f"history's chart opens again in < {_OPEN_S:g} s",
            reopened_s(browser, url + path, selector, rounds),
            _OPEN_S,
        )
        yield _row(f"a slider answers in < {_SLIDER_S * 1000:g} ms", slid_s(browser, url, moves), _SLIDER_S)
        browser.close()


def _row(promise: str, found: list[tuple[float, float]], limit_s: float) -> tuple[str, str, bool]:
    spans, busy = zip(*found, strict=True)
    p95 = statistics.quantiles(spans, n=20, method="inclusive")[-1]
    said = f"median {statistics.median(spans):.3f} s, p95 {p95:.3f} s; CPU {statistics.median(busy):.3f} s"
    return promise, said, p95 < limit_s


@click.command(help="Try what is promised of the dashboard. Example: python -m benchmarks.dashboard_speed --rounds 10")
@click.option("--rounds", type=click.IntRange(2), default=10, show_default=True)
@click.option("--moves", type=click.IntRange(2), default=60, show_default=True)
def main(*, rounds: int, moves: int) -> None:  # noqa: D103
    table = Table("promise", "seen", "kept", title="What is promised of the dashboard, with 1,000 runs")
    whole = True
    with tempfile.TemporaryDirectory(prefix="tokenswarm-dashboard-") as folder:
        for number, plan in enumerate(PLANS):
            for _ in write_runs(Path(folder), plan, number):
                pass
        for promise, seen, kept in measured(Path(folder), rounds, moves):
            table.add_row(promise, seen, "yes" if kept else "[bold]no[/bold]")
            whole &= kept
    Console(width=120).print(table)
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
