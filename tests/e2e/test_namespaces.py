"""Hosts that are hosts for the kernel: network namespaces with addresses of their own, joined by a bridge.

TOKENSWARM_SPAN_S sets how long the load lasts (8 s).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
import yaml
from child_processes import end
from conftest import BIN, FINISHED
from test_comings import recorded, until, whole_lines
from test_hosts import csv_requests, samples_of

from harness.sample import Header, decode
from harness.simulator.truth import read_truth

SPAN_S = float(os.environ.get("TOKENSWARM_SPAN_S", "8"))
PORT = 8123  # the provider's
TOKENSWARM = str(BIN / "tokenswarm")
OTHER_MACHINE = "cat /proc/sys/kernel/random/uuid > boot_id; mount --bind boot_id /proc/sys/kernel/random/boot_id"
FAST_CLOCK = """
import time
wall_ns, wall_s = time.time_ns, time.time
time.time_ns = lambda: wall_ns() + 3_000_000_000
time.time = lambda: wall_s() + 3.0
"""
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
        end(process)


def write_plan(path: Path, stages: list[dict[str, Any]]) -> None:
    target = {"name": "sim", "dialect": "openai-chat", "model": "m", "key_env": "PROVIDER_KEY"}
    plan = {
        "name": "namespaces",
        "repeats": 1,
        "warmup_s": 0,
        "targets": [target | {"base_url": f"http://{HOSTS['provider']}:{PORT}/p/v1"}],
        "workload": {"kind": "chat", "input_tokens": 20, "output_tokens": 16},
        "stages": stages,
    }
    path.write_text(yaml.safe_dump(plan))


CLOSED = {"concurrency": 12, "duration_s": SPAN_S / 2}
OPEN = {"rate_rps": 40, "arrival": "poisson", "duration_s": SPAN_S / 2}


@dataclass
class Network:
    """A provider and a master with its Redis, each on a host of its own; workers are started by `worker`."""

    folder: Path
    spaces: dict[str, str]
    stack: ExitStack
    master: subprocess.Popen[str]
    truth: Path

    def worker(self, name: str, *before: str, key: str | None = "sim-key", **more: str) -> subprocess.Popen[str]:
        """A worker on a host. `before`: what a shell does there first; `key`: what it has for the provider."""
        home = self.folder / name
        home.mkdir()
        command = f"{TOKENSWARM} run --worker --master-host {HOSTS['master']} --out {home}"
        shell = ["sh", "-c", "; ".join([f"cd {home}", *before, f"exec {command}"])]
        variables = redis_variable() | more | ({"PROVIDER_KEY": key} if key else {})
        return self.stack.enter_context(on(self.spaces[name], *shell, variables=variables))

    def finish(self) -> tuple[Path, dict[str, Any], str]:
        """The run directory, what run.json says, and what the master said."""
        out, err = self.master.communicate(timeout=SPAN_S + 150)
        assert self.master.returncode in FINISHED, err
        run_dir = Path(out.splitlines()[-1])
        return run_dir, json.loads((run_dir / "run.json").read_text()), err


def redis_variable() -> dict[str, str]:
    return {"TOKENSWARM_REDIS": f"redis://{HOSTS['master']}:6379"}


@pytest.fixture
def hosts(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Network]:
    """Everything but the workers, for a number of them and the stages of a plan."""
    workers, stages = request.param
    (tmp_path / "sim.yaml").write_text("providers: [{name: p, dialects: [openai-chat], ttft: 0.1, itl: 0.01}]")
    truth = tmp_path / "truth.jsonl"
    simulate = [TOKENSWARM, "simulate", "--host", HOSTS["provider"], "--port", str(PORT), "--truth", str(truth)]
    redis = ["redis-server", "--bind", HOSTS["master"], "--save", "", "--appendonly", "no", "--protected-mode", "no"]
    write_plan(tmp_path / "plan.yaml", stages)
    run = [TOKENSWARM, "run", str(tmp_path / "plan.yaml"), "--master", "--expect-workers", str(workers)]
    with network() as spaces, ExitStack() as stack:
        provider = stack.enter_context(on(spaces["provider"], *simulate, str(tmp_path / "sim.yaml")))
        assert provider.stdout is not None
        assert provider.stdout.readline().startswith("ready")
        stack.enter_context(on(spaces["master"], *redis, out=subprocess.DEVNULL))
        time.sleep(0.5)
        master = stack.enter_context(
            on(spaces["master"], *run, "--out", str(tmp_path / "m"), variables=redis_variable())
        )
        yield Network(tmp_path, spaces, stack, master, truth)


@pytest.mark.parametrize("hosts", [(3, [CLOSED, OPEN])], indirect=True, ids=["3 workers"])
def test_truth_samples_and_csv_agree_over_hosts_with_networks_of_their_own(hosts: Network) -> None:
    """The workers alone have the provider's key: neither the master nor Redis nor a file of the run ever sees it."""
    workers = [hosts.worker(name, key="sim-key") for name in "abc"]
    run_dir, record, err = hosts.finish()
    assert [each.wait(60) for each in workers] == [0, 0, 0]
    assert record["ended"] == "complete", err
    samples = samples_of(run_dir)
    assert {sample.worker for sample in samples} == {"r1-w0", "r1-w1", "r1-w2"}
    assert len(samples) == len({(sample.worker, sample.seq) for sample in samples}) > 100
    assert len(samples) == len(read_truth(hosts.truth)) == csv_requests(run_dir)
    for path in (*hosts.folder.glob("m/**/*"), *hosts.folder.glob("[abc]/**/*")):
        assert not path.is_file() or b"sim-key" not in path.read_bytes(), path


