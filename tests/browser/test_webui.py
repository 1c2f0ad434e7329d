"""Locust's own web UI with the tab "LLM": its numbers are the journals', in a real browser and over HTTP."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from child_processes import end, free_port
from conftest import BIN, FINISHED, ROOT
from devtools import Tab, browser, needs_chromium, tab

from harness.rundir import RunDir
from harness.sample import Outcome, Sample, decode

PLAN: dict[str, Any] = {
    "name": "watched",
    "repeats": 1,
    "warmup_s": 0.5,
    "targets": [
        {"name": name, "dialect": "openai-chat", "base_url": f"sim://{name}", "model": "m"}
        for name in ("steady-sim", "flaky-sim")
    ],
    "workload": {"name": "chat", "input_tokens": 50, "output_tokens": 20},
    "stages": [{"concurrency": 4, "duration_s": 6}],
    "slo": {"ttft_s": 0.12},
    "simulator": {
        "providers": {
            "steady-sim": {"dialects": ["openai-chat"], "ttft": {"kind": "lognormal", "median_s": 0.12, "sigma": 0.2}},
            "flaky-sim": {
                "dialects": ["openai-chat"],
                "ttft": {"kind": "lognormal", "median_s": 0.12, "sigma": 0.2},
                "faults": [{"kind": "rate_limit", "probability": 0.3}, {"kind": "truncate", "probability": 0.3}],
            },
        }
    },
}
DESK, PHONE = (1500, 700), (390, 844)
LOGIN = """
from locust import events
from flask_login import UserMixin
from locustfiles.openai import OpenAIUser

class Somebody(UserMixin):
    def get_id(self):
        return "somebody"

@events.init.add_listener
def _login(environment, **_):
    environment.web_ui.app.secret_key = "of a test"
    environment.web_ui.login_manager.user_loader(lambda _: Somebody())
"""
TABLE = """(() => {
  const table = document.querySelector("table");
  if (!table) return [];
  const heads = [...table.querySelectorAll("thead th")].map(cell => cell.textContent);
  const rows = [...table.querySelectorAll("tbody tr")].map(row => [...row.cells].map(cell => cell.textContent));
  return rows.map(row => Object.fromEntries(row.map((text, place) => [heads[place], text])));
})()"""
FIGURES = """[...document.querySelectorAll("#test tbody tr")].map(row => [row.cells[0].textContent,
  Object.fromEntries([...row.querySelectorAll("[data-figure]")].map(
    cell => [cell.dataset.figure, JSON.parse(cell.dataset.value)]))])"""
CLICK = """(() => {
  const found = [...document.querySelectorAll("[role=tab]")].find(each => each.textContent.trim() === "LLM");
  if (found) found.click();
  return Boolean(found);
})()"""


@contextmanager
def _started(folder: Path, command: Sequence[str | Path]) -> Iterator[subprocess.Popen[str]]:
    """A process for as long as the block lasts; what it says on stderr stands in `log.txt`."""
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen([*command], cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield process
    finally:
        end(process, signal.SIGTERM, 40)


@contextmanager
def _serving(
    folder: Path, command: Sequence[str | Path], *arguments: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process with Locust's web UI, and where that answers. Locust does not tell which port it was given, so one is
    chosen, and another where somebody was faster: then the process ends, and whoever answers is not it."""
    for _ in range(5):
        port = str(free_port())
        with _started(folder, [*command, "--web-port", port, *arguments]) as process:
            url = f"http://127.0.0.1:{port}"
            _wait(lambda: process.poll() is not None or _answers(url), "Locust's web UI")  # noqa: B023  (called here)
            if process.poll() is None:
                yield process, url
                return
        said = (folder / "log.txt").read_text()
        assert f":{port}" in said or "in use" in said, said
    raise AssertionError("five ports in turn were taken by others")


