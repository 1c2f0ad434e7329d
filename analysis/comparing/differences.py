"""What two results, or two runs of a series, were asked otherwise: the fields that differ, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.summary import Result

_MOST_CHARS = 200


def unlike(a: Result | None, b: Result | None, a_run: str, b_run: str, *, told_by_both: bool = False) -> str:
    """What makes two results not comparable; "" when nothing does. `told_by_both`: what one of them does not tell is
    passed over."""
    if a is None or b is None:
        return f"only in {b_run if a is None else a_run}"
    for name in ("kind", "load", "request"):
        here, there = getattr(a, name), getattr(b, name)
        if isinstance(here, dict) and isinstance(there, dict):
            if told_by_both:  # of lengths that were drawn the other tool tells the mean alone
                both = {key for key in here if _alike(here[key], there.get(key))}
                here, there = ({key: each[key] for key in each if key in both} for each in (here, there))
            parts = differences(there, here, "against")
            if parts:
                return f"{name} differs: {', '.join(parts)}"
        elif here != there:
            return f"{name} differs: {_shown(there)} against {_shown(here)}"
    return ""


def differences(one: Mapping[str, Any], other: Mapping[str, Any], between: str) -> list[str]:
    """Each key that does not mean the same in both: `input_tokens 64 -> 256`, with `between` for the arrow."""
    keys = [key for key in dict.fromkeys([*one, *other]) if one.get(key) != other.get(key)]
    return [f"{key} {_shown(one.get(key))} {between} {_shown(other.get(key))}" for key in keys]


def _alike(one: object, other: object) -> bool:
    """Whether both say something, of the same kind."""
    return (
        None not in (one, other) and len({float if isinstance(v, int | float) else type(v) for v in (one, other)}) == 1
    )


def _shown(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)[:_MOST_CHARS]
