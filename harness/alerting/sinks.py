"""Telling people of alerts: `alerts.jsonl` first, then each sink in a thread of its own, from where it had come to.

A sink that fails, hangs or is gone delays no other and never the caller. How far each has come is in `sinks.json`, so
that after `kill -9` it goes on there; only an event that was sent and not yet noted is sent again, under the same key.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Self

import msgspec

from harness.alerting.alert_command import start_command
from harness.alerting.alert_log import append_events, events_after
from harness.alerting.webhook import Notice, Sent, in_clear, notice_of, post, unready
from harness.errors import UNREADABLE
from harness.records.alert_record import (
    AlertConfig,
    AlertEvent,
    CommandSink,
    LogSink,
    Reading,
    Severity,
    Sink,
    SinkState,
    WebhookSink,
    utc_text,
)
from harness.rules.alert_file import sinks_of
from harness.rundir import RunDir, write_whole

_MOST_UNWRITTEN = 10_000
_ENDING_S = 2.0
_MOST_REMEMBERED = 1000
_MOST_OF_LOG = 100_000
_GRAVITY: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}
_replace = msgspec.structs.replace


class _SinkFile(msgspec.Struct, frozen=True, kw_only=True):
    """`sinks.json`: how far each sink has come, by its name."""

    schema: int = 1
    sinks: dict[str, SinkState]


def read_sinks(run_dir: RunDir) -> dict[str, SinkState]:
    """How far each sink has come; none where there is no such file, or a broken one. Raises OSError."""
    try:
        return msgspec.json.decode(run_dir.sinks.read_bytes(), type=_SinkFile).sinks
    except (FileNotFoundError, *UNREADABLE):
        return {}


def told_to(sink: Sink, event: AlertEvent) -> bool:
    """Whether a sink hears of an event: grave enough, not silenced, and a firing or the end of one."""
    matters = event.fired and event.state != "pending"
    return matters and not event.silenced and _GRAVITY[event.severity] >= _GRAVITY[sink.severity]


def send(sink: Sink, notice: Notice, stopped: Callable[[], bool] = lambda: False) -> Sent:
    """Tell a sink once. Nothing is raised. `stopped`: whether a command is to be ended before its time."""
    try:
        if isinstance(sink, LogSink):
            return Sent(ok=_say(f"alert: {notice.text}"), said="stderr is closed")
        return start_command(sink, notice, stopped) if isinstance(sink, CommandSink) else post(sink, notice)
    except Exception as error:  # noqa: BLE001  (whatever a sink does, its thread goes on)
        return Sent(ok=False, again=True, said=f"{type(error).__name__} in this program")


def _say(text: str) -> bool:
    """A line on stderr; control characters of hostile names do not reach the terminal."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    with suppress(OSError, ValueError):
        sys.stderr.write(shown + "\n")
        sys.stderr.flush()
        return True
    return False


