"""The records of a comparison: A against B on one metric, and a gate on how much worse A may be."""

from __future__ import annotations

from typing import Literal

import msgspec

from analysis.record import Estimate


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of what is said of two results."""


class Comparison(Part, frozen=True, kw_only=True):
    """Target `a` against target `b` on one metric: `ratio` = a / b of the repeats' values (geometric mean). `a_run` and
    `b_run` name their runs where these are two.

    `verdict` speaks of a. "no difference" means that none is shown: `reason` says whether the interval lies within what
    does not matter, or the test does not tell the two apart; then `repeats_needed` says how many further repeats would
    show a difference of the size seen. `detectable` is the smallest ratio above 1 that these repeats would have shown.
    "not comparable" gives the reason.
    """

    workload: str
    stage: int
    metric: str
    a: str
    b: str
    a_run: str | None = None
    b_run: str | None = None
    a_value: float | None
    b_value: float | None
    ratio: Estimate
    p_value: float | None = None
    p_adjusted: float | None = None
    verdict: Literal["better", "worse", "no difference", "not comparable"]
    reason: str = ""
    repeats_needed: int | None = None
    detectable: float | None = None


class Gate(Part, frozen=True, kw_only=True):
    """A limit on how much worse (or better) a may be than b: `ratio` = a / b, `met` None when it was not measured."""

    text: str
    workload: str | None
    stage: int | None
    a: str
    b: str
    ratio: float | None
    met: bool | None
