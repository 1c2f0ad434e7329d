"""Hosts that are hosts for the kernel: network namespaces with addresses of their own, joined by a bridge.

TOKENSWARM_SPAN_S sets how long the load lasts (8 s).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest
import yaml
from conftest import BIN, FINISHED
from test_hosts import csv_requests, samples_of

from harness.simulator.truth import read_truth

SPAN_S = float(os.environ.get("TOKENSWARM_SPAN_S", "8"))
HOSTS = {"master": "10.77.0.1", "a": "10.77.0.2", "b": "10.77.0.3", "c": "10.77.0.4", "provider": "10.77.0.5"}


def ip(*words: str, check: bool = True) -> bool:
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode == 0


def can_make_namespaces() -> bool:
    name = f"ts{secrets.token_hex(3)}"
    if shutil.which("ip") is None or not ip("netns", "add", name, check=False):
        return False
    ip("netns", "del", name)
    return True


pytestmark = [
    pytest.mark.skipif(not can_make_namespaces(), reason="wants the right to make network namespaces"),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="wants a redis-server"),
    pytest.mark.timeout(300),
]


@contextmanager
def network() -> Iterator[dict[str, str]]:
    """The namespace of each host, by its role; a further one holds the bridge."""
    tag = f"ts{secrets.token_hex(3)}"
    spaces = {role: f"{tag}-{number}" for number, role in enumerate(HOSTS)}
    hub = f"{tag}-hub"
    try:
        ip("netns", "add", hub)
        ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        ip("-n", hub, "link", "set", "bridge", "up")
        for role, space in spaces.items():
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "link", "add", "eth", "type", "veth", "peer", "name", f"to-{role}", "netns", hub)
            ip("-n", space, "address", "add", f"{HOSTS[role]}/24", "dev", "eth")
            ip("-n", space, "link", "set", "eth", "up")
            ip("-n", hub, "link", "set", f"to-{role}", "master", "bridge")
            ip("-n", hub, "link", "set", f"to-{role}", "up")
        yield spaces
    finally:
        for space in (*spaces.values(), hub):
            ip("netns", "del", space, check=False)


@contextmanager
def on(
    space: str, *command: str, out: IO[str] | int = subprocess.PIPE, variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A command on a host."""
    words = ["ip", "netns", "exec", space, *command]
    process = subprocess.Popen(words, stdout=out, stderr=subprocess.PIPE, text=True, env=os.environ | (variables or {}))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()


def write_plan(path: Path, port: int) -> None:
    target = {"name": "sim", "dialect": "openai-chat", "model": "m", "key_env": "PROVIDER_KEY"}
    plan = {
        "name": "namespaces",
        "repeats": 1,
        "warmup_s": 0,
        "targets": [target | {"base_url": f"http://{HOSTS['provider']}:{port}/p/v1"}],
        "workload": {"kind": "chat", "input_tokens": 20, "output_tokens": 16},
        "stages": [
            {"concurrency": 12, "duration_s": SPAN_S / 2},
            {"rate_rps": 40, "arrival": "poisson", "duration_s": SPAN_S / 2},
        ],
    }
    path.write_text(yaml.safe_dump(plan))


def test_truth_samples_and_csv_agree_over_hosts_with_networks_of_their_own(tmp_path: Path) -> None:
    tokenswarm = str(BIN / "tokenswarm")
    (tmp_path / "sim.yaml").write_text("providers: [{name: p, dialects: [openai-chat], ttft: 0.1, itl: 0.01}]")
    truth, port = tmp_path / "truth.jsonl", 8123
    simulate = [tokenswarm, "simulate", "--host", HOSTS["provider"], "--port", str(port), "--truth", str(truth)]
    redis = ["redis-server", "--bind", HOSTS["master"], "--save", "", "--appendonly", "no", "--protected-mode", "no"]
    shared = {"TOKENSWARM_REDIS": f"redis://{HOSTS['master']}:6379", "PROVIDER_KEY": "sim-key"}
    write_plan(tmp_path / "plan.yaml", port)
    with network() as spaces, ExitStack() as stack:
        provider = stack.enter_context(on(spaces["provider"], *simulate, str(tmp_path / "sim.yaml")))
        assert provider.stdout is not None
        assert provider.stdout.readline().startswith("ready")
        stack.enter_context(on(spaces["master"], *redis, out=subprocess.DEVNULL))
        time.sleep(0.5)
        worker = [tokenswarm, "run", "--worker", "--master-host", HOSTS["master"], "--out"]
        workers = [
            stack.enter_context(on(spaces[name], *worker, str(tmp_path / name), variables=shared))
            for name in ("a", "b", "c")
        ]
        run = [tokenswarm, "run", str(tmp_path / "plan.yaml"), "--master", "--expect-workers", "3"]
        master = stack.enter_context(on(spaces["master"], *run, "--out", str(tmp_path / "m"), variables=shared))
        out, err = master.communicate(timeout=SPAN_S + 120)
        assert master.returncode in FINISHED, err
        assert [each.wait(60) for each in workers] == [0, 0, 0]
    run_dir = Path(out.splitlines()[-1])
    assert json.loads((run_dir / "run.json").read_text())["ended"] == "complete", err
    samples = samples_of(run_dir)
    assert {sample.worker for sample in samples} == {"r1-w0", "r1-w1", "r1-w2"}
    assert len(samples) == len({(sample.worker, sample.seq) for sample in samples}) > 100
    assert len(samples) == len(read_truth(truth)) == csv_requests(run_dir)