@contextmanager
def _planned(folder: Path, plan: dict[str, Any], *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A run with its web UI: the process, and where the UI answers."""
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    with _serving(folder, [BIN / "tokenswarm", "run", "plan.yaml", "--ui"], *arguments) as found:
        yield found


@contextmanager
def _stock(folder: Path, simulator: str, file: Path, *arguments: str) -> Iterator[str]:
    """Where the web UI of a stock `locust` answers that sends to the simulator."""
    options = ["-f", str(file), "-H", f"{simulator}/v1", "--web-host", "127.0.0.1"]
    with _serving(folder, [BIN / "locust", *options], *arguments) as (_, url):
        yield url


def _wait(met: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 90  # on a busy machine Locust takes its time to start
    while not met():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code < 500
    except httpx.TransportError:
        return False


def _live(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{url}/tokenswarm/live", timeout=5).json()
    return found


def _attempted(url: str) -> int:
    return sum(line["row"]["test"]["attempted"] for line in _live(url)["lines"])


def _samples(folder: Path) -> list[Sample]:
    lines = [line for path in folder.glob("journal/*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]
    return [sample for line in lines if line.endswith(b"\n") and isinstance(sample := decode(line), Sample)]


def _run_dir(folder: Path) -> Path:
    (found,) = folder.glob("runs/*/*")
    return found


def _last_of(page: Tab, expression: str, process: subprocess.Popen[str]) -> Any:
    """What an expression was when the process had ended."""
    while process.poll() is None:
        time.sleep(0.2)
    return page.read(expression)


@needs_chromium
def test_the_numbers_in_the_browser_are_those_of_the_journals(tmp_path: Path) -> None:
    with (
        browser(tmp_path) as chromium,
        _planned(tmp_path, PLAN, "--workers", "2") as (process, url),
        tab(chromium, f"{url}/tokenswarm") as live,
        tab(chromium, url) as locust,
    ):
        live.wait("document.getElementById('state').textContent === 'running'")
        locust.go(url)
        locust.wait(f"{CLICK} && {TABLE}.some(row => Number(row.Requests) > 9)")
        untold = {each["Target"]: int(each["Requests"]) for each in locust.read(TABLE)}
        so_far = _samples(_run_dir(tmp_path))
        assert all(0 < n <= sum(each.target == name for each in so_far) for name, n in untold.items())
        locust.picture(tmp_path / "llm.png")
        live.picture(tmp_path / "live.png")
        summary = httpx.get(f"{url}/tokenswarm/summary", timeout=60)
        assert {each["target"] for each in summary.json()["results"]} >= set(untold)
        for shape, dark in ((DESK, True), (PHONE, False)):
            for page, name in ((locust, "llm"), (live, "live")):
                page.shape(*shape, dark=dark)
                page.go(page.read("location.href"))
                page.wait("document.querySelector('table tbody td') !== null")
                page.picture(tmp_path / f"{name}-{shape[0]}-{'dark' if dark else 'light'}.png")
        assert live.read("document.documentElement.scrollWidth <= innerWidth"), (
            "the page itself does not scroll sideways"
        )
        assert not locust.complaints + live.complaints
        shown = dict(_last_of(live, FIGURES, process))
        rows = {each["Target"]: each for each in locust.read(TABLE)}
    assert process.returncode in FINISHED, (tmp_path / "log.txt").read_text()
    samples = {name: [each for each in _samples(_run_dir(tmp_path)) if each.target == name] for name in shown}
    for name, mine in samples.items():
        _compare(shown[name], mine)
    first = min(samples, key=lambda name: min(each.start_ns or 0 for each in samples[name]))
    _compare_row(rows[first], samples[first])  # its cell was over long before the page was read last
    assert {shown["steady-sim"]["errors"].get(name, 0) for name in ("stream", "throttled")} == {0}
    assert min(shown["flaky-sim"]["errors"][name] for name in ("stream", "throttled")) > 0


def _compare(shown: dict[str, Any], samples: list[Sample]) -> None:
    """A row of the live page, whole test."""
    good = [sample for sample in samples if sample.outcome is Outcome.OK]
    assert shown["attempted"] == len(samples) >= len(good) > 10
    assert shown["outcomes"]["ok"] == len(good)
    assert sum(shown["errors"].values()) == len(samples) - len(good)
    assert shown["output_tokens"] == sum((sample.usage and sample.usage.output_tokens) or 0 for sample in samples)
    assert shown["good"] == sum(_ttft_s(sample) <= PLAN["slo"]["ttft_s"] for sample in good) < len(good)
    values = {
        "ttft_s": [_ttft_s(sample) for sample in good],
        "itl_s": [gap / 1e9 for sample in good for gap in np.diff(sample.event_ns).tolist()],
        "e2e_s": [(sample.end_ns - (sample.start_ns or 0)) / 1e9 for sample in good],
    }
    for name, each in values.items():
        figure = shown[f"test.{name}"]
        assert figure["n"] == len(each)
        assert figure["p50"] == pytest.approx(float(np.quantile(each, 0.5)), rel=0.011)
        assert figure["p95"] == (pytest.approx(float(np.quantile(each, 0.95)), rel=0.011) if len(each) >= 20 else None)


def _compare_row(row: dict[str, str], samples: list[Sample]) -> None:
    """A row of Locust's tab, of a target that had no request under way any more."""
    good = [sample for sample in samples if sample.outcome is Outcome.OK]
    assert (row["Requests"], row["In flight"]) == (str(len(samples)), "0")
    assert float(row["TTFT p50 (ms)"]) == pytest.approx(np.median([_ttft_s(each) for each in good]) * 1e3, rel=0.015)
    classes = [each.error_class for each in samples]
    failed = [
        f"{name} \N{MULTIPLICATION SIGN} {classes.count(name)}" for name in sorted({each for each in classes if each})
    ]
    assert row["Failures"].replace("\N{NO-BREAK SPACE}", " ") == (", ".join(failed) or "none")


def _ttft_s(sample: Sample) -> float:
    return (sample.event_ns[0] - (sample.start_ns or 0)) / 1e9


def test_stop_on_the_page_ends_a_run_when_what_is_under_way_has_ended(tmp_path: Path) -> None:
    slow = {"steady-sim": {"dialects": ["openai-chat"], "ttft": 2.0}}
    plan = PLAN | {"targets": PLAN["targets"][:1], "repeats": 2, "simulator": {"providers": slow}}
    plan |= {"stages": [{"concurrency": 3, "duration_s": 30}]}
    with _planned(tmp_path, plan) as (process, url):
        _wait(lambda: any(line["row"]["in_flight"] == 3 for line in _live(url)["lines"]), "requests")
        assert httpx.post(f"{url}/stop", timeout=20).json()["success"]
        assert process.wait(60) == 130
    run_dir = RunDir(_run_dir(tmp_path))
    record = json.loads(run_dir.run_json.read_text())
    assert record["ended"] == "interrupted"
    assert record["missing"] == ["stopped from Locust's web UI in repeat 1: what follows was not sent"]
    samples = _samples(run_dir.root)
    assert 3 <= len(samples) <= 12
    assert {sample.outcome for sample in samples} == {Outcome.OK}


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]])
def test_stock_locust_shows_the_same(processes: list[str], simulator: str, tmp_path: Path) -> None:
    started = ["-u", "4", "-r", "4", "--autostart", "--output-tokens", "20", "--run-dir", "kept", *processes]
    with _stock(tmp_path, simulator, ROOT / "locustfiles" / "openai.py", *started) as url:
        _wait(lambda: _attempted(url) > 20, "requests")
        assert _live(url)["clients"], "the clients tell how they fare"
        table = httpx.get(f"{url}/stats/requests").json()["extended_stats"]
        assert [(each["key"], each["data"][0]["target"]) for each in table] == [("llm", "openai-chat")]
        httpx.post(f"{url}/stop", timeout=20).raise_for_status()
        _wait(lambda: _attempted(url) == len(_samples(tmp_path / "kept")), "the last reports")
        (line,) = _live(url)["lines"]
        assert (line["row"]["in_flight"], line["row"]["test"]["outcomes"]) == (0, {"ok": _attempted(url)})
        assert len(list(tmp_path.glob("kept/journal/*.jsonl"))) == max(1, len(processes))


