"""What a target costs its user in each category, as one positive number of which less is better: its burden.

Scores and totals are ratios of burdens. Why ratios, and why a weighted geometric mean: docs/decide.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.comparing.compared_metrics import BY_SLO
from analysis.comparing.goals import PATHS
from analysis.deciding.draws import SEED, Drawn, Measure, measured
from analysis.deciding.entrants import Apart, Entrant, stands_apart
from analysis.quantiles import Floats
from harness.errors import UsageFault

CATEGORIES = ("latency", "throughput", "quality", "reliability", "cost")
RATES = ("completed_rps", "goodput_rps", "output_tokens_per_s")
COST = "cost.usd_per_request"
METRICS: dict[str, tuple[str, ...]] = {
    "latency": ("ttft_s.p50", "ttft_s.p95", "e2e_s.p50", "e2e_s.p95"),
    "throughput": ("completed_rps", "output_tokens_per_s"),
    "quality": ("quality.accuracy_of_all", "quality.f1", "quality.marks.relevance"),
    "reliability": ("success_ratio",),
    "cost": (COST,),
}
ONE_OF = ("quality",)  # the first metric that all have, not all of them
PER = 100  # wrong answers, and failures, are counted in so many
FORMULA = (
    "burden x: seconds; 1 / rate; 1 + wrong answers in 100; 1 + failures in 100; USD a request",
    "burden X of a category: the geometric mean of its x",
    "score = 100 * (least X of all targets) / (own X)",
    "total = the product of score ** weight, weights adding up to 1",
)
_SHARE_OF_LATENCY = tuple(path for path in PATHS if path.split(".")[0].endswith("_s") and "." in path)


def check_metric(category: str, path: str) -> None:
    """Raise ValueError where a metric cannot speak for a category."""
    allowed: dict[str, Sequence[str]] = {
        "latency": [each for each in _SHARE_OF_LATENCY if not each.startswith(("recovery", "lag"))],
        "throughput": RATES,
        "quality": [each for each in PATHS if each.startswith("quality.") and each not in _NO_QUALITY],
    }
    known = allowed.get(category, METRICS.get(category, ()))
    if path not in known:
        raise ValueError(f"{category}: {path[:60]!r}: none of {', '.join(known) or 'no categories but these'}")


_NO_QUALITY = ("quality.refused", "quality.cut", "quality.bleu")


def read_weights(text: str) -> dict[str, float]:
    """Read `latency=0.4,cost=0.3`; what is missing is 0. The weights are brought to the sum 1. Raises UsageFault."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        if name in found:
            raise UsageFault(f"--weights: {name}: given twice", _HINT)
        found[name] = _number(name, value)
    try:
        return normalised(found)
    except ValueError as fault:
        raise UsageFault(f"--weights: {fault}", _HINT) from fault


