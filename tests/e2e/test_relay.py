"""Journals through a real Redis: whatever happens to Redis, the collector or the worker, every byte arrives once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import redis
import trustme

from harness.journal import Journal
from harness.journals.collect import keys_of
from harness.journals.redis_client import REDIS_URL
from harness.relay import Shipper
from harness.sample import Outcome, Sample

SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="needs the program redis-server (package redis-server)")
RUN = "chat/20260101T000000Z-ab12"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def until(condition: Callable[[], bool], limit_s: float = 30) -> None:
    """Let greenlets run until something holds."""
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, "this never came to hold"
        gevent.sleep(0.02)


class Redis:
    """A redis-server of one test. It keeps nothing when it ends."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._command = [str(SERVER), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command += ["--port", str(self.port), *options]
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def client(self) -> Any:
        return redis.Redis(port=self.port, decode_responses=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    running = Redis(tmp_path)
    yield running
    running.kill()


class Collector:
    """`python -m harness.journals.collect` into one folder."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self._url = url
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "harness.journals.collect", "--run", RUN, "--folder", str(self.folder)]
        self.process = subprocess.Popen(
            command, env=os.environ | {REDIS_URL: self._url}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> dict[str, Any]:
        """End it in order, and return its report."""
        self.process.terminate()
        out, self.said = self.process.communicate(timeout=40)
        report: dict[str, Any] = json.loads(out)
        assert (self.process.returncode == 0) == report["drained"]
        return report

    def copy(self, worker: str) -> bytes:
        path = self.folder / "journal" / f"{worker}.jsonl"
        return path.read_bytes() if path.exists() else b""


@pytest.fixture
def collector(server: Redis, tmp_path: Path) -> Iterator[Collector]:
    running = Collector(server.url, tmp_path / "collected")
    yield running
    running.kill()


def new_journal(folder: Path, worker: str = "r1-w0") -> Journal:
    return Journal(folder / "worker" / f"{worker}.jsonl", RUN, worker, 1, (0, 1))


def write(journal: Journal, count: int, events: int = 150) -> None:
    """So many samples, each of some 2 KB."""
    for _ in range(count):
        times = tuple(range(1_000_000_000, 1_000_000_000 + events * 7_000_000, 7_000_000))
        journal.append(
            Sample(
                run=RUN,
                target="a",
                dialect="openai-chat",
                model="m",
                workload="w",
                stage=0,
                repeat=1,
                worker=journal.header.worker,
                seq=journal.samples,
                prompt_id=f"p{journal.samples}",
                start_ns=1,
                event_ns=times,
                end_ns=2_000_000_000,
                outcome=Outcome.OK,
            )
        )


def shipper_of(url: str, journal: Journal, timeout_s: float = 5.0) -> Shipper:
    shipper = Shipper(url, RUN, journal.header.worker, journal.path, timeout_s=timeout_s)
    shipper.start()
    return shipper


def finish(journal: Journal, shipper: Shipper, collector: Collector) -> dict[str, Any]:
    """End all in order: the copy is the journal, byte for byte."""
    journal.close()
    assert shipper.stop(30)
    report = collector.end()
    assert report["drained"] and not report["missing_bytes"] and not report["refused"]
    assert collector.copy(journal.header.worker) == journal.path.read_bytes()
    return report


def test_the_journals_of_several_workers_arrive_and_redis_is_left_small(
    server: Redis, collector: Collector, tmp_path: Path
) -> None:
    journals = [new_journal(tmp_path, f"r1-w{k}") for k in range(3)]
    shippers = [shipper_of(server.url, journal) for journal in journals]
    for _ in range(5):
        for journal in journals:
            write(journal, 200)
        gevent.sleep(0.1)
    for journal, shipper in zip(journals, shippers, strict=True):
        journal.close()
        assert shipper.stop(30)
    report = collector.end()
    assert report["workers"] == ["r1-w0", "r1-w1", "r1-w2"]
    assert report["written_bytes"] == sum(journal.path.stat().st_size for journal in journals)
    assert (report["gaps_asked"], report["redis_errors"]) == (0, 0)
    for journal in journals:
        assert collector.copy(journal.header.worker) == journal.path.read_bytes()
    with server.client() as client:
        assert client.xlen(keys_of(RUN).journal) == 0
        names = set(client.scan_iter())
        assert names == {keys_of(RUN).journal, keys_of(RUN).sent, keys_of(RUN).acked}
        assert all(0 < client.ttl(name) <= 7 * 24 * 3600 for name in names)


def test_redis_killed_and_restarted_empty(server: Redis, collector: Collector, tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    shipper = shipper_of(server.url, journal)
    write(journal, 300)
    until(lambda: len(collector.copy("r1-w0")) > 100_000)
    for _ in range(2):
        server.kill()
        write(journal, 300)
        until(lambda before=shipper.faults: shipper.faults > before)  # type: ignore[misc]
        server.start()
        write(journal, 300)
    report = finish(journal, shipper, collector)
    assert report["redis_errors"] > 0
    assert "it is back" in collector.said


def test_redis_emptied_while_much_is_on_its_way(server: Redis, collector: Collector, tmp_path: Path) -> None:
    """The entries are lost and nobody sees a fault."""
    journal = new_journal(tmp_path)
    shipper = shipper_of(server.url, journal)
    collector.process.send_signal(signal.SIGSTOP)
    write(journal, 300)
    with server.client() as client:
        for lost in (client.flushall, lambda: client.delete(keys_of(RUN).journal)):
            until(lambda: client.xlen(keys_of(RUN).journal) > 0)  # the second time without new samples: sent again
            lost()
    write(journal, 300)
    collector.process.send_signal(signal.SIGCONT)
    report = finish(journal, shipper, collector)
    assert report["gaps_asked"] > 0


def test_redis_that_hangs_for_seconds(server: Redis, collector: Collector, tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    shipper = shipper_of(server.url, journal, timeout_s=0.5)
    write(journal, 300)
    until(lambda: len(collector.copy("r1-w0")) > 100_000)
    server.process.send_signal(signal.SIGSTOP)
    write(journal, 300)
    until(lambda: shipper.faults >= 2)
    server.process.send_signal(signal.SIGCONT)
    write(journal, 300)
    finish(journal, shipper, collector)


def test_a_redis_that_is_full_refuses_and_later_takes_all(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = Redis(tmp_path, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
    try:
        journal = new_journal(tmp_path)
        shipper = shipper_of(server.url, journal)
        write(journal, 4000)  # some 7 MB, and nobody who reads the stream
        until(lambda: shipper.faults >= 2)
        assert "maxmemory" in caplog.text
        collector = Collector(server.url, tmp_path / "collected")
        finish(journal, shipper, collector)
    finally:
        server.kill()


def test_a_collector_killed_and_restarted_goes_on_from_its_file(
    server: Redis, collector: Collector, tmp_path: Path
) -> None:
    journal = new_journal(tmp_path)
    shipper = shipper_of(server.url, journal)
    for size in (50_000, 700_000):
        write(journal, 500)
        until(lambda size=size: len(collector.copy("r1-w0")) > size)  # type: ignore[misc]
        collector.kill()
        with (collector.folder / "journal" / "r1-w0.jsonl").open("ab") as copy:
            copy.write(b'{"type":"sample","torn')  # as a kill in the middle of a write leaves it
        write(journal, 200)
        collector.start()
    finish(journal, shipper, collector)


def test_a_collector_that_lost_its_folder_gets_all_again(server: Redis, collector: Collector, tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    shipper = shipper_of(server.url, journal)
    write(journal, 300)
    until(lambda: len(collector.copy("r1-w0")) > 400_000)
    collector.kill()
    shutil.rmtree(collector.folder)
    collector.start()
    report = finish(journal, shipper, collector)
    assert report["gaps_asked"] > 0


WORKER = """
import sys
import gevent.monkey
if sys.argv.pop() == "patched":
    gevent.monkey.patch_all()
import gevent, os, time
from pathlib import Path
from harness.relay import Shipper
url, run, path, timeout_s = sys.argv[1:]
worst_s = 0.0
def beat():
    global worst_s
    while True:
        before_s = time.monotonic()
        gevent.sleep(0.01)
        worst_s = max(worst_s, time.monotonic() - before_s)
gevent.spawn(beat)
shipper = Shipper(url, run, "r1-w0", Path(path), timeout_s=float(timeout_s))
shipper.start()
print("ready", flush=True)
while shipper.faults < 1:
    gevent.sleep(0.05)
print(worst_s, flush=True)
gevent.sleep(1000)
"""


def worker_process(url: str, journal: Journal, timeout_s: float, kind: str = "patched") -> subprocess.Popen[str]:
    """A process that ships and says how long its loop was held up until the first fault. Locust's are patched."""
    command = [sys.executable, "-c", WORKER, url, RUN, str(journal.path), str(timeout_s), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_what_a_killed_worker_wrote_is_shipped_by_the_next(server: Redis, collector: Collector, tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    collector.process.send_signal(signal.SIGSTOP)
    write(journal, 4000)
    with worker_process(server.url, journal, 5) as process, server.client() as client:
        until(lambda: client.xlen(keys_of(RUN).journal) > 2)
        process.kill()
    collector.process.send_signal(signal.SIGCONT)
    report = finish(journal, shipper_of(server.url, journal), collector)
    assert report["written_bytes"] == journal.path.stat().st_size


@pytest.mark.parametrize("kind", ["patched", "plain"])
def test_a_redis_that_hangs_does_not_hold_up_the_loop_of_a_worker(
    server: Redis, collector: Collector, tmp_path: Path, kind: str
) -> None:
    journal = new_journal(tmp_path)
    with worker_process(server.url, journal, 3, kind) as process:
        until(lambda: len(collector.copy("r1-w0")) > 0)
        server.process.send_signal(signal.SIGSTOP)
        write(journal, 300)
        assert process.stdout is not None
        assert float(process.stdout.readline()) < 2  # Redis was waited for 3 s
        server.process.send_signal(signal.SIGCONT)
        process.kill()
    finish(journal, shipper_of(server.url, journal), collector)


def test_two_journals_of_one_name_are_never_spliced(server: Redis, collector: Collector, tmp_path: Path) -> None:
    """A worker that came back on a fresh disk begins a new journal."""
    journals = [new_journal(tmp_path / host) for host in ("first", "second")]
    for journal in journals:
        shipper = shipper_of(server.url, journal)
        write(journal, 100)
        journal.close()
        assert shipper.stop(30)
    assert collector.end()["workers"] == ["r1-w0"]
    copies = sorted(path.read_bytes() for path in (collector.folder / "journal").iterdir())
    assert copies == sorted(journal.path.read_bytes() for journal in journals)
    assert collector.copy("r1-w0") == journals[0].path.read_bytes()


def test_collecting_into_the_workers_own_folder_changes_nothing(server: Redis, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run" / "journal" / "r1-w0.jsonl", RUN, "r1-w0", 1, (0, 1))
    collector = Collector(server.url, tmp_path / "run")
    shipper = shipper_of(server.url, journal)
    write(journal, 300)
    assert finish(journal, shipper, collector)["written_bytes"] == 0
    assert journal.path.read_bytes().count(b"\n") == 302


def test_without_redis_the_worker_keeps_all_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = new_journal(tmp_path)
    shipper = shipper_of(f"redis://:s3cret@127.0.0.1:{free_port()}", journal)
    write(journal, 10)
    until(lambda: shipper.faults > 1)
    journal.close()
    assert not shipper.stop(0.2)
    assert "keeps all" in caplog.text
    assert "s3cret" not in caplog.text


def test_tls_and_a_password_that_is_never_shown(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    port = free_port()
    options = ["--requirepass", "s3cret", "--tls-port", str(port), "--tls-auth-clients", "no"]
    for name in ("ca-cert", "cert", "key"):
        options += [f"--tls-{name}-file", str(tmp_path / f"{name.removesuffix('-cert')}.pem")]
    server = Redis(tmp_path, *options)
    try:
        journal = new_journal(tmp_path)
        place = f"127.0.0.1:{port}/0?ssl_ca_certs={tmp_path}/ca.pem"
        collector = Collector(f"rediss://:s3cret@{place}", tmp_path / "collected")
        wrong = shipper_of(f"rediss://:wr0ng@{place}", journal)
        until(lambda: wrong.faults > 0)
        assert not wrong.stop(0)
        shipper = shipper_of(f"rediss://:s3cret@{place}", journal)
        write(journal, 300)
        until(lambda: len(collector.copy("r1-w0")) > 0)
        server.kill()
        until(lambda: shipper.faults > 0)
        server.start()
        finish(journal, shipper, collector)
        assert "rediss://***@127.0.0.1" in collector.said
        assert "s3cret" not in collector.said
    finally:
        server.kill()
