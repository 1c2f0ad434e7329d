"""What docs/alerts.md promises of alerts, measured: `python -m benchmarks.alert_proofs [--quick]`.

Real receivers on loopback, processes killed with SIGKILL, real files. Exits 1 where a promise is not kept.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from analysis.digests.digest_figures import row_of
from analysis.digests.digest_hours import Hour
from analysis.watching.slices import sketch_of
from harness.alerting.alert_log import read_events
from harness.alerting.sinks import Delivery, read_sinks
from harness.alerts import States, step
from harness.plan import Slo
from harness.records.alert_record import AlertEvent, Reading, Rule
from harness.rules.alert_file import read_alerts, shipped_rules
from harness.rundir import RunDir

T0 = 1_795_000_000.0
_RULE = Rule(name="slow", metric="ttft.p95", above=1.0, for_s=0, resolve_after_s=0)
Told = tuple[str, str, bool]


class _Receiver(ThreadingHTTPServer):
    """Notes when each key came; `does` says how it answers."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, does: str = "200") -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.does = does
        self.came: list[tuple[str, float]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, *_: object) -> None:
        """A client that was killed."""


class _Answer(BaseHTTPRequestHandler):
    server: _Receiver

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((self.headers["Idempotency-Key"], time.monotonic()))
        if self.server.does == "hang":
            self.server.over.wait(600)
            return
        if self.server.does == "slow":
            time.sleep(0.01)
        self.send_response(int(self.server.does) if self.server.does.isdigit() else 200)
        self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def _listening(does: str = "200") -> Iterator[_Receiver]:
    server = _Receiver(does)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()


def _episodes(states: States, number: int) -> tuple[States, list[AlertEvent]]:
    """The firing or the end of one episode after another."""
    at_s = T0 + number
    reading = Reading(wall_s=at_s, target="acme", workload="chat", values={"ttft.p95": 2.0 if number % 2 == 0 else 0.5})
    return step([_RULE], states, [reading], [], at_s)


def prove_speed(trials: int) -> tuple[str, str, bool]:
    """How long from the call until the event is at a good webhook, beside four bad sinks; and what the call takes."""
    bad = {"hang": "hang", "failing": "500", "redirecting": "302"}
    with tempfile.TemporaryDirectory() as folder, _listening() as good:
        receivers = [(name, _listening(does)) for name, does in bad.items()]
        opened = [(name, each, each.__enter__()) for name, each in receivers]
        sinks: list[dict[str, Any]] = [
            {"kind": "webhook", "name": name, "url": server.url} for name, _, server in opened
        ]
        sinks += [{"kind": "command", "argv": ["/bin/sh", "-c", "sleep 60"]}, {"kind": "webhook", "url": good.url}]
        delivery = Delivery(read_alerts({"sinks": sinks}), RunDir(Path(folder)))
        states: States = {}
        calls, sent = [], {}
        for number in range(trials):
            states, events = _episodes(states, number)
            sent[events[0].key] = time.monotonic()
            delivery.deliver(events)
            calls.append(time.monotonic() - sent[events[0].key])
            time.sleep(0.1)
        _wait(lambda: len(good.came) == trials)
        delivery.close(0.1)
        for _, each, _ in opened:
            each.__exit__(None, None, None)
    waits = [at_s - sent[key] for key, at_s in good.came]
    seen = f"webhook p95 {_p95(waits) * 1e3:.0f} ms, worst {max(waits) * 1e3:.0f}; call p95 {_p95(calls) * 1e3:.1f} ms"
    return "a webhook beside three bad ones and a hung command hears within 1 s (p95)", seen, _p95(waits) < 1


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _wait(happened: object) -> None:
    until_s = time.monotonic() + 120
    while not happened():  # type: ignore[operator]
        if time.monotonic() > until_s:
            raise SystemExit("it did not happen within two minutes")
        time.sleep(0.01)


_MONITOR = """
import sys, time
from pathlib import Path
from benchmarks.alert_proofs import _episodes
from harness.rules.alert_file import read_alerts
from harness.alerting.alert_log import keep_states, recover
from harness.rundir import RunDir
from harness.alerting.sinks import Delivery
run_dir, url, most = RunDir(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
sink = {"kind": "webhook", "url": url, "backoff_s": 0.05, "most_waiting": 100000}
delivery = Delivery(read_alerts({"sinks": [sink]}), run_dir)
states = recover(run_dir)
at = Path(sys.argv[1]) / "at"
number = int(at.read_text()) if at.exists() else 0
while number < most:
    states, events = _episodes(states, number)
    delivery.deliver(events)
    keep_states(run_dir, states)
    number += 1
    part = at.with_name("at.tmp")
    part.write_text(str(number))
    part.replace(at)
    time.sleep(0.03)
delivery.close(600)
"""


