"""How alike the replies to one prompt are: word for word, by their answers, and in meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from analysis.answers.opinions import Opinions
from analysis.records.quality_record import Consistency
from analysis.records.record import Estimate
from analysis.statistics import clusters
from harness.records.grade_record import text_id


def consistency_of(
    prompts: Sequence[str],
    texts: Sequence[str | None],
    answers: Sequence[str | None] | None,
    opinions: Opinions,
) -> Consistency | None:
    """Of the replies to prompts that were asked more than once; None where there are none. `answers`: those read from
    them, None where no questions were asked."""
    groups: dict[str, list[int]] = {}
    for place, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        if text is not None:
            groups.setdefault(prompt, []).append(place)
    asked_again = {prompt: places for prompt, places in groups.items() if len(places) > 1}
    if not asked_again:
        return None
    words = {prompt: [_plain(texts[place] or "") for place in places] for prompt, places in asked_again.items()}
    exact = _mean({prompt: alike(list(own)) for prompt, own in words.items()})
    assert exact is not None
    said = answers or [None] * len(prompts)
    answer = {prompt: alike([said[place] for place in places]) for prompt, places in asked_again.items()}
    vectors = {
        prompt: [
            vector for place in places if (vector := opinions.vectors.get(text_id(texts[place] or ""))) is not None
        ]
        for prompt, places in asked_again.items()
    }
    similarity = {prompt: _similar(own) for prompt, own in vectors.items() if len(own) > 1}
    return Consistency(
        prompts=len(asked_again),
        replies=sum(map(len, asked_again.values())),
        exact=exact,
        answer=None if answers is None else _mean(answer),
        similarity=_mean(similarity),
        embedder=opinions.embedder if similarity else None,
    )


def alike(replies: Sequence[Hashable | None]) -> float:
    """The share of pairs that are equal; None is equal to nothing."""
    n = len(replies)
    counts = Counter(each for each in replies if each is not None)
    return sum(count * (count - 1) for count in counts.values()) / (n * (n - 1))


def _plain(text: str) -> str:
    """Without what nobody would call a difference: white space."""
    return " ".join(text.split())


def _similar(vectors: Sequence[np.ndarray[tuple[int], np.dtype[np.float64]]]) -> float:
    """The mean cosine of all pairs of unit vectors."""
    n = len(vectors)
    total = np.sum(vectors, axis=0)
    return float((np.dot(total, total) - n) / (n * (n - 1)))


def _mean(by_prompt: dict[str, float]) -> Estimate | None:
    return clusters.mean(list(by_prompt.values()), list(by_prompt))
