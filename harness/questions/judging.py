"""What a judge is asked, and what marks its answer holds. Pure. The wording is printed in docs/quality.md."""

from __future__ import annotations

import re

LOWEST, HIGHEST = 1, 5
_RELEVANCE = "Relevance: does the reply do what the prompt asks, all of it and nothing besides?"
_COHERENCE = "Coherence: is the reply one whole, clear in itself, each sentence following from the one before?"
_BEGIN = (
    "You mark a reply that somebody else has written. "
    "Give two marks, each a whole number from 1 (bad) to 5 (very good)."
)
_END = "Write the two marks, each on a line of its own as `Name: number`, and nothing else."
_PARTS = re.compile(r"^<prompt>\n(.*)\n</prompt>\n<reply>\n(.*)\n</reply>$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"\b(relevance|coherence)\b\W{0,12}([1-5])\b(?!\.\d)", re.IGNORECASE)


def judge_prompt(prompt: str, reply: str, *, swapped: bool) -> str:
    """What a judge is asked about a reply; with `swapped` coherence stands first."""
    rubric = (_COHERENCE, _RELEVANCE) if swapped else (_RELEVANCE, _COHERENCE)
    parts = f"<prompt>\n{prompt}\n</prompt>\n<reply>\n{reply}\n</reply>"
    return "\n".join((_BEGIN, *(f"- {each}" for each in rubric), "", parts, "", _END))


def parts_of(text: str) -> tuple[str, str] | None:
    """Prompt and reply of which a text wants marks; None where it is no such text."""
    if not text.startswith(_BEGIN):
        return None
    match = _PARTS.search(text)
    return None if match is None else (match[1], match[2])


def marks_in(answer: str) -> tuple[int | None, int | None]:
    """Relevance and coherence in a judge's answer; None where it gives none, or several that differ."""
    found: dict[str, set[int]] = {"relevance": set(), "coherence": set()}
    for name, digit in _MARK.findall(answer[:4000]):
        found[name.lower()].add(int(digit))
    relevance, coherence = (next(iter(marks)) if len(marks) == 1 else None for marks in found.values())
    return relevance, coherence
