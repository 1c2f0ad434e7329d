"""The words that a reply gives as its answer. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from analysis.answers.answer_claims import FINAL, PLAIN, Claim, is_final, settled, unreal
from analysis.answers.answer_cues import FEW_WORDS, LINK
from analysis.answers.answer_text import CLOSE, OPEN
from analysis.answers.answer_words import normalised

_CUE = re.compile(
    rf"\b(?:answer|antwort|réponse|reponse|respuesta|resposta|risposta|antwoord|svar|ответ)\b{FEW_WORDS}{LINK}"
    r"|(?:答案|答え|回答|답)(?:[是为為はは는은:]){1,2}\s?",
    re.IGNORECASE,
)
_JSON = re.compile(
    r"\"(?:final_?answer|answer|result|response)\"\s{0,3}:\s{0,3}(?:\"([^\"\n]{1,300})\"|(-?[\d.]{1,40}))",
    re.IGNORECASE,
)
_BOX = re.compile(f"{OPEN}([^{OPEN}{CLOSE}]{{1,300}}){CLOSE}")
_LINE = re.compile(r"\s{0,8}([^\n]{1,400})")
_NEXT_SENTENCE = re.compile(r"[.!?](?=\s{1,3}[A-ZÄÖÜÀ-Ý\"'(])|[.!?]$|[。!?]")
_SHORT_FORM = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|prof|jr|sr|vs|no|mt|lt|col|gen|sgt|capt|rev|hon|etc|ca)|(?:^|[\s.])[A-Z])$", re.IGNORECASE
)
_REFUSAL = re.compile(
    r"\b(?:don't know|do not know|not sure|cannot|can't|can not|unable to|no idea|as an ai|i'm sorry|i am sorry|"
    r"(?:is|are|was|were|does|do|did)(?:n't| not) (?:stated|mentioned|given|specified|say|tell|provided?|contain)|"
    r"weiß (?:es |ich )?nicht|sais pas|no sé|não sei|не знаю|not enough information|cannot be determined)\b"
    r"|不知道|无法",
    re.IGNORECASE,
)
_PLACEHOLDERS = ("text", "answer", "your answer", "x", "...", "")
_LONGEST_WHOLE = 300  # characters of a reply that is an answer as it stands


def text_given(text: str) -> str | None:
    """The answer of a cleaned reply, normalised; None: it has none, declines to give one, or gives two.

    It is what stands behind "Answer:" or "the answer is", in a box, or in a JSON field of that name; else the whole
    reply, where that is one line of at most 300 characters.
    """
    claims = list(_claims(text))
    if claims:
        return settled(claims, text, _same)
    return _value(text) if "\n" not in text and len(text) <= _LONGEST_WHOLE else None


def _claims(text: str) -> Iterator[Claim[str]]:
    for found in _BOX.finditer(text):
        yield _claim(found.start(), found.end(), found[1], FINAL)
    for found in _JSON.finditer(text):
        yield _claim(found.start(), found.end(), found[1] or found[2], FINAL)
    for found in _CUE.finditer(text):
        line = _LINE.match(text, found.end())
        if line and text[found.start() - 1 : found.start()] != '"' and not unreal(text, found.start()):
            value = _first_sentence(line[1])
            yield _claim(found.start(), line.start(1) + len(value), value, FINAL if is_final(text, found) else PLAIN)


def _claim(at: int, end: int, raw: str, strength: int) -> Claim[str]:
    is_echo = raw.strip(" .\"'<>[]").lower() in _PLACEHOLDERS  # of what the prompt asks for
    return Claim(at, end, None if is_echo else _value(raw), strength)


def _value(raw: str) -> str | None:
    if _REFUSAL.search(raw):
        return None
    plain = raw.strip().replace(OPEN, " ").replace(CLOSE, " ")
    return normalised(plain) or plain.strip(" .").casefold() or None


def _first_sentence(line: str) -> str:
    """The line up to where another sentence begins; "Dr." and initials end none."""
    for found in _NEXT_SENTENCE.finditer(line):
        if not (found[0] == "." and _SHORT_FORM.search(line[max(0, found.start() - 6) : found.start()])):
            return line[: found.start()]
    return line


def _same(one: str, other: str) -> bool:
    """Whether two answers are one: all words of the shorter stand in the longer."""
    few, many = sorted((Counter(one.split()), Counter(other.split())), key=Counter.total)
    return few <= many
