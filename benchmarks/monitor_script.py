"""A run directory that is written as time goes on, by a clock that goes as fast as is wanted, and a watch of it."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import yaml

from harness.alerting.sinks import Delivery
from harness.errors import ErrorKind
from harness.monitor import Watch
from harness.plan_file import read_plan
from harness.records.alert_record import utc_text
from harness.records.monitor_record import Mode
from harness.rules.alert_file import read_alerts
from harness.rundir import RunDir
from harness.sample import SCHEMA, Header, Sample, Usage, encode, outcome_of

S = 1_000_000_000
BEGAN_S = 1_790_000_040  # of the wall clock, a whole minute
SPEED = 20.0  # virtual seconds a second


class Script:
    """Requests of two targets at a steady rate, all failing for `down_s` every `down_every_s` (of the first target)."""

    def __init__(
        self,
        root: Path,
        *,
        every_s: float = 0.2,
        down_every_s: float = 60.0,
        down_s: float = 15.0,
        parts_s: float | None = None,
        webhook: str | None = None,
    ) -> None:
        self.run_dir = RunDir(root)
        self.run_dir.journals.mkdir(parents=True)
        self.every_s, self.down_every_s, self.down_s, self.parts_s = every_s, down_every_s, down_s, parts_s
        self.written = 0
        self._draw = random.Random(5)  # noqa: S311  (latencies, not secrets)
        self._to_s = 0.0
        self._part = 0
        self._seq = 0
        self._watch: Watch | None = None
        sinks = [] if webhook is None else [{"kind": "webhook", "url": webhook}]
        rule = {"name": "down", "metric": "failures_in_row", "above": 2, "for_s": 2 * every_s, "resolve_after_s": 3}
        self.rules = {"rules": [rule], "sinks": sinks}
        targets = [_target(name) for name in ("a", "b")]
        stage = {"rate_rps": 1 / every_s, "duration_s": 1e6}
        plan = {"name": "p", "targets": targets, "workload": {"name": "w"}, "stages": [stage], "slo": {"ttft_s": 1.0}}
        self.run_dir.plan.write_text(yaml.safe_dump(plan))
        self._say("running")
        self._begin_part(0)

    def _say(self, ended: str, after_s: float | None = None) -> None:
        record: dict[str, Any] = {"ended": ended, "started_utc": utc_text(BEGAN_S)}
        record |= {} if after_s is None else {"ended_utc": utc_text(BEGAN_S + after_s)}
        self.run_dir.run_json.write_text(json.dumps(record))

    def _begin_part(self, at_s: float) -> None:
        self._part += 1
        self._seq = 0
        self._part_began_s = at_s
        self._worker = f"probe-{self._part:06d}" if self.parts_s else "r1-w0"
        head = Header(
            schema=SCHEMA, run="r", worker=self._worker, repeat=1, share=(0, 1), wall_ns=BEGAN_S * S, mono_ns=7,
            pid=1, host="another",
        )  # fmt: skip
        self.path = self.run_dir.journal(self._worker)
        self.path.write_bytes(encode(head))

    def _down(self, at_s: float) -> bool:
        return at_s % self.down_every_s >= self.down_every_s - self.down_s

    def outages(self) -> int:
        """How many were begun, and lasted for three requests."""
        first_s = self.down_every_s - self.down_s
        return int((self._to_s - first_s - 5 * self.every_s) // self.down_every_s) + 1

    def grow(self, to_s: float) -> None:
        """Every request that has ended by then is in a journal, whose age is that of its last one."""
        lines: list[bytes] = []
        while (self._to_s + self.every_s) <= to_s:
            self._to_s = round(self._to_s + self.every_s, 6)
            if self.parts_s and self._to_s - self._part_began_s >= self.parts_s:
                self._flush(lines, self._to_s - self.every_s)
                lines = []
                self._begin_part(self._to_s)
            lines += [encode(self._sample(name)) for name in ("a", "b")]
        self._flush(lines, to_s)

    def _flush(self, lines: list[bytes], at_s: float) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(lines))
        os.utime(self.path, (BEGAN_S + at_s, BEGAN_S + at_s))
        self.written += len(lines)

    def _sample(self, target: str) -> Sample:
        end_ns = round(self._to_s * S)
        error = ErrorKind.OVERLOADED if target == "a" and self._down(self._to_s) else None
        start_ns = end_ns - round(self._draw.lognormvariate(-1, 0.2) * S)
        gap_ns = (end_ns - start_ns) // 40
        self._seq += 1
        return Sample(
            run="r", target=target, dialect="openai-chat", model="m", workload="w", stage=0, repeat=1,
            worker=self._worker, seq=self._seq, prompt_id="p", start_ns=start_ns, end_ns=end_ns,
            event_ns=() if error else tuple(end_ns - gap_ns * k for k in range(30, 0, -1)),
            outcome=outcome_of(error), error=error,
            usage=None if error else Usage(source="provider", input_tokens=10, output_tokens=30),
        )  # fmt: skip

    def watch(self, at_s: float) -> tuple[Watch, Delivery]:
        """Begin to watch, or go on as after a restart."""
        config = read_alerts(self.rules)
        delivery = Delivery(config, self.run_dir)
        plan = read_plan(str(self.run_dir.plan))
        mode: Mode = "probe" if self.parts_s else "run"
        return Watch(self.run_dir, plan, config, *_clocks(at_s), mode=mode, delivery=delivery), delivery

    def look_by_hour(self, hour: int) -> None:
        """Grow by an hour, and have one watch, the same each time, look at it."""
        if self._watch is None:
            self._watch, _ = self.watch(0)
        self.grow(hour * 3600.0)
        os.utime(self.run_dir.run_json, (BEGAN_S + hour * 3600.0,) * 2)
        self._watch.look(*_clocks(hour * 3600.0))

    def end(self, began_s: float) -> None:
        """The run is over, out of an outage."""
        at_s = (time.monotonic() - began_s) * SPEED
        at_s += self.down_every_s - at_s % self.down_every_s + self.down_every_s / 2
        self.grow(at_s)
        self._say("complete", at_s)
        self.over_s = at_s

    over_s: float | None = None


def _target(name: str) -> dict[str, Any]:
    price = {"input": 1, "output": 2}
    return {"name": name, "dialect": "openai-chat", "base_url": "http://h/v1", "model": "m", "price": price}


def _clocks(at_s: float) -> tuple[int, int]:
    return BEGAN_S * S + round(at_s * S), round(at_s * S) + 5


def followed(script: Script, began_s: float) -> None:
    """Watch the script, twenty times as fast as real, until its run is over or this process is killed."""
    now_s = script.over_s or (time.monotonic() - began_s) * SPEED
    watch, delivery = script.watch(now_s)
    while True:
        now_s = script.over_s or (time.monotonic() - began_s) * SPEED
        if watch.look(*_clocks(now_s)).state != "running":
            break
        time.sleep(0.05)
    delivery.close(30)
