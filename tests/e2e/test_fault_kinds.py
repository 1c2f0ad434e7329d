"""Every fault that the simulator knows, 200 times, through the client that measures: docs/faults.md says what becomes
of it, and here the page is held to its word."""

from __future__ import annotations

import gc
import json
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, groupby
from pathlib import Path
from typing import NamedTuple, get_args

import gevent
import msgspec
import pytest
import yaml
from conftest import ROOT

from harness.attempts.prepare import prepare
from harness.errors import CLASS_OF, ErrorClass, ErrorKind
from harness.exchange import Origin, perform
from harness.plan import Target, Timeouts, Workload
from harness.prompts import prompt
from harness.records.dialect_names import DialectName, Kind
from harness.sample import Outcome, Sample
from harness.simulator.config import FaultKind, PortFaultKind, config_from
from harness.simulator.outages import Outage, outage_file, outages_of, read_outages
from harness.simulator.truth import Truth, read_truth
from harness.sockets.endpoint import endpoint_of
from harness.sockets.held import MAX_RESPONSE_BYTES, Hold
from harness.transport import Connection

PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
REQUESTS = 200
PATIENT = Timeouts(connect_s=10, read_s=10, total_s=20)  # no busy machine makes a timeout of another fault
SILENCE = Timeouts(connect_s=10, read_s=1, total_s=20)
TIMEOUTS = {
    ErrorKind.READ_TIMEOUT: SILENCE,
    ErrorKind.STALLED: SILENCE,
    ErrorKind.TOTAL_TIMEOUT: Timeouts(connect_s=10, read_s=1, total_s=1.5),
}
CHAT: list[DialectName] = ["openai-chat", "openai-responses", "anthropic-messages", "google-generate"]
OTHER: dict[DialectName, Kind] = {
    "openai-embeddings": "embeddings",
    "jina-embeddings": "embeddings",
    "jina-rerank": "rerank",
}
VERSIONED = ("openai-chat", "openai-responses", *OTHER)
QUICK = {"dialects": [*CHAT, *OTHER], "ttft": 0.01, "itl": 0.005, "per_item_s": 0.05}
LATE_S = 3.0  # that a busy machine may look at a timeout; a hang would last for ever
_numbers = count()


class Row(NamedTuple):
    """What the page says of one kind: an example, and what becomes of it streamed and not streamed."""

    kind: str
    example: dict[str, object]
    streamed: tuple[ErrorKind, ErrorClass]
    whole: tuple[ErrorKind, ErrorClass]


def _rows() -> list[Row]:
    cell = r"`(\w+)` \((\w+)\)"
    found = re.findall(rf"^\| `(\w+)` \| [^|]+ \| `({{.+?}})` \| {cell} \| {cell} \|$", PAGE, re.MULTILINE)
    return [
        Row(kind, yaml.safe_load(text), (ErrorKind(a), ErrorClass(b)), (ErrorKind(c), ErrorClass(d)))
        for kind, text, a, b, c, d in found
    ]


ROWS = _rows()
ROW_OF = {row.kind: row for row in ROWS}
PORT_ROWS = [row for row in ROWS if row.kind in get_args(PortFaultKind)]
PROVIDER_ROWS = [row for row in ROWS if row not in PORT_ROWS]


class Simulator(NamedTuple):
    url: str
    truth: Path

    def url_of(self, kind: str) -> str:
        return f"{self.url}/{kind.replace('_', '-')}"

    def truths(self, number: int, since: int = 0) -> list[Truth]:
        """What it wrote after the first `since` requests; it writes just after the last byte, so wait for all."""
        for _ in range(500):
            found = read_truth(self.truth)[since:]
            if len(found) >= number:
                return found
            time.sleep(0.01)
        raise AssertionError(f"{len(found)} of {number}")


@contextmanager
def simulated(folder: Path, config: dict[str, object]) -> Iterator[Simulator]:
    """A simulator in a process of its own, which must end in order and have nothing to complain of."""
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    words = [str(folder / "config.yaml"), "--port", "0", "--truth", str(folder / "truth.jsonl")]
    command = [sys.executable, "-m", "harness.simulator", *words]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        word, _, url = process.stdout.readline().strip().partition(" ")
        assert word == "ready", (folder / "log").read_text()
        try:
            yield Simulator(url, folder / "truth.jsonl")
        finally:
            process.terminate()
            code = process.wait(10)
    assert (code, (folder / "log").read_text()) == (0, "")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """One provider for each kind, with the fault that stands on the page as an example."""
    providers = {row.kind.replace("_", "-"): {**QUICK, "faults": [row.example]} for row in PROVIDER_ROWS}
    with simulated(tmp_path_factory.mktemp("faults"), {"providers": providers}) as simulator:
        yield simulator


