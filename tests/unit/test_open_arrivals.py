"""Open load in one worker: every arrival that was due is sent or recorded, whatever ends the schedule."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import gevent
import pytest

from harness.arrivals import Arrival, arrivals
from harness.attempts.prepare import Prepared, prepare
from harness.cells import Cell
from harness.plan import Stage, Target, Timeouts, Workload
from harness.planned_run.open_load import OpenLoad
from harness.prompts import prompt
from harness.sockets.endpoint import endpoint_of
from harness.transport import Connection

WORKLOAD = Workload(input_tokens=5)


class Seen:
    """One load, and what became of its arrivals."""

    def __init__(self, stage: Stage, most: int, url: str, send: Callable[[], None]) -> None:
        target = Target(name="t", dialect="openai-chat", base_url=url, model="m")
        self.sent: list[int] = []
        self.dropped: list[int] = []
        self._send = send

        def made(arrival: Arrival) -> Prepared:
            return prepare(target, WORKLOAD, prompt(1, WORKLOAD, arrival.index), None)

        self.load = OpenLoad(
            Cell(target, WORKLOAD, 0, stage, 0.0),
            arrivals(stage, stage.duration_s, 1),
            most,
            0.1,
            lambda: Connection(endpoint_of(url), Timeouts(connect_s=60)),
            made,
            self._sent,
            lambda _, due_ns: self.dropped.append(due_ns),
        )

    def _sent(self, _connection: Connection, _prepared: Prepared, due_ns: int, _latest_ns: int) -> None:
        self.sent.append(due_ns)
        self._send()


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
def test_arrivals_that_wait_when_a_stage_ends_are_dropped_and_not_forgotten(*, killed: bool) -> None:
    stage = Stage(rate_rps=200, duration_s=0.8, max_lag_s=60)
    seen = Seen(stage, 1, "http://127.0.0.1:1/v1", lambda: gevent.sleep(60))
    sender = gevent.spawn(seen.load.run, time.monotonic_ns())
    gevent.sleep(1.0)
    if not killed:
        seen.load.end()
    sender.kill()
    assert len(seen.sent) == 1
    assert len(seen.dropped) == 159, "160 were due"


def test_an_arrival_that_was_not_due_when_the_run_was_stopped_is_none() -> None:
    seen = Seen(Stage(rate_rps=10, duration_s=60), 100, "http://127.0.0.1:1/v1", lambda: None)
    sender = gevent.spawn(seen.load.run, time.monotonic_ns() - 50_000_000)
    gevent.sleep(0.02)
    seen.load.end()
    sender.join(10)
    assert sender.successful()
    assert seen.dropped == []


@contextmanager
def deaf_host() -> Iterator[str]:
    """An address at which connections are neither made nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.settimeout(0)
            each.connect_ex(listener.getsockname())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            for each in waiting:
                each.close()


def test_a_host_that_does_not_answer_does_not_hold_up_the_schedule() -> None:
    with deaf_host() as url:
        seen = Seen(Stage(rate_rps=50, duration_s=0.2), 100, url, lambda: None)
        with gevent.Timeout(30):  # connecting takes 60
            seen.load.warm(10)
            seen.load.run(time.monotonic_ns())
    assert len(seen.sent) == 10


def test_a_connection_made_ahead_is_soon_left_to_its_first_request() -> None:
    """Of a user that waits for its connection there is no sample: in a short stage, of the whole outage none."""
    with deaf_host() as url, gevent.Timeout(30):
        connection = Connection(endpoint_of(url), Timeouts(connect_s=60))
        connection.connect_ahead()
    assert not connection.ready()


def test_a_fault_of_the_harness_ends_the_load_and_is_raised() -> None:
    def fails() -> None:
        raise ZeroDivisionError

    seen = Seen(Stage(rate_rps=100, duration_s=60), 100, "http://127.0.0.1:1/v1", fails)
    with closing(seen.load), gevent.Timeout(30), pytest.raises(ZeroDivisionError):
        seen.load.run(time.monotonic_ns())
    assert len(seen.sent) < 10
