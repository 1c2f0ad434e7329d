"""What the embedder and the judge of a run said of its replies (`grades.jsonl`), and what that amounts to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.records.quality_record import Marks
from analysis.records.record import Estimate
from analysis.statistics import clusters
from harness.errors import UNREADABLE
from harness.records.grade_record import Embedding, Likeness, Mark, decode, text_id

_SPAN = 4  # of marks: 1 to 5


@dataclass(frozen=True)
class Opinions:
    """`vectors`: of length 1, by the id of their text. `likenesses` and `marks` by target, workload and id of the text;
    the marks of a reply with the judge's questions in both orders."""

    embedder: str | None = None
    vectors: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    likenesses: dict[tuple[str, str, str], Likeness] = field(default_factory=dict)
    marks: dict[tuple[str, str, str], list[Mark]] = field(default_factory=dict)


def read_opinions(path: Path) -> Opinions:
    """Empty where nobody was asked. A damaged line is left out: it is asked again by the next grading."""
    found = Opinions()
    embedder = None
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            record = decode(line)
        except UNREADABLE:
            continue
        match record:
            case Embedding():
                embedder = record.embedder
                found.vectors[record.text_id] = np.array(record.vector)
            case Likeness():
                embedder = record.embedder
                found.likenesses[record.target, record.workload, record.text_id] = record
            case Mark():
                found.marks.setdefault((record.target, record.workload, record.text_id), []).append(record)
    return Opinions(embedder, found.vectors, found.likenesses, found.marks)


def marks_of(
    target: str, workload: str, prompts: Sequence[str], texts: Sequence[str | None], opinions: Opinions
) -> Marks | None:
    """The marks of some replies of a target, by its judge, else by the embedder; None where neither was asked about any
    of them. Intervals are Student's t over the prompts."""
    ids = {text_id(text): prompt for prompt, text in zip(prompts, texts, strict=True) if text is not None}
    judged = {key: own for key in ids if (own := opinions.marks.get((target, workload, key)))}
    if judged:
        return _by_judge(judged, ids)
    likened = {key: each for key in ids if (each := opinions.likenesses.get((target, workload, key)))}
    return _by_embedder(likened, ids) if likened else None


def _by_judge(judged: dict[str, list[Mark]], ids: dict[str, str]) -> Marks | None:
    relevance = {key: _mean([mark.relevance for mark in own]) for key, own in judged.items()}
    coherence = {key: _mean([mark.coherence for mark in own]) for key, own in judged.items()}
    found = _estimate(relevance, ids)
    if found is None:
        return None
    differences = [each for own in judged.values() for each in _differences(own)]
    return Marks(
        by=f"judge {next(iter(judged.values()))[0].judge}",
        replies=sum(each is not None for each in relevance.values()),
        relevance=found,
        coherence=_estimate(coherence, ids),
        noise=float(np.std(differences, ddof=1) / np.sqrt(2)) if len(differences) > 1 else None,
        order_bias=float(np.mean(differences)) if differences else None,
        unread=sum(mark.relevance is None or mark.coherence is None for own in judged.values() for mark in own),
    )


def _differences(own: Sequence[Mark]) -> list[float]:
    """Marks in the swapped order less those in the usual one, of one reply; in parts of one."""
    by_order = {mark.swapped: mark for mark in own}
    if len(by_order) < 2:
        return []
    pairs = [(getattr(by_order[True], name), getattr(by_order[False], name)) for name in ("relevance", "coherence")]
    return [(a - b) / _SPAN for a, b in pairs if a is not None and b is not None]


def _by_embedder(likened: dict[str, Likeness], ids: dict[str, str]) -> Marks | None:
    found = _estimate({key: own.relevance for key, own in likened.items()}, ids)
    if found is None:
        return None
    coherence = _estimate({key: own.coherence for key, own in likened.items()}, ids)
    return Marks(
        by=f"embedder {next(iter(likened.values())).embedder}",
        replies=len(likened),
        relevance=found,
        coherence=coherence,
    )


def _mean(marks: Sequence[int | None]) -> float | None:
    """Of the marks that were given, in parts of one."""
    given = [(mark - 1) / _SPAN for mark in marks if mark is not None]
    return sum(given) / len(given) if given else None


def _estimate(values: dict[str, float | None], ids: dict[str, str]) -> Estimate | None:
    known = {key: value for key, value in values.items() if value is not None}
    return clusters.mean(list(known.values()), [ids[key] for key in known])
