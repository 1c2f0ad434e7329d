"""How rankings and recommendations are said, in the terminal and in the report alike."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.deciding.entrants import Apart
from analysis.deciding.quotes import Quote
from analysis.deciding.ranking_record import Place, Ranking
from analysis.deciding.recommendation_record import Choice, Recommendation
from analysis.records.record import Estimate
from analysis.wording import NOTHING, metric_value

LIMITS = {"met": "met", "missed": "missed", "not shown": "not shown to be met", "not measured": "not measured"}


def quote_text(path: str, quote: Quote) -> str:
    """A quoted number with its interval, in the unit of the metric at `path`."""
    text, ends = metric_value(path, quote.value), quote.ci95
    return text if ends is None else f"{text} [{metric_value(path, ends[0])}, {metric_value(path, ends[1])}]"


def share_text(value: float | None) -> str:
    """A share of one in whole per cent, or what it is at least or at most near both ends."""
    if value is None:
        return NOTHING
    return ">99 %" if 0.995 <= value < 1 else "<1 %" if 0 < value < 0.005 else f"{100 * value:.0f} %"


def score_text(found: Estimate) -> str:
    """A score with its interval."""
    if found.value is None:
        return NOTHING
    ends = found.ci95
    inside = "" if ends is None or ends[0] is None or ends[1] is None else f" [{ends[0]:.0f}, {ends[1]:.0f}]"
    return f"{found.value:.1f}{inside}"


def rank_text(place: Place) -> str:
    """A rank, and its interval where it is not certain."""
    if place.rank_ci95 is None:
        return f"{place.rank}"
    low, high = place.rank_ci95
    return f"{place.rank}" if low == high == place.rank else f"{place.rank} [{low}, {high}]"


def load_text(workload: str, label: str) -> str:
    """A workload and its stage in one phrase."""
    return ", ".join(part for part in (workload, label) if part)


def weights_text(weights: dict[str, float]) -> str:
    """Weights in per cent."""
    return ", ".join(f"{name} {100 * weight:.3g} %" for name, weight in weights.items())


def notes_of(weights: dict[str, float], left_out: dict[str, str], formula: Sequence[str]) -> list[str]:
    """What a leaderboard rests on."""
    lines = [f"left out: {name}: {why}" for name, why in left_out.items()]
    return [*lines, f"weights: {weights_text(weights)}", f"formula: {'; '.join(formula)}"] if weights else lines


def apart_text(found: Apart) -> str:
    """Who is not ranked, and why."""
    return f"apart: {found.target}: {found.reason}"


def tied_text(places: Sequence[Place]) -> list[str]:
    """The groups of targets that are not told apart, as sentences."""
    groups: dict[int, list[str]] = {}
    for place in places:
        groups.setdefault(place.group, []).append(place.target)
    return [f"not told apart: {', '.join(names)}" for names in groups.values() if len(names) > 1]


def ranking_lines(found: Ranking) -> list[str]:
    """What is said below the table of a ranking."""
    lines = [] if found.note is not None else tied_text(found.places)
    lines += [found.note] if found.note is not None else []
    return lines + [apart_text(each) for each in found.apart] + notes_of(found.weights, found.left_out, found.formula)


def choice_text(found: Choice) -> str:
    """A choice with what taking it might lose."""
    missed = [f"{each.text}: {LIMITS[each.met]}" for each in found.limits if each.met != "met"]
    ends = found.loss.ci95
    parts = [f"best in {share_text(found.best)} of the draws"] if found.best is not None else []
    if found.loss.value is not None:
        upper = "" if ends is None else f", hardly above {100 * (ends[1] or 0):.1f} %"
        parts.append(f"loses {100 * found.loss.value:.1f} % on average{upper}")
    if found.usd_per_month is not None and found.usd_per_month.value is not None:
        parts.append(f"${found.usd_per_month.value:,.2f} a month")
    return f"{found.target}: " + "; ".join([*parts, *missed])


def recommendation_lines(found: Recommendation) -> list[str]:
    """All of a recommendation, line by line."""
    lines = [f"{found.use_case.name}, {load_text(found.workload, found.stage_label)}: {found.says}", ""]
    lines += _section("Reasons", [each.says for each in found.reasons])
    lines += _section("Choices", [choice_text(each) for each in found.choices])
    lines += _section("What would change it", [each.says for each in found.sensitivity])
    lines += _section("Risks", [f"{each.kind} ({each.level}): {each.says} {each.mitigation}" for each in found.risks])
    lines += _section("Fail-over", [each.says for each in found.fail_over])
    help_with = [f"{each.aim}: {each.says} Verify: {each.verify}." for each in found.strategies]
    lines += _section("What could help", help_with)
    lines += [apart_text(each) for each in found.apart]
    return lines + notes_of(found.weights, found.left_out, found.formula)


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}:", *(f"  - {line}" for line in lines), ""] if lines else []
