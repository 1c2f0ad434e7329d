"""How soon news is on the page: `python -m benchmarks.page_news`.

What a monitor would write is written into a run directory, 20 times at random moments, and it is timed until the page
in Chromium shows it: a new picture on the live page, a firing alert on the alerts page. A monitor looks once a second
itself, which comes on top. And how soon a slider of "what if" is answered.
"""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from analysis.summarise import summarise, write_summary
from harness.alerting.alert_log import append_events, keep_states
from harness.alerts import step
from harness.plan_file import plan_of
from harness.records.alert_record import Reading, Rule, utc_text
from harness.records.monitor_record import Picture, SpendNow, encode_picture
from harness.rundir import RunDir, write_whole
from harness.simulator.config import config_from
from harness.simulator.offline import play_offline

_TRIALS = 20
_RUN = "planted/20260301T090000Z-a1b2"
_RULE = Rule(name="errors", metric="error_ratio", above=0.05, for_s=0)
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]


def _planted(root: Path) -> RunDir:
    """A measured run of two targets."""
    names = ("steady-sim", "swift-sim")
    price = {"input": 1.0, "output": 2.0}
    targets = [
        {"name": each, "dialect": "openai-chat", "base_url": f"sim://{each}", "model": "m", "price": price}
        for each in names
    ]
    providers = {each: {"dialects": ["openai-chat"], "ttft": 0.1 * (place + 1)} for place, each in enumerate(names)}
    document = {"name": "planted", "repeats": 4, "targets": targets, "workload": {"name": "chat"}}
    document |= {"stages": [{"concurrency": 4, "duration_s": 20}]}
    run_dir = RunDir(root / _RUN)
    play_offline(plan_of(document, "planted"), config_from({"providers": providers}), run_dir)
    write_summary(run_dir, summarise(run_dir)[0])
    return run_dir


def _write_picture(run_dir: RunDir, requests: int) -> str:
    """A new picture; what the page shows of it."""
    now_s = time.time()
    picture = Picture(
        run=_RUN,
        at_utc=utc_text(now_s),
        at_wall_s=now_s,
        mode="run",
        state="running",
        plan="planted",
        elapsed_s=1.0,
        planned_s=60.0,
        cells=[],
        findings=[],
        spend=SpendNow(usd=None, requests=requests, tokens=None),
    )
    write_whole(run_dir.monitor, encode_picture(picture))
    return f"{requests:,} requests"


def _raise_alert(run_dir: RunDir, number: int) -> str:
    """An alert that begins to fire; what the page shows of it."""
    now_s, target = time.time(), f"target-{number:03}-fails"
    reading = Reading(wall_s=now_s, target=target, workload="chat", values={"error_ratio@1m": 0.5})
    states, events = step([_RULE], {}, [reading], [], now_s)
    append_events(run_dir.alerts, events)
    keep_states(run_dir, states)
    return target


def _trials(page: Any, write: Callable[[int], str]) -> list[float]:
    """Seconds from the file to the page."""
    took, draw = [], random.Random(7)  # noqa: S311  (moments, not secrets)
    for number in range(_TRIALS):
        page.wait_for_timeout(300 + 1500 * draw.random())
        text = write(101 + number)
        began_s = time.monotonic()
        while text not in page.inner_text("#page"):
            page.wait_for_timeout(10)
        took.append(time.monotonic() - began_s)
    return took


def _sliders(page: Any) -> list[float]:
    """Seconds from a key to the changed answer, as the browser times them."""
    took = []
    for number in range(_TRIALS):
        took.append(
            page.evaluate(
                """(value) => new Promise((done) => {
                  const area = document.getElementById("what-if-cost-share"), began = performance.now();
                  new MutationObserver((_, watch) => { watch.disconnect(); done((performance.now() - began) / 1000); })
                    .observe(area, {childList: true, characterData: true, subtree: true});
                  const slider = document.getElementById("what-if-cost");
                  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(slider, String(value));
                  for (const kind of ["input", "change"]) slider.dispatchEvent(new Event(kind, {bubbles: true}));
                })""",
                5 + 5 * (number % 2) + 40 * ((number // 2) % 2),
            )
        )
        page.wait_for_timeout(300)
    return took


def main() -> None:
    """Measure, and print promise, seen and kept."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run_dir = _planted(Path(folder))
        command = [sys.executable, "-m", "harness", "dashboard", folder, "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
            page = browser.new_page()
            shown_first = (_write_picture(run_dir, 100), _raise_alert(run_dir, 100))
            parts = {
                "a picture is on the live page": (
                    f"live?run={_RUN}",
                    lambda number: _write_picture(run_dir, number),
                    shown_first[0],
                    2.0,
                ),
                "an alert is on its page": (
                    f"alerts?run={_RUN}",
                    lambda number: _raise_alert(run_dir, number),
                    shown_first[1],
                    2.0,
                ),
            }
            found: dict[str, tuple[list[float], float]] = {}
            for name, (path, write, shown, limit_s) in parts.items():
                page.goto(f"{url}{path}")
                page.wait_for_selector(f"#page :text('{shown}')")  # the page is there; what follows is news
                found[name] = (_trials(page, write), limit_s)
            page.goto(f"{url}what-if?run={_RUN}")
            page.wait_for_selector("#what-if-cost")
            page.wait_for_timeout(1500)
            found["a slider of what-if is answered"] = (_sliders(page), 0.3)
            browser.close()
            process.terminate()
    table = Table("how soon", "trials", "p50 s", "p95 s", "max s", "promise", "kept")
    for name, (took, limit_s) in found.items():
        p95 = float(np.quantile(took, 0.95))
        row = (f"{statistics.median(took):.2f}", f"{p95:.2f}", f"{max(took):.2f}", f"p95 < {limit_s:g} s")
        table.add_row(name, str(len(took)), *row, "yes" if p95 < limit_s else "no")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
