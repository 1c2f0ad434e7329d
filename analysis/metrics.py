"""The figures of one cell (target, workload, stage), from its samples. Definitions: docs/metrics.md.

Latencies are those of attempts that ended ok. An attempt belongs to the steady window in which it was due (open stage)
or started (closed stage). Rates divide what belongs to a window by its length; tokens are booked when each content
event arrived inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.quantiles import QUANTILES, STATISTICS, Figures, Floats, dist_of, figures, given
from analysis.reading.gaps import Flags, GapFigures, Whole, gap_figures
from analysis.samples import Samples
from analysis.summary import Dist, Repeat
from harness.plan import Slo, Stage
from harness.sample import ServerTime


@dataclass(frozen=True)
class Window:
    """The steady window of one repeat of a cell. `inside` are the rows that belong to it, `everything` all rows of the
    repeat, as places in the table. Times in ns on the run's axis; `first_ns` is the cell's first arrival."""

    repeat: int
    samples: Samples
    inside: Whole
    everything: Whole
    first_ns: float
    begin_ns: float
    end_ns: float

    @property
    def length_s(self) -> float:
        """How long the window is."""
        return max(0.0, (self.end_ns - self.begin_ns) / 1e9)

    @property
    def good(self) -> Whole:
        """The rows inside that ended ok."""
        return self.inside[self.is_(self.inside, "outcome", "ok")]

    def is_(self, rows: Whole, name: str, *values: str) -> Flags:
        """Which rows have one of these texts in a column."""
        return np.asarray(self.samples.table[name].iloc[rows].isin(values), dtype=bool)


def injected(samples: Samples, rows: Whole) -> Flags:
    """Which of some rows had an injected fault."""
    return np.asarray(samples.table["injected"].iloc[rows].notna(), dtype=bool)


def window_of(samples: Samples, rows: Whole, repeat: int, stage: Stage, warmup_s: float) -> Window:
    """The steady window of one repeat of a cell, whose samples are `rows` (at least one).

    It begins `warmup_s` after the cell's first arrival: the first due time (open stage), or the first start. It ends
    when arrivals end: with the planned span, or before it where they ended early: an open stage's one mean gap after
    its last due time (a trace that is over, a run cut short), a closed stage's at the last end of a request.
    """
    due, start = samples.on_axis("due_ns", rows), samples.on_axis("start_ns", rows)
    arrival = np.where(np.isnan(due), start, due)
    first_ns = float(np.nanmin(arrival))
    begin_ns = first_ns + warmup_s * 1e9
    last_ns = _last_due(due) if stage.open else float(samples.on_axis("end_ns", rows).max())
    end_ns = max(begin_ns, min(begin_ns + stage.duration_s * 1e9, last_ns))
    inside = rows[(arrival >= begin_ns) & (arrival < end_ns)]
    return Window(repeat, samples, inside, rows, first_ns, begin_ns, end_ns)


def _last_due(due: Floats) -> float:
    """One mean gap after the last due time: n arrivals take n gaps."""
    known = due[~np.isnan(due)]
    if len(known) < 2:
        return float(known.max(initial=0.0))
    return float(known.max() + (known.max() - known.min()) / (len(known) - 1))


def latencies(
    windows: Sequence[Window], names: Collection[str] | None = None
) -> tuple[dict[str, Dist | None], list[dict[str, Figures]]]:
    """Every distribution of a result by name, or those that are named, in seconds (token counts in tokens), over all
    repeats; and its figures in each repeat. None: not measured."""
    arrays = [_latencies_of(window, names) for window in windows]
    own = [{name: figures(values) for name, values in each.items()} for each in arrays]
    pooled = (
        {name: figures(np.concatenate([each[name] for each in arrays])) for name in arrays[0]}
        if len(windows) > 1
        else dict(own[0])
    )
    if names is None or "itl_s" in names:
        *own_gaps, pooled_gaps = _gaps_of(windows)
        for each, found in zip(own, own_gaps, strict=True):
            each["itl_s"] = found
        pooled["itl_s"] = pooled_gaps
    return {name: dist_of(found, [each[name] for each in own]) for name, found in pooled.items()}, own


SERVER_PARTS = tuple(name for name in ServerTime.__struct_fields__ if name != "source")


def _latencies_of(window: Window, names: Collection[str] | None) -> dict[str, Floats]:
    samples, good, inside = window.samples, window.good, window.inside
    wanted = [name for name in TIMES if names is None or name in names]
    found = {name: times_s(name, samples, inside if name in _OF_ALL else good) for name in wanted}
    if names is None:
        found |= {name: samples.column(name, good) for name in ("input_tokens", "output_tokens")}
        found |= {f"server_{name}": samples.column(f"server_{name}", good) / 1e9 for name in SERVER_PARTS}
    return {name: _known(values) for name, values in found.items()}


def times_s(name: str, samples: Samples, rows: Whole) -> Floats:
    """One of `TIMES` of each row, in seconds; NaN where it was not measured."""
    return TIMES[name](samples, rows) / 1e9


def _after_start(column: str) -> Callable[[Samples, Whole], Floats]:
    return lambda samples, rows: samples.column(column, rows) - samples.column("start_ns", rows)


def _response_ns(samples: Samples, rows: Whole) -> Floats:
    due, start, end = (samples.column(name, rows) for name in ("due_ns", "start_ns", "end_ns"))
    return end - np.where(np.isnan(due), start, due)


def _lag_ns(samples: Samples, rows: Whole) -> Floats:
    return samples.column("start_ns", rows) - samples.column("due_ns", rows)


def _network_ns(samples: Samples, rows: Whole) -> Floats:
    return _after_start("end_ns")(samples, rows) - samples.column("server_total_ns", rows)


def tpot_ns(samples: Samples, rows: Whole) -> Floats:
    """(last - first content event) / (tokens after the first event); NaN where that is not measured.

    The first event carries one token, or as many as the wire tells.
    """
    first, last = samples.column("first_event_ns", rows), samples.column("last_event_ns", rows)
    head = samples.column("first_event_tokens", rows)
    after = sent_tokens(samples, rows) - np.where(np.isnan(head), 1.0, head)
    measured = (after >= 1) & (samples.column("events", rows) > 1)
    return np.where(measured, (last - first) / np.where(measured, after, 1.0), np.nan)


TIMES: dict[str, Callable[[Samples, Whole], Floats]] = {
    "ttft_s": _after_start("first_event_ns"),
    "ttfo_s": _after_start("first_text_ns"),
    "tpot_s": tpot_ns,
    "e2e_s": _after_start("end_ns"),
    "response_s": _response_ns,
    "lag_s": _lag_ns,
    "connect_s": _after_start("connect_ns"),
    "network_s": _network_ns,
}
_OF_ALL = ("lag_s", "connect_s")  # failed attempts too


def sent_tokens(samples: Samples, rows: Whole) -> Floats:
    """The provider's count of the output that was sent. Reasoning tokens count only where reasoning was sent: where the
    first content is visible text, it was not, unless it came in one read with it: then there are about as many events
    as tokens of both."""
    output, reasoning = samples.column("output_tokens", rows), samples.column("reasoning_tokens", rows)
    visible = output - np.nan_to_num(reasoning)
    events = samples.column("events", rows)
    text_first = samples.column("first_text_ns", rows) == samples.column("first_event_ns", rows)
    return np.where(text_first & (np.abs(events - visible) <= np.abs(events - output)), visible, output)


def _gaps_of(windows: Sequence[Window]) -> list[Figures]:
    """The inter-token latencies of each repeat, and last of all together."""
    size = len(windows[0].samples.table)
    chosen = []
    for window in windows:
        flags = np.zeros(size, dtype=bool)
        flags[window.good] = True
        chosen.append(flags)
    return [_gap_statistics(each) for each in gap_figures(windows[0].samples.gaps, chosen, list(QUANTILES.values()))]


def _gap_statistics(found: GapFigures | None) -> Figures:
    if found is None:
        return Figures()
    values: dict[str, float | None] = dict.fromkeys(STATISTICS)
    values |= {name: found.quantiles_ns[quantile] / 1e9 for name, quantile in given(found.n).items()}
    return Figures(found.n, values | {"mean": found.mean_ns / 1e9, "max": found.max_ns / 1e9})


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def meets_slo(window: Window, slo: Slo) -> int:
    """How many attempts ended ok within every limit. A limit on tokens concerns streamed replies; of those, what was
    not measured is not met, but a reply of one event has no TPOT to miss."""
    samples, good = window.samples, window.good
    start = samples.column("start_ns", good)
    events = samples.column("events", good)
    fine = np.ones(len(good), dtype=bool)
    if slo.e2e_s is not None:
        fine &= (samples.column("end_ns", good) - start) / 1e9 <= slo.e2e_s
    if slo.ttft_s is not None:
        fine &= ((samples.column("first_event_ns", good) - start) / 1e9 <= slo.ttft_s) | (events == 0)
    if slo.tpot_s is not None:
        fine &= (tpot_ns(samples, good) / 1e9 <= slo.tpot_s) | (events <= 1)
    return int(fine.sum())


@dataclass(frozen=True)
class Rates:
    """The rates of one repeat; None where the window is empty, or for what was not measured."""

    offered_rps: float | None = None
    achieved_rps: float | None = None
    completed_rps: float | None = None
    goodput_rps: float | None = None
    output_tokens_per_s: float | None = None
    input_tokens_per_s: float | None = None
    ramp_to_drain_tokens_per_s: float | None = None
    in_flight_mean: float | None = None
    throughput_rps: float | None = None
    items_per_s: float | None = None


def rates_of(window: Window, slo: Slo) -> Rates:
    """The rates of one repeat. Only arrivals with a due time are offered: a closed stage has none."""
    length_s, samples, inside = window.length_s, window.samples, window.inside
    if length_s == 0:
        return Rates()
    good = window.good
    told = _known(samples.column("input_tokens", good))
    in_flight = _in_flight(window)
    throughput_rps = _throughput(window, in_flight)
    due = int((~np.isnan(samples.column("due_ns", inside))).sum())
    sent = int((~np.isnan(samples.column("start_ns", inside))).sum())
    return Rates(
        offered_rps=due / length_s if due else None,
        achieved_rps=sent / length_s,
        completed_rps=len(good) / length_s,
        goodput_rps=meets_slo(window, slo) / length_s,
        output_tokens_per_s=_per_s(booked_inside(window), length_s),
        input_tokens_per_s=_per_s(float(told.sum()) if len(told) else None, length_s),
        ramp_to_drain_tokens_per_s=_ramp_to_drain(window),
        in_flight_mean=in_flight,
        throughput_rps=throughput_rps,
        items_per_s=_items_per_s(window, throughput_rps),
    )


_SPAN = ("start_ns", "end_ns")
_NEARLY_ALL = 0.99


def _in_flight(window: Window) -> float:
    """How many requests were under way, on average over the window."""
    rows, samples = window.everything, window.samples
    begin, end = (np.clip(samples.on_axis(name, rows), window.begin_ns, window.end_ns) for name in _SPAN)
    return float(np.nansum(end - begin)) / 1e9 / window.length_s


def _throughput(window: Window, in_flight: float) -> float | None:
    """Requests/s that end ok, by Little's law: the mean under way over the mean life of a request. None where the
    window is too short for it.

    Users that begin together keep step for a while, so that counting starts may find up to one too many or too few for
    each of them, in every repeat alike; a mean life has no such error. It is that of the requests that began in the
    window, so early as to be over within it: those before met the rise of the load, those after its end.
    """
    rows = window.everything
    start, end = (window.samples.on_axis(name, rows) for name in _SPAN)
    sent = ~np.isnan(start)
    rows, start, life = rows[sent], start[sent], (end - start)[sent]
    if len(rows) == 0:
        return None
    whole = (start >= window.begin_ns) & (start < window.end_ns - float(np.quantile(life, _NEARLY_ALL)))
    if not whole.any():
        return None
    life_s = float(life[whole].mean()) / 1e9
    return in_flight / life_s * float(window.is_(rows[whole], "outcome", "ok").mean()) if life_s > 0 else None


def _items_per_s(window: Window, throughput_rps: float | None) -> float | None:
    """What the good requests bring, each its mean: a count of whole batches, of which few fit into a window, would be
    off by up to one of them."""
    items = _known(window.samples.column("items", window.good))
    return None if throughput_rps is None else throughput_rps * float(items.mean() if len(items) else 0.0)


def _per_s(total: float | None, length_s: float) -> float | None:
    return None if total is None else total / length_s


def _ramp_to_drain(window: Window) -> float | None:
    """All output tokens over the time from the first start to the last end."""
    samples, rows = window.samples, window.everything
    tokens = _known(samples.column("output_tokens", rows))
    start = _known(samples.on_axis("start_ns", rows))
    if len(tokens) == 0 or len(start) == 0:
        return None
    span_s = (float(samples.on_axis("end_ns", rows).max()) - float(start.min())) / 1e9
    return float(tokens.sum()) / span_s if span_s > 0 else None


def booked_inside(window: Window, name: str = "output_tokens") -> float | None:
    """Output tokens (or `text_chars`), each booked when its event arrived; those of a reply without events, when it
    ended. None where no reply tells them."""
    samples, rows = window.samples, window.everything
    tokens = samples.column(name, rows)
    told = ~np.isnan(tokens)
    if not told.any():
        return None
    rows, tokens = rows[told], tokens[told]
    end = samples.on_axis("end_ns", rows)
    first, last = samples.on_axis("first_event_ns", rows), samples.on_axis("last_event_ns", rows)
    first, last = np.where(np.isnan(first), end, first), np.where(np.isnan(last), end, last)
    within = (first >= window.begin_ns) & (last < window.end_ns)
    across = ~within & (last >= window.begin_ns) & (first < window.end_ns)
    shares = _shares_inside(window, rows[across], heads=name == "output_tokens")
    return float(tokens[within].sum()) + float((tokens[across] * shares).sum())


def _shares_inside(window: Window, rows: Whole, *, heads: bool) -> Floats:
    """The share of each reply's tokens that arrived inside the window. The first event's tokens are as many as the wire
    tells (`heads`), else as many as every other's; the replies here have at least one event."""
    samples = window.samples
    counts = samples.column("events", rows).astype(np.int64)
    if len(rows) == 0:
        return np.empty(0)
    firsts = np.cumsum(counts) - counts
    at = samples.event_times(rows) + np.repeat(samples.column("axis_ns", rows), counts)
    here = ((at >= window.begin_ns) & (at < window.end_ns)).astype(np.float64)
    sums = np.add.reduceat(here, firsts)
    total, head = samples.column("output_tokens", rows), samples.column("first_event_tokens", rows)
    told = heads & (head >= 0) & (head <= total) & (total > 0) & (counts > 1)
    even = sums / counts
    others = (sums - here[firsts]) / np.maximum(counts - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(told, (here[firsts] * head + others * (total - head)) / total, even)


_COMPARED = ("ttft_s", "itl_s", "tpot_s", "e2e_s", "response_s")
_ALSO = ("ttfo_s", "lag_s")
_RATES_COMPARED = (
    *("offered_rps", "achieved_rps", "completed_rps", "goodput_rps"),
    *("output_tokens_per_s", "in_flight_mean", "throughput_rps"),
)


def repeat_record(window: Window, rates: Rates, own: dict[str, Figures], more: Mapping[str, float | None]) -> Repeat:
    """The figures of one repeat that intervals, comparisons and gates rest on. `more` are further ones; those that were
    not measured are left out but for the usual ones, which are null."""
    values: dict[str, float | None] = {
        f"{name}.{statistic}": own[name].values[statistic] for name in _COMPARED for statistic in ("mean", "p50", "p95")
    }
    for name in (*_COMPARED, *_ALSO):
        found = {f"{name}.{statistic}": own[name].values[statistic] for statistic in STATISTICS}
        values |= {path: value for path, value in found.items() if value is not None}
    for name in _RATES_COMPARED:
        values[name] = getattr(rates, name)
    values |= {path: value for path, value in more.items() if value is not None}
    given_up = window.is_(window.inside, "outcome", "cancelled", "dropped")
    counted = len(window.inside) - int(given_up.sum())
    values["success_ratio"] = len(window.good) / counted if counted else None
    return Repeat(repeat=window.repeat, attempted=len(window.inside), window_s=window.length_s, values=values)