@pytest.mark.parametrize("hosts", [(2, [{"concurrency": 8, "duration_s": 16}])], indirect=True, ids=["2 workers"])
def test_a_worker_cut_off_from_its_master_alone_goes_on_and_nothing_of_it_is_lost(hosts: Network) -> None:
    workers = [hosts.worker(name) for name in "ab"]
    until(lambda: min(recorded(hosts.folder / name) for name in "ab") > 10_000, "load")
    before = recorded(hosts.folder / "a")
    ip("-n", hosts.spaces["a"], "route", "add", "blackhole", f"{HOSTS['master']}/32")
    time.sleep(7)
    ip("-n", hosts.spaces["a"], "route", "del", "blackhole", f"{HOSTS['master']}/32")
    assert recorded(hosts.folder / "a") > before, "it still asked the provider"
    run_dir, record, err = hosts.finish()
    assert [each.wait(60) for each in workers] == [0, 0]
    assert record["ended"] == "degraded", err
    assert any("was lost after" in each for each in record["missing"])
    complete_and_right(hosts, run_dir)


@pytest.mark.parametrize("hosts", [(2, [{"concurrency": 8, "duration_s": 16}])], indirect=True, ids=["2 workers"])
def test_a_worker_without_any_network_for_seconds_is_lost_and_comes_back_whole(hosts: Network) -> None:
    workers = [hosts.worker(name) for name in "ab"]
    until(lambda: min(recorded(hosts.folder / name) for name in "ab") > 10_000, "load")
    ip("-n", hosts.spaces["a"], "link", "set", "eth", "down")
    time.sleep(7)
    ip("-n", hosts.spaces["a"], "link", "set", "eth", "up")
    run_dir, record, err = hosts.finish()
    assert [each.wait(60) for each in workers] == [0, 0]
    assert record["ended"] == "degraded", err
    complete_and_right(hosts, run_dir)


def complete_and_right(hosts: Network, run_dir: Path) -> None:
    """Every whole line of every worker stands in the collected journals, once, and what was answered was answered."""
    written = {path.name: whole_lines(path) for path in hosts.folder.glob("[ab]/*/*/journal/*.jsonl")}
    collected = {path.name: path.read_bytes() for path in (run_dir / "journal").glob("*.jsonl")}
    assert collected == written
    samples = samples_of(run_dir)
    assert len(samples) == len({(sample.worker, sample.seq) for sample in samples}) > 100
    ok = {sample.request_id for sample in samples if sample.outcome == "ok"}
    assert ok <= {each.id for each in read_truth(hosts.truth)}


@pytest.mark.parametrize("hosts", [(2, [OPEN, CLOSED])], indirect=True, ids=["2 workers"])
def test_a_host_whose_clock_is_ahead_is_measured_corrected_and_told(hosts: Network) -> None:
    (hosts.folder / "clock").mkdir()
    (hosts.folder / "clock" / "sitecustomize.py").write_text(FAST_CLOCK)
    path = os.pathsep.join([str(hosts.folder / "clock"), *filter(None, [os.environ.get("PYTHONPATH")])])
    workers = [hosts.worker("a"), hosts.worker("b", OTHER_MACHINE, PYTHONPATH=path)]
    run_dir, record, err = hosts.finish()
    assert [each.wait(60) for each in workers] == [0, 0]
    assert record["ended"] == "complete", err
    headers = [decode(path.read_bytes().splitlines()[0]) for path in sorted((run_dir / "journal").glob("*.jsonl"))]
    known, off = sorted((each for each in headers if isinstance(each, Header)), key=lambda each: each.clock_offset_ns)
    assert (known.clock_offset_ns, known.clock_error_ns) == (0, None), "on the master's machine there is none"
    assert off.clock_error_ns is not None
    assert abs(off.clock_offset_ns - 3_000_000_000) <= off.clock_error_ns
    samples = samples_of(run_dir)
    assert len(samples) == len(read_truth(hosts.truth)) == csv_requests(run_dir)
    begins = {
        header.worker: header.wall_ns
        - header.clock_offset_ns
        + min(each.due_ns for each in samples if each.worker == header.worker and each.due_ns is not None)
        for header in (known, off)
    }
    first, second = begins.values()
    assert abs(first - second) < 2_000_000_000, "both began the schedule together"
    summary = json.loads((run_dir / "summary.json").read_text())
    (told,) = [each for each in summary["validity"]["findings"] if each["code"] == "clock-offset"]
    assert off.worker in told["saw"]
    assert "+3.00" in told["saw"]


@pytest.mark.parametrize("hosts", [(1, [CLOSED])], indirect=True, ids=["1 workers"])
def test_a_worker_without_the_key_is_refused_before_it_sends_and_another_serves(hosts: Network) -> None:
    poor = hosts.worker("a", key=None)
    said = poor.communicate(timeout=100)[1]
    assert poor.returncode == 1
    assert "error: target sim: environment variable PROVIDER_KEY is not set" in said
    assert "hint: export PROVIDER_KEY" in said
    rich = hosts.worker("b")
    run_dir, record, err = hosts.finish()
    assert rich.wait(60) == 0
    assert record["ended"] == "complete", err
    assert {sample.outcome for sample in samples_of(run_dir)} == {"ok"}
