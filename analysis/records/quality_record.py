"""The records of `summary.json` that say how good replies were."""

from __future__ import annotations

from typing import Literal

import msgspec

from analysis.records.record import Estimate


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the summary."""


class Consistency(Part, frozen=True, kw_only=True):
    """How alike the replies to the same prompt are, over `prompts` that were asked more than once (`replies` in all).

    Each is the mean over the prompts of the share of pairs of replies that are alike: `exact` in every word, `answer`
    in the answer that was read from them (null: no questions); `similarity` is the mean cosine of their embeddings by
    `embedder` (null: none was asked). Intervals are Student's t over the prompts.
    """

    prompts: int
    replies: int
    exact: Estimate
    answer: Estimate | None = None
    similarity: Estimate | None = None
    embedder: str | None = None


class Marks(Part, frozen=True, kw_only=True):
    """What a judge, or in its absence an embedder, made of replies: shares of one, more is better.

    `by` is "judge NAME" or "embedder NAME". A judge marks each reply twice, with its questions in both orders; `noise`
    is the standard deviation of one mark, found from how the two differ, `order_bias` their mean difference (null: an
    embedder does not vary). `unread`: answers of the judge in which no marks were found.
    """

    by: str
    replies: int
    relevance: Estimate
    coherence: Estimate | None = None
    noise: float | None = None
    order_bias: float | None = None
    unread: int = 0


class Quality(Part, frozen=True, kw_only=True):
    """How good the replies of a load were, all repeats together.

    `replies` came whole or were refused. Of those to questions `graded` gave an answer that could be read, `ungraded`
    none (they are in no accuracy); `accuracy` = correct / graded, `accuracy_of_all` = correct / (graded + ungraded).
    Wilson intervals on the number of answers that are worth as much as independent ones (`effective_n`): the same
    question asked again tells less than another. `macro_f1` is over the letters of choices, `f1` the mean overlap of
    words with the best reference and `bleu` (0 to 100) the corpus measure, both of free text. `refused`: declined, by
    the provider's word or the reply's; `cut`: ended at the cap.
    """

    replies: int
    questions: int = 0
    graded: int = 0
    ungraded: int = 0
    correct: int = 0
    effective_n: float | None = None
    accuracy: Estimate | None = None
    accuracy_of_all: Estimate | None = None
    by_subject: dict[str, Estimate] = {}
    macro_f1: float | None = None
    f1: Estimate | None = None
    bleu: float | None = None
    refused: Estimate
    cut: Estimate
    text_chars: float | None = None
    consistency: Consistency | None = None
    marks: Marks | None = None


class QualityUnderLoad(Part, frozen=True, kw_only=True):
    """A target under a workload at its highest load against its lowest: what changes when it is busy.

    Changes are highest less lowest, in parts of one (`text_chars` in characters), with Student's t intervals over the
    questions (for `refused`, `cut` and `text_chars` over the prompts). `verdict` speaks of the accuracy and wants an
    interval that leaves 0 out.
    """

    target: str
    workload: str
    lowest: str
    highest: str
    lowest_in_flight: float | None
    highest_in_flight: float | None
    accuracy: Estimate | None = None
    refused: Estimate | None = None
    cut: Estimate | None = None
    text_chars: Estimate | None = None
    verdict: Literal["falls", "rises", "no change shown", "not measured"]
