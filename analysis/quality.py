"""How good the replies of a load were: accuracy, refusals, cut replies, consistency; and what changes under load."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.answers.consistency import consistency_of
from analysis.answers.grading import ANSWER, CORRECT, OVERLAP, Asked
from analysis.answers.opinions import Opinions, marks_of
from analysis.loads.sweeps import Measured
from analysis.metrics import Window
from analysis.quantiles import Floats
from analysis.reading.gaps import Whole
from analysis.records.quality_record import Quality, QualityUnderLoad
from analysis.records.record import Estimate
from analysis.statistics import clusters
from harness.plan import Workload
from harness.records.question import Question

_CUT = ("length", "max_tokens", "MAX_TOKENS", "max_output_tokens")
_REFUSED = "refused"
_DECLINES = re.compile(
    r"^\W*(?:i['\u2019]?m (?:very )?sorry|i am (?:very )?sorry|sorry,|"
    r"i can(?:not|['\u2019]t) (?:help|assist|answer|provide|do)|"
    r"i['\u2019]?m (?:not able|unable) to|i am (?:not able|unable) to|"
    r"as an ai\b.{0,80}\b(?:cannot|can['\u2019]t|unable))",
    re.IGNORECASE,
)
_COLUMNS = ("outcome", "error", "finish_reason", "prompt_id", "text", "text_chars")


@dataclass(frozen=True)
class Replies:
    """The replies of a load that came whole or were refused, a row each: `declined` and `cut` of all of them; the
    others are NaN or None where the reply was no answer to a question."""

    rows: Whole
    prompts: list[str]
    declined: Floats
    cut: Floats
    chars: Floats
    correct: Floats
    overlap: Floats
    answers: list[str | None]
    texts: list[str | None]

    def graded(self) -> tuple[Floats, list[str]]:
        """Whether each answer was right, and to which question it was."""
        return self.known(self.correct)

    def known(self, values: Floats) -> tuple[Floats, list[str]]:
        """The values that there are, with the prompts they belong to."""
        here = ~np.isnan(values)
        return values[here], [prompt for prompt, has in zip(self.prompts, here, strict=True) if has]


def replies_of(windows: Sequence[Window]) -> Replies:
    """Of the steady windows of a load."""
    table = windows[0].samples.table
    places = np.concatenate([window.inside for window in windows])
    names = [*_COLUMNS, *(name for name in (ANSWER, CORRECT, OVERLAP) if name in table)]
    rows = table[names].iloc[places]
    refused = (rows["error"] == _REFUSED).to_numpy()
    ok = (rows["outcome"] == "ok").to_numpy()
    kept = rows[ok | refused]
    texts = [None if pd.isna(text) else str(text) for text in kept["text"]]
    declined = (
        np.array([bool(text and _DECLINES.match(text[:200])) for text in texts], dtype=bool) | refused[ok | refused]
    )
    nothing = np.full(len(kept), np.nan)
    return Replies(
        rows=places[ok | refused],
        prompts=[str(each) for each in kept["prompt_id"]],
        declined=declined.astype(np.float64),
        cut=kept["finish_reason"].isin(_CUT).to_numpy().astype(np.float64),
        chars=np.where(ok[ok | refused], kept["text_chars"].to_numpy(dtype=np.float64), np.nan),
        correct=kept[CORRECT].to_numpy() if CORRECT in kept else nothing,
        overlap=kept[OVERLAP].to_numpy() if OVERLAP in kept else nothing,
        answers=[None if pd.isna(each) else str(each) for each in kept[ANSWER]]
        if ANSWER in kept
        else [None] * len(kept),
        texts=texts,
    )


def quality_of(
    windows: Sequence[Window], workload: Workload, target: str, asked: Asked, opinions: Opinions
) -> Quality | None:
    """The quality of a load; None where its workload keeps no text, or no reply came."""
    if not workload.keeps_text:
        return None
    replies, questions = replies_of(windows), asked.of(workload.name)
    if not replies.prompts:
        return None
    declined, cut = (clusters.share(values, replies.prompts) for values in (replies.declined, replies.cut))
    assert declined is not None
    assert cut is not None
    chars = replies.chars[~np.isnan(replies.chars)]
    return Quality(
        replies=len(replies.prompts),
        refused=declined,
        cut=cut,
        text_chars=float(np.mean(chars)) if len(chars) else None,
        consistency=consistency_of(replies.prompts, replies.texts, replies.answers if questions else None, opinions),
        marks=marks_of(target, workload.name, replies.prompts, replies.texts, opinions),
        **(_graded(replies, questions) if questions else {}),
    )


def _graded(replies: Replies, questions: Mapping[str, Question]) -> dict[str, Any]:
    values, prompts = replies.graded()
    answered = [prompt for prompt, text in zip(replies.prompts, replies.texts, strict=True) if text is not None]
    whole = np.nan_to_num(replies.correct)[[text is not None for text in replies.texts]]
    overlap, of = replies.known(replies.overlap)
    return {
        "questions": len(set(answered)),
        "graded": len(values),
        "ungraded": len(answered) - len(values),
        "correct": int(np.sum(values)),
        "effective_n": clusters.effective_n(values, prompts) if len(values) else None,
        "accuracy": clusters.share(values, prompts),
        "accuracy_of_all": clusters.share(whole, answered),
        "by_subject": _by_subject(values, prompts, questions),
        "macro_f1": _macro_f1(replies, questions),
        "f1": clusters.mean(overlap, of),
        "bleu": _bleu(replies, questions),
    }


def _by_subject(values: Floats, prompts: Sequence[str], questions: Mapping[str, Question]) -> dict[str, Estimate]:
    subjects = np.array([questions[prompt].subject for prompt in prompts], dtype=object)
    found = {}
    for subject in sorted(set(subjects)):
        here = subjects == subject
        own = clusters.share(values[here], [prompt for prompt, has in zip(prompts, here, strict=True) if has])
        if own is not None:
            found[str(subject)] = own
    return found


def _macro_f1(replies: Replies, questions: Mapping[str, Question]) -> float | None:
    """The mean over the letters that are right somewhere of 2 TP / (2 TP + FP + FN); an unread answer is none."""
    pairs = [
        (question.answer, answer)
        for prompt, answer, text in zip(replies.prompts, replies.answers, replies.texts, strict=True)
        if text is not None and (question := questions.get(prompt)) is not None and question.kind == "choice"
    ]
    scores = []
    for letter in sorted({right for right, _ in pairs}):
        hits = sum(right == answer == letter for right, answer in pairs)
        named = sum(answer == letter for _, answer in pairs)
        wanted = sum(right == letter for right, _ in pairs)
        scores.append(2 * hits / (named + wanted))
    return float(np.mean(scores)) if scores else None


def _bleu(replies: Replies, questions: Mapping[str, Question]) -> float | None:
    """Corpus BLEU of free text by sacrebleu, where that is installed; a reference that is missing is left empty."""
    pairs = [
        (text, question.references)
        for prompt, text in zip(replies.prompts, replies.texts, strict=True)
        if text is not None and (question := questions.get(prompt)) is not None
        if question.kind == "text" and question.references
    ]
    try:
        import sacrebleu  # noqa: PLC0415  (an extra)
    except ImportError:
        return None
    if not pairs:
        return None
    most = max(len(references) for _, references in pairs)
    streams = [[refs[place] if place < len(refs) else None for _, refs in pairs] for place in range(most)]
    return float(sacrebleu.corpus_bleu([text for text, _ in pairs], streams).score)


def under_load(measured: Sequence[Measured]) -> QualityUnderLoad | None:
    """The highest load of a target under a workload against its lowest, the stages in order of load; None where there
    is but one, or no text was kept."""
    watched = [each for each in measured if each.result.quality is not None]
    if len(watched) < 2:
        return None
    low, high = watched[0], watched[-1]
    before, after = replies_of(low.windows), replies_of(high.windows)

    def change(values: Callable[[Replies], Floats]) -> Estimate | None:
        return clusters.change(before.known(values(before)), after.known(values(after)))

    accuracy = change(lambda replies: replies.correct)
    return QualityUnderLoad(
        target=low.result.target,
        workload=low.result.workload or "",
        lowest=low.result.stage_label or "",
        highest=high.result.stage_label or "",
        lowest_in_flight=low.result.in_flight_mean,
        highest_in_flight=high.result.in_flight_mean,
        accuracy=accuracy,
        refused=change(lambda replies: replies.declined),
        cut=change(lambda replies: replies.cut),
        text_chars=change(lambda replies: replies.chars),
        verdict=_verdict(accuracy),
    )


def _verdict(found: Estimate | None) -> Any:
    if found is None or found.ci95 is None:
        return "not measured"
    low, high = found.ci95
    if high is not None and high < 0:
        return "falls"
    return "rises" if low is not None and low > 0 else "no change shown"
