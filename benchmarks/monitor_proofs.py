"""What is promised of the monitor, tried: `python -m benchmarks.monitor_proofs [news] [kills] [weeks]`.

news: how long it takes until an outage planted in the simulator, and its end, are in monitor.json and at a webhook (20
outages in one real run, some six minutes). kills: a monitor that is killed (-9) again and again while outages come and
go (twenty times faster than real). weeks: seven days of probes, compressed, and the memory and disk that they take.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import psutil
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.monitor_script import SPEED, Script, followed
from harness.alerting.alert_log import read_events
from harness.records.monitor_record import read_picture
from harness.rundir import RunDir

_TRIALS = 20
_EVERY_S, _DOWN_S, _FIRST_S = 17.3, 7.0, 12.0
_PROMISED_S = 10.0
_MB = 2**20
_LOOK_H = 8


class Seen(NamedTuple):
    """One promise, and what was seen of it."""

    promise: str
    saw: str
    kept: bool


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """A webhook on this machine: its URL, and the key of each post with the monotonic time of its arrival."""
    heard: list[tuple[str, float]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            at_s = time.monotonic()
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            heard.append((body["key"], at_s))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", heard
    finally:
        server.shutdown()
        server.server_close()


def news(trials: int) -> list[Seen]:
    """Latencies from the truth of the simulator to monitor.json and to a webhook, by the shipped rules."""
    with tempfile.TemporaryDirectory() as name, receiver() as (url, heard):
        folder = Path(name)
        fault = {"kind": "status_503", "start_s": _FIRST_S, "duration_s": _DOWN_S, "every_s": _EVERY_S}
        plan = {
            "name": "news", "repeats": 1, "warmup_s": 0,
            "targets": [{"name": "a", "dialect": "openai-chat", "base_url": "sim://openai-sim", "model": "m"}],
            "workload": {"kind": "chat", "input_tokens": 20, "output_tokens": 8},
            "stages": [{"rate_rps": 5, "duration_s": _FIRST_S + trials * _EVERY_S}],
            "simulator": {"providers": {"openai-sim": {"faults": [fault]}}},
            "alerts": {"sinks": [{"kind": "webhook", "url": url}]},
        }  # fmt: skip
        (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
        run = _command(folder, "run", "plan.yaml")
        run_dir = _begun(folder)
        monitor = _command(folder, "monitor", run_dir.root)
        shown = _shown_until_over(run_dir, monitor)
        run.communicate()
        truth = [json.loads(line) for line in (run_dir.root / "truth.outages.jsonl").read_text().splitlines()]
    spans = [(each["begin_ns"] / 1e9, each["end_ns"] / 1e9) for each in truth][:trials]
    posted = {state: [at for key, at in heard if key.startswith("outage/") and key.endswith(state)] for state in _TOLD}
    found = []
    for state, number in (("firing", 0), ("resolved", 1)):
        for place, moments in (("monitor.json", shown[state]), ("webhook", posted[state])):
            latencies = [_first_after(moments, span[number]) for span in spans]
            found.append(_news_seen(state, place, latencies))
    return found


_TOLD = ("firing", "resolved")


def _news_seen(state: str, place: str, latencies: list[float]) -> Seen:
    p50, p95 = np.quantile(latencies, (0.5, 0.95))
    saw = f"{len(latencies)} outages: p50 {p50:.1f} s, p95 {p95:.1f} s, worst {max(latencies):.1f} s"
    return Seen(f"{state} is in {place} within 10 s (p95)", saw, bool(p95 <= _PROMISED_S))


def _first_after(moments: list[float], begin_s: float) -> float:
    return min((each - begin_s for each in moments if each >= begin_s), default=float("inf"))


def _shown_until_over(run_dir: RunDir, monitor: subprocess.Popen[bytes]) -> dict[str, list[float]]:
    """When monitor.json began and ceased to show the alert, as long as the monitor runs."""
    shown: dict[str, list[float]] = {state: [] for state in _TOLD}
    firing = False
    while monitor.poll() is None:
        picture = read_picture(run_dir.monitor)
        now = picture is not None and any(each.rule == "outage" and each.state == "firing" for each in picture.alerts)
        if now != firing:
            shown["firing" if now else "resolved"].append(time.monotonic())
            firing = now
        time.sleep(0.1)
    return shown


def _command(folder: Path, *words: object) -> subprocess.Popen[bytes]:
    with (folder / f"{words[0]}.log").open("wb") as log:
        command = [sys.executable, "-m", "harness", *map(str, words)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)  # noqa: S603


def _begun(folder: Path) -> RunDir:
    while not (found := list(folder.glob("runs/*/*/run.json"))):
        time.sleep(0.1)
    return RunDir(found[0].parent)


def kills(count: int) -> list[Seen]:
    """A monitor in a process of its own is killed at random moments; what it told is held against the script."""
    draw = random.Random(11)  # noqa: S311  (moments, not secrets)
    with tempfile.TemporaryDirectory() as name, receiver() as (url, heard):
        script = Script(Path(name) / "p" / "r", webhook=url)
        began_s = time.monotonic()
        died = 0
        while died < count:
            child = _forked(lambda: followed(script, began_s))
            _grow_for(script, began_s, draw.uniform(0.05, 1.5))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            died += 1
        script.end(began_s)
        followed(script, began_s)
        events = [each for each in read_events(script.run_dir.alerts) if each.rule == "down"]
        states = Counter(each.state for each in events)
        twice = [each for each, n in Counter((event.id, event.state) for event in events).items() if n > 1]
        keys = Counter(key for key, _ in heard if key.startswith("down/"))
        planted = script.outages()
        picture = read_picture(script.run_dir.monitor)
        counted = -1 if picture is None else picture.spend.requests
    lost = sum(1 for event in events if event.state in _TOLD and not keys[event.key])
    again = sum(n - 1 for n in keys.values())
    told = (
        f"{planted} outages, {died} kills: {states['firing']} firing, {states['resolved']} resolved, {len(twice)} twice"
    )
    return [
        Seen("no alert is lost or told twice in alerts.jsonl", told,
             states["firing"] == states["resolved"] == planted and not twice),
        Seen("every attempt is counted once", f"{counted} of {script.written}", counted == script.written),
        Seen("no alert is lost at the webhook", f"{lost} lost, {again} posted again under the same key", lost == 0),
    ]  # fmt: skip


def _grow_for(script: Script, began_s: float, wait_s: float) -> None:
    until_s = time.monotonic() + wait_s
    while time.monotonic() < until_s:
        script.grow((time.monotonic() - began_s) * SPEED)
        time.sleep(0.02)


def _forked(work: Callable[[], None]) -> int:
    """The work in a process of its own, which begins at once."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    finally:
        os._exit(0)


