"""What a monitor saw: `monitor.json` of a run directory, written anew each second, and a minute of `history.jsonl`.

Rates are per second, durations in s, times in s of the wall clock since 1970 or ISO 8601 in UTC. `None` means not
measured; 0 means zero. What a window's figures mean is defined in `analysis/metrics.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.errors import UNREADABLE, UsageFault

SCHEMA = 1
WINDOWS_S = {"10s": 10.0, "1m": 60.0, "10m": 600.0}

Mode = Literal["run", "probe"]
RunState = Literal["waiting", "running", "ended", "died"]
Gravity = Literal["note", "suspect", "invalid"]
ShiftMetric = Literal["ttft", "itl", "tpot", "e2e", "error_ratio", "throttled_ratio"]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One latency of the attempts that ended ok, in s. A quantile is None where there are too few values for it."""

    n: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What the last `window_s` seconds hold of one target and workload.

    An attempt belongs to the window in which it ended, since one that is under way is in no journal. `attempted` are
    all but the dropped; `error_ratio` and `throttled_ratio` are shares of what was neither dropped nor cancelled.
    `thinned`: None, or the share of the attempts that is kept where there were too many to keep: quantiles and rates of
    good requests and tokens are then estimates from a random part, counts by outcome and error stay exact. `since_s`:
    how much of the window was watched; shorter than `window_s` just after the start, and then rates divide by it.
    """

    window_s: float
    since_s: float
    attempted: int
    outcomes: dict[str, int] = {}
    errors: dict[str, int] = {}
    completed_rps: float | None = None
    goodput_rps: float | None = None
    output_tokens_per_s: float | None = None
    error_ratio: float | None = None
    throttled_ratio: float | None = None
    ttft_s: Latency | None = None
    itl_s: Latency | None = None
    tpot_s: Latency | None = None
    e2e_s: Latency | None = None
    thinned: float | None = None


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """How far one metric is from its baseline. `kind`: its level moved, or its distribution did. `against`: its own
    last hours, or a fixed baseline (a run; without one the mean of days). `p_or_statistic` is the logarithm of the
    evidence, judged against `threshold`; `confirmed`: it is a degradation by the rule that keeps false alarms rare."""

    metric: ShiftMetric
    kind: Literal["level", "distribution"]
    baseline: float
    now: float
    ratio: float | None
    p_or_statistic: float
    threshold: float
    since_utc: str | None
    confirmed: bool
    against: Literal["recent", "baseline"] = "recent"


class Burn(msgspec.Struct, frozen=True, kw_only=True):
    """How fast an error budget burns over a long and a short window; 1 spends it exactly by the end of its period.
    `burning`: both are beyond `limit`. `long_s`, `short_s`: how long the windows are, which short runs shorten."""

    long: float | None
    short: float | None
    limit: float
    burning: bool
    long_s: float | None = None
    short_s: float | None = None


class SlaState(msgspec.Struct, frozen=True, kw_only=True):
    """How one objective stands. `budget_left`: 1 is untouched, negative overspent. `burn` by its pair of windows."""

    objective: str
    target_ratio: float
    compliance: float | None
    budget_left: float | None
    burn: dict[str, Burn]


class LiveCell(msgspec.Struct, frozen=True, kw_only=True):
    """One target and workload. `windows` by `WINDOWS_S`'s names; `silence_s`: since its last attempt ended."""

    target: str
    workload: str
    windows: dict[str, Window]
    degradation: list[Shift] = []
    sla: list[SlaState] = []
    throttled_share: float | None = None
    silence_s: float | None = None


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """A doubt about the measuring client or the monitor itself: as a finding of a summary."""

    code: str
    severity: Gravity
    saw: str
    why: str
    hint: str


class SpendNow(msgspec.Struct, frozen=True, kw_only=True):
    """What was used until now. `usd`: None where no target has a known price; `unknown_requests` had a reply whose cost
    is not known. `tokens`: input and output, None where no reply told them."""

    usd: float | None
    requests: int
    tokens: int | None
    budget_usd: float | None = None
    budget_requests: int | None = None
    unknown_requests: int = 0


class AlertState(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is pending or firing now."""

    id: str
    rule: str
    severity: Literal["info", "warning", "critical"]
    target: str
    workload: str
    state: Literal["pending", "firing"]
    since_utc: str
    value: float | None
    threshold: float
    summary: str
    silenced: bool = False
    acknowledged_by: str | None = None


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """All that a monitor knows now of one run directory."""

    schema: int = SCHEMA
    run: str
    at_utc: str
    at_wall_s: float
    mode: Mode
    state: RunState
    plan: str
    elapsed_s: float | None
    planned_s: float | None
    cells: list[LiveCell]
    findings: list[Doubt]
    spend: SpendNow
    alerts: list[AlertState] = []


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `history.jsonl`: a minute of one target and workload. Its samples are kept for a day.

    `at_utc` is its end. `spreads`: the values of each latency (`ttft`, `tpot`, `e2e`) by bucket
    (`analysis/watching/slices.py`), since quantiles of a day can be made of counts and not of the quantiles of its
    minutes.
    """

    at_utc: str
    target: str
    workload: str
    window: Window
    usd: float | None = None
    spreads: dict[str, dict[int, int]] = {}


_encoder = msgspec.json.Encoder()
_picture = msgspec.json.Decoder(Picture)
_minute = msgspec.json.Decoder(Minute)


def encode_picture(picture: Picture) -> bytes:
    """The content of `monitor.json`."""
    return _encoder.encode(picture) + b"\n"


def read_picture(path: Path) -> Picture | None:
    """What a monitor wrote last; None where there is no such file. Raises UsageFault for a file that is something
    else, or of a newer schema."""
    try:
        picture = _picture.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, *UNREADABLE) as error:
        raise UsageFault(f"{path}: not the picture of a monitor: {error}", "start the monitor again") from error
    if picture.schema > SCHEMA:
        raise UsageFault(f"{path}: schema {picture.schema}: this version reads up to {SCHEMA}", "use a newer version")
    return picture


def encode_minute(minute: Minute) -> bytes:
    """One line of `history.jsonl`, newline included: without what is not known or empty, which is read as such, and
    numbers with seven digits, since these lines are kept for months."""
    return _encoder.encode(_lean(msgspec.to_builtins(minute, str_keys=True))) + b"\n"


def _lean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lean(each) for key, each in value.items() if each is not None and each != {}}
    if not isinstance(value, float):
        return value
    short = float(f"{value:.7g}")
    return int(short) if short.is_integer() else short


def decode_minute(line: bytes) -> Minute:
    """The record in one line. Raises `msgspec.DecodeError` or its `ValidationError` when it is torn."""
    return _minute.decode(line)
