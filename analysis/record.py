"""What the records of `summary.json` have in common."""

from __future__ import annotations

import msgspec

Interval = tuple[float, float]


class Estimate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number with its 95 % interval; either end may be open (null)."""

    value: float | None
    ci95: tuple[float | None, float | None] | None = None
