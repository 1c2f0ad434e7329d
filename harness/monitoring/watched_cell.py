"""Everything a monitor knows of one target and workload: windows, degradation, service levels, spend, and its readings.

An attempt is taken in once (`add`); after a restart those of the last minutes are taken in again for the windows alone
(`add` with `new` false), since the rest is in the state that was kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from analysis.watching import degradation, sla
from analysis.watching.degradation import DegradationState
from analysis.watching.live_windows import CellWindows, Ended, Sliding
from analysis.watching.sla import Counts, SlaBook
from analysis.watching.slices import Slice, merged, slice_of
from harness.errors import PROVIDER_FAILURES
from harness.live.margin import tpot_ns_of
from harness.plan import Slo, Target
from harness.prices import usd_of
from harness.records.monitor_record import LiveCell, Shift, SlaState, Window
from harness.sample import Outcome, Sample

SLICE_NS = 10 * 10**9
LONGEST_NS = 100 * 86_400 * 10**9  # of what is gone through at once
_MOST_PENDING = 2000
_GIVEN_UP = (Outcome.CANCELLED, Outcome.DROPPED)
_LATENCIES = ("ttft", "itl", "tpot", "e2e")


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempts of a target and workload have used. `unknown`: had a reply whose cost is not known."""

    requests: int = 0
    tokens: int = 0
    told: int = 0
    usd: float = 0.0
    priced: int = 0
    unknown: int = 0


class CellState(msgspec.Struct, frozen=True, kw_only=True):
    """What a restart needs of a cell, beside the attempts of the last ten minutes. `slice_begin_ns`: what ended since
    is not in `degradation` and `sla` yet."""

    target: str
    workload: str
    since_ns: int
    slice_begin_ns: int
    newest_ns: int | None
    failures_in_row: int
    used: Used
    told_usd: float
    spreads: dict[str, dict[int, int]]
    degradation: DegradationState
    sla: SlaBook | None
    shifts: list[Shift]
    levels: list[SlaState]
    refusals_in_row: int = 0


@dataclass
class _Slice:
    """What ended since a slice began."""

    begin_ns: int
    judged: int = 0
    failed: int = 0
    throttled: int = 0
    values_ns: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in _LATENCIES if name != "itl"}
    )
    gaps_ns: list[npt.NDArray[np.int64]] = field(default_factory=list)
    good: dict[str, int] = field(default_factory=dict)
    valid: dict[str, int] = field(default_factory=dict)
    folded: Slice | None = None

    def add(self, sample: Sample, limits: Mapping[str, float | None]) -> None:
        """Count an attempt; `limits` by the name of an objective."""
        if sample.outcome not in _GIVEN_UP:
            self.judged += 1
            self.failed += _provider_failed(sample)
            self.throttled += sample.outcome is Outcome.THROTTLED
        found = _latencies_ns(sample)
        for name, value in found.items():
            self.values_ns[name].append(value)
        if sample.outcome is Outcome.OK and len(sample.event_ns) > 1:
            self.gaps_ns.append(np.maximum(np.diff(np.array(sample.event_ns, np.int64)), 0))
        self._keep(sample, found, limits)
        if len(self.values_ns["e2e"]) >= _MOST_PENDING:
            self.fold(self.begin_ns)

    def _keep(self, sample: Sample, found: Mapping[str, float], limits: Mapping[str, float | None]) -> None:
        for objective, limit in limits.items():
            if limit is None:
                valid, good = sample.outcome is Outcome.OK or _provider_failed(sample), sample.outcome is Outcome.OK
            else:
                value = found.get(objective.partition("_s<=")[0])
                valid, good = value is not None, value is not None and value / 1e9 <= limit
            self.valid[objective] = self.valid.get(objective, 0) + valid
            self.good[objective] = self.good.get(objective, 0) + (valid and good)

    def fold(self, end_ns: int) -> Slice:
        """All of it as one slice that ends then."""
        seconds = {name: np.array(values) / 1e9 for name, values in self.values_ns.items()}
        seconds["itl"] = np.concatenate([np.empty(0, np.int64), *self.gaps_ns]) / 1e9
        new = slice_of(
            end_ns / 1e9,
            (end_ns - self.begin_ns) / 1e9,
            judged=self.judged,
            failed=self.failed,
            throttled=self.throttled,
            values_s=seconds,
            requests={"itl": len(self.gaps_ns)},
        )
        if self.folded is not None:
            new = msgspec.structs.replace(merged(self.folded, new), length_s=(end_ns - self.begin_ns) / 1e9)
        self.judged = self.failed = self.throttled = 0
        self.values_ns, self.gaps_ns, self.folded = {name: [] for name in self.values_ns}, [], new
        return new