def test_with_web_login_nothing_is_served_without_a_login(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "locustfile.py"
    file.write_text(LOGIN)
    monkeypatch.setenv("TOKENSWARM_METRICS_TOKEN", "s3cret")
    ours = ["", "/live", "/summary", "/report", "/metrics"]
    ours += ["/", "/now", "/live.js", "/_dash-layout", "/assets/look.css"]
    with _stock(tmp_path, simulator, file, "--web-login") as url:
        for path in ("/", "/stats/requests", *(f"/tokenswarm{path}" for path in ours)):
            answer = httpx.get(url + path)
            assert answer.status_code == 302, path
            assert answer.headers["location"].startswith("/login"), path
            assert "tokenswarm live" not in answer.text
        metrics = f"{url}/tokenswarm/metrics"
        assert httpx.get(metrics, headers={"Authorization": "Bearer wrong"}).status_code == 302
        told = httpx.get(metrics, headers={"Authorization": "Bearer s3cret"})
        assert told.status_code == 200
        assert "tokenswarm_run_info" in told.text


def test_another_port_is_chosen_where_somebody_was_faster(
    tmp_path: Path, simulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [int(taken.getsockname()[1]), free_port()]
        monkeypatch.setattr(f"{__name__}.free_port", lambda: ports.pop(0))
        with _stock(tmp_path, simulator, ROOT / "locustfiles" / "openai.py") as url:
            assert url != f"http://127.0.0.1:{taken.getsockname()[1]}"
            assert httpx.get(url, timeout=30).status_code == 200


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [str(BIN / "tokenswarm"), "run", "plan.yaml", "--ui", "--web-port", port]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"error: --ui: cannot listen: 127.0.0.1:{port}" in done.stderr
    assert not (tmp_path / "runs").exists()
