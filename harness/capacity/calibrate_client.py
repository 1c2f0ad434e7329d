"""`python -m harness.capacity.calibrate_client`: like a worker, it asks a simulator and journals what it saw.

Arguments: URL, number of streams, seconds, folder for journal and health, and who stamps (`kernel` or `user`). It
begins its streams one after another over one reply's length, so that they do not move in step.
"""

from __future__ import annotations

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import gevent

from harness.attempts.prepare import prepare
from harness.exchange import Origin, perform
from harness.health import Gauges, HealthWatch
from harness.journal import Journal
from harness.loop import garbage
from harness.plan import Target, Timeouts, Workload
from harness.prompts import Prompt
from harness.rundir import RunDir
from harness.sockets.endpoint import endpoint_of
from harness.transport import Connection

OUTPUT_TOKENS = 128
STAGGER_S = 2.76  # how long a paced reply takes: 200 ms, then 127 gaps of 20 ms
_ASK = Prompt("calibrate", ("How long is a second?",), OUTPUT_TOKENS)
_KEY = "sim-key"


def main(url: str, streams: int, seconds: float, folder: Path, stamps: str) -> None:
    """Ask until the time is over; every stream finishes the reply that it is in."""
    with suppress(ValueError, OSError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    target = Target(name="simulator", dialect="openai-chat", base_url=url, model="m")
    connections = [Connection(endpoint_of(url), Timeouts(), kernel_stamps=stamps == "kernel") for _ in range(streams)]
    gevent.joinall([gevent.spawn(each.connect) for each in connections], raise_error=True)
    run_dir = RunDir(folder)
    journal = Journal(run_dir.journal("w0"), "calibrate", "w0", 1, (0, 1))
    gauges = Gauges(lambda: streams, lambda: streams, lambda: None, lambda: Connection.standing)
    watch = HealthWatch(run_dir.health, journal.header, gauges, sys.exit)
    garbage.hold_back()
    watch.start()
    end_ns = time.monotonic_ns() + int((seconds + STAGGER_S) * 1e9)
    asked = prepare(target, Workload(input_tokens=8, output_tokens=OUTPUT_TOKENS), _ASK, _KEY)

    def stream(number: int) -> None:
        gevent.sleep(STAGGER_S * number / streams)
        seq = number
        while time.monotonic_ns() < end_ns:
            origin = Origin("calibrate", 0, 1, "w0", seq, journal.header.mono_ns)
            journal.append(perform(connections[number], asked, origin))
            seq += streams

    gevent.joinall([gevent.spawn(stream, number) for number in range(streams)], raise_error=True)
    watch.stop()
    journal.close()


if __name__ == "__main__":
    _, _url, _streams, _seconds, _folder, _stamps = sys.argv
    main(_url, int(_streams), float(_seconds), Path(_folder), _stamps)