def _provider_failed(sample: Sample) -> bool:
    return sample.error_class in PROVIDER_FAILURES


def _latencies_ns(sample: Sample) -> dict[str, float]:
    """Of an attempt that ended ok, each that was measured."""
    if sample.outcome is not Outcome.OK or sample.start_ns is None:
        return {}
    found: dict[str, float] = {"e2e": sample.end_ns - sample.start_ns}
    if sample.event_ns:
        found["ttft"] = sample.event_ns[0] - sample.start_ns
    tpot_ns = tpot_ns_of(sample)
    return found if tpot_ns is None else found | {"tpot": tpot_ns}


@dataclass(frozen=True)
class Promise:
    """The service level that is promised: its limits, which part of the requests must keep each latency, and for how
    long a budget of errors is."""

    slo: Slo
    latency_target: float = 0.95
    period_s: float = sla.MONTH_S


def limits_of_objectives(slo: Slo) -> dict[str, float | None]:
    """The limit in s of each objective by its name; None: it has none but to be answered."""
    names = sla.objectives(slo)
    return {name: float(name.partition("<=")[2]) if "<=" in name else None for name in names}


class WatchedCell:
    """One target and workload, watched since `since_ns` (wall clock). `target` None: it is not in the plan.
    `by_minute`: its minutes will be asked for. `promise`
    None: what `slo` says, for a month."""

    def __init__(
        self,
        key: tuple[str, str],
        target: Target | None,
        slo: Slo,
        since_ns: int,
        baseline: Slice | None,
        *,
        by_minute: bool = False,
        promise: Promise | None = None,
    ) -> None:
        self.key = key
        self._by_minute = by_minute
        self._target = target
        promised = promise or Promise(slo)
        self._limits = limits_of_objectives(promised.slo)
        self.windows = CellWindows(since_ns, slo)
        self.failures_in_row = self.refusals_in_row = 0
        self.used = Used()
        self._minute = Sliding(60.0)
        self._told_usd = 0.0
        self._spreads: dict[str, dict[int, int]] = {}
        self._degradation = degradation.begin(baseline)
        self._sla = sla.begin(promised.slo, promised.period_s, promised.latency_target) if self._limits else None
        self.shifts: list[Shift] = []
        self.levels: list[SlaState] = []
        self._slice = _Slice(since_ns - since_ns % SLICE_NS)

    def restore(self, kept: CellState, now_ns: int) -> None:
        """Go on from what was kept, with what is promised and held against now. What it says of a time that is still to
        come, by a clock set back, is now."""
        self.windows.since_ns = min(kept.since_ns, now_ns)
        self.windows.newest_ns = None if kept.newest_ns is None else min(kept.newest_ns, now_ns)
        self.failures_in_row, self.refusals_in_row = kept.failures_in_row, kept.refusals_in_row
        self.used, self._told_usd = kept.used, kept.told_usd
        self._degradation = degradation.gone_on(kept.degradation, self._degradation)
        self._sla, self._spreads = sla.gone_on(kept.sla, self._sla), kept.spreads
        self.shifts, self.levels = kept.shifts, [each for each in kept.levels if each.objective in self._limits]
        newest_ns = now_ns - now_ns % SLICE_NS
        self._slice = _Slice(min(max(kept.slice_begin_ns, newest_ns - LONGEST_NS), newest_ns))

    def kept(self) -> CellState:
        """What a restart needs."""
        return CellState(
            target=self.key[0],
            workload=self.key[1],
            since_ns=self.windows.since_ns,
            slice_begin_ns=self._slice.begin_ns,
            newest_ns=self.windows.newest_ns,
            failures_in_row=self.failures_in_row,
            refusals_in_row=self.refusals_in_row,
            used=self.used,
            told_usd=self._told_usd,
            spreads=self._spreads,
            degradation=self._degradation,
            sla=self._sla,
            shifts=self.shifts,
            levels=self.levels,
        )

    def add(self, ended: Ended, *, new: bool = True) -> None:
        """Take in an attempt. `new` false: it was taken in before a restart."""
        self.windows.add(ended)
        if self._by_minute:
            self._minute.add(ended)
        if new or ended.at_ns > self._slice.begin_ns:
            self._slice.add(ended.sample, self._limits)
        if new:
            self._count(ended.sample)

    def _count(self, sample: Sample) -> None:
        if sample.outcome is Outcome.OK:
            self.failures_in_row = self.refusals_in_row = 0
        elif _provider_failed(sample):
            self.failures_in_row += 1
        elif sample.outcome not in _GIVEN_UP:
            self.refusals_in_row += 1
        if sample.outcome is Outcome.DROPPED:
            return
        usage = sample.usage
        usd = None if self._target is None else usd_of(self._target, usage)
        told = usage is not None and (usage.input_tokens is not None or usage.output_tokens is not None)
        tokens = 0 if usage is None else (usage.input_tokens or 0) + (usage.output_tokens or 0)
        replied = sample.outcome is Outcome.OK or bool(sample.event_ns) or told
        used = self.used
        self.used = Used(
            requests=used.requests + 1,
            tokens=used.tokens + tokens,
            told=used.told + told,
            usd=used.usd + (usd or 0.0),
            priced=used.priced + (usd is not None),
            unknown=used.unknown + (replied and usd is None),
        )

    def minute_until(self, end_ns: int) -> tuple[Window, float | None, dict[str, dict[int, int]]]:
        """The minute that ended then; what was spent, and the values of latencies by bucket, since this was last asked.
        To be asked for each minute."""
        usd, self._told_usd = self.used.usd - self._told_usd, self.used.usd
        spreads, self._spreads = self._spreads, {}
        window = self._minute.figures(end_ns, self.windows.since_ns, self.windows.slo)
        return window, usd if self.used.priced else None, spreads

    def pass_time(self, now_ns: int) -> None:
        """Close every slice that is over."""
        while self._slice.begin_ns + SLICE_NS <= now_ns:
            end_ns = self._slice.begin_ns + SLICE_NS
            done = self._slice
            whole = done.fold(end_ns)
            self._degradation, self.shifts = degradation.update(self._degradation, whole)
            if self._by_minute:
                self._spread(whole)
            if self._sla is not None:
                counts = Counts(at_s=end_ns / 1e9, good=done.good, valid=done.valid)
                self._sla, self.levels = sla.update(self._sla, counts)
            self._slice = _Slice(end_ns)

    def _spread(self, more: Slice) -> None:
        for name, spread in more.spreads.items():
            if name != "itl":
                counts = self._spreads.setdefault(name, {})
                for bucket, n in spread.counts.items():
                    counts[bucket] = counts.get(bucket, 0) + n

    def picture(self, now_ns: int, *, anew: bool = False) -> LiveCell:
        """How it stands."""
        windows = self.windows.figures(now_ns, anew=anew)
        newest_ns = self.windows.newest_ns
        return LiveCell(
            target=self.key[0],
            workload=self.key[1],
            windows=windows,
            degradation=self.shifts,
            sla=self.levels,
            throttled_share=windows["1m"].throttled_ratio,
            silence_s=None if newest_ns is None else max(0.0, (now_ns - newest_ns) / 1e9),
        )


