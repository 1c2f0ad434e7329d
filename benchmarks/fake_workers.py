"""`python -m benchmarks.fake_workers`: many workers in one process, real in everything but that they ask nobody.

Each has Locust's own worker runner, a recorder with live sketches, a journal, a row of health a second, and a shipper
for either. Only the replies are made up: so many chunks, unevenly spaced, as long as real ones.
Started by `benchmarks.many_workers`; what they wrote and how large their reports were goes to stdout as one JSON line.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import time
from argparse import Namespace
from copy import copy
from pathlib import Path
from typing import Any

import gevent
import msgspec
from locust import User, argument_parser, constant, task
from locust.env import Environment
from locust.rpc.protocol import Message
from locust.runners import WorkerRunner

from benchmarks.hosts import GAP_S, TTFT_S, Job
from harness import webui
from harness.journal import Journal
from harness.journals.redis_client import REDIS_URL
from harness.loop import garbage
from harness.planned_run.worker_side import PING, SHARE
from harness.records.health_record import LAG_BOUNDS_S, Health, encode_health
from harness.relay import Shipper
from harness.rundir import RunDir
from harness.sample import Outcome, Sample, Usage
from harness.user import Recorder

_KINDS = 64  # different replies
_DRAIN_S = 30.0


class Reply(msgspec.Struct, frozen=True):
    """A made-up reply: when its chunks come, in ns after its start."""

    event_ns: tuple[int, ...]

    @property
    def span_s(self) -> float:
        """How long it takes."""
        return self.event_ns[-1] / 1e9


class FakeWorker:
    """One worker, from its first word to the master to its last byte in Redis."""

    def __init__(self, job: Job, replies: list[Reply], options: Namespace) -> None:
        self._job = job
        self._replies = replies
        self.recorder: Recorder | None = None
        self.sizes: list[int] = []  # of reports to the master, in bytes
        self.shipped = False
        self._end_s: float | None = None
        self._shippers: list[Shipper] = []
        self._health_path = Path()
        self.environment = Environment(user_classes=[Cell0], parsed_options=copy(options))
        self.environment.fake = self  # type: ignore[attr-defined]
        self.runner: WorkerRunner = self.environment.create_worker_runner("127.0.0.1", job.port)
        self.runner.register_message(SHARE, lambda msg, **_: self._open((msg.data["k"], msg.data["n"])))
        self.runner.register_message(PING, lambda **_: None)
        webui.install(self.environment, lambda: self.recorder.live if self.recorder else None, lambda: None)
        self.environment.events.report_to_master.add_listener(self._weigh)  # type: ignore[no-untyped-call]

    def _weigh(self, client_id: str, data: dict[str, Any]) -> None:
        if len(self.sizes) < 1000:
            message = Message("stats", data, client_id)  # type: ignore[no-untyped-call]
            self.sizes.append(len(message.serialize()))  # type: ignore[no-untyped-call]

    def _open(self, share: tuple[int, int]) -> None:
        if self.recorder is not None:
            return
        for _ in range(7):  # as a worker on another host compares the clocks
            self.runner.send_message(PING, {"mono_ns": time.monotonic_ns()})
        worker, run_dir = f"r1-w{share[0]}", RunDir(Path(self._job.folder) / f"w{share[0]}")
        path = run_dir.journal(worker)
        journal = Journal(path, self._job.run, worker, 1, share)
        self._health_path = run_dir.root / f"health-{worker}.jsonl"
        for name, each in ((worker, path), (self._health_path.stem, self._health_path)):
            self._shippers.append(Shipper(os.environ[REDIS_URL], self._job.run, name, each))
            self._shippers[-1].start()
        self.recorder = Recorder(self._job.run, worker, 1, share, 0, journal)
        gevent.spawn(self._tell_health)

    def _tell_health(self) -> None:
        counts = tuple(100 if place < 2 else 0 for place in range(len(LAG_BOUNDS_S) + 1))
        while not self.shipped:
            gevent.sleep(1)
            assert self.recorder is not None
            now_ns = time.monotonic_ns() - self.recorder.anchor_ns
            row = Health(
                run=self._job.run,
                worker=self.recorder.worker,
                repeat=1,
                t_ns=now_ns,
                span_s=1.0,
                loop_lag_p50_s=0.0004,
                loop_lag_p99_s=0.0009,
                loop_lag_max_s=0.0011,
                loop_lag_counts=counts,
                cpu_share=0.5,
                cpu_wait_share=0.01,
                machine_cpu_share=0.5,
                rss_bytes=10**8,
                open_sockets=500,
                ephemeral_ports_used=500,
                ephemeral_ports=28232,
                in_flight=self.runner.user_count,
                users=self.runner.user_count,
            )
            self.recorder.live.add_health(row)
            with self._health_path.open("ab") as file:
                file.write(encode_health(row))

    def ask(self) -> bool:
        """One request of one user. False: the cell is over."""
        recorder, job = self.recorder, self._job
        if recorder is None:
            return False
        self._end_s = self._end_s or time.monotonic() + job.seconds
        if time.monotonic() >= self._end_s:
            return False
        reply = random.choice(self._replies)  # noqa: S311
        start_ns = time.monotonic_ns() - recorder.anchor_ns
        recorder.live.enter(job.target, job.workload)
        gevent.sleep(reply.span_s)
        recorder.live.leave(job.target, job.workload)
        recorder.record(self._sample(recorder, reply, start_ns), self.environment)
        return True

    def _sample(self, recorder: Recorder, reply: Reply, start_ns: int) -> Sample:
        origin = recorder.origin(0)
        event_ns = tuple([start_ns + each for each in reply.event_ns])
        return Sample(
            run=recorder.run,
            target=self._job.target,
            dialect="openai-chat",
            model="model-of-some-name",
            workload=self._job.workload,
            stage=0,
            repeat=1,
            worker=recorder.worker,
            seq=origin.seq,
            prompt_id=f"{self._job.workload}-10000000{origin.seq}",
            start_ns=start_ns,
            headers_ns=event_ns[0] - 1_000_000,
            event_ns=event_ns,
            first_text_ns=event_ns[0],
            end_ns=event_ns[-1] + 200_000,
            outcome=Outcome.OK,
            status=200,
            request_id=f"chatcmpl-{origin.seq:024d}",
            reused=True,
            usage=Usage(input_tokens=480, output_tokens=len(event_ns), source="provider"),
            text_chars=5 * len(event_ns),
            items=1,
            response_bytes=200 * len(event_ns),
            finish_reason="stop",
            stamps="kernel",
        )

    def end(self) -> None:
        """Once Locust is done: the last lines, and their way to the collector."""
        self.runner.greenlet.join()
        if self.recorder is not None and self.recorder.journal is not None:
            self.recorder.journal.close()
        ends = [shipper.stop(_DRAIN_S) for shipper in self._shippers]
        self.shipped = all(ends)


class Cell0(User):
    """What the master of a planned run calls the users of its first cell."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Begin at some moment within one reply's length, so that streams do not move in step."""
        gevent.sleep(random.uniform(0, 1) * self.fake.first_s)  # noqa: S311

    @property
    def fake(self) -> Any:
        """The worker that this user belongs to."""
        return self.environment.fake

    @task
    def ask(self) -> None:
        """One request, as long as there are any."""
        if not self.fake.ask():
            gevent.sleep(1)


