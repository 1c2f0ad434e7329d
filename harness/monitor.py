"""Watching one run directory: journals in, `monitor.json`, `alerts.jsonl` and `monitor_state.json` out.

Time goes in steps up to now, also for what ended before this process began or while it was down: nothing that a rule
asks for is passed over, and a run of long ago is gone through as if it were watched; but what was over before anybody
watched is recorded and told to nobody. What a step takes in is kept
together with where it stands in the journals, and an alert is on the disk before its step counts as done: so a monitor
that is killed at any moment loses none and makes none twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analysis.digests.digest import slo_of
from analysis.watching.live_windows import Ended
from analysis.watching.slices import Slice
from harness import alerts
from harness.alerting.alert_list import alert_state
from harness.alerting.alert_log import keep_states, read_actions, recover
from harness.alerting.sinks import Delivery
from harness.cells import cells
from harness.journals.tail import Tail
from harness.monitoring.client_health import ClientHealth
from harness.monitoring.folding import (
    GRACE_NS,
    KEEP_RAW_S,
    MINUTE_NS,
    append_minutes,
    minutes_of,
    minutes_to_ns,
    old_parts,
)
from harness.monitoring.monitor_doubts import GRAVITY, Troubles, doubts_of
from harness.monitoring.monitor_state import MonitorState, Taken, read_state, write_state
from harness.monitoring.run_ending import Ending, ending_of
from harness.monitoring.watched_cell import LONGEST_NS, SLICE_NS, Promise, Used, WatchedCell, values_of
from harness.plan import Plan, Slo
from harness.records.alert_record import AlertAction, AlertConfig, AlertEvent, Episode, Reading, utc_text
from harness.records.monitor_record import Doubt, Minute, Mode, Picture, SpendNow, encode_picture
from harness.rules.alert_file import rules_of
from harness.rundir import RunDir, write_whole
from harness.sample import Sample

if TYPE_CHECKING:  # with it comes the library of metrics
    from harness.live.monitor_shown import Counted

S = 1_000_000_000
WHOLE_RUN = ("(run)", "(all)")  # target and workload of what concerns none alone
DAY_S = 86_400.0
_MOST_STEPS = 600  # in which a past is gone through
_KEPT_EVERY_NS = 5 * S
_AHEAD_NS = 2 * S
_BACK_NS = 60 * S
_MOST_UNWRITTEN = 100_000  # minutes
_PIECE = 1_000_000  # bytes of one journal at a time

Key = tuple[str, str]


@dataclass
class _Queue:
    """Attempts of one journal that are read and not taken in yet, with the byte behind each."""

    anchor_ns: int = 0
    rows: deque[tuple[Sample, int]] = field(default_factory=deque)


class Watch:
    """One run directory. `look` brings everything up to a moment; `delivery` None: no sink is told; `counted`: where
    attempts are counted for metrics, each once."""

    def __init__(
        self,
        run_dir: RunDir,
        plan: Plan | None,
        config: AlertConfig,
        now_ns: int,
        mono_ns: int,
        *,
        mode: Mode = "run",
        baselines: Mapping[Key, Slice] | None = None,
        delivery: Delivery | None = None,
        keep_raw_s: float = KEEP_RAW_S,
        counted: Counted | None = None,
    ) -> None:
        self._counted = counted
        self.run_dir = run_dir
        self.keep_raw_s = keep_raw_s
        self.plan = plan
        self.mode = mode
        self.rules = rules_of(config)
        self.cells: dict[Key, WatchedCell] = {}
        self._baselines = baselines or {}
        self._delivery = delivery
        self._targets = {target.name: target for target in plan.targets} if plan else {}
        self._slo = plan.slo if plan else Slo()
        months_s = config.sla.period_days * DAY_S
        period_s = planned_s(plan) if plan and mode == "run" else months_s
        self._promise = Promise(slo_of(plan, config), config.sla.latency_target, period_s)
        self._health = ClientHealth(run_dir.health, most_age_s=600.0 if mode == "probe" else 30.0)
        self._taken = Taken()
        self._queues: dict[str, _Queue] = {}
        self._tail = Tail(run_dir.journals)
        self._actions: tuple[tuple[int, int], list[AlertAction]] = ((0, 0), [])
        self.troubles = Troubles()
        self._client: list[Doubt] = []
        self._within_look = False
        self._unwritten: deque[Minute] = deque(maxlen=_MOST_UNWRITTEN)
        self.states: dict[str, Episode] = recover(run_dir)
        self._zero_ns = now_ns - mono_ns  # the wall time of the monotonic clock's zero
        self._restore(now_ns, mono_ns)

    def _restore(self, now_ns: int, mono_ns: int) -> None:
        kept = read_state(self.run_dir.monitor_state)
        began_ns = ending_of(self.run_dir, now_ns).began_ns
        self.begun_ns = min(now_ns, began_ns or now_ns) if kept is None else kept.begun_ns
        self.at_ns = self.begun_ns if kept is None else min(kept.at_ns, now_ns)
        self._kept_ns = 0 if kept is None else self.at_ns
        self._watched_ns = now_ns if kept is None else min(kept.watched_ns, now_ns)  # the clock may have been set back
        seen_s = max((each.seen_wall_s for each in self.states.values()), default=0.0)
        self._judged_ns = round(min(max(seen_s, 0.0) * S, self.at_ns + _BACK_NS))
        self._on_disk_ns = minutes_to_ns(self.run_dir.history) or 0
        first_ns = self.begun_ns if kept is None else kept.minutes_to_ns
        self._folded_ns = self._dropped_ns = first_ns - first_ns % MINUTE_NS
        if kept is None:
            return
        self._tail.places = self._taken.restore(kept.places, kept.at_ns)
        self._tail.place_anew(now_ns, mono_ns)
        for each in kept.cells:
            cell = self._cell((each.target, each.workload))
            cell.restore(each, now_ns)

    def _cell(self, key: Key) -> WatchedCell:
        if key not in self.cells:
            baseline = self._baselines.get(key)
            self.cells[key] = WatchedCell(
                key,
                self._targets.get(key[0]),
                self._slo,
                max(self.begun_ns, self.at_ns - round(DAY_S) * S),
                baseline,
                by_minute=self.mode == "probe",
                promise=self._promise,
            )
        return self.cells[key]

    def look(self, now_ns: int, mono_ns: int) -> Picture:
        """Bring everything up to now (wall clock; `mono_ns`: the monotonic one) and write it down."""
        self._within_look = True
        self._follow_clock(now_ns, mono_ns)
        ending = ending_of(self.run_dir, now_ns)
        over = ending.state in ("ended", "died")
        until_ns = min(now_ns, ending.ended_ns) if over and ending.ended_ns is not None else now_ns
        self._begin_after(until_ns - LONGEST_NS)
        step_ns = max(S, (until_ns - self.at_ns) // _MOST_STEPS)
        self._client = [] if over else self._health.look(mono_ns / S)
        while self.at_ns < until_ns:
            at_ns = min(until_ns, self.at_ns + step_ns)
            if self.mode == "probe":
                at_ns = min(at_ns, max(self.at_ns + 1, self._folded_ns + MINUTE_NS + GRACE_NS))
            last = at_ns == until_ns
            self._advance(at_ns, (now_ns, mono_ns), last=last)
            self._judge(at_ns, now=last)
        if over:
            self._take_in(until_ns, (now_ns, mono_ns), all_of_it=True)
            self._tell(alerts.finish(self.states, self.at_ns / S, f"the run has {ending.state}"))
        if self.mode == "probe" and self._folded_ns > self._dropped_ns:
            self._dropped_ns = self._folded_ns
            self._drop_old()
        picture = self._picture(ending, over=over)
        self._write(picture, whole=over)
        self._within_look = False
        return picture

    def _follow_clock(self, now_ns: int, mono_ns: int) -> None:
        """Where the clock was set, or this machine slept, journals of processes that run here are placed anew: else
        all that they are still to say would be of the past."""
        if abs(now_ns - mono_ns - self._zero_ns) > S:
            self._tail.place_anew(now_ns, mono_ns)
            for name, queue in self._queues.items():
                place = self._tail.places.get(name)
                queue.anchor_ns = queue.anchor_ns if place is None else place.anchor_ns or 0
        self._zero_ns = now_ns - mono_ns

    def _advance(self, until_ns: int, clocks: tuple[int, int], *, last: bool) -> None:
        """Take in what ended until then, each attempt into the slice in which it ended."""
        edge_ns = self.at_ns - self.at_ns % SLICE_NS + SLICE_NS
        while edge_ns < until_ns:
            self._pass_time(edge_ns - SLICE_NS)
            self._take_in(edge_ns, clocks, all_of_it=False)
            edge_ns = self._next_edge_ns(edge_ns, until_ns)
        self._pass_time(until_ns - 1 - (until_ns - 1) % SLICE_NS)
        self._take_in(until_ns, clocks, all_of_it=last)

    def _pass_time(self, now_ns: int) -> None:
        for cell in self.cells.values():
            cell.pass_time(now_ns)

    def _next_edge_ns(self, edge_ns: int, until_ns: int) -> int:
        """Where the next slice ends in which an attempt does: journals without one that waits have been read to their
        end."""
        waiting = (queue.anchor_ns + queue.rows[0][0].end_ns for queue in self._queues.values() if queue.rows)
        first_ns = min(waiting, default=until_ns)
        return max(edge_ns, first_ns - 1 - (first_ns - 1) % SLICE_NS) + SLICE_NS

    def _begin_after(self, floor_ns: int) -> None:
        """Nothing is gone through that is said to be further back: a clock was wrong, or a file is."""
        self.at_ns, self.begun_ns = max(self.at_ns, floor_ns), max(self.begun_ns, floor_ns)
        self._folded_ns = max(self._folded_ns, floor_ns - floor_ns % MINUTE_NS)

    def _take_in(self, until_ns: int, clocks: tuple[int, int], *, all_of_it: bool) -> None:
        """Every attempt that ended until then; `all_of_it`: also one of a clock that is ahead."""
        again = True
        while again:
            waiting = {name for name, queue in self._queues.items() if queue.rows}
            behind = set()
            for read in self._tail.read(*clocks, _PIECE, skip=waiting):
                if read.anew:
                    self._taken.forget(read.name)
                queue = self._queues.setdefault(read.name, _Queue())
                queue.anchor_ns = read.anchor_ns
                queue.rows.extend(zip(read.samples, read.ends, strict=True))
                behind |= {read.name} if read.behind else set()
            drained = [
                each
                for name, queue in self._queues.items()
                for each in self._drained(name, queue, until_ns, all_of_it=all_of_it)
            ]
            for ended, new in sorted(drained, key=lambda each: each[0].at_ns):  # of several workers, one after another
                self._cell((ended.sample.target, ended.sample.workload)).add(ended, new=new)
                if new and self._counted is not None:
                    self._counted.add((ended.sample,))
            again = any(not self._queues[name].rows for name in behind)

    def _drained(self, name: str, queue: _Queue, until_ns: int, *, all_of_it: bool) -> Iterator[tuple[Ended, bool]]:
        """Attempts of one journal that ended until then, and whether each is met for the first time."""
        while queue.rows:
            sample, end = queue.rows[0]
            ahead_ns = queue.anchor_ns + sample.end_ns - until_ns
            if ahead_ns > 0 and not all_of_it:
                return
            queue.rows.popleft()
            if ahead_ns > _AHEAD_NS:
                self.troubles.ahead_s[name] = ahead_ns / S
            yield Ended(sample, queue.anchor_ns - max(0, ahead_ns)), self._taken.note(name, end)

    def _judge(self, at_ns: int, *, now: bool) -> None:
        """One step of every rule; `now`: it is not in the past."""
        readings, silences = list[Reading](), list[float]()
        validity = max((GRAVITY[doubt.severity] for doubt in self._client), default=0) if now else None
        for cell in self.cells.values():
            cell.pass_time(at_ns)
            values = values_of(cell.picture(at_ns), cell.failures_in_row, cell.refusals_in_row)
            if self.mode == "run" and "silence_s" in values:  # targets take turns: only the run is silent
                silences.append(values.pop("silence_s"))
            readings.append(Reading(wall_s=at_ns / S, target=cell.key[0], workload=cell.key[1], values=values))
        readings.append(self._of_run(at_ns, validity, silences))
        readings += self._delivery.readings(at_ns / S) if self._delivery is not None and now else []
        self.at_ns = at_ns
        self._taken.mark(at_ns)
        if self.mode == "probe":
            self._fold(at_ns)
        if at_ns > self._judged_ns:
            self._tell(alerts.step(self.rules, self.states, readings, self._said(), at_ns / S))

    def _fold(self, at_ns: int) -> None:
        """Write down the minutes that are over."""
        while self._folded_ns + MINUTE_NS + GRACE_NS <= at_ns:
            end_ns = self._folded_ns + MINUTE_NS
            minutes = minutes_of(self.cells.values(), end_ns)
            self._unwritten.extend(minutes if end_ns > self._on_disk_ns else [])
            self._write_minutes()
            self._folded_ns = end_ns

    def _write_minutes(self) -> None:
        """Those that are over; what a full disk refuses is tried again with the next one, and at the end."""
        try:
            if self._unwritten:
                append_minutes(self.run_dir.history, self._unwritten)
            self._unwritten.clear()
        except OSError as error:
            self.troubles.not_written = f"{error.filename}: {error.strerror}"

    def _drop_old(self) -> None:
        """Journals that are old, and of which every minute is written down, go."""
        old = [] if self._unwritten else old_parts(self.run_dir, self.at_ns, self._folded_ns, self.keep_raw_s)
        if old:
            self._keep()
        for path in old:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self.troubles.not_written = f"{error.filename}: {error.strerror}"

    def _of_run(self, at_ns: int, validity: int | None, silences: Sequence[float]) -> Reading:
        spend = self.spend()
        values: dict[str, float] = {} if validity is None else {"validity": validity}
        limits = ((spend.usd, spend.budget_usd), (spend.requests, spend.budget_requests))
        shares = [used / most for used, most in limits if used is not None and most]
        values |= {} if spend.usd is None else {"spend_usd": spend.usd}
        values |= {"spend_share": max(shares)} if shares else {}
        values |= {"silence_s": min(silences)} if silences else {}
        return Reading(wall_s=at_ns / S, target=WHOLE_RUN[0], workload=WHOLE_RUN[1], values=values)

    def _tell(self, stepped: tuple[dict[str, Episode], list[AlertEvent]]) -> None:
        """First the events, then the states, then where it stands: see the head of this file."""
        self.states, events = stepped
        if self._delivery is not None:
            self._delivery.deliver(events)
        if events:
            self._keep()

    def _said(self) -> list[AlertAction]:
        """What people said of alerts; read again where the file has changed. And a silence until somebody watched: what
        ended in it is no news."""
        unwatched = AlertAction(at_utc="", by="monitor", kind="silence", until_utc=utc_text(self._watched_ns / S))
        try:
            status = self.run_dir.alert_actions.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._actions[0]:
                self._actions = (stamp, read_actions(self.run_dir.alert_actions))
            self.troubles.not_read = None
        except FileNotFoundError:
            self._actions = ((0, 0), [])
        except OSError as error:  # what was said until now still holds
            self.troubles.not_read = f"{error.filename}: {error.strerror}"
        return [*self._actions[1], unwatched]

    def _keep(self) -> None:
        """States and places on the disk. A fault of it is shown, and tried again."""
        self._queues = {name: queue for name, queue in self._queues.items() if queue.rows or name in self._tail.places}
        self._taken.drop_all_but(self._tail.places.keys() | self._queues.keys())
        state = MonitorState(
            begun_ns=self.begun_ns,
            at_ns=self.at_ns,
            places=self._taken.kept(self._tail.places),
            cells=[cell.kept() for cell in self.cells.values()],
            minutes_to_ns=self._folded_ns,
            watched_ns=self._watched_ns,
        )
        try:
            keep_states(self.run_dir, self.states)
            write_state(self.run_dir.monitor_state, state)
            self.troubles.not_written = None
        except OSError as error:
            self.troubles.not_written = f"{error.filename}: {error.strerror}"
        self._kept_ns = self.at_ns

    def _write(self, picture: Picture, *, whole: bool) -> None:
        if whole or self.at_ns - self._kept_ns >= _KEPT_EVERY_NS:
            self._keep()
        try:
            write_whole(self.run_dir.monitor, encode_picture(picture))
        except OSError as error:
            self.troubles.not_written = f"{error.filename}: {error.strerror}"

    def spend(self) -> SpendNow:
        """What was used until now."""
        used = [cell.used for cell in self.cells.values()]
        budget = self.plan.budget if self.plan else None
        total = Used(**{name: sum(getattr(each, name) for each in used) for name in Used.__struct_fields__})
        return SpendNow(
            usd=total.usd if total.priced else None,
            requests=total.requests,
            tokens=total.tokens if total.told else None,
            budget_usd=budget.usd if budget else None,
            budget_requests=budget.requests if budget else None,
            unknown_requests=total.unknown,
        )

    def _picture(self, ending: Ending, *, over: bool) -> Picture:
        at_s, began_ns = self.at_ns / S, ending.began_ns
        found = [cell.picture(self.at_ns, anew=over) for _, cell in sorted(self.cells.items())]
        return Picture(
            run=self.run_dir.name,
            at_utc=utc_text(at_s),
            at_wall_s=at_s,
            mode=self.mode,
            state=ending.state,
            plan=self.plan.name if self.plan else self.run_dir.name.partition("/")[0],
            elapsed_s=None if began_ns is None else max(0.0, (self.at_ns - began_ns) / S),
            planned_s=planned_s(self.plan) if self.plan and self.mode == "run" else None,
            cells=found,
            findings=[*self._client, *doubts_of(self.troubles, self._tail, found)],
            spend=self.spend(),
            alerts=[alert_state(each) for each in alerts.current(self.states)],
        )

    def close(self) -> None:
        """Keep where it stands; after a look that was cut short what was kept last, as after a kill."""
        if not self._within_look:
            self._write_minutes()
            self._keep()


def planned_s(plan: Plan) -> float:
    """How long the plan's load takes: the spans of all cells in all repeats."""
    return plan.repeats * sum(cell.span_s for cell in cells(plan, 1))
