"""The records of a comparison: A against B on one metric, and a gate on how much worse A may be."""

from __future__ import annotations

from typing import Literal

from analysis.records.record import Estimate, Part


class Comparison(Part, frozen=True, kw_only=True):
    """Target `a` against target `b` on one metric: `ratio` = a / b of the repeats' values (geometric mean; of means,
    where a value is zero or the metric is a share), `difference` = a - b in the metric's unit. `a_run` and `b_run` name
    their runs where these are two. `effect_size`: Hedges' g. `method` says how the two were told apart.

    `verdict` speaks of a; `decided` whether it was shown: that one is better, or that the whole interval lies within
    what does not matter. "no difference" without that means that none is shown; then `repeats_needed` says how many
    further repeats would show one of the size seen, or that none matters. `detectable` is the smallest ratio above 1,
    `detectable_difference` the smallest difference, that these repeats show nine times in ten. "not comparable" gives
    the reason.
    """

    workload: str
    stage: int
    metric: str
    headline: bool = False
    a: str
    b: str
    a_run: str | None = None
    b_run: str | None = None
    a_value: float | None
    b_value: float | None
    ratio: Estimate
    difference: Estimate | None = None
    effect_size: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    verdict: Literal["better", "worse", "no difference", "not comparable"]
    decided: bool = False
    reason: str = ""
    repeats: int | None = None
    repeats_needed: int | None = None
    detectable: float | None = None
    detectable_difference: float | None = None
    method: str = ""


GateVerdict = Literal["met", "failed", "cannot tell", "not measured"]


class Gate(Part, frozen=True, kw_only=True):
    """A limit on `metric`: on how much worse a may be than b, or (`b` None) on its own value.

    `saw` is what the limit is held against: the `ratio` a / b of a limit in %, the difference of one in percentage
    points, else the value of a; with its 95 % interval. `limit` is in the same unit. "failed": shown beyond noise to be
    worse than b (than the limit, where b is None), `p_adjusted` being below the level, and not shown to be within the
    limit. "met": shown to be within the limit. "cannot tell": neither; `reason` says why, and `repeats_needed` how many
    further repeats would tell. `detectable`: the smallest change, in the unit of `saw`, that these repeats show nine
    times in ten. `met` is True, False where it failed, else None.
    """

    text: str
    metric: str
    workload: str | None
    stage: int | None
    a: str
    b: str | None
    a_value: float | None = None
    b_value: float | None = None
    ratio: float | None = None
    saw: Estimate | None = None
    limit: float
    p_value: float | None = None
    p_adjusted: float | None = None
    verdict: GateVerdict
    met: bool | None
    reason: str = ""
    repeats: int | None = None
    repeats_needed: int | None = None
    detectable: float | None = None
