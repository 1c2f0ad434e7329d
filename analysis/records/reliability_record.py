"""The records of `summary.json` that say how often a provider failed, for how long, and how it came back.

Times are seconds. `None` (null) means not measured or not measurable.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from analysis.records.record import Estimate, Interval


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the summary."""


class Outage(Part, frozen=True, kw_only=True):
    """One span in which a provider was down, degraded or throttled; `end_s` None: still so when the watch ended.
    Seconds of wall time since the run began; of plain CSV, since its history began.

    `failures`: the failed (slow, throttled) attempts that were sent in it. `began_before`: the watch began with it, so
    that it is no failure that was seen to happen.
    """

    kind: Literal["down", "degraded", "throttled"] = "down"
    start_s: float
    end_s: float | None
    failures: int
    began_before: bool = False


class Fit(Part, frozen=True, kw_only=True):
    """A test of a hypothesis: its name, its statistic, and p. A small p speaks against the hypothesis."""

    test: str
    n: int
    statistic: float
    p_value: float


class Survival(Part, frozen=True, kw_only=True):
    """Kaplan and Meier's estimate: the share of up-times that last longer than `time_s`, with 95 % bounds (null where
    they are not defined). A step at each time; before the first the share is 1."""

    time_s: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


class Reliability(Part, frozen=True, kw_only=True):
    """How often the provider failed. `rule` prints the outage rule; `resolution_s` is one inter-arrival gap.

    `watched`: the spans of time that were looked at, each by itself; `watched_s` = `up_s` + `down_s`. `failures` is how
    often it went down while watched, `repairs` how often it came back: `mtbf_s` = `up_s` / `failures`, `mttr_s` =
    `down_s` / `repairs`, `availability` = `up_s` / `watched_s`. `error_ratio`: attempts with an error of each class,
    of all. `exponential` and `trend` test what the intervals assume (from 8 failures on): that up-times are
    exponential, and that the rate of failures is constant; `repairs_exponential` the same of repairs.
    """

    rule: str
    resolution_s: float | None
    success_ratio: Estimate
    availability: Estimate
    mtbf_s: Estimate
    mttr_s: Estimate
    provider_failures: int
    failures_per_1k: float | None
    outages: tuple[Outage, ...] = ()
    longest_outage_s: float | None = None
    degraded: tuple[Outage, ...] = ()
    throttled: tuple[Outage, ...] = ()
    watched: tuple[Interval, ...] = ()
    watched_s: float | None = None
    up_s: float | None = None
    down_s: float | None = None
    degraded_s: float | None = None
    failures: int | None = None
    repairs: int | None = None
    error_ratio: dict[str, Estimate] = {}
    exponential: Fit | None = None
    trend: Fit | None = None
    repairs_exponential: Fit | None = None
    survival: Survival | None = None


class Provider(Part, frozen=True, kw_only=True):
    """One target over all workloads, stages and repeats."""

    target: str
    reliability: Reliability


class Integrity(Part, frozen=True, kw_only=True):
    """Whether replies are whole and belong to their requests, by the codes that the prompts asked for.

    Of `replies`, whole or not, `whole` ended ok; `own` hold the code of their request, `other` that of another request
    (these count as failed), `missing` none: they may belong, but nothing proves it. `ratio` is own / replies. Null:
    the prompts asked for no codes.
    """

    replies: int
    whole: int
    own: int | None = None
    other: int | None = None
    missing: int | None = None
    ratio: Estimate


class Recovery(Part, frozen=True, kw_only=True):
    """How soon the target was well again after the fault that the stage injected; `rule` prints the definition.

    `made_by`: whether the (simulated) provider had the fault, or the client made it. Of `injected` attempts `failed`
    did not end ok, by kind in `errors`; where none failed there was nothing to recover from. `times_s`: a recovery for
    each repeat (null: none was seen), `worst_s` the longest of them (null: one was not seen). `at_least_s`: the worst
    recovery took at least this, also where it was not seen. `integrity` is that of the replies after the recovery.
    """

    scenario: str
    made_by: Literal["provider", "client"]
    rule: str
    injected: int
    failed: int
    errors: dict[str, int] = {}
    times_s: tuple[float | None, ...] = ()
    worst_s: float | None = None
    at_least_s: float | None = None
    integrity: Integrity | None = None
