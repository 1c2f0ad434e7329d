"""How the summary's parts on quality are said, in the terminal and in the report alike."""

from __future__ import annotations

from analysis.answers.model_drift import ModelDrift
from analysis.records.quality_record import Consistency, Marks, Quality, QualityUnderLoad
from analysis.records.record import Estimate
from analysis.summary import Result, Summary
from analysis.wording import NOTHING, percent, place


def rate(found: Estimate | None) -> str:
    """A share in per cent with its interval."""
    if found is None or found.value is None:
        return NOTHING
    if found.ci95 is None:
        return f"{100 * found.value:.1f} %"
    low, high = ("open" if end is None else f"{100 * end:.1f}" for end in found.ci95)
    return f"{100 * found.value:.1f} % [{low}, {high}]"


def bare(found: Estimate | None) -> str:
    """A share in per cent alone."""
    return NOTHING if found is None or found.value is None else f"{100 * found.value:.1f} %"


def graded(found: Quality) -> str:
    """Of how many replies."""
    if not found.graded and not found.ungraded:
        return NOTHING
    return f"{found.correct:,} of {found.graded:,}"


def alike(found: Consistency | None, name: str) -> str:
    """One of the measures of consistency."""
    return NOTHING if found is None else rate(getattr(found, name))


def marked(found: Marks | None, name: str) -> str:
    """One of the marks."""
    return NOTHING if found is None else rate(getattr(found, name))


def sources(summary: Summary) -> list[str]:
    """Who judged what, a sentence each."""
    results = [result for result in summary.results if result.quality is not None]
    found: dict[str, None] = {}
    for result in results:
        quality = result.quality
        assert quality is not None
        if quality.consistency is not None and quality.consistency.embedder is not None:
            found[f"Similarity: the mean cosine of embeddings by {quality.consistency.embedder}."] = None
        elif quality.consistency is not None:
            found["Similarity was not measured: the plan names no embedder (quality.embedder)."] = None
        if quality.marks is not None:
            found[_marks_sentence(quality.marks)] = None
    return list(found)


def _marks_sentence(marks: Marks) -> str:
    if marks.by.startswith("embedder"):
        return (
            f"Relevance and coherence by {marks.by}, without a judge: the cosine of prompt and reply, and of each "
            "sentence and the next. This is a likeness of words, no judgement."
        )
    return f"Relevance and coherence as marked by {marks.by} (1 to 5 as 0 to 100 %), each reply in both orders."


def noise_line(result: Result) -> str | None:
    """How far a judge agrees with itself; None where nobody judged."""
    marks = result.quality.marks if result.quality is not None else None
    if marks is None or marks.noise is None or marks.order_bias is None:
        return None
    unread = f", {marks.unread} answers unread" if marks.unread else ""
    return (
        f"{result.target} {place(result)}: the judge's noise is {percent(marks.noise)} a mark, its bias by order "
        f"{percent(marks.order_bias)}{unread}"
    )


def load_line(found: QualityUnderLoad) -> str:
    """What changes when a target is busy, in one sentence."""
    head = f"{found.target} {found.workload}, {found.highest} against {found.lowest}"
    if found.accuracy is None or found.accuracy.value is None or found.verdict == "not measured":
        return f"{head}: the accuracy at both was not measured"
    points, ends = 100 * found.accuracy.value, found.accuracy.ci95
    text = f"{points:+.1f} points"
    if ends is not None and None not in ends:
        text += " [{:+.1f}, {:+.1f}]".format(*(100 * (end or 0.0) for end in ends))
    verb = {"falls": "accuracy falls", "rises": "accuracy rises", "no change shown": "no change of accuracy is shown"}
    return f"{head}: {verb[found.verdict]} ({text})"


def quality_lines(summary: Summary) -> list[str]:
    """What the terminal says besides its table."""
    noise = (noise_line(result) for result in summary.results)
    return [*(load_line(each) for each in summary.quality_under_load), *sources(summary), *filter(None, noise)]


def drift_line(found: ModelDrift) -> str:
    """Whether a model is the same as in another run, in one sentence."""
    head = f"{found.target} {found.workload}, {found.a_run} against {found.b_run}"
    parts = []
    if found.within is not None and found.between is not None:
        agree = f"replies agree in {percent(found.within)} within a run, {percent(found.between)} between them"
        parts.append(f"{agree} ({found.questions:,} questions)")
    if found.a_fingerprints and found.b_fingerprints:
        same = set(found.a_fingerprints) == set(found.b_fingerprints)
        parts.append("the fingerprint is the same" if same else f"fingerprints {_names(found)}")
    words = {
        "changed": "the model has changed",
        "no change shown": "no change of the model is shown",
        "cannot tell": "too few questions to tell whether the model has changed",
    }
    return f"{head}: {words[found.verdict]}: {'; '.join(parts)}"


def _names(found: ModelDrift) -> str:
    return f"{', '.join(found.b_fingerprints)} became {', '.join(found.a_fingerprints)}"
