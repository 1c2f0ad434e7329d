"""One process after another is killed, frozen or cut off at a random moment: no answered request is lost or doubled.

Some runs of the matrix belong to every test run; TOKENSWARM_FAULT_RUNS=30 runs all of it (`make test-faults`).
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis
from child_processes import free_port
from conftest import BIN

from harness.sample import Outcome, Sample, decode
from harness.simulator.truth import read_truth

RUNS = int(os.environ.get("TOKENSWARM_FAULT_RUNS", "6"))
SPAN_S = 10.0
pytestmark = [
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="wants a redis-server"),
    pytest.mark.timeout(360),
]
PLAN = f"""
name: faults
repeats: 1
warmup_s: 0
drain_s: 5
targets: [{{name: sim, dialect: openai-chat, base_url: "sim://p", model: m}}]
workload: {{kind: chat, input_tokens: 20, output_tokens: 8}}
stages: [{{concurrency: 6, duration_s: {SPAN_S}}}]
simulator: {{providers: [{{name: p, dialects: [openai-chat], ttft: 0.05, itl: 0.005}}]}}
"""


class Swarm:
    """A master, two workers and Redis, each a process of its own, and those that they start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.redis_port, self.port = free_port(), free_port()
        self.redis = self.start_redis()
        address = ("--master-port", str(self.port))
        worker = ("--worker", "--master-host", "127.0.0.1", *address)
        plan = folder / "plan.yaml"
        plan.write_text(PLAN)
        self.workers = [self.start(name, *worker) for name in ("a", "b")]
        bound = ("--master-bind-host", "127.0.0.1", "--expect-workers", "2")
        self.master = self.start("m", str(plan), "--master", *bound, *address)

    def start(self, name: str, *words: str) -> subprocess.Popen[str]:
        home = self.folder / name
        home.mkdir()
        variables = os.environ | {"TOKENSWARM_REDIS": f"redis://127.0.0.1:{self.redis_port}"}
        command = [str(BIN / "tokenswarm"), "run", *words, "--out", str(home)]
        with (self.folder / f"{name}.out").open("w") as out, (self.folder / f"{name}.err").open("w") as err:
            return subprocess.Popen(command, env=variables, stdout=out, stderr=err, text=True)

    def start_redis(self) -> subprocess.Popen[bytes]:
        words = ["--port", str(self.redis_port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        server = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
        client = redis.Redis(port=self.redis_port)
        for _ in range(500):
            try:
                client.ping()
                break
            except redis.RedisError:
                time.sleep(0.02)
        client.close()
        return server

    def locust_worker(self) -> psutil.Process:
        (locust,) = [each for each in children(self.workers[0].pid) if "--worker" in each.cmdline()]
        return locust

    def locust_master(self) -> psutil.Process:
        (locust,) = [each for each in children(self.master.pid) if "locust" in each.cmdline()]
        return locust

    def collector(self) -> psutil.Process:
        (found,) = [each for each in children(self.master.pid) if "harness.journals.collect" in each.cmdline()]
        return found

    def close(self) -> None:
        for process in (self.master, *self.workers):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in (self.master, *self.workers):
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                for child in children(process.pid):
                    child.kill()
                process.kill()
                process.wait()
        self.redis.kill()
        self.redis.wait()


def children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@contextmanager
def swarm_in(folder: Path) -> Iterator[Swarm]:
    swarm = Swarm(folder)
    try:
        yield swarm
    finally:
        swarm.close()


def frozen(which: Callable[[Swarm], psutil.Process], seconds: float) -> Callable[[Swarm], None]:
    def fault(swarm: Swarm) -> None:
        process = which(swarm)
        process.suspend()
        time.sleep(seconds)
        process.resume()

    return fault


def killed(which: Callable[[Swarm], psutil.Process]) -> Callable[[Swarm], None]:
    return lambda swarm: which(swarm).kill()


def redis_emptied(swarm: Swarm) -> None:
    swarm.redis.kill()
    swarm.redis.wait()
    swarm.redis = swarm.start_redis()


def redis_away(swarm: Swarm) -> None:
    swarm.redis.kill()
    swarm.redis.wait()
    time.sleep(20)
    swarm.redis = swarm.start_redis()


def redis_process(swarm: Swarm) -> psutil.Process:
    return psutil.Process(swarm.redis.pid)


FAULTS: dict[str, tuple[Callable[[Swarm], None], set[str]]] = {
    "worker killed": (killed(Swarm.locust_worker), {"degraded"}),
    "redis restarted empty": (redis_emptied, {"complete"}),
    "master killed": (killed(Swarm.locust_master), {"degraded"}),
    "collector killed": (killed(Swarm.collector), {"complete"}),
    "worker frozen": (frozen(Swarm.locust_worker, 6), {"degraded"}),
    "redis unreachable": (redis_away, {"complete"}),
    "master frozen": (frozen(Swarm.locust_master, 6), {"complete", "degraded"}),
    "collector frozen": (frozen(Swarm.collector, 6), {"complete"}),
    "redis frozen": (frozen(redis_process, 20), {"complete"}),
}


def read(paths: list[Path]) -> Counter[tuple[str, int]]:
    """How often each answered request stands in journals."""
    found: Counter[tuple[str, int]] = Counter()
    for path in paths:
        for line in path.read_bytes().splitlines(keepends=True):
            record = decode(line) if line.endswith(b"\n") else None  # a killed worker may tear its last line
            if isinstance(record, Sample) and record.outcome is Outcome.OK:
                found[record.worker, record.seq] += 1
    return found


@pytest.mark.parametrize("seed", range(RUNS))
def test_no_answered_request_is_lost_or_doubled_and_the_run_says_what_happened(tmp_path: Path, seed: int) -> None:
    name = list(FAULTS)[seed % len(FAULTS)]
    fault, endings = FAULTS[name]
    moment_s = random.Random(seed).uniform(0.5, SPAN_S - 2)
    with swarm_in(tmp_path) as swarm:
        begun_s = wait_for_load(swarm)
        time.sleep(moment_s)
        fault(swarm)
        swarm.master.wait(150)
        ended_s = time.monotonic()
        err = (tmp_path / "m.err").read_text()
        (run_dir,) = (tmp_path / "m").glob("faults/*")
        record = json.loads((run_dir / "run.json").read_text())
        assert ended_s - begun_s < SPAN_S + 60, f"{name} after {moment_s:.1f} s"
        assert record["ended"] in endings, f"{name} after {moment_s:.1f} s: {record['missing']} {err}"
        written = read(list(tmp_path.glob("[ab]/faults/*/journal/*.jsonl")))
        collected = read(list((run_dir / "journal").glob("*.jsonl")))
    assert len(written) > 50
    assert set(written.values()) == {1}
    assert collected == written, f"{name} after {moment_s:.1f} s"
    answered = {each.id for each in read_truth(run_dir / "truth.jsonl")}
    assert len(answered) >= len(written)
    if record["ended"] == "complete":
        with (run_dir / "locust_stats.csv").open() as file:
            (total,) = [int(row["Request Count"]) for row in csv.DictReader(file) if row["Name"] == "Aggregated"]
        assert total == len(collected) == len(answered)


def wait_for_load(swarm: Swarm) -> float:
    """Until both workers have recorded something."""
    for _ in range(1500):  # on a busy machine seven Pythons take their time to start
        sizes = [sum(path.stat().st_size for path in swarm.folder.glob(f"{k}/faults/*/journal/r1*")) for k in "ab"]
        if min(sizes) > 2000:
            return time.monotonic()
        time.sleep(0.1)
    pytest.fail((swarm.folder / "m.err").read_text())
