"""How the load generator itself fares: one row a second, so that an analysis can tell whether the client was the
bottleneck. A heartbeat on absolute due times tells how late the event loop is; a beat that a frozen loop missed counts
with all of its delay, so that no freeze hides between two beats.
"""

from __future__ import annotations

import bisect
import gc
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import gevent
import psutil

from harness.loop.alarm import Alarm
from harness.records.health_record import LAG_BOUNDS_S, Health, encode_health
from harness.sample import Header

_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_BEAT_NS = 10_000_000
_ROW_S = 1.0
_SCHEDSTAT = Path("/proc/self/schedstat")
_FEWEST_CPU_S = 0.2  # the machine counts its CPU time in steps of 10 ms, for each core


@dataclass(frozen=True)
class Gauges:
    """What only the rest of the process knows. `worst_lag_s` is since it was last asked; None: not measured."""

    in_flight: Callable[[], int]
    users: Callable[[], int]
    worst_lag_s: Callable[[], float | None]
    connections: Callable[[], int]


@dataclass
class _Interval:
    """What has been seen since the last row. Of its begin: `cpu_s` is the process's CPU time, `wait_s` how long it had
    waited for a core, `machine_s` the busy and the whole CPU time of the machine; None: this platform does not tell."""

    begin_ns: int
    cpu_s: float
    wait_s: float | None
    machine_s: tuple[float, float] | None
    lags_s: list[float] = field(default_factory=list)
    gc_s: float = 0.0
    gc_pause_s: float = 0.0