def ask(connection: Connection, url: str, dialect: DialectName, *, stream: bool, echo: bool = False) -> Sample:
    base = f"{url}/v1" if dialect in VERSIONED else url
    target = Target(name="t", dialect=dialect, base_url=base, model="m")
    workload = Workload(kind=OTHER.get(dialect, "chat"), input_tokens=5, output_tokens=20, stream=stream, echo=echo)
    number = next(_numbers)
    prepared = prepare(target, workload, prompt(1, workload, number), "sim-key")
    origin = Origin(run="r", stage=0, repeat=1, worker="w", seq=number, anchor_ns=time.monotonic_ns())
    return perform(connection, prepared, origin)


def asked(
    url: str,
    *,
    stream: bool,
    number: int = REQUESTS,
    at_once: int = REQUESTS,
    max_response_bytes: int = MAX_RESPONSE_BYTES,
    echo: bool = False,
    timeouts: Timeouts = PATIENT,
) -> list[Sample]:
    """The samples of many requests, over connections that are kept as long as they are any good. `echo`: only a chat
    can repeat a code."""
    dialects = CHAT if stream or echo else [*CHAT, *OTHER]

    def user(first: int) -> list[Sample]:
        connection = Connection(endpoint_of(url), timeouts, max_response_bytes=max_response_bytes)
        indices = range(first, number, at_once)
        samples = [ask(connection, url, dialects[index % len(dialects)], stream=stream, echo=echo) for index in indices]
        connection.close()
        return samples

    jobs = [gevent.spawn(user, first) for first in range(at_once)]
    gevent.joinall(jobs, raise_error=True)
    samples = [sample for job in jobs for sample in job.get()]
    assert len(samples) == number
    return samples


def check(samples: list[Sample], wanted: tuple[ErrorKind, ErrorClass]) -> None:
    kind, of_class = wanted
    assert Counter(sample.error for sample in samples) == {kind: len(samples)}, samples[0]
    assert CLASS_OF[kind] is of_class
    assert not any(sample.outcome is Outcome.OK for sample in samples)
    assert max(map(hung_s, samples)) < LATE_S


def hung_s(sample: Sample) -> float:
    """For how long an attempt went on after it should have been given up."""
    timeouts = TIMEOUTS.get(sample.error or ErrorKind.REFUSED, PATIENT)
    start_ns = sample.start_ns or 0
    last_ns = max(start_ns, sample.headers_ns or 0, *sample.event_ns)
    late_ns = sample.end_ns - min(start_ns + timeouts.total_s * 1e9, last_ns + timeouts.read_s * 1e9)
    return late_ns / 1e9