_HINT = f"such as --weights latency=0.4,cost=0.3,quality=0.3; categories: {', '.join(CATEGORIES)}"


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as fault:
        raise UsageFault(f"--weights: {name[:60]}: {value[:60]!r}: must be a number", _HINT) from fault


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights that add up to 1, in the order of the categories, without those of 0. Raises ValueError."""
    for name, value in weights.items():
        if name not in CATEGORIES:
            raise ValueError(f"{name[:60]!r}: no such category; there are {', '.join(CATEGORIES)}")
        if not 0 <= value <= 1e6:  # NaN fails too
            raise ValueError(f"{name}: {value}: must be a number from 0 on")
    total = sum(weights.values())
    if total <= 0:
        raise ValueError("all are 0: one at least must be more")
    return {name: weights[name] / total for name in CATEGORIES if weights.get(name)}


EQUAL = normalised(dict.fromkeys(CATEGORIES, 1.0))


def burden(category: str, value: float) -> float:
    """X of a measured value: positive, and the less the better."""
    if category in _SHARES:
        return 1 + PER * (1 - value)
    return 1 / value if category == "throughput" else value


def burdens_drawn(category: str, values: Floats) -> Floats:
    """The same of many values."""
    if category in _SHARES:
        return 1 + PER * (1 - values)
    return 1 / values if category == "throughput" else values


@dataclass(frozen=True)
class Field:
    """Entrants that can be set against each other, the metrics that speak for each category, and who stands apart.
    `weights` are those of the categories that were measured; `left_out` says why of the others."""

    entrants: tuple[Entrant, ...]
    metrics: dict[str, tuple[str, ...]]
    weights: dict[str, float]
    left_out: dict[str, str]
    apart: tuple[Apart, ...]
    given: Mapping[int, Measure] = field(default_factory=dict)  # costs that a use case works out, by entrant


def field_of(
    entrants: Sequence[Entrant],
    weights: Mapping[str, float],
    metrics: Mapping[str, Sequence[str]] | None = None,
    costs: Mapping[int, Measure] | None = None,
) -> Field:
    """The field under some weights. A category that nobody has is left out; who lacks one that others have stands
    apart. `costs`: by place among the entrants, what a use case makes of prices."""
    chosen: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, str] = {}
    lacking: dict[int, str] = {}
    for category in weights:
        wanted = tuple((metrics or {}).get(category, METRICS[category]))
        own = [_owned(place, entrant, category, wanted, costs) for place, entrant in enumerate(entrants)]
        most = max((set(each) for each in own), key=len, default=set())
        if not most:
            left_out[category] = _why_not(category, entrants)
            continue
        common = [path for path in wanted if all(path in each for each in own if each)]
        common = common or [path for path in wanted if path in most]
        chosen[category] = tuple(common[:1] if category in ONE_OF else common)
        for place, each in enumerate(own):
            if not set(chosen[category]) <= set(each):
                other = entrants[place].other_slo and not set(chosen[category]).isdisjoint(BY_SLO)
                why = "counts what is good by another SLO" if other else f"was not measured ({_NEEDS[category]})"
                lacking.setdefault(place, f"its {category} {why}")
    if not chosen:
        lacking = dict.fromkeys(range(len(entrants)), "nothing that has a weight was measured of any target")
    lacking |= _unsure(entrants, chosen, lacking)
    kept = [place for place in range(len(entrants)) if place not in lacking]
    apart = [_apart(entrants[place], why) for place, why in sorted(lacking.items())]
    total = sum(weights[name] for name in chosen)
    scaled = {name: weights[name] / total for name in chosen}
    given = {new: (costs or {})[old] for new, old in enumerate(kept) if old in (costs or {})}
    return Field(tuple(entrants[place] for place in kept), chosen, scaled, left_out, tuple(apart), given)


def _unsure(
    entrants: Sequence[Entrant], chosen: Mapping[str, Sequence[str]], lacking: Mapping[int, str]
) -> dict[int, str]:
    """Who has a number that nothing tells how sure it is, where others have none such: it would take all intervals
    with it."""
    found: dict[int, str] = {}
    left = [place for place in range(len(entrants)) if place not in lacking]
    for place in left:
        for path in (path for category, paths in chosen.items() if category != "cost" for path in paths):
            measure = measured(entrants[place], path)
            if measure is None or measure.spread is None:
                found.setdefault(place, f"its {path} has no interval: fewer than two repeats tell it")
    return found if len(found) < len(left) else {}


def _apart(entrant: Entrant, reason: str) -> Apart:
    return stands_apart(entrant.name, entrant.summary.run, entrant.result, reason)


def _owned(
    place: int, entrant: Entrant, category: str, wanted: Sequence[str], costs: Mapping[int, Measure] | None
) -> list[str]:
    """The metrics of a category that an entrant has a usable number of."""
    if category == "cost" and costs is not None:
        return [COST] if place in costs and costs[place].value > 0 else []
    found = [(path, entrant.quote(path)) for path in wanted]
    return [path for path, quote in found if quote is not None and (quote.value > 0 or category in _SHARES)]


_SHARES = ("quality", "reliability")
_NEEDS = {
    "latency": "no reply told it",
    "throughput": "nothing came in its window",
    "quality": "a workload with questions, or `tokenswarm grade`",
    "reliability": "no attempt was counted",
    "cost": "a price above 0, see docs/cost.md",
}


def _why_not(category: str, entrants: Sequence[Entrant]) -> str:
    if category == "cost" and any(each.result.cost is not None for each in entrants):
        return "all of them cost nothing"
    return f"not measured of any target: {_NEEDS[category]}"


@dataclass(frozen=True)
class Table:
    """ln X of each entrant (row) and category (column): `points` of the numbers quoted; `draws` of what they might
    truly be (draw, row, column), None where nothing tells how sure a number is: `unsure` names that."""

    field: Field
    points: Floats
    draws: Floats | None
    unsure: str | None
    measures: tuple[dict[str, Measure], ...]
    drawn: Drawn
    places: tuple[int, ...]  # the stream of each entrant

    @property
    def weights(self) -> Floats:
        """In the order of the columns."""
        return np.array([self.field.weights[name] for name in self.field.metrics])

    @property
    def totals(self) -> Floats:
        """Ln of what the totals are in proportion to, by the numbers quoted."""
        return np.asarray(-self.points @ self.weights, dtype=np.float64)

    @property
    def totals_drawn(self) -> Floats | None:
        """The same in each draw (draw, entrant)."""
        return None if self.draws is None else np.asarray(-self.draws @ self.weights, dtype=np.float64)


_MOST_KNOWN = 16
Known = dict[tuple[object, ...], "Table"]  # tables that were drawn, by what decides what is drawn


def table_of(
    field: Field, seed: int = SEED, *, repeats: float = 1.0, replies: float = 1.0, known: Known | None = None
) -> Table:
    """The burdens of a field, drawn. Streams go by the order of the totals, so that neither names nor the order in
    which targets are given have a part in the answer. `known`: tables of the same entrants under other weights, which
    are used where their draws are the same ones, and added to (16 at most)."""
    measures = tuple(_measures(field, place) for place in range(len(field.entrants)))
    points = np.array([_points(field, each) for each in measures]).reshape(len(measures), len(field.metrics))
    weights = np.array([field.weights[name] for name in field.metrics])
    places = np.zeros(len(measures), dtype=np.int64)
    if measures:
        places[np.lexsort([*points.T[::-1], points @ weights])] = np.arange(len(measures))
    names = tuple(each.name for each in field.entrants)
    key = (names, tuple(field.metrics.items()), tuple(places.tolist()), seed, repeats, replies)
    found = None if known is None else known.get(key)
    if found is not None:
        return replace(found, field=field)
    drawn = Drawn(field.entrants, seed, repeats=repeats, replies=replies)
    table = _drawn_table(field, points, measures, drawn, tuple(int(each) for each in places))
    if known is not None:
        while len(known) >= _MOST_KNOWN:
            known.pop(next(iter(known)))
        known[key] = table
    return table


def _drawn_table(
    field: Field, points: Floats, measures: tuple[dict[str, Measure], ...], drawn: Drawn, places: tuple[int, ...]
) -> Table:
    rows = [_drawn_row(field, number, own, places[number], drawn) for number, own in enumerate(measures)]
    unsure = next((row for row in rows if isinstance(row, str)), None)
    whole = [row for row in rows if not isinstance(row, str)]
    draws = np.stack(whole, axis=1) if whole and unsure is None else None
    return Table(field, points, draws, unsure, measures, drawn, places)


def _drawn_row(field: Field, number: int, own: Mapping[str, Measure], place: int, drawn: Drawn) -> Floats | str:
    """The logarithms of X of one entrant (draw, category); or which number nothing tells how sure it is."""
    entrant, columns = field.entrants[number], []
    for category, paths in field.metrics.items():
        logs = []
        for path in paths:
            values = drawn.of(own[path], entrant.summary.run, (place, stream_of(path)))
            if values is None:
                return f"{path} of {entrant.name} has no interval"
            logs.append(np.log(burdens_drawn(category, values)))
        columns.append(np.mean(logs, axis=0))
    return np.stack(columns, axis=-1)


def stream_of(path: str) -> int:
    """The stream of draws of a metric, the same whatever else is drawn."""
    return PATHS.index(path) if path in PATHS else len(PATHS)


def _measures(field: Field, place: int) -> dict[str, Measure]:
    found: dict[str, Measure] = {}
    for paths in field.metrics.values():
        for path in paths:
            measure = field.given.get(place) if path == COST else None
            measure = measure or measured(field.entrants[place], path)
            assert measure is not None
            found[path] = measure
    return found


def _points(field: Field, own: Mapping[str, Measure]) -> list[float]:
    return [
        float(np.mean([math.log(burden(category, own[path].value)) for path in paths]))
        for category, paths in field.metrics.items()
    ]
