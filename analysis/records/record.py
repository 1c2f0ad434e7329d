"""What the records of `summary.json` have in common."""

from __future__ import annotations

import msgspec

Interval = tuple[float, float]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of what is written as JSON: given by name, never changed, and read back only without unknown keys.
    Modules whose records have dicts as defaults keep a base of their own: the linter must see that it is a struct."""


class Estimate(Part, frozen=True, kw_only=True):
    """A number with its 95 % interval; either end may be open (null)."""

    value: float | None
    ci95: tuple[float | None, float | None] | None = None
