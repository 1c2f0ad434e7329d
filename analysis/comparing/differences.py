"""Which results of two runs are held against each other, and what two of them, or two runs of a series, were asked
otherwise: the fields that differ, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis.summary import Result, Summary

_MOST_CHARS = 200
Pair = tuple[Result | None, Result | None]


def pairs_of(first: Summary, other: Summary, *, by_load: bool = False) -> list[Pair]:
    """Every result of the other run with that of the first one it is held against: of its target, workload and stage
    (and Type, in plain Locust CSV, which has no more than that); `by_load`: of its load and, where there is such a one,
    its model. None: there is none on that side."""
    key_of = _load_key if by_load else _key
    ours, theirs = (_by_key(each.results, key_of) for each in (first, other))
    return [pair for key in dict.fromkeys([*ours, *theirs]) for pair in _paired(theirs.get(key, []), ours.get(key, []))]


def _by_key(results: Sequence[Result], key_of: Callable[[Result], tuple[object, ...]]) -> dict[object, list[Result]]:
    found: dict[object, list[Result]] = {}
    for result in results:
        found.setdefault(key_of(result), []).append(result)
    return found


def _key(result: Result) -> tuple[object, ...]:
    is_csv = result.workload is None and result.stage is None
    return result.target, result.workload, result.stage, result.dialect if is_csv else None


def _load_key(result: Result) -> tuple[object, ...]:
    """What a result of another tool has in common with one of ours: the load."""
    asked = next((name for name in ("concurrency", "rate_rps") if result.load.get(name) is not None), "load not told")
    value = result.load.get(asked)
    return asked, f"{float(value):g}" if isinstance(value, int | float) else None


def _names(result: Result) -> set[str]:
    """What its model may be called: other tools know no targets, and their results have its name."""
    return {name for name in (result.target, result.model) if name is not None}


def _paired(theirs: Sequence[Result], ours: Sequence[Result]) -> list[Pair]:
    every = [(a, b) for a in theirs for b in ours]
    chosen = [(a, b) for a, b in every if _names(a) & _names(b)] or every
    lone: list[Pair] = [(a, None) for a in theirs if not any(a is each for each, _ in chosen)]
    lone += [(None, b) for b in ours if not any(b is each for _, each in chosen)]
    return [*chosen, *lone]


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
