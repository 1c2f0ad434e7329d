"""Metrics through their real readers: a Prometheus that scrapes a run and its monitor, and Locust's web UI."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from child_processes import end
from conftest import BIN, FINISHED, ROOT
from prometheus_client.parser import text_string_to_metric_families

from harness.errors import CLASS_OF, ErrorKind
from harness.live.scraping import TOKEN

PROMETHEUS = shutil.which("prometheus")
PATIENCE_S = 60
PLAN: dict[str, Any] = {
    "name": "scraped",
    "repeats": 2,
    "warmup_s": 0,
    "targets": [
        {
            "name": "flaky",
            "dialect": "openai-chat",
            "base_url": "sim://flaky",
            "model": "m",
            "price": {"input": 1.0, "output": 2.0},
        }
    ],
    "workload": {"name": "chat", "input_tokens": 50, "output_tokens": 10},
    "stages": [{"rate_rps": 20, "duration_s": 2}],  # open: every arrival belongs to the window of summary.json
    "slo": {"ttft_s": 1.0, "availability": 0.9},
    "budget": {"usd": 5},
    "simulator": {
        "providers": {
            "flaky": {
                "dialects": ["openai-chat"],
                "faults": [{"kind": "rate_limit", "probability": 0.2}, {"kind": "truncate", "probability": 0.2}],
            },
        }
    },
}


def wait_for(what: str, found: Callable[[], Any], process: subprocess.Popen[Any] | None = None) -> Any:
    """What a call gives once it gives something. Fails the test where it takes too long, or a process ends first."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        try:
            seen = found()
        except (OSError, httpx.HTTPError):
            seen = None
        if seen:
            return seen
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"{what} did not come")


@contextmanager
def started(
    command: Sequence[object], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process for as long as the block lasts; what it says is in `log`."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*map(str, command)], cwd=log.parent, stdout=said, stderr=said, env={**os.environ, **(env or {})}
        )
    try:
        yield process
    finally:
        end(process, signal.SIGTERM, 40)


def metrics_url(log: Path) -> str | None:
    found = re.search(r"metrics: (http://\S+/metrics)", log.read_text(errors="replace"))
    return found[1] if found else None


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False, timeout=20)


@contextmanager
def prometheus(folder: Path) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """A real Prometheus with the shipped rules, which scrapes what `job_of` tells it: PromQL -> results."""
    shutil.copy(ROOT / "deploy/prometheus/rules.yml", folder)
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {"job_name": job, "file_sd_configs": [{"files": [f"{job}.targets.json"]}]} for job in ("run", "monitor")
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    log = folder / "prometheus.log"
    words = [PROMETHEUS, "--config.file", folder / "prometheus.yml", "--storage.tsdb.path", folder / "tsdb"]
    with started([*words, "--web.listen-address", "127.0.0.1:0"], log) as process:
        address = wait_for("Prometheus", lambda: re.search(r"Listening on\" address=(\S+)", log.read_text()), process)[
            1
        ]
        url = f"http://{address}/api/v1/query"
        wait_for("Prometheus' answer", lambda: get(f"http://{address}/-/ready").status_code == 200, process)

        def ask(query: str) -> list[dict[str, Any]]:
            answer = httpx.get(url, params={"query": query}, trust_env=False, timeout=20).json()
            assert answer["status"] == "success", (query, answer)
            found: list[dict[str, Any]] = answer["data"]["result"]
            return found

        yield ask


def scrape(folder: Path, job: str, url: str) -> None:
    """Have Prometheus scrape this from now on. It is asked once here too, so that it waits at its end for the next."""
    part = folder / f"{job}.part"
    part.write_text(json.dumps([{"targets": [url.split("/")[2]]}]))
    part.rename(folder / f"{job}.targets.json")
    assert get(url).status_code == 200


def by(found: list[dict[str, Any]], *labels: str) -> dict[tuple[str, ...], float]:
    return {tuple(each["metric"][label] for label in labels): float(each["value"][1]) for each in found}


