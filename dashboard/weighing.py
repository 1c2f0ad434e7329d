"""Rankings under weights that change: what was drawn of a load is kept, and only weighed anew."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache

from analysis.deciding.burdens import Known, normalised
from analysis.deciding.entrants import Contest, contests
from analysis.deciding.ranking_record import Ranking
from analysis.ranking import ranking_of
from analysis.summary import Summary

_CONTESTS = 16


class _Same:
    """A summary as a key: the same object, not equal contents, which would take long to compare."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary

    def __hash__(self) -> int:
        return id(self.summary)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.summary is self.summary


class Weighing:
    """Contests that were opened, with what was drawn for each: a slider weighs it anew, and draws nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = lru_cache(_CONTESTS)(self._contests)

    def contests(self, summary: Summary) -> Sequence[tuple[Contest, Known]]:
        """The loads of a run in which somebody can be ranked or stands apart."""
        return self._open(_Same(summary))

    def rank(self, contest: Contest, known: Known, weights: Mapping[str, float]) -> Ranking:
        """Its ranking: the very one that `tokenswarm rank` prints."""
        with self._lock:
            return ranking_of(contest, normalised(weights), known=known)

    @staticmethod
    def _contests(same: _Same) -> Sequence[tuple[Contest, Known]]:
        return tuple((each, {}) for each in contests([same.summary]))


def chosen_load(found: Sequence[tuple[Contest, Known]], wanted: str | None) -> tuple[Contest, Known]:
    """The load that is wanted; else the last one in which at least two compete."""
    named = [each for each in found if load_key(each[0]) == wanted]
    rival = [each for each in found if len(each[0].entrants) > 1]
    return (named or rival[-1:] or list(found)[-1:])[-1]


def load_key(contest: Contest) -> str:
    """A load in an address."""
    return f"{contest.stage} {contest.workload}"
