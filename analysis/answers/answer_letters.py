"""The choice that a reply gives. Pure.

Looked for are what is boxed, "the answer is B" and its like in several languages, verdicts ("B is correct"), a line
that is nothing but a letter or a choice, and conclusions ("so it is B"); where there is none of these, a short reply
that names one choice by its text and no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from analysis.answers.answer_claims import (
    FINAL,
    PLAIN,
    WEAK,
    Claim,
    is_final,
    sentence_end,
    sentence_start,
    sentences,
    settled,
    unreal,
)
from analysis.answers.answer_cues import (
    CLAUSE_EDGE,
    CONCLUDES,
    CONDITION,
    COULD,
    CUES,
    DENIES,
    MARKED,
    NEGATION,
    ONLY_WITH_MOST,
    SHARED,
    SHORT_FOR_ANSWER,
    SUBJECT,
    TICKED,
    UNKNOWING,
    UNSURE,
    VERDICT,
    VERDICT_CJK,
    VERDICT_ENDS,
    WEAK_CUES,
    WRONG_WORDS,
)
from analysis.answers.answer_options import Named, Options, options_of
from analysis.answers.answer_text import OPEN
from harness.records.question import Question

_LINE_LETTER = re.compile(
    r"^[^\w\n]{0,5}(?:option |choice |answer |statement )?\(?([A-Z])(?:[)\].:]|\s[-–—:])", re.MULTILINE | re.IGNORECASE
)
_LONE = re.compile(
    r"[^\w\s]{0,4}\s?(?:(?:the |my |la |le |die )?(?:final |correct )?(?:option|choice|answer|letter|antwort|réponse|"
    r"respuesta|opción|resposta|risposta|选项|选)\s{0,2}[:=]?\s?)?[^\w\s?]{0,4}([A-Za-z])(?P<mark>[^\w?+#]{0,6})",
    re.IGNORECASE,
)
_DELIMITED = re.compile(r"[)\]:]")
_LEADING = re.compile(r"[^\w\n]{0,5}(?:(?:option|choice|answer)\s)?[^\w\n]{0,2}", re.IGNORECASE)
_NO_HEAD = re.compile(r"\.\s{1,2}[a-z]")
_EDGES = " \t\"'.,;:!()[]"
_ABOUT_ANSWER = re.compile(r"\s(?:answer|option|choice|response|solution|letter|one)\b", re.IGNORECASE)
_SHORT, _FEW = 400, 2  # characters and sentences of a reply in which one mention of a choice's text is its answer


def letter_given(text: str, question: Question) -> str | None:
    """The letter of the choice that a cleaned reply gives; None: none, or it cannot be told which."""
    options = options_of(question)
    claims = [
        *_boxed(text, options),
        *_cued(text, options),
        *_weak(text, options),
        *_verdicts(text, options),
        *_marks(text, options),
        *_lines(text, options),
        *_denials(text, options),
    ]
    if any(not claim.denied for claim in claims):
        return settled(claims, text, str.__eq__)
    return _by_text(text, options)


def _claim(at: int, named: Named, strength: int) -> Claim[str]:
    return Claim(at, named.end, named.letter, strength)


def _boxed(text: str, options: Options) -> Iterator[Claim[str]]:
    for found in re.finditer(OPEN, text):
        if named := options.named(text, found.end()):
            yield _claim(found.start(), named, FINAL)


def _cued(text: str, options: Options) -> Iterator[Claim[str]]:
    for cue in CUES:
        for found in cue.words.finditer(text):
            named = options.named(text, found.end())
            fits = cue.of_wrong is None or cue.of_wrong == options.asks_wrong or _is_of_answer(found)
            if (
                named
                and fits
                and not unreal(text, found.start(), options.asks_wrong)
                and not _heads_list(text, found.end(), named)
            ):
                yield _claim(found.start(), named, FINAL if cue.is_final or is_final(text, found) else PLAIN)
    for found in SHORT_FOR_ANSWER.finditer(text):
        named = options.named(text, found.end(), strict=True)
        if named and not _lists(text):
            yield _claim(found.start(), named, PLAIN)
    for found in COULD.finditer(text):
        named = options.named(text, found.end())
        if named and named.letter is None:
            yield _claim(found.start(), named, PLAIN)


def _is_of_answer(found: re.Match[str]) -> bool:
    return bool(_ABOUT_ANSWER.search(found[0])) and not found[0].lower().startswith(WRONG_WORDS)


def _heads_list(text: str, cue_end: int, named: Named) -> bool:
    """Whether a cue is the heading of a list that goes through the choices: what follows is its first line."""
    return "\n" in text[cue_end : named.end].rstrip() and _lists(text[cue_end:])


def _lists(text: str) -> bool:
    """Whether lines of a text go through the choices: one begins with A, and the next such with B."""
    found = "".join(each[1].upper() for each in _LINE_LETTER.finditer(text))
    return "AB" in found


def _weak(text: str, options: Options) -> Iterator[Claim[str]]:
    for found in WEAK_CUES.finditer(text):
        named = options.named(text, found.end(), strict=True)
        if named is None or (found["equals"] and not named.by_text) or unreal(text, found.start(), options.asks_wrong):
            continue  # "x = C" is a constant
        by_letter = _ABOUT_ANSWER.search(text, found.end() - 1, named.end) is not None
        if named.letter in options.doubtful and not named.by_text and not by_letter:
            named = named._replace(letter=None)
        yield _claim(found.start(), named, WEAK)


def _denials(text: str, options: Options) -> Iterator[Claim[str]]:
    for found in DENIES.finditer(text):
        named = options.named(text, found.end(), strict=True)
        if named and named.letter:
            yield Claim(found.start(), named.end, named.letter, PLAIN, denied=True)


def _verdicts(text: str, options: Options) -> Iterator[Claim[str]]:
    for found in VERDICT.finditer(text):
        if not VERDICT_ENDS.match(text, found.end()) or not _is_positive(text, found, options):
            continue
        named = _subject(text, found.start(), options)
        seems = CONDITION.search(text, sentence_start(text, found.start()), found.start()) and not found[0].startswith(
            "is"
        )
        if named and not seems and not unreal(text, found.start(), options.asks_wrong):
            yield Claim(found.start(), found.end(), None if SHARED.search(found["mid"]) else named.letter, PLAIN)
    for found in VERDICT_CJK.finditer(text):
        if found[1] in options.letters:
            yield Claim(found.start(), found.end(), found[1], PLAIN)


def _is_positive(text: str, found: re.Match[str], options: Options) -> bool:
    """Whether a verdict says that its subject is what the question asks for: the right one, or else the wrong one."""
    word, middle = found["word"].lower(), found["mid"].strip().lower()
    says_wrong = word in WRONG_WORDS
    if word in ONLY_WITH_MOST and "most" not in middle:
        return False
    of_answer = word in ("best", "answer", *ONLY_WITH_MOST) or _ABOUT_ANSWER.match(text, found.end()) is not None
    if options.asks_wrong and not of_answer:
        return says_wrong if not UNSURE.search(middle) else middle in ("not", "clearly not") and not says_wrong
    return not says_wrong and not UNSURE.search(middle)


def _subject(text: str, end: int, options: Options) -> Named | None:
    """The choice that is named last before a verdict, in its sentence: in the clause next to it that names any."""
    start = sentence_start(text, end)
    edges = [start, *(found.end() for found in CLAUSE_EDGE.finditer(text, start, end)), end]
    for left, right in zip(reversed(edges[:-1]), reversed(edges[1:]), strict=True):
        mentioned = {named.letter for _, named in options.mentions(text, left, right)}
        for found in SUBJECT.finditer(CLAUSE_EDGE.sub(" ", text[left:right]).strip()):
            letter = found[1] or found[2]
            if letter.isupper() and letter in options.letters:
                mentioned.add(letter)
        if mentioned:
            return Named(mentioned.pop() if len(mentioned) == 1 else None, right)
    return None


def _marks(text: str, options: Options) -> Iterator[Claim[str]]:
    """Choices that are listed with a tick, or with "correct" behind them."""
    found = [each for pattern in (MARKED, TICKED) for each in pattern.finditer(text) if each[1] in options.letters]
    marked = {each[1] for each in found}
    if marked:
        last = max(found, key=lambda each: each.end())
        yield Claim(last.start(), last.end(), marked.pop() if len(marked) == 1 else None, PLAIN)


def _lines(text: str, options: Options) -> Iterator[Claim[str]]:
    """A first or last line that is nothing but a choice, and a first line that begins with one."""
    spans, at = [], 0
    for line in text.split("\n"):
        if line.strip():
            spans.append((at, at + len(line)))
        at += len(line) + 1
    listed = _lists(text)
    for start, end in dict.fromkeys((spans[0], spans[-1])) if spans else ():
        named = _whole_line(text[start:end], options, listed=listed)
        if named:
            yield Claim(start, end, named.letter, PLAIN)
        elif start == spans[0][0] and not listed and (named := _leading(text, start, end, options)):
            yield Claim(start, named.end, named.letter, PLAIN)


def _whole_line(line: str, options: Options, *, listed: bool) -> Named | None:
    inner = line.strip(_EDGES)
    exact = options.text_at(inner, 0)
    if exact and exact.end == len(inner):
        return exact
    lone = _LONE.fullmatch(line.strip())
    if lone and lone[1].upper() in options.letters and not (listed and _DELIMITED.search(lone["mark"])):
        return Named(lone[1].upper(), len(line))
    head = _LEADING.match(line)
    both = options.letter_at(line, head.end()) if head and not listed else None
    is_whole = both is not None and both.end > (head.end() if head else 0) + 1 and not line[both.end :].strip(_EDGES)
    said = both if is_whole or listed else options.named(line, 0, strict=True)  # "probably B"
    return said if said and not line[said.end :].strip(_EDGES) else None


def _leading(text: str, start: int, end: int, options: Options) -> Named | None:
    """The choice that a first line begins with, such as "B) Paris" or "B, because"."""
    head = _LEADING.match(text, start, end)
    at = head.end() if head else start
    named = options.named(text, at, strict=True)
    if named is None or options.letter_at(text, at) is None:
        return None
    after, alone = text[at + 1 : end], named.end == at + 1
    if text[at] == "A" and ((alone and after.startswith(":")) or re.search(r"(?<![\w'])\(?B[).:]", after)):
        return None  # "A" is short for "answer", or the first of a list on one line
    return None if alone and _NO_HEAD.match(after) else named


def _by_text(text: str, options: Options) -> str | None:
    """The choice of a reply that only mentions texts of choices: the one in its first sentence, if it has no more than
    two and no other choice, or the one in its last sentence, where that concludes."""
    found = list(options.mentions(text, 0, len(text)))
    if not found or text.rstrip().endswith("?") or _answers_otherwise(text):
        return None
    if UNKNOWING.search(_without(text, found, 0, len(text))):
        return None
    spans = sentences(text)
    begins = len(text) <= _SHORT and len(spans) <= _FEW and found[0][0] < spans[0][1]
    if len({named.letter for _, named in found}) > 1 or not begins:
        start = sentence_start(text, len(text.rstrip(" \n.!")), _SHORT)
        found = [(at, named) for at, named in found if at >= start] if CONCLUDES.search(text, start) else []
    letters = {named.letter for _, named in found}
    denied = any(
        NEGATION.search(_without(text, found, sentence_start(text, at), sentence_end(text, named.end)))
        for at, named in found
    )
    if len(letters) != 1 or denied:
        return None
    letter = letters.pop()
    return None if letter in options.common and found[0][0] > 2 else letter


def _answers_otherwise(text: str) -> bool:
    """Whether a reply has a line "Answer:" with one to three words that are no choice, else they would be a claim."""
    for found in CUES[0].words.finditer(text):
        line = text[found.end() :].partition("\n")[0]
        if is_final(text, found) and 1 <= len(line.split()) <= 3:
            return True
    return False


def _without(text: str, found: list[tuple[int, Named]], start: int, end: int) -> str:
    """A part of a text, without the choices that it mentions."""
    pieces = []
    for at, named in found:
        if start <= at < end:
            pieces.append(text[start:at])
            start = named.end
    return " | ".join([*pieces, text[start:end]])