def test_the_page_speaks_of_every_kind_of_fault() -> None:
    assert sorted(row.kind for row in PROVIDER_ROWS) == sorted(get_args(FaultKind))
    assert sorted(row.kind for row in PORT_ROWS) == sorted(get_args(PortFaultKind))
    assert all(row.example["kind"] == row.kind for row in ROWS)


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.+?)```", PAGE, re.DOTALL))
def test_every_example_on_the_page_is_a_configuration(example: str) -> None:
    assert config_from(yaml.safe_load(example))


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("row", PROVIDER_ROWS, ids=[row.kind for row in PROVIDER_ROWS])
def test_each_fault_is_classified_as_the_page_says(faulty: Simulator, row: Row, *, stream: bool) -> None:
    since = len(read_truth(faulty.truth))
    wanted = row.streamed if stream else row.whole
    huge = row.kind == "huge_event"  # a hundred of them at once would starve each other of the loopback
    at_once = REQUESTS if wanted[0] in TIMEOUTS else 20 if huge else 100
    bound = 2**20 if huge else MAX_RESPONSE_BYTES
    url, echo = faulty.url_of(row.kind), row.kind == "swapped"
    timeouts = TIMEOUTS.get(wanted[0], PATIENT)
    samples = asked(url, stream=stream, at_once=at_once, max_response_bytes=bound, echo=echo, timeouts=timeouts)
    check(samples, wanted)
    assert Counter(truth.fault for truth in faulty.truths(REQUESTS, since)) == {row.kind: REQUESTS}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_memory_stays_flat_however_much_a_provider_sends(faulty: Simulator, *, stream: bool) -> None:
    url = faulty.url_of("huge_event")
    since = len(read_truth(faulty.truth))
    asked(url, stream=stream, number=2, at_once=1)
    before = resident_bytes()
    with no_collector(), peak() as highest:  # a response that is over must not need it
        for _ in range(8):
            check(asked(url, stream=stream, number=1, at_once=1), ROW_OF["huge_event"].whole)
            assert resident_bytes() - before < 1.25 * MAX_RESPONSE_BYTES  # the allocator may keep what was freed
    assert highest() - before < 2 * MAX_RESPONSE_BYTES
    assert Hold.granted_to_all == 0
    faulty.truths(10, since)


@contextmanager
def no_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@contextmanager
def peak() -> Iterator[Callable[[], int]]:
    """The most memory that this process has while the block lasts."""
    seen, over = [resident_bytes()], threading.Event()

    def watch() -> None:
        while not over.wait(0.002):
            seen[0] = max(seen[0], resident_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: seen[0]
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("row", PORT_ROWS, ids=[row.kind for row in PORT_ROWS])
def test_each_fault_of_the_port_is_classified_as_the_page_says(tmp_path: Path, row: Row, *, stream: bool) -> None:
    with simulated(tmp_path, {"providers": {"p": QUICK}, "port_faults": [row.example]}) as simulator:
        check(asked(f"{simulator.url}/p", stream=stream, at_once=100), row.streamed if stream else row.whole)
        assert read_truth(simulator.truth) == []


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_replies_that_are_not_swapped_belong_to_their_requests(tmp_path: Path, *, stream: bool) -> None:
    with simulated(tmp_path, {"providers": {"p": QUICK}}) as simulator:
        samples = asked(f"{simulator.url}/p", stream=stream, at_once=100, echo=True)
    assert Counter((sample.outcome, sample.echo) for sample in samples) == {(Outcome.OK, "own"): REQUESTS}


def test_a_port_that_refuses_from_the_beginning_lets_nobody_in_and_is_given_to_nobody(tmp_path: Path) -> None:
    with simulated(tmp_path, {"providers": {"p": QUICK}, "port_faults": [{"kind": "tcp_refuse"}]}) as simulator:
        host, port = simulator.url.removeprefix("http://").split(":")
        for _ in range(200):  # from the first on
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((host, int(port)))
        with pytest.raises(OSError, match="in use"):
            socket.create_server((host, int(port)))


def test_a_crash_cuts_replies_off_and_the_server_comes_back(tmp_path: Path) -> None:
    crash = {"kind": "tcp_refuse", "start_s": 0.8, "duration_s": 0.5}
    provider = {"dialects": CHAT, "ttft": 0.01, "itl": 0.005}
    with simulated(tmp_path, {"providers": {"p": provider}, "port_faults": [crash]}) as simulator:
        samples, truths = sampled(simulator, ["p"], 1.9)["p"], read_truth(simulator.truth)
    outcomes = [sample.error for sample in samples]
    changes = [kind for kind, _ in groupby(outcomes)]
    assert outcomes.count(None) > 5
    assert outcomes.count(ErrorKind.CONNECT) > 20
    assert set(outcomes) <= {None, ErrorKind.CONNECT, ErrorKind.TRUNCATED, ErrorKind.RESET}
    assert [kind for kind in changes if kind in (None, ErrorKind.CONNECT)] == [None, ErrorKind.CONNECT, None]
    cut = [truth for truth in truths if truth.fault == "tcp_refuse"]
    assert len(cut) <= outcomes.count(ErrorKind.TRUNCATED) + outcomes.count(ErrorKind.RESET)
    assert {truth.outcome for truth in cut} <= {"fault:tcp_refuse"}


def test_outages_come_when_the_script_says_and_to_all_that_an_incident_strikes(tmp_path: Path) -> None:
    up, repair = {"kind": "exponential", "mean_s": 0.3}, {"kind": "weibull", "mean_s": 0.2, "shape": 2}
    provider = {"dialects": CHAT, "ttft": 0.001, "itl": 0.0}
    own = {"kind": "status_500", "outages": {"up": up, "repair": repair}}
    shared = {"kind": "status_503", "outages": {"up": up, "repair": repair}}
    config: dict[str, object] = {
        "seed": 4,
        "providers": {"a": provider, "b": provider, "c": {**provider, "faults": [own]}},
        "incidents": [{"providers": ["a", "b"], "fault": shared, "joins": 0.5}],
    }
    with simulated(tmp_path, config) as simulator:
        samples = sampled(simulator, ["a", "b", "c"], 2.0)
        truths, written = simulator.truths(sum(map(len, samples.values()))), read_outages(outage_file(simulator.truth))
    script = outages_of(config_from(config), 100)
    assert [unstamped(outage) for outage in written] == script[: len(written)]
    assert len(written) > 5
    for name, kind in (("a", "status_503"), ("b", "status_503"), ("c", "status_500")):
        downs = [outage for outage in written if outage.provider == name]
        for truth in truths:
            if truth.provider == name:
                down = any(one.begin_ns <= truth.received_ns < one.end_ns for one in downs)  # type: ignore[operator]
                assert truth.fault == (kind if down else None)
        failed = sum(sample.error is not None for sample in samples[name])
        assert (
            0
            < failed
            == sum(truth.fault is not None for truth in truths if truth.provider == name)
            < len(samples[name])
        )


def unstamped(outage: Outage) -> Outage:
    return msgspec.structs.replace(outage, begin_ns=None, end_ns=None)


def sampled(simulator: Simulator, names: list[str], span_s: float) -> dict[str, list[Sample]]:
    """What one user of each provider sees, who asks again and again."""
    end_s = time.monotonic() + span_s
    samples: dict[str, list[Sample]] = {name: [] for name in names}

    def user(name: str) -> None:
        url = f"{simulator.url}/{name}"
        connection = Connection(endpoint_of(url), PATIENT)
        while time.monotonic() < end_s:
            samples[name].append(ask(connection, url, CHAT[len(samples[name]) % 4], stream=True))
            gevent.sleep(0.005)
        connection.close()

    gevent.joinall([gevent.spawn(user, name) for name in names], raise_error=True)
    return samples