def values_of(cell: LiveCell, failures_in_row: int, refusals_in_row: int) -> dict[str, float]:
    """The readings of a cell by the names that rules use."""
    values: dict[str, float] = {"failures_in_row": failures_in_row, "refusals_in_row": refusals_in_row}
    for name, window in cell.windows.items():
        values |= {f"{metric}@{name}": value for metric, value in _of_window(window).items()}
    if cell.silence_s is not None:
        values["silence_s"] = cell.silence_s
    confirmed = {shift.metric for shift in cell.degradation if shift.confirmed}
    for metric in ("ttft", "itl", "tpot", "e2e", "error_ratio", "throttled_ratio"):
        values[f"degradation.{metric}"] = float(metric in confirmed)
    return values | _of_levels(cell.sla)


def _of_window(window: Window) -> dict[str, float]:
    found: dict[str, float | None] = {
        name: getattr(window, name)
        for name in (
            "error_ratio",
            "throttled_ratio",
            "completed_rps",
            "goodput_rps",
            "output_tokens_per_s",
            "attempted",
        )
    }
    failed = sum(window.errors.get(each.value, 0) for each in PROVIDER_FAILURES)
    ok = window.outcomes.get(Outcome.OK, 0)
    found["availability"] = ok / (ok + failed) if ok + failed else None
    for name in _LATENCIES:
        latency = getattr(window, f"{name}_s")
        if latency is not None:
            found |= {f"{name}.{quantile}": getattr(latency, quantile) for quantile in ("p50", "p95", "p99")}
    return {name: float(value) for name, value in found.items() if value is not None}


def _of_levels(levels: list[SlaState]) -> dict[str, float]:
    """The worst of all objectives: each burn is the smaller one of its two windows, since both must be beyond."""
    burns = [list(level.burn.values()) for level in levels if level.burn]
    values: dict[str, float] = {}
    for name, place in (("burn.fast", 0), ("burn.slow", -1)):
        both = [min(each[place].long or 0.0, each[place].short or 0.0) for each in burns]
        if both:
            values[name] = max(both)
    left = [level.budget_left for level in levels if level.budget_left is not None]
    return values | ({"budget_left": min(left)} if left else {})