def prove_kills(kills: int) -> tuple[str, str, bool]:
    """A process like a monitor, killed at random moments and started again, until it has been through all episodes."""
    most = kills * 60
    rng = random.Random(5)  # noqa: S311  (moments, not secrets)
    with tempfile.TemporaryDirectory() as folder, _listening("slow") as server:
        done = 0
        while True:
            process = subprocess.Popen([sys.executable, "-c", _MONITOR, folder, server.url, str(most)])  # noqa: S603
            if done < kills:
                time.sleep(rng.uniform(0.5, 2.5))
                done += process.poll() is None
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            elif process.wait(600) == 0:
                break
        events = read_events(Path(folder) / "alerts.jsonl")
        state = read_sinks(RunDir(Path(folder)))["webhook"]
    recorded = Counter((event.id, event.state) for event in events)
    keys = Counter(key for key, _ in server.came)
    lost = [event.key for event in events if event.key not in keys]
    doubled = sum(count - 1 for count in recorded.values())
    order = [event.state for event in events] == ["firing", "resolved"] * (len(events) // 2)
    again = sum(count - 1 for count in keys.values())
    seen = (
        f"{done} kills, {len(events)} events in the file, {doubled} doubled; webhook: {len(lost)} lost, "
        f"{again} delivered again under the same key, {state.lost + state.skipped} given up"
    )
    return (
        "kill -9 loses and doubles no alert",
        seen,
        not (lost or doubled or state.lost) and order and len(events) == most,
    )


def prove_cost(steps: int) -> tuple[str, str, bool]:
    """The shipped rules over ten places."""
    names = [rule.metric for rule in shipped_rules()]
    rng = np.random.default_rng(1)
    states: States = {}
    begun_s = time.process_time()
    fired = 0
    for number in range(steps):
        readings = [
            Reading(wall_s=T0 + number, target=f"t{place}", workload="w", values=dict.fromkeys(names, rng.random()))
            for place in range(10)
        ]
        states, events = step(shipped_rules(), states, readings, [], T0 + number)
        fired += len(events)
    each_s = (time.process_time() - begun_s) / steps
    seen = f"{each_s * 1e3:.2f} ms a step, {len(states)} states after {steps:,} steps, {fired:,} events"
    return "a step of the shipped rules over 10 places takes under 10 ms, and states do not grow", seen, each_s < 0.01


def prove_intervals(trials: int) -> tuple[str, str, bool]:
    """Days that are alike, and days 15 % slower: how often a digest says that they differ. Hours have levels of their
    own, which move by 5 %; 240 requests each."""
    differ = Counter[str]()
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        yesterday = _day(rng, 0.5)
        for name, level_s in (("alike", 0.5), ("slower", 0.575)):
            row = row_of(("t", "w"), _day(rng, level_s), yesterday, Slo(), 0.95)
            differ[name] += next(each for each in row.changes if each.metric == "ttft.p95").clear
    alike, slower = differ["alike"] / trials, differ["slower"] / trials
    seen = f"{alike:.1%} of {trials} alike, {slower:.1%} of those 15 % slower"
    return "a digest calls at most 10 % of alike days different, and finds 15 %", seen, alike <= 0.1 and slower > 0.95


def _day(rng: np.random.Generator, level_s: float) -> list[Hour]:
    hours = []
    for _ in range(24):
        hour = Hour(spreads={"ttft": sketch_of(level_s * np.exp(rng.normal(rng.normal(0, 0.05), 0.3, 240)))})
        hour.outcomes.update(ok=240)
        hours.append(hour)
    return hours


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the trials.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(quick: bool, as_json: bool) -> None:  # noqa: FBT001
    """Measure every promise."""
    part = 0.1 if quick else 1.0
    found = [
        prove_speed(round(200 * part) + 20),
        prove_kills(round(40 * part) + 2),
        prove_cost(round(20_000 * part)),
        prove_intervals(round(400 * part)),
    ]
    if as_json:
        names = ("promise", "seen", "kept")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in found]))
    else:
        table = Table("promise", "seen", "kept")
        for promise, seen, kept in found:
            table.add_row(promise, seen, "yes" if kept else "NO")
        Console(width=140).print(table)
    sys.exit(0 if all(kept for _, _, kept in found) else 1)


if __name__ == "__main__":
    main()
