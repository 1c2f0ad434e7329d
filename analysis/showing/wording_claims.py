"""Many comparisons in few lines: what is claimed first, one line for each pair and winner, and the rest summed up."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from analysis.records.comparison_record import Comparison
from analysis.wording import by_how_much, metric_name, named, sentence, sentences, under

_T = TypeVar("_T", bound=Hashable)


def claims(comparisons: Sequence[Comparison]) -> list[str]:
    """Every difference that is shown: for each load, pair and winner one line, with by how much in the headline metrics
    (of a line without any, in all) and the names of the others."""
    shown = [each for each in comparisons if each.verdict in ("better", "worse")]
    return [_claim(group) for group in _groups(shown, lambda each: (*pair_of(each), each.verdict))]


def apart(comparisons: Sequence[Comparison]) -> list[str]:
    """What could not be compared, and why: what is of whole results, or of one pair alone, by name; what many pairs
    have in common, by their number."""
    found = [each for each in comparisons if each.verdict == "not comparable"]
    lines = [f"{under(each)}: {sentence(each)}" for each in found if each.metric == "all"]
    for group in _groups([each for each in found if each.metric != "all"], lambda each: each.reason):
        pairs = len({pair_of(each) for each in group})
        if pairs == 1:
            lines += sentences(group)
        else:
            names = ", ".join(dict.fromkeys(metric_name(each.metric) for each in group))
            lines.append(f"{pairs} pairs are not comparable in {names}: {group[0].reason}.")
    return lines


def rest(comparisons: Sequence[Comparison]) -> str:
    """How many comparisons show no difference, and of what kind; "" where there are none."""
    others = [each for each in comparisons if each.verdict == "no difference"]
    if not others:
        return ""
    alike = sum(each.decided for each in others)
    needed = [each.repeats_needed for each in others if each.repeats_needed is not None and not each.decided]
    more = ""
    if needed:
        low, high = min(needed), max(needed)
        repeats = f"{low}" if low == high else f"{low} to {high}"
        more = f" (about {repeats} more repeats would decide {len(needed)} of them)"
    untold = f"{len(others) - alike:,} are not told apart{more}"
    return f"No difference is shown in {len(others):,} comparisons: {alike:,} are alike within what matters, {untold}."


def pair_of(found: Comparison) -> tuple[Hashable, ...]:
    """The load and the two that a comparison is of."""
    return found.workload, found.stage, found.a, found.a_run, found.b, found.b_run


def _groups(found: Sequence[Comparison], key: Callable[[Comparison], _T]) -> list[list[Comparison]]:
    """Those of one key together, in the order of the first of each."""
    groups: dict[_T, list[Comparison]] = {}
    for each in found:
        groups.setdefault(key(each), []).append(each)
    return list(groups.values())


def _claim(group: Sequence[Comparison]) -> str:
    one = group[0]
    a, b = named(one.a, one.a_run), named(one.b, one.b_run)
    ahead, behind = (a, b) if one.verdict == "better" else (b, a)
    principal = [each for each in group if each.headline] or group
    told = ", ".join(metric_name(each.metric) + by_how_much(each) for each in principal)
    others = ", ".join(metric_name(each.metric) for each in group if each not in principal)
    return f"{under(one)}: {ahead} beats {behind} in {told}{f'; also in {others}' if others else ''}."