@pytest.mark.skipif(PROMETHEUS is None, reason="wants a prometheus (Debian: prometheus)")
@pytest.mark.timeout(240)
def test_prometheus_sees_the_counts_of_a_run_from_its_launcher_and_from_a_monitor(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    run_log, monitor_log = tmp_path / "run.log", tmp_path / "monitor.log"
    told = ("--metrics-port", 0, "--metrics-linger", PATIENCE_S)
    run_command = [BIN / "tokenswarm", "run", "plan.yaml", *told]
    with prometheus(tmp_path) as ask, started(run_command, run_log) as run:
        scrape(tmp_path, "run", wait_for("the URL of the run's metrics", lambda: metrics_url(run_log), run))
        (run_dir,) = wait_for("the run directory", lambda: list(tmp_path.glob("runs/*/*/")), run)
        with started([BIN / "tokenswarm", "monitor", run_dir, *told], monitor_log) as monitor:
            url = wait_for("the URL of the monitor's metrics", lambda: metrics_url(monitor_log), monitor)
            scrape(tmp_path, "monitor", url)
            assert run.wait(PATIENCE_S * 2) in FINISHED, run_log.read_text()
            assert monitor.wait(PATIENCE_S * 2) == 0, monitor_log.read_text()
            _compare(run_dir, ask)


def _compare(run_dir: Path, ask: Callable[[str], list[dict[str, Any]]]) -> None:
    """What Prometheus holds against summary.json and the journals."""
    summary = json.loads((run_dir / "summary.json").read_text())
    lines = [line for path in (run_dir / "journal").glob("*.jsonl") for line in path.read_text().split("\n")]
    samples = [json.loads(line) for line in lines if line.startswith('{"type":"sample"')]
    attempts = Counter((each["target"], each["outcome"]) for each in samples)
    for job in ("run", "monitor"):
        select = f'job="{job}"'
        last = f"last_over_time(tokenswarm_requests_total{{{select}}}[10m])"
        found = by(ask(f"sum by (target, outcome) ({last})"), "target", "outcome")
        assert {key: n for key, n in found.items() if n} == attempts, job
        assert by(ask(f"sum by (job) (resets(tokenswarm_requests_total{{{select}}}[10m]))"), "job") == {(job,): 0}
        for result in summary["results"]:
            label = f'{select}, target="{result["target"]}", workload="{result["workload"]}"'
            seen = by(ask(f"last_over_time(tokenswarm_requests_total{{{label}}}[10m])"), "outcome")
            assert {name: n for (name,), n in seen.items() if n} == result["outcomes"]
            errors = by(ask(f"last_over_time(tokenswarm_errors_total{{{label}}}[10m])"), "class")
            classes = Counter[str]()
            for kind, n in result["errors"].items():
                classes[CLASS_OF[ErrorKind(kind)]] += n
            assert {name: n for (name,), n in errors.items() if n} == classes
            for name in ("ttft_s", "itl_s", "tpot_s", "e2e_s"):
                metric = f"tokenswarm_{name[:-2]}_seconds"
                n = by(ask(f"last_over_time({metric}_count{{{label}}}[10m])"), "target")
                total = by(ask(f"last_over_time({metric}_sum{{{label}}}[10m])"), "target")
                assert n == {(result["target"],): result[name]["n"]}
                assert total[result["target"],] == pytest.approx(result[name]["mean"] * result[name]["n"], rel=1e-6)
            usd = sum(_usd(each) for each in samples if each["target"] == result["target"])
            spent = by(ask(f"last_over_time(tokenswarm_spend_usd_total{{{label}}}[10m])"), "target")
            assert spent[result["target"],] == pytest.approx(usd)
    verdicts = ("valid", "suspect", "invalid")
    (verdict,) = by(ask('last_over_time(tokenswarm_validity{job="run"}[10m])'), "job").values()
    assert verdicts[int(verdict)] == summary["validity"]["verdict"]
    states = by(ask("last_over_time(tokenswarm_run_state[10m]) == 1"), "job", "state")
    assert set(states) == {("run", "ended"), ("monitor", "ended")}
    assert ask("max_over_time(tokenswarm:requests:rate1m[10m]) > 0"), "the recording rules have recorded"
    for expression in dashboard_expressions():
        ask(expression)


def _usd(sample: dict[str, Any]) -> float:
    usage = sample.get("usage") or {}
    return float(usage.get("input_tokens", 0) * 1.0 + usage.get("output_tokens", 0) * 2.0) / 1e6


def dashboard_expressions() -> list[str]:
    """The PromQL of the dashboard, with its variables as Grafana puts them in for `All`."""
    document = json.loads((ROOT / "deploy/grafana/dashboards/tokenswarm.json").read_text())
    found = [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]
    found += [each["expr"] for each in document["annotations"]["list"] if "expr" in each]
    variables = {"$__rate_interval": "1m", "$run": ".*", "$target": ".*", "$workload": ".*"}
    for name, value in variables.items():
        found = [expression.replace(name, value) for expression in found]
    assert not any("$" in expression for expression in found)
    return found


def series(page: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in text_string_to_metric_families(page)
        for each in family.samples
    }


def requests_in(page: str) -> float:
    return sum(value for (name, _), value in series(page).items() if name == "tokenswarm_requests_total")


def test_counters_of_locusts_web_ui_never_fall_whatever_is_stopped_reset_or_killed(
    tmp_path: Path, simulator: str
) -> None:
    log = tmp_path / "locust.log"
    command = [BIN / "locust", "-f", ROOT / "locustfiles/openai.py", "-H", f"{simulator}/v1", "--processes", 2]
    command += ["--web-host", "127.0.0.1", "--web-port", "0", "--enable-rebalancing"]
    with started([*command, "--output-tokens", 5], log, {"OPENAI_API_KEY": "sim-key", TOKEN: "s3cret"}) as locust:
        port = wait_for("the web UI", lambda: _port_of(locust.pid), locust)
        url = f"http://127.0.0.1:{port}"
        metrics = f"{url}/tokenswarm/metrics"
        assert get(metrics).status_code == 401
        pages: list[str] = []

        def page() -> str:
            answer = get(metrics, Authorization="Bearer s3cret")
            assert answer.status_code == 200
            pages.append(answer.text)
            return answer.text

        def swarm(users: int) -> None:
            answer = httpx.post(
                f"{url}/swarm", data={"user_count": users, "spawn_rate": users}, trust_env=False, timeout=20
            )
            assert answer.json()["success"], answer.text

        wait_for("the workers", lambda: get(f"{url}/stats/requests").json().get("workers", [None, None])[1:], locust)
        swarm(4)
        wait_for("requests", lambda: requests_in(page()) > 10)
        before = requests_in(page())
        get(f"{url}/stats/reset")
        wait_for("more requests", lambda: requests_in(page()) > before + 10)
        get(f"{url}/stop")
        swarm(4)  # a new test
        before = requests_in(page())
        wait_for("more requests", lambda: requests_in(page()) > before + 10)
        victim = max(psutil.Process(locust.pid).children(), key=lambda child: child.pid)
        victim.kill()
        before = requests_in(page())
        wait_for("more requests", lambda: requests_in(page()) > before + 10)
        get(f"{url}/stop")
        first = series(pages[0])
        assert ("tokenswarm_run_info" in {name for name, _ in first}) and b"sim-key" not in pages[-1].encode()
    counters = re.compile(r"_(total|bucket|count|sum)$")
    for earlier, later in zip(map(series, pages), map(series, pages[1:]), strict=False):
        for key, value in earlier.items():
            assert not counters.search(key[0]) or later[key] >= value, key


def _port_of(pid: int) -> int | None:
    """Where a process listens for a browser: not for its workers, which speak another protocol."""
    for connection in psutil.Process(pid).net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.ip == "127.0.0.1":
            port = int(connection.laddr.port)
            if get(f"http://127.0.0.1:{port}/").status_code == 200:
                return port
    return None


def test_metrics_are_refused_where_there_is_nothing_to_tell_or_anybody_could_read(
    tmp_path: Path, tokenswarm: Callable[..., Any]
) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    alone = tokenswarm("run", "plan.yaml", "--master", "--metrics-port", 0)
    assert alone.returncode == 2
    assert "hint: add --redis; or --ui" in alone.stderr
    shown = tokenswarm("monitor", tmp_path, "--metrics-port", 0, "--metrics-host", "0.0.0.0", env={TOKEN: ""})
    assert shown.returncode == 2, shown.stderr
    assert f"hint: set {TOKEN}" in shown.stderr
    assert not list(tmp_path.glob("runs/*"))
