"""What a run directory knows of a span, hour by hour: from the minutes of `history.jsonl`, else from its journals.

Latencies are counts in buckets 1 % wide (`analysis/watching/slices.py`), so that hours can be put together whatever
they are from. An attempt belongs to the hour in which it ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.cost import cost_of
from analysis.metrics import times_s
from analysis.reading.gaps import Whole
from analysis.samples import Floats, Samples, load_samples
from analysis.watching.slices import Sketch, sketch_of
from harness.errors import PROVIDER_FAILURES, UNREADABLE, UsageFault
from harness.plan import Plan
from harness.records.monitor_record import Minute, decode_minute
from harness.rundir import RunDir
from harness.sample import Outcome

HOUR_S = 3600.0
MINUTE_S = 60.0
LATENCIES = ("ttft", "tpot", "e2e")
Place = tuple[str, str]  # target and workload
_GIVEN_UP = (Outcome.CANCELLED.value, Outcome.DROPPED.value)


@dataclass
class Hour:
    """The attempts of one target and workload that ended in an hour. `usd` None: no cost is known."""

    outcomes: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    spreads: dict[str, Sketch] = field(default_factory=dict)
    usd: float | None = None

    @property
    def counted(self) -> int:
        """Attempts that were neither dropped nor cancelled."""
        return sum(count for outcome, count in self.outcomes.items() if outcome not in _GIVEN_UP)

    @property
    def ok(self) -> int:
        """Attempts that ended ok."""
        return self.outcomes[Outcome.OK.value]

    @property
    def failed(self) -> int:
        """Attempts at which the provider was at fault."""
        return sum(self.classes[each.value] for each in PROVIDER_FAILURES)

    def add(self, other: Hour) -> None:
        """Take in what another one holds."""
        self.outcomes.update(other.outcomes)
        self.classes.update(other.classes)
        for name, counts in other.spreads.items():
            mine = self.spreads.setdefault(name, {})
            for bucket, count in counts.items():
                mine[bucket] = mine.get(bucket, 0) + count
        if other.usd is not None:
            self.usd = (self.usd or 0.0) + other.usd


Hours = dict[Place, list[Hour]]


def together(hours: list[Hour]) -> Hour:
    """All of some hours as one."""
    whole = Hour()
    for hour in hours:
        whole.add(hour)
    return whole


def hours_of(run_dir: RunDir, plan: Plan | None, begin_s: float, end_s: float) -> Hours:
    """Every target and workload that had attempts in a span of the wall clock (s since 1970), hour by hour from its
    begin. Empty where nothing was measured then. Raises UsageFault where journals cannot be read."""
    found: Hours = {}
    length = max(1, round((end_s - begin_s) / HOUR_S))

    def hour(place: Place, at_s: float) -> Hour:
        if place not in found:
            found[place] = [Hour() for _ in range(length)]
        return found[place][min(int((at_s - begin_s) // HOUR_S), length - 1)]

    ends_s: dict[Place, list[float]] = {}
    for minute in _minutes(run_dir):
        ended_s = _wall_s(minute.at_utc)
        if begin_s < ended_s < end_s + MINUTE_S:
            place = (minute.target, minute.workload)
            ends_s.setdefault(place, []).append(ended_s)
            if ended_s <= end_s:
                hour(place, ended_s - 1.0).add(_of_minute(minute))
    for place, at_s, part in _sampled(run_dir, plan, (begin_s, end_s), ends_s):
        hour(place, at_s).add(part)
    return found


def _wall_s(utc: str) -> float:
    try:
        return datetime.fromisoformat(utc).timestamp()
    except ValueError:
        return float("nan")


def _minutes(run_dir: RunDir) -> Iterator[Minute]:
    """Every whole line of `history.jsonl`."""
    try:
        file = run_dir.history.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                yield decode_minute(line)
            except UNREADABLE:
                continue


def _of_minute(minute: Minute) -> Hour:
    window = minute.window
    return Hour(Counter(window.outcomes), Counter(window.errors), dict(minute.spreads), minute.usd)


def _sampled(
    run_dir: RunDir, plan: Plan | None, span_s: tuple[float, float], ends_s: Mapping[Place, Sequence[float]]
) -> Iterator[tuple[Place, float, Hour]]:
    """The samples of which no minute tells (`ends_s`: when those ended), by place and hour."""
    try:
        samples = load_samples(run_dir)
    except UsageFault:
        if any(run_dir.journals.glob("*.jsonl")):
            raise
        return
    begin_s, end_s = span_s
    ended_s = (samples.on_axis("end_ns") + samples.origin_wall_ns) / 1e9
    inside = np.flatnonzero((ended_s >= begin_s) & (ended_s < end_s))
    keys = [samples.table[name].iloc[inside].astype(str).to_numpy() for name in ("target", "workload")]
    grouped = pd.Series(np.arange(len(inside))).groupby([*keys, (ended_s[inside] - begin_s) // HOUR_S])
    indices = cast("Mapping[tuple[str, str, float], Whole]", grouped.indices)
    for (target, workload, number), places in indices.items():
        rows = inside[places]
        rows = rows[~_within_minutes(ended_s[rows], ends_s.get((target, workload), ()))]
        if len(rows):
            yield (target, workload), begin_s + number * HOUR_S, _of_rows(samples, rows, plan, target)


def _within_minutes(at_s: Floats, ends_s: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Which moments lie in a minute that ended at one of some times."""
    ends = np.sort(np.asarray(ends_s, dtype=np.float64))
    if not len(ends):
        return np.zeros(len(at_s), dtype=bool)
    after = ends[np.minimum(np.searchsorted(ends, at_s), len(ends) - 1)]
    return np.asarray((at_s <= after) & (at_s > after - MINUTE_S), dtype=bool)


def _of_rows(samples: Samples, rows: Whole, plan: Plan | None, name: str) -> Hour:
    table = samples.table.iloc[rows]
    good = rows[np.asarray(table["outcome"] == Outcome.OK.value, dtype=bool)]
    spreads = {latency: sketch_of(times_s(f"{latency}_s", samples, good)) for latency in LATENCIES}
    target = next((each for each in plan.targets if each.name == name), None) if plan else None
    cost = cost_of(table, target, len(good)) if target else None
    outcomes, classes = (table[column].value_counts() for column in ("outcome", "error_class"))
    return Hour(
        outcomes=Counter({str(key): int(n) for key, n in outcomes.items() if n}),
        classes=Counter({str(key): int(n) for key, n in classes.items() if n}),
        spreads={key: counts for key, counts in spreads.items() if counts},
        usd=cost.usd if cost else None,
    )
