"""Limits that all workers keep together, and budgets that no run passes: by the simulator's truth."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import gevent
import pytest
import redis
import yaml
from child_processes import free_port
from conftest import FINISHED, Command

from harness.allowances.allowance import Ask, Purse
from harness.allowances.shared_allowance import SharedLedger
from harness.plan import Limits
from harness.simulator.truth import Truth, read_truth

wants_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="wants a redis-server")


@contextmanager
def redis_server(port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            client = redis.Redis(port=port)
            for _ in range(200):
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    gevent.sleep(0.02)
            client.close()
            yield server
        finally:
            server.kill()


def plan(folder: Path, limits: dict[str, float], repeats: int = 1, **more: Any) -> Path:
    target = {"name": "sim", "dialect": "openai-chat", "base_url": "sim://p", "model": "m", "limits": limits}
    document = {
        "name": "limits",
        "repeats": repeats,
        "warmup_s": 0,
        "targets": [target | {"price": {"input": 1.0, "output": 4.0}}],
        "workload": {"kind": "chat", "input_tokens": 20, "output_tokens": 8},
        "stages": [{"concurrency": 8, "duration_s": 3}],
        "simulator": {"providers": [{"name": "p", "dialects": ["openai-chat"], "ttft": 0.05, "itl": 0.005}]},
    } | more
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def run(command: Command, path: Path, *words: str) -> tuple[Path, list[Truth], dict[str, Any]]:
    done = command("run", path, "--workers", 2, *words)
    assert done.returncode in FINISHED, done.stderr
    run_dir = path.parent / done.stdout.splitlines()[-1]
    truth = sorted(read_truth(run_dir / "truth.jsonl"), key=lambda each: each.received_ns)
    return run_dir, truth, json.loads((run_dir / "summary.json").read_text())


def attempts(summary: dict[str, Any]) -> int:
    """All that were sent, those outside the steady window included."""
    (result,) = summary["results"]
    return int(result["attempted"] + result["warmup_attempts"])


def most_at_once(truth: list[Truth]) -> int:
    changes = sorted([(each.received_ns, 1) for each in truth] + [(each.chunk_ns[-1], -1) for each in truth])
    under_way = most = 0
    for _, change in changes:
        under_way += change
        most = max(most, under_way)
    return most


@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=wants_redis)])
def test_requests_a_minute_and_places_hold_for_all_workers_together(
    tokenswarm: Command,
    tmp_path: Path,
    shared: bool,  # noqa: FBT001
) -> None:
    port = free_port()
    path = plan(tmp_path, {"rpm": 1200, "concurrency": 3})
    if shared:
        with redis_server(port):
            _, truth, _ = run(tokenswarm, path, "--redis", f"redis://127.0.0.1:{port}")
    else:
        _, truth, _ = run(tokenswarm, path)
    span_s = (truth[-1].received_ns - truth[0].received_ns) / 1e9
    assert len(truth) > 20  # without limits there were some 200
    assert len(truth) - 1 <= 1200 / 60 * (span_s + 0.2)
    assert most_at_once(truth) <= 3
    if shared:  # one spacing for both workers
        close = sum(b.received_ns - a.received_ns < 0.03e9 for a, b in pairwise(truth))
        assert close < len(truth) / 4


@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=wants_redis)])
@pytest.mark.parametrize("budget", [{"requests": 100}, {"usd": 0.01}])
def test_a_budget_ends_the_run_before_it_is_passed(
    tokenswarm: Command,
    tmp_path: Path,
    budget: dict[str, float],
    shared: bool,  # noqa: FBT001
) -> None:
    port = free_port()
    stages = [{"concurrency": 4, "duration_s": 2}]
    path = plan(tmp_path, {}, repeats=3, budget=budget, stages=stages)
    if shared:
        with redis_server(port):
            run_dir, truth, summary = run(tokenswarm, path, "--redis", f"redis://127.0.0.1:{port}")
    else:
        run_dir, truth, summary = run(tokenswarm, path)
    assert summary["ended"] == "degraded"
    assert any("budget was used up" in each for each in json.loads((run_dir / "run.json").read_text())["missing"])
    assert attempts(summary) == len(truth)
    if "requests" in budget:
        assert 90 <= len(truth) <= 100
    else:
        assert 0.008 <= summary["results"][0]["cost"]["usd"] <= 0.01


def test_a_budget_that_is_not_reached_changes_nothing(tokenswarm: Command, tmp_path: Path) -> None:
    path = plan(tmp_path, {}, budget={"requests": 5000, "usd": 5}, stages=[{"concurrency": 2, "duration_s": 1}])
    _, truth, summary = run(tokenswarm, path)
    assert summary["ended"] == "complete"
    assert attempts(summary) == len(truth)


def test_what_cannot_be_kept_is_refused(tokenswarm: Command, tmp_path: Path) -> None:
    done = tokenswarm("run", plan(tmp_path, {"concurrency": 1}), "--workers", 2)
    assert done.returncode == 2
    assert "limits.concurrency: 1" in done.stderr
    free = {"name": "sim", "dialect": "openai-chat", "base_url": "sim://p", "model": "m"}
    done = tokenswarm("run", plan(tmp_path, {}, targets=[free], budget={"usd": 1}))
    assert done.returncode == 2
    assert "no price" in done.stderr


@wants_redis
def test_the_shared_ledger_survives_a_redis_that_comes_back_empty_and_one_that_is_gone() -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}"
    ask = Ask("t", 10, 0)
    with redis_server(port) as server:
        limits, purse = {"t": Limits(concurrency=4)}, Purse(10, None)
        a, b = (SharedLedger(url, "run", f"r1-w{k}", (k, 2), limits, purse) for k in range(2))
        assert [a.enter("t") for _ in range(5)] == [True] * 4 + [False]
        assert not b.enter("t")
        a.leave("t")
        assert b.enter("t")
        assert [a.spend(ask) for _ in range(4)] + [b.spend(ask) for _ in range(2)] == [True] * 6
        client = redis.Redis(port=port)
        client.flushall()
        client.close()
        assert [b.spend(ask) for _ in range(5)] == [True] * 4 + [False], "it waited for what the other has spent"
        assert not a.enter("t"), "each worker has said again what it holds"
        server.send_signal(signal.SIGKILL)
        server.wait()
        b.leave("t")
        assert [b.enter("t") for _ in range(3)] == [True, True, False]  # its even part
        waiting = gevent.spawn(a.spend, ask)
        gevent.sleep(0.2)
        assert not waiting.ready()  # nobody knows what the others have spent
        waiting.kill()
    a.close()
    b.close()


@wants_redis
def test_a_redis_that_hangs_holds_up_one_attempt_in_a_while_and_not_each() -> None:
    port = free_port()
    with redis_server(port) as server:
        ledger = SharedLedger(
            f"redis://127.0.0.1:{port}", "run", "r1-w0", (0, 1), {"t": Limits(concurrency=9)}, Purse()
        )
        assert ledger.enter("t")
        ledger.leave("t")
        server.send_signal(signal.SIGSTOP)
        began_s = time.monotonic()
        for _ in range(20):
            assert ledger.enter("t")
            ledger.leave("t")
        took_s = time.monotonic() - began_s
        server.send_signal(signal.SIGCONT)
        ledger.close()
    assert took_s < 20, "of forty questions hardly one waited for its time-out of a second"