def weeks(days: float) -> list[Seen]:
    """Probes of two targets every 20 s for days, written as a prober would, looked at every eight hours, minute by
    minute."""
    process = psutil.Process()
    sizes: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        script = Script(Path(name) / "p" / "r", every_s=20.0, down_every_s=30_000.0, down_s=600.0, parts_s=900.0)
        for hour in range(_LOOK_H, round(days * 24) + 1, _LOOK_H):
            script.look_by_hour(hour)
            sizes.append((hour, process.memory_info().rss / _MB, _raw_mb(script.run_dir)))
        history_mb = script.run_dir.history.stat().st_size / _MB
        lines = sum(1 for _ in script.run_dir.history.open("rb"))
        outages = sum(event.rule == "down" and event.state == "firing" for event in read_events(script.run_dir.alerts))
        planted = script.outages()
    settled = [each for each in sizes if each[0] > 30]
    hours, rss, raw = (np.array(column) for column in zip(*settled, strict=True))
    slope = float(np.polyfit(hours, rss, 1)[0]) * 24
    saw_rss = f"{rss[0]:.0f} MB after 30 h, {rss[-1]:.0f} MB at the end: {slope:+.2f} MB a day"
    saw_disk = (
        f"{raw.min():.1f} to {raw.max():.1f} MB of journals; history {history_mb / days:.2f} MB a day, {lines} lines"
    )
    return [
        Seen(f"{days:g} days of probes keep RSS flat", saw_rss, abs(slope) < 2.0),
        Seen("old samples go", saw_disk, bool(raw.max() < 2 * max(raw.min(), 1.0))),
        Seen("and every outage is told", f"{outages} of {planted}", outages == planted),
    ]


def _raw_mb(run_dir: RunDir) -> float:
    return sum(path.stat().st_size for path in run_dir.journals.iterdir()) / _MB


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(["news", "kills", "weeks"]))
@click.option("--quick", is_flag=True, help="A quarter of everything.")
def main(parts: tuple[str, ...], *, quick: bool) -> None:
    """Try what is promised of the monitor; exit code 1 where a promise is not kept."""
    share = 4 if quick else 1
    doing: dict[str, Callable[[], list[Seen]]] = {
        "news": lambda: news(_TRIALS // share),
        "kills": lambda: kills(100 // share),
        "weeks": lambda: weeks(7 / share + (1 if quick else 0)),
    }
    table = Table("promise", "seen", "kept")
    kept = True
    for part in parts or tuple(doing):
        for seen in doing[part]():
            kept = kept and seen.kept
            table.add_row(seen.promise, seen.saw, "yes" if seen.kept else "NO")
    Console(width=150).print(table)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
