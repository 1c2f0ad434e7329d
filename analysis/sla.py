"""Service levels as they stand: compliance, error budget, and how fast the budget burns. Pure.

    state = begin(plan.slo)
    state, stands = update(state, Counts(at_s=..., good={"availability": 9, "ttft_s<=1": 8}, valid={...: 10}))

Burn rates over pairs of windows are those of Google's SRE workbook, chapter 5. Memory is constant; the state is a
record of plain values that msgspec can keep. See docs/degradation.md.
"""

from __future__ import annotations

import msgspec

from harness.monitor_record import SlaState
from harness.plan import Slo

MONTH_S = 30 * 86400.0


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts that ended since the last counts, up to `at_s` (wall clock, s): by objective how many could have kept
    it (`valid`), and how many did (`good`). Names of objectives: `objectives`."""

    at_s: float
    good: dict[str, int]
    valid: dict[str, int]


class SlaBook(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one target and workload. Only `begin` and `update` make it."""

    period_s: float
    targets: dict[str, float]


def objectives(slo: Slo, latency_target: float = 0.95) -> dict[str, float]:
    """The objectives of a plan's `slo` by name, each with the part of attempts that must keep it: `availability` with
    its own; `ttft_s<=1.0`, `tpot_s<=0.05`, `e2e_s<=10.0` with `latency_target`. For latencies valid are attempts that
    ended ok and had that latency measured; for availability those neither dropped, cancelled, throttled nor failed by
    a client error."""
    raise NotImplementedError


def begin(slo: Slo, period_s: float = MONTH_S, latency_target: float = 0.95) -> SlaBook:
    """Begin to count for a period: 30 days, or the planned length of a run. A longer watch keeps the last period."""
    raise NotImplementedError


def update(state: SlaBook, new: Counts) -> tuple[SlaBook, list[SlaState]]:
    """Count, and tell how each objective stands at `new.at_s`."""
    raise NotImplementedError
