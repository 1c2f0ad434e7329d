"""What a reply claims, in order, and which claim stands in the end. Pure.

A reply may name an answer several times, and several answers. The first claim stands until a later one takes its place:
a stronger one, or one after words that take something back ("wait", "no,", "let me check"). Two that differ otherwise
are a contradiction, and then the reply has no answer. Nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from analysis.answers.answer_cues import (
    CONDITION,
    DEPENDS,
    FINALLY,
    IF_JUST_BEFORE,
    IMAGINED,
    NOT_THIS,
    TURN,
    WRONG_WORDS,
)

T = TypeVar("T")

FINAL, PLAIN, WEAK = 3, 2, 1  # "Answer: B" on its line or in a box; "the answer is B", a lone "B"; "so it is B"

_TAKES_BACK = re.compile(
    r"\b(?:wait|actually|correction|correct(?:ing)? myself|on second thought|on reflection|hold on|hm{2,6}|oops|sorry|"
    r"apologi[sz]e|apologies|scratch that|my mistake|(?:a|an|the) (?:mistake|error)|instead|"
    r"revis\w{1,6}|reconsider\w{0,4}|"
    r"re-?(?:check|examin|evaluat|read|think|calculat)\w{0,4}|double[- ]check\w{0,4}|"
    r"let me (?:check|verify|think|redo)|"
    r"(?:change|changed|changing) my (?:mind|answer)|updated|moment mal|korrektur|doch nicht|vielmehr|en fait|"
    r"attends|attendez|erreur|en realidad|espera|perdón|perdon|mejor dicho|na verdade|aspetta)\b"
    r"|\b(?:no|nein|non|nope|nay)\s?[,.:;!…—–-]|\bno it(?: is|'s)\b|不对|等等|更正|抱歉|不[,,]",
    re.IGNORECASE,
)
_LINE_BEGINS = re.compile(r"[^\w\n]{0,8}$")
_SENTENCE_ENDS = re.compile(r"[.!?;。!?;](?=\s|$|[\"')\]])|[。]|\n")


@dataclass(frozen=True)
class Claim(Generic[T]):
    """One place of a reply that names an answer; `value` None: it names several. `denied`: it says that this is no
    answer."""

    at: int
    end: int
    value: T | None
    strength: int
    denied: bool = False


def settled(claims: Iterable[Claim[T]], text: str, same: Callable[[T, T], bool]) -> T | None:
    """The answer that stands at the end; None where there is none, or where the claims contradict each other."""
    stands: Claim[T] | None = None
    torn = False  # two claims contradict each other
    read = 0
    for claim in sorted(claims, key=lambda each: (each.at, -each.end)):
        taken_back = bool(_TAKES_BACK.search(text, read, claim.end))
        read = max(read, claim.end)
        if claim.denied:
            stands = None if stands and not torn and _alike(stands, claim, same) else stands
        elif stands is None or taken_back or _replaces(stands, claim):
            stands, torn = claim, False
        elif not _alike(stands, claim, same):
            torn = torn or claim.strength >= min(stands.strength, PLAIN)  # a weak one leaves a stronger one alone
        elif claim.strength >= stands.strength:
            stands = claim
    return None if stands is None or torn else stands.value


def _alike(one: Claim[T], other: Claim[T], same: Callable[[T, T], bool]) -> bool:
    return one.value is not None and other.value is not None and same(one.value, other.value)


def _replaces(stands: Claim[T], claim: Claim[T]) -> bool:
    """Whether a claim is stronger, or names one of the several that an earlier one left open."""
    narrows = stands.value is None and claim.value is not None and claim.strength == stands.strength
    return claim.strength > stands.strength or narrows


def is_final(text: str, cue: re.Match[str]) -> bool:
    """Whether a cue begins a line and ends with a colon, as was asked for, or speaks of a final answer."""
    line = text.rfind("\n", 0, cue.start()) + 1
    begins = cue.start() - line < 20 and _LINE_BEGINS.match(text, line, cue.start()) is not None
    before = max(0, cue.start() - 20)
    return (begins and cue[0].rstrip()[-1:] in (":", "=")) or bool(FINALLY.search(text, before, cue.end()))


def unreal(text: str, at: int, asks_wrong: bool = False) -> bool:  # noqa: FBT001, FBT002
    """Whether what is said at a place is denied, said of another answer, or only imagined. `asks_wrong`: the question
    asks for what is wrong."""
    before = text[sentence_start(text, at) : at]
    denied = NOT_THIS.search(before[-60:])
    if denied and not (asks_wrong and (denied["word"] or "").lower() in WRONG_WORDS):
        return True
    clause = before[max((turn.end() for turn in TURN.finditer(before)), default=0) :]
    if IMAGINED.search(clause) or IF_JUST_BEFORE.search(clause):
        return True
    return bool(CONDITION.search(before) and DEPENDS.search(text))


def sentence_start(text: str, at: int, most: int = 160) -> int:
    """Where the sentence begins that holds a place of the text, at most so many characters before."""
    start = max(0, at - most)
    for found in _SENTENCE_ENDS.finditer(text, start, at):
        start = found.end()
    return start


def sentence_end(text: str, at: int, most: int = 300) -> int:
    """Where the sentence ends that holds a place of the text, at most so many characters behind."""
    found = _SENTENCE_ENDS.search(text, at, min(len(text), at + most))
    return found.start() if found else min(len(text), at + most)


def sentences(text: str) -> list[tuple[int, int]]:
    """Where the sentences and lines of a text begin and end; empty ones are left out."""
    edges = [0, *(found.end() for found in _SENTENCE_ENDS.finditer(text)), len(text)]
    return [(start, end) for start, end in pairwise(edges) if text[start:end].strip(" .\n")]