class Delivery:
    """Delivers events of a run directory to the sinks of a configuration. `run` names the run in what is sent."""

    def __init__(self, config: AlertConfig, run_dir: RunDir, *, run: str | None = None) -> None:
        self._run_dir = run_dir
        self._unwritten: deque[AlertEvent] = deque(maxlen=_MOST_UNWRITTEN)
        self._book = _Book(run_dir, [name for name, _ in sinks_of(config)])
        self._couriers = [_Courier(name, sink, self._book, run or run_dir.name) for name, sink in sinks_of(config)]
        for courier in self._couriers:
            courier.start()
        for name, sink in sinks_of(config):
            fault = unready(sink) or in_clear(sink) if isinstance(sink, WebhookSink) else None
            if fault is not None:
                _say(f"alerts: sink {name}: {fault}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def deliver(self, events: Sequence[AlertEvent]) -> None:
        """Record events in `alerts.jsonl`, on the disk, and wake the sinks. Does not wait for them and does not raise:
        what cannot be written is told to the sinks all the same, and written as soon as it can be, at a later call
        (also one without events) or at the end."""
        waiting = [*self._unwritten, *events]
        if not waiting:
            return
        try:
            append_events(self._run_dir.alerts, waiting)
        except OSError as error:
            if not self._unwritten:
                _say(f"alerts: {self._run_dir.alerts}: {error.strerror}: kept in memory, tried again")
            self._unwritten.extend(events)
            for courier in self._couriers:
                courier.unwritten.extend(events)
        else:
            self._unwritten.clear()
        for courier in self._couriers:
            courier.wake.set()

    def readings(self, now_wall_s: float) -> list[Reading]:
        """How the sinks fare, as readings for the rules (`sink_failing_s`): a bad sink is told of by the others."""
        found: list[Reading] = []
        for name, state in self._book.states().items():
            since_s = state.failing_since_wall_s
            values = {"sink_failing_s": 0.0 if since_s is None else max(0.0, now_wall_s - since_s)}
            found.append(Reading(wall_s=now_wall_s, target=name, workload="", values=values))
        return found

    def close(self, timeout_s: float = 5.0) -> bool:
        """Wait until every event is delivered, at most so long; whether it was. What is left goes at the next start."""
        until_s = time.monotonic() + timeout_s
        self.deliver(())
        for courier in self._couriers:
            courier.last.set()
            courier.wake.set()
        for courier in self._couriers:
            courier.join(max(0.0, until_s - time.monotonic()))
        left = [courier for courier in self._couriers if courier.is_alive()]
        for courier in left:
            _say(f"alerts: sink {courier.sink_name}: not everything is told: the rest is, once a monitor watches again")
            courier.stop.set()
            courier.wake.set()
        for courier in left:
            courier.join(_ENDING_S if isinstance(courier.sink, CommandSink) else 0.0)
        return not left


class _Book:
    """`sinks.json`, and what is in it. A sink that is new begins where `alerts.jsonl` ends now."""

    def __init__(self, run_dir: RunDir, names: Sequence[str]) -> None:
        self.run_dir = run_dir
        self._lock = threading.Lock()
        size = run_dir.alerts.stat().st_size if run_dir.alerts.is_file() else 0
        known = read_sinks(run_dir)
        self._states = {name: known.get(name) or SinkState(cursor=size) for name in names}
        self._write(self._states)

    def states(self) -> dict[str, SinkState]:
        with self._lock:
            return dict(self._states)

    def note(self, name: str, state: SinkState) -> None:
        """Keep how far a sink has come. A disk that is full is no reason to stop: then it may be told twice."""
        with self._lock:
            self._states[name] = state
            self._write(self._states)

    def _write(self, states: Mapping[str, SinkState]) -> None:
        with suppress(OSError):
            write_whole(self.run_dir.sinks, msgspec.json.encode(_SinkFile(sinks=dict(states))))


class _Courier(threading.Thread):
    """Takes events to one sink, one after another, from `alerts.jsonl` behind its cursor."""

    def __init__(self, name: str, sink: Sink, book: _Book, run: str) -> None:
        super().__init__(name=f"sink {name}", daemon=True)
        self.wake = threading.Event()
        self.last = threading.Event()
        self.stop = threading.Event()
        self.unwritten: deque[AlertEvent] = deque(maxlen=_MOST_UNWRITTEN)
        self.sink_name = name
        self.sink = sink
        self._book = book
        self._run = run
        self._told: deque[str] = deque(maxlen=_MOST_REMEMBERED)
        self._state = book.states()[name]

    def run(self) -> None:
        while not self.stop.is_set():
            self.wake.clear()
            closing = self.last.is_set()
            if not self._take_waiting():
                if closing:
                    return
                self.wake.wait()

    def _take_waiting(self) -> bool:
        """Deliver what waits now; whether there was anything."""
        try:
            waiting, skipped = self._waiting()
        except OSError as error:
            self._failed(f"{self._book.run_dir.alerts}: {error.strerror}")
            waiting, skipped = deque(), 0
        if skipped:
            _say(f"alerts: sink {self.sink_name}: too many events wait: the oldest {skipped} are left out")
            self._state = _replace(self._state, skipped=self._state.skipped + skipped)
        for end, event in waiting:
            if not self._take(event):
                return True
            self._state = _replace(self._state, cursor=end)
            self._book.note(self.sink_name, self._state)
        unwritten = 0
        while self.unwritten:
            event = self.unwritten[0]
            if not self._take(event):
                return True
            self.unwritten.popleft()
            self._book.note(self.sink_name, self._state)
            unwritten += 1
        return bool(waiting or unwritten)

    def _waiting(self) -> tuple[deque[tuple[int, AlertEvent]], int]:
        """What stands behind the cursor, and how many of those it concerns are left out since there are too many."""
        most = _MOST_OF_LOG if isinstance(self.sink, LogSink) else self.sink.most_waiting
        found: deque[tuple[int, AlertEvent]] = deque()
        skipped = 0
        for end, event in events_after(self._book.run_dir.alerts, self._state.cursor):
            if not told_to(self.sink, event) and found and not told_to(self.sink, found[-1][1]):
                found.pop()
            found.append((end, event))
            if len(found) > most:
                skipped += told_to(self.sink, found.popleft()[1])
        return found, skipped

    def _take(self, event: AlertEvent) -> bool:
        """Tell of one event until it is told or given up, if it is for this sink and was not told from memory already;
        False where the program ends first."""
        if not told_to(self.sink, event) or event.key in self._told:
            return True
        notice = notice_of(event, self._run)
        begun_s = time.monotonic()
        pause_s = 0.0
        while not self.stop.is_set():
            sent = send(self.sink, notice, self.stop.is_set)
            if sent.ok:
                self._succeeded()
                self._told.append(event.key)
                return True
            self._failed(sent.said)
            if isinstance(self.sink, LogSink):
                return self._give_up(event, sent)
            pause_s = min(max(self.sink.backoff_s, pause_s * 2), self.sink.max_backoff_s)
            wait_s = max(pause_s * random.uniform(0.5, 1.0), sent.wait_s or 0.0)  # noqa: S311  (not a secret)
            if not sent.again or time.monotonic() + wait_s - begun_s > self.sink.give_up_after_s:
                return self._give_up(event, sent)
            self.stop.wait(wait_s)
        return False

    def _succeeded(self) -> None:
        if self._state.failing_since_wall_s is not None:
            _say(f"alerts: sink {self.sink_name}: works again")
        now = utc_text(time.time())
        self._state = _replace(
            self._state, delivered=self._state.delivered + 1, failing_since_wall_s=None, last_ok_utc=now
        )

    def _failed(self, said: str) -> None:
        now_s = time.time()
        since_s = self._state.failing_since_wall_s
        if since_s is None:
            _say(f"alerts: sink {self.sink_name}: {said}")
        self._state = _replace(
            self._state, failing_since_wall_s=since_s or now_s, last_error=said, last_error_utc=utc_text(now_s)
        )
        self._book.note(self.sink_name, self._state)

    def _give_up(self, event: AlertEvent, sent: Sent) -> bool:
        _say(f"alerts: sink {self.sink_name}: {event.key} is given up: {sent.said}")
        self._state = _replace(self._state, lost=self._state.lost + 1)
        return True