class HealthWatch:
    """Watches one worker process from `start` to `stop`. Rows go to `on_row`, and to the file at `path`, if any.
    A row that cannot be written is told to `on_fault`, once; none is written after it."""

    def __init__(
        self,
        path: Path | None,
        header: Header,
        gauges: Gauges,
        on_fault: Callable[[str], None],
        on_row: Callable[[Health], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._header = header
        self._gauges = gauges
        self._on_fault = on_fault
        self._on_row = on_row
        self._file = None if path is None else os.open(path, _APPEND, 0o644)
        self._process = psutil.Process()
        self._greenlets: list[gevent.Greenlet[[], None]] = []
        self._faulty = False
        self._due_ns = 0
        self._gc_began_ns = 0
        self._interval = _new_interval()

    def start(self) -> None:
        """Begin to watch."""
        gc.callbacks.append(self._on_gc)
        self._due_ns = time.monotonic_ns() + _BEAT_NS
        self._interval = _new_interval()
        self._greenlets = [gevent.spawn(self._beat), gevent.spawn(self._write_rows)]

    def stop(self) -> None:
        """Write what remains, and end."""
        if not self._greenlets:
            return
        gevent.killall(self._greenlets)
        self._greenlets = []
        with suppress(ValueError):
            gc.callbacks.remove(self._on_gc)
        self._write_row()
        if self._file is not None:
            os.close(self._file)

    def _beat(self) -> None:
        alarm = Alarm()
        try:
            while True:
                alarm.wait_until(self._due_ns)
                self._count_beats()
        finally:
            alarm.close()

    def _count_beats(self) -> None:
        """Every beat that is due by now. The due times never move, so that lateness does not hide more of itself."""
        now_ns = time.monotonic_ns()
        lags_s = self._interval.lags_s
        while self._due_ns <= now_ns:
            lags_s.append((now_ns - self._due_ns) / 1e9)
            self._due_ns += _BEAT_NS

    def _on_gc(self, phase: str, _: dict[str, int]) -> None:
        now_ns = time.monotonic_ns()
        if phase == "start":
            self._gc_began_ns = now_ns
            return
        pause_s = (now_ns - self._gc_began_ns) / 1e9
        self._interval.gc_s += pause_s
        self._interval.gc_pause_s = max(self._interval.gc_pause_s, pause_s)

    def _write_rows(self) -> None:
        while not self._faulty:
            gevent.sleep(_ROW_S)
            self._write_row()

    def _write_row(self) -> None:
        self._count_beats()
        seen, self._interval = self._interval, _new_interval()
        row = self._row(seen)
        self._on_row(row)
        if self._faulty or self._file is None:
            return
        line = encode_health(row)
        try:
            fault = None if os.write(self._file, line) == len(line) else "written in part only: is the disk full?"
        except OSError as error:
            fault = f"cannot be written: {error.strerror}"
        if fault is not None:
            self._faulty = True
            self._on_fault(f"{self._path}: {fault}")

    def _row(self, seen: _Interval) -> Health:
        now = self._interval
        span_s = max((now.begin_ns - seen.begin_ns) / 1e9, 1e-6)
        lags_s = sorted(seen.lags_s)
        used, ports = _ephemeral_ports()
        return Health(
            run=self._header.run,
            worker=self._header.worker,
            repeat=self._header.repeat,
            t_ns=now.begin_ns - self._header.mono_ns,
            span_s=span_s,
            loop_lag_p50_s=_quantile(lags_s, 0.5),
            loop_lag_p99_s=_quantile(lags_s, 0.99),
            loop_lag_max_s=_quantile(lags_s, 1.0),
            loop_lag_counts=_counts(lags_s),
            cpu_share=(now.cpu_s - seen.cpu_s) / span_s,
            cpu_wait_share=None if seen.wait_s is None or now.wait_s is None else (now.wait_s - seen.wait_s) / span_s,
            machine_cpu_share=_busy_share(seen.machine_s, now.machine_s),
            schedule_lag_s=self._gauges.worst_lag_s(),
            gc_s=seen.gc_s,
            gc_pause_s=seen.gc_pause_s,
            rss_bytes=self._rss_bytes(),
            open_sockets=self._gauges.connections(),
            ephemeral_ports_used=used,
            ephemeral_ports=ports,
            in_flight=self._gauges.in_flight(),
            users=self._gauges.users(),
        )

    def _rss_bytes(self) -> int | None:
        try:
            return int(self._process.memory_info().rss)
        except (OSError, psutil.Error):
            return None


def _new_interval() -> _Interval:
    return _Interval(time.monotonic_ns(), time.process_time(), _wait_s(), _machine_s())


def _wait_s() -> float | None:
    """How long the event loop's thread has been ready to run and did not, because others had the core. Linux only."""
    try:
        return int(_SCHEDSTAT.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _machine_s() -> tuple[float, float] | None:
    """CPU seconds of all cores since the machine started: busy, and all. Waiting for a disk is not busy; what a
    hypervisor gave to others is."""
    try:
        times = psutil.cpu_times()._asdict()
    except (OSError, psutil.Error):
        return None
    whole = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)  # within user and nice
    return whole - times["idle"] - times.get("iowait", 0.0), whole


def _busy_share(before: tuple[float, float] | None, after: tuple[float, float] | None) -> float | None:
    """None also where the interval is too short for the machine's clock ticks."""
    if before is None or after is None or after[1] - before[1] < _FEWEST_CPU_S:
        return None
    return min(1.0, max(0.0, (after[0] - before[0]) / (after[1] - before[1])))


def _quantile(ordered: list[float], share: float) -> float | None:
    """The smallest value with that share of all at or below it."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else None


def _counts(ordered: list[float]) -> tuple[int, ...]:
    edges = [bisect.bisect_right(ordered, bound) for bound in LAG_BOUNDS_S]
    return tuple(b - a for a, b in zip([0, *edges], [*edges, len(ordered)], strict=True))


def _ephemeral_ports() -> tuple[int | None, int | None]:
    """TCP sockets of this network namespace in use or in TIME_WAIT, each of which may hold a port, and how many ports
    there are for outgoing connections. Linux only. The kernel's own sums: cheap, however many sockets there are."""
    try:
        words = Path("/proc/net/sockstat").read_text(encoding="ascii").partition("TCP:")[2].split()
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
        return int(words[1]) + int(words[words.index("tw") + 1]), int(high) - int(low) + 1
    except (OSError, ValueError, IndexError):
        return None, None
