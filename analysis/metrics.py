"""The figures of one cell (target, workload, stage), from its samples. Definitions: docs/metrics.md.

Latencies are those of attempts that ended ok. The window of a repeat runs from the end of the warm-up to the last
arrival in the span: an attempt belongs to it when it *started* inside. Rates divide what started inside by the span
that was planned; tokens are booked when each content event arrived, inside the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.quantiles import Floats, dist
from analysis.summary import Dist, Repeat
from harness.plan import Slo, Stage


@dataclass(frozen=True)
class Window:
    """One repeat's samples of a cell, cut to the steady window. Times in ns on the run's axis."""

    repeat: int
    inside: pd.DataFrame
    everything: pd.DataFrame
    begin_ns: float
    end_ns: float

    @property
    def length_s(self) -> float:
        """How long the window is."""
        return max(0.0, (self.end_ns - self.begin_ns) / 1e9)


def window_of(rows: pd.DataFrame, repeat: int, stage: Stage, warmup_s: float) -> Window:
    """The steady window of one repeat of a cell. It begins `warmup_s` after the cell's first arrival. It ends when the
    planned duration is over, or for a run cut short at the last end."""
    arrival = rows["due_abs_ns"].fillna(rows["start_abs_ns"]).astype(float)
    first_ns = float(arrival.min())
    begin_ns = first_ns + warmup_s * 1e9
    end_ns = min(begin_ns + stage.duration_s * 1e9, max(float(rows["end_abs_ns"].max()), begin_ns))
    inside = rows[(arrival >= begin_ns) & (arrival <= end_ns)]
    return Window(repeat, inside, rows, begin_ns, end_ns)


def latencies(windows: list[Window]) -> dict[str, Any]:
    """Every distribution (`Dist`, or None) of a result by name, in seconds; token counts in tokens."""
    per_repeat = [_latencies_of(window.inside) for window in windows]
    return {name: dist([each[name] for each in per_repeat]) for name in per_repeat[0]}


def _latencies_of(rows: pd.DataFrame) -> dict[str, Floats]:
    good = rows[rows["outcome"] == "ok"]
    start, end = _floats(good["start_ns"]), _floats(good["end_ns"])
    due = _floats(good["due_ns"])
    events = [np.asarray(each, dtype=float) for each in good["event_ns"]]
    first = np.array([each[0] if len(each) else np.nan for each in events], dtype=float)
    last = np.array([each[-1] if len(each) else np.nan for each in events], dtype=float)
    tokens, head = _floats(good["output_tokens"]), _floats(good["first_event_tokens"])
    divisor = tokens - np.where(np.isnan(head), 1, head)
    several = np.array([len(each) > 1 for each in events], dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        tpot = np.where((divisor >= 1) & several, (last - first) / divisor, np.nan)
    every_start, every_due = _floats(rows["start_ns"]), _floats(rows["due_ns"])
    connect = _floats(rows["connect_ns"]) - every_start
    return {
        "ttft_s": _seconds(first - start),
        "ttfo_s": _seconds(_floats(good["first_text_ns"]) - start),
        "itl_s": _seconds(np.concatenate([np.diff(each) for each in events]) if events else np.empty(0)),
        "tpot_s": _seconds(tpot),
        "e2e_s": _seconds(end - start),
        "response_s": _seconds(end - np.where(np.isnan(due), start, due)),
        "lag_s": _seconds(every_start - every_due),
        "connect_s": _seconds(connect),
        "input_tokens": _known(_floats(good["input_tokens"])),
        "output_tokens": _known(tokens),
    }


def _floats(column: pd.Series[float]) -> Floats:
    return np.asarray(column.astype(float).to_numpy(), dtype=float)


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _seconds(nanoseconds: Floats) -> Floats:
    return _known(nanoseconds) / 1e9


def meets_slo(rows: pd.DataFrame, slo: Slo) -> int:
    """How many attempts ended ok within every limit. A limit on what was not measured is not met."""
    good = rows[rows["outcome"] == "ok"]
    start, end = _floats(good["start_ns"]), _floats(good["end_ns"])
    fine = np.ones(len(good), dtype=bool)
    if slo.e2e_s is not None:
        fine &= (end - start) / 1e9 <= slo.e2e_s
    streamed = good[good["event_ns"].map(len) > 0] if len(good) else good
    if len(streamed) and (slo.ttft_s is not None or slo.tpot_s is not None):
        fine &= _meets_token_limits(good, slo)
    return int(fine.sum())


def _meets_token_limits(good: pd.DataFrame, slo: Slo) -> np.typing.NDArray[np.bool_]:
    start = _floats(good["start_ns"])
    first = np.array([each[0] if len(each) else np.nan for each in good["event_ns"]], dtype=float)
    last = np.array([each[-1] if len(each) else np.nan for each in good["event_ns"]], dtype=float)
    fine = np.ones(len(good), dtype=bool)
    if slo.ttft_s is not None:
        fine &= (first - start) / 1e9 <= slo.ttft_s
    if slo.tpot_s is not None:
        tokens = _floats(good["output_tokens"])
        with np.errstate(divide="ignore", invalid="ignore"):
            tpot = np.where(tokens > 1, (last - first) / 1e9 / (tokens - 1), 0.0)
        fine &= tpot <= slo.tpot_s
    return fine


@dataclass(frozen=True)
class Rates:
    """The rates of one repeat; None where the window is empty."""

    achieved_rps: float | None
    completed_rps: float | None
    goodput_rps: float | None
    output_tokens_per_s: float | None
    input_tokens_per_s: float | None
    ramp_to_drain_tokens_per_s: float | None
    in_flight_mean: float | None
    items_per_s: float | None


def rates_of(window: Window, slo: Slo) -> Rates:
    """The rates of one repeat."""
    length_s, rows = window.length_s, window.inside
    if length_s == 0:
        return Rates(*[None] * 8)
    good = rows[rows["outcome"] == "ok"]
    sent = rows[rows["outcome"] != "dropped"]
    everything = window.everything
    span_s = (everything["end_abs_ns"].max() - everything["start_abs_ns"].min()) / 1e9
    tokens = float(everything["output_tokens"].astype(float).sum())
    knows_tokens = bool(everything["output_tokens"].notna().any())
    overlap = np.clip(everything["end_abs_ns"].astype(float), window.begin_ns, window.end_ns) - np.clip(
        everything["start_abs_ns"].astype(float), window.begin_ns, window.end_ns
    )
    return Rates(
        achieved_rps=len(sent) / length_s,
        completed_rps=len(good) / length_s,
        goodput_rps=meets_slo(rows, slo) / length_s,
        output_tokens_per_s=_tokens_inside(window) / length_s if knows_tokens else None,
        input_tokens_per_s=float(good["input_tokens"].astype(float).sum()) / length_s,
        ramp_to_drain_tokens_per_s=tokens / span_s if knows_tokens and span_s > 0 else None,
        in_flight_mean=float(overlap.sum()) / 1e9 / length_s,
        items_per_s=float(good["items"].astype(float).sum()) / length_s,
    )


def _tokens_inside(window: Window) -> float:
    """Output tokens, each booked when its event arrived: a reply's tokens are spread evenly over its events."""
    rows = window.everything[window.everything["output_tokens"].notna()]
    total = 0.0
    for events, tokens, axis, end in zip(
        rows["event_ns"], rows["output_tokens"], rows["axis_ns"], rows["end_abs_ns"], strict=True
    ):
        at = np.asarray(events, dtype=float) + axis if len(events) else np.array([end], dtype=float)
        total += float(tokens) * float(np.mean((at >= window.begin_ns) & (at <= window.end_ns)))
    return total


def repeat_record(window: Window, rates: Rates, distributions: dict[str, Dist | None]) -> Repeat:
    """The figures of one repeat that intervals and comparisons rest on."""
    values: dict[str, float | None] = {}
    for name in ("ttft_s", "itl_s", "tpot_s", "e2e_s"):
        found = distributions[name]
        for statistic in ("mean", "p50", "p95"):
            values[f"{name}.{statistic}"] = None if found is None else getattr(found, statistic)
    for name in ("achieved_rps", "completed_rps", "goodput_rps", "output_tokens_per_s"):
        values[name] = getattr(rates, name)
    rows = window.inside
    counted = rows[~rows["outcome"].isin(["cancelled", "dropped"])]
    values["success_ratio"] = float((counted["outcome"] == "ok").mean()) if len(counted) else None
    return Repeat(repeat=window.repeat, attempted=len(rows), window_s=window.length_s, values=values)