def replies_of(chunks: int) -> list[Reply]:
    """Replies as a paced provider gives them, each gap a few per cent off."""
    rng = random.Random(7)  # noqa: S311
    made = []
    for _ in range(_KINDS):
        at_s = max(0.01, rng.gauss(TTFT_S, 0.03))
        times_s = [at_s := at_s + (abs(rng.gauss(GAP_S, 0.001)) if number else 0) for number in range(chunks)]
        made.append(Reply(tuple(int(each * 1e9) for each in times_s)))
    return made


def main(job: Job) -> None:
    """All workers of this process, to their end."""
    logging.disable(logging.WARNING)  # each of them would say how busy this process is
    replies = replies_of(job.chunks)
    FakeWorker.first_s = replies[0].span_s  # type: ignore[attr-defined]
    garbage.hold_back()
    parser = argument_parser.get_empty_argument_parser()
    argument_parser.setup_parser_arguments(parser)  # type: ignore[no-untyped-call]
    options = parser.parse_args([])  # once: Locust would do it for each of them, and their master would miss them
    workers = [FakeWorker(job, replies, options) for _ in range(job.workers)]
    gevent.joinall([gevent.spawn(worker.end) for worker in workers], raise_error=True)
    journals = [worker.recorder.journal for worker in workers if worker.recorder and worker.recorder.journal]
    told = {
        "samples": sum(journal.samples for journal in journals),
        "bytes": sum(journal.path.stat().st_size for journal in journals),
        "shipped": all(worker.shipped for worker in workers),
        "report_bytes": sorted(size for worker in workers for size in worker.sizes[len(worker.sizes) // 2 :]),
    }
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Job))
