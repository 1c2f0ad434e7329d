"""`limits.pace`: a run keeps just under what the provider allows, by what that tells or by its refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from child_processes import free_port
from conftest import FINISHED, Command
from test_limits import redis_server

wants_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="wants a redis-server")
DIALECTS = {"openai": "openai-chat", "anthropic": "anthropic-messages", "google": "google-generate"}


def results(command: Command, folder: Path, rpm: dict[str, int], *words: object) -> dict[str, dict[str, Any]]:
    """Each provider asked for 3 s by 6 users. Its bucket is full at first and holds a minute's requests: unpaced, 6
    users empty that of 120 in a second, and then are refused thousands of times."""
    targets = [{"name": name, "dialect": DIALECTS[name], "base_url": f"sim://{name}", "model": "m"} for name in rpm]
    common = {"ttft": 0.03, "itl": 0.0}
    document = {
        "name": "pace",
        "repeats": 1,
        "warmup_s": 0,
        "targets": [target | {"limits": {"pace": True}} for target in targets],
        "workload": {"input_tokens": 8, "output_tokens": 4},
        "stages": [{"concurrency": 6, "duration_s": 3}],
        "simulator": {
            "providers": [
                {"name": name, "dialects": [DIALECTS[name]], "limits": {"rpm": allowed}} | common
                for name, allowed in rpm.items()
            ]
        },
    }
    path = folder / "plan.yaml"
    path.write_text(json.dumps(document))  # which is YAML too
    done = command("run", path, *words)
    assert done.returncode in FINISHED, done.stderr
    summary = json.loads((folder / done.stdout.splitlines()[-1] / "summary.json").read_text())
    found = {result["target"]: result for result in summary["results"]}
    assert all(result["error_classes"].keys() <= {"throttled"} for result in found.values())
    return found


def refusals(result: dict[str, Any]) -> int:
    return int(result["outcomes"].get("throttled", 0))


def test_headers_keep_a_run_from_being_refused_and_refusals_teach_where_there_are_none(
    tokenswarm: Command, tmp_path: Path
) -> None:
    found = results(tokenswarm, tmp_path, {"openai": 60, "anthropic": 60, "google": 120})
    for family in ("openai", "anthropic"):
        assert refusals(found[family]) == 0
        assert found[family]["attempted"] <= 12  # 6 users at once, then one a second
    assert 0 < refusals(found["google"]) < 30
    assert found["google"]["outcomes"]["ok"] >= 100
    assert found["google"]["reliability"]["provider_failures"] == 0


def test_without_redis_each_worker_keeps_to_its_even_part(tokenswarm: Command, tmp_path: Path) -> None:
    found = results(tokenswarm, tmp_path, {"anthropic": 60, "google": 120}, "--workers", 2)
    assert refusals(found["anthropic"]) == 0
    assert found["anthropic"]["attempted"] <= 12
    assert 0 < refusals(found["google"]) < 60
    assert found["google"]["outcomes"]["ok"] >= 100
    for result in found.values():
        assert result["reliability"]["provider_failures"] == 0
        assert result["reliability"]["availability"]["value"] == 1.0


@wants_redis
def test_workers_learn_together_through_redis(tokenswarm: Command, tmp_path: Path) -> None:
    port = free_port()
    with redis_server(port):
        words = ("--workers", 2, "--redis", f"redis://127.0.0.1:{port}")
        found = results(tokenswarm, tmp_path, {"openai": 60, "google": 120}, *words)
    assert refusals(found["openai"]) == 0
    assert found["openai"]["attempted"] <= 12
    assert 0 < refusals(found["google"]) < 30
    assert found["google"]["outcomes"]["ok"] >= 100
