"""Who can be ranked with whom: the targets of one load, in one run or in several alike, and who stands apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.comparing.compared_metrics import BY_SLO
from analysis.comparing.differences import unlike
from analysis.deciding.quotes import Quote, quoted
from analysis.records.record import Part
from analysis.summary import Result, Summary
from analysis.wording import named


@dataclass(frozen=True)
class Entrant:
    """A target under a load. `name` tells its run too where there are several; `index` is its place in the run's
    results, `graded` that of the result its quality is read from (None: nothing of it was graded). `other_slo`: what is
    good was judged otherwise in its run than in the first, so that what counts good requests is not compared."""

    name: str
    summary: Summary
    index: int
    graded: int | None = None
    other_slo: bool = False

    @property
    def result(self) -> Result:
        """Its figures."""
        return self.summary.results[self.index]

    @property
    def target(self) -> str:
        """Its name in the plan."""
        return self.result.target

    def quote(self, path: str) -> Quote | None:
        """The number at a path of its result; of quality, where that was graded. None: not measured."""
        if self.other_slo and path in BY_SLO:
            return None
        index = self.graded if path.startswith("quality.") else self.index
        return None if index is None else quoted(self.summary.run, index, self.summary.results[index], path)


class Apart(Part, frozen=True, kw_only=True):
    """A target that is not ranked, and why."""

    target: str
    run: str
    workload: str | None
    stage: int | None
    reason: str


@dataclass(frozen=True)
class Contest:
    """One load, the targets that are comparable under it, and those that are not."""

    workload: str
    stage: int
    label: str
    kind: str | None
    entrants: tuple[Entrant, ...]
    apart: tuple[Apart, ...]


def contests(summaries: Sequence[Summary]) -> list[Contest]:
    """Every load of some runs, in their order. What a load is, the first run that may be used says; a result whose
    load or request differs from that stands apart. Plain CSV tells no load, so all of it stands apart in none."""
    found: dict[tuple[str, int], list[tuple[Summary, int]]] = {}
    for summary in summaries:
        for index, result in enumerate(summary.results):
            if result.workload is not None and result.stage is not None:
                found.setdefault((result.workload, result.stage), []).append((summary, index))
    return [_contest(workload, stage, own, several=len(summaries) > 1) for (workload, stage), own in found.items()]


def _contest(workload: str, stage: int, own: Sequence[tuple[Summary, int]], *, several: bool) -> Contest:
    usable = [each for each in own if not _unusable(*each)]
    first = usable[0] if usable else own[0]
    entrants: list[Entrant] = []
    apart: list[Apart] = []
    for summary, index in own:
        result = summary.results[index]
        reason = _unusable(summary, index) or _unlike(first, (summary, index))
        name = named(result.target, summary.run if several else None)
        if reason:
            apart.append(stands_apart(name, summary.run, result, reason))
        else:
            entrants.append(Entrant(name, summary, index, _graded(summary, index), summary.slo != first[0].slo))
    result = first[0].results[first[1]]
    return Contest(workload, stage, result.stage_label or "", result.kind, tuple(entrants), tuple(apart))


def stands_apart(name: str, run: str, result: Result, reason: str) -> Apart:
    """A result that is not ranked."""
    return Apart(target=name, run=run, workload=result.workload, stage=result.stage, reason=reason)


def _unusable(summary: Summary, index: int) -> str:
    """Why a result may not be ranked by itself; "" where it may."""
    if summary.validity.verdict == "invalid":
        worst = next((each.saw for each in summary.validity.findings if each.severity == "invalid"), "")
        return f"its run is invalid: {worst}" if worst else "its run is invalid"
    return "" if summary.results[index].outcomes.get("ok") else "no request ended ok"


def _unlike(first: tuple[Summary, int], other: tuple[Summary, int]) -> str:
    a, b = other[0].results[other[1]], first[0].results[first[1]]
    return "" if other[0] is first[0] else unlike(a, b, other[0].run, first[0].run)


def _graded(summary: Summary, index: int) -> int | None:
    """The result that a target's quality is read from: its own, or that of the same target at the lowest stage of the
    first workload of the run in which answers were graded."""
    result = summary.results[index]
    if _has_quality(result):
        return index
    others = [
        (each.stage or 0, place)
        for place, each in enumerate(summary.results)
        if each.target == result.target and _has_quality(each)
    ]
    return min(others)[1] if others else None


def _has_quality(result: Result) -> bool:
    found = result.quality
    return found is not None and (found.accuracy_of_all is not None or found.f1 is not None or found.marks is not None)
