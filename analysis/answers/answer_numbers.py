"""The number that a reply gives. Pure.

Looked for are what is boxed, "the answer is 42" and its like, and a first or last line that is nothing but a number.
Where there is none of these: the only number of the reply; what a sentence concludes ("so 42 are left"); the end of a
chain of equations, if the reply ends with it. The last number of a reply is not its answer merely because it is last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from analysis.answers.answer_claims import FINAL, PLAIN, Claim, is_final, sentences, settled, unreal
from analysis.answers.answer_cues import CUES, FEW_WORDS, LINK, NEGATION, UNKNOWING
from analysis.answers.answer_text import OPEN
from harness.inputs.numerals import Numeral, numerals, same

_CUE = re.compile(
    rf"\b(?:result|total|sum|value|difference|product|quotient|remainder|ergebnis|summe|résultat|resultado|risultato)\b"
    rf"{FEW_WORDS}{LINK}",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"\s{1,8}|[a-z]\s?=|[\"'(\[{<:=~≈>→,$€£¥" + OPEN + r"]"
    r"|(?:approximately|approx\.?|about|around|roughly|exactly|nearly|just|only|the|number|value|total|of|equal to|"
    r"equals|"
    r"therefore|thus|simply|usd|eur|rs\.?|us|it|is|be|was|etwa|ungefähr|environ|unos)(?![\w'])",
    re.IGNORECASE,
)
_CHAIN = re.compile(r"(?:[\d \t+\-*/×x·÷^()%$€]|[.,](?=\d)){0,80}[=≈]")
_TERM_GOES_ON = re.compile(r"\s?[+*×÷·]\s?\(?[\d(a-z]|\s[-–x]\s\(?\d")
_ANOTHER = re.compile(
    r"\s{0,2}(?:[^\W\d]{1,12}\.?\s{0,2})?(?:(?:or|and|to|bis|oder|und|ou|et|y|o|或|和)\s{1,2}|[,/&±]\s{0,2}|"
    r"\(\s?(?:or|=|i\.e\.,?)\s?)?[$€£]?",
    re.IGNORECASE,
)
_SAID_WRONG = re.compile(r"\s{0,2}(?:\w{1,12}\s)?(?:\?|(?:is|was|would be) (?:wrong|incorrect|not\b))", re.IGNORECASE)
_NO_VALUE = re.compile(
    r"(?:^|\n)[ \t]{0,4}\(?$|\b(?:step|question|problem|example|figure|equation|part|case|option|line)\s#?$",
    re.IGNORECASE,
)
_LIST_MARK = re.compile(r"[.)]\s|\s?:\s")
_ALONE = re.compile(r"[\s$€£¥\"'(=≈~]{0,4}")
_ALONE_ENDS = re.compile(r"\s?[^\W\d]{0,12}(?:[/ ][^\W\d]{1,12})?[²³]?[\s.!\"')]{0,4}$")
_CONCLUDES = re.compile(
    r"\b(?:so|thus|therefore|hence|altogether|in total|in all|total|finally|left|remain\w{0,3}|makes?|gives?|yields?|"
    r"we get|we have|results? in|adds up to|comes to|leaves|also|insgesamt|somit|donc|por lo tanto|quindi)\b|"
    r"所以|因此|一共|总共",
    re.IGNORECASE,
)
_CHECKS = re.compile(
    r"\b(?:check\w{0,3}|verif\w{1,8}|indeed|because|since|proof|note|for example|e\.g|if)\b", re.IGNORECASE
)

_BELOW_TWENTY = (  # noqa: SIM905  (twenty quoted words would be harder to read)
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_UNITS = {word: value for value, word in enumerate(_BELOW_TWENTY)}
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_GREAT = {"thousand": 1000, "million": 10**6}
_NUMBER_WORD = "|".join((*_UNITS, *_TENS, *_GREAT, "hundred"))
_IN_WORDS = re.compile(
    rf"(?:{_NUMBER_WORD})(?:(?:-|\s{{1,2}}(?:and\s)?)(?:{_NUMBER_WORD})){{0,12}}(?![\w-])(?!\s(?:of|that|which|can|must|more)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Text:
    """A reply with its numbers, by where they begin."""

    text: str
    by_start: dict[int, Numeral]

    def within(self, start: int, end: int) -> list[Numeral]:
        return [number for at, number in self.by_start.items() if start <= at < end]


def number_given(text: str) -> Numeral | None:
    """The number that a cleaned reply gives; None: none, or it cannot be told which."""
    read = _Text(text, {found.start: found for found in numerals(text) if not _is_mark(text, found)})
    claims = [*_cued(read), *_lines(read)]
    return settled(claims, text, same) if claims else _concluded(read)


def _is_mark(text: str, number: Numeral) -> bool:
    """Whether a number counts the items of a list, or steps."""
    before = _NO_VALUE.search(text[max(0, number.start - 12) : number.start])
    if before is None:
        return False
    return bool(before[0].strip(" \n\t(")) or _LIST_MARK.match(text, number.end) is not None


def _cued(read: _Text) -> Iterator[Claim[Numeral]]:
    for found in re.finditer(OPEN, read.text):
        yield from _claimed(read, found, FINAL)
    for cue in CUES:
        for found in cue.words.finditer(read.text):
            if not cue.of_wrong:
                yield from _claimed(read, found, FINAL if cue.is_final or is_final(read.text, found) else PLAIN)
    for found in _CUE.finditer(read.text):
        if is_final(read.text, found):
            yield from _claimed(read, found, PLAIN)


def _claimed(read: _Text, cue: re.Match[str], strength: int) -> Iterator[Claim[Numeral]]:
    at = cue.end()
    for _ in range(16):
        number = read.by_start.get(at) or _in_words(read.text, at)
        filler = None if number else _FILLER.match(read.text, at)
        if filler is None:
            break
        at = filler.end()
    if number is None or unreal(read.text, cue.start()):
        return
    last, several = _end_of_chain(read, number)
    if _SAID_WRONG.match(read.text, last.end):
        return
    known = not several and last.value is not None and not _another_follows(read, last)
    yield Claim(cue.start(), last.end, last if known else None, strength)


def _end_of_chain(read: _Text, number: Numeral) -> tuple[Numeral, bool]:
    """What `12 + 30 = 42` comes to, and whether that cannot be told."""
    while chain := _CHAIN.match(read.text, number.end):
        at = chain.end()
        while filler := _ALONE.match(read.text, at):
            if filler.end() == at:
                break
            at = filler.end()
        following = read.by_start.get(at)
        if following is None:
            return number, True
        number = following
    return number, _TERM_GOES_ON.match(read.text, number.end) is not None


def _another_follows(read: _Text, number: Numeral) -> bool:
    """Whether another number stands beside a number: "5 or 6", "5 feet 3 inches"."""
    found = _ANOTHER.match(read.text, number.end)
    other = read.by_start.get(found.end()) if found else None
    return other is not None and not same(number, other)


def _lines(read: _Text) -> Iterator[Claim[Numeral]]:
    """A first or last line that is nothing but a number with its unit."""
    spans, at = [], 0
    for line in read.text.split("\n"):
        if line.strip():
            spans.append((at, at + len(line)))
        at += len(line) + 1
    for start, end in dict.fromkeys((spans[0], spans[-1])) if spans else ():
        head = _ALONE.match(read.text, start, end)
        at = head.end() if head else start
        number = read.by_start.get(at) or _in_words(read.text, at)
        if number and number.value is not None and _ALONE_ENDS.fullmatch(read.text, number.end, end):
            yield Claim(start, end, number, PLAIN)


def _concluded(read: _Text) -> Numeral | None:
    """The number of a reply that states no answer but comes to one."""
    text = read.text
    values = list(read.by_start.values())
    if not values or UNKNOWING.search(text) or text.rstrip().endswith("?"):
        return None
    if all(same(values[0], other) for other in values):
        return None if NEGATION.search(text) else values[0]
    spans = sentences(text)
    concluded = [_of_sentence(read, *span) for span in spans if _CONCLUDES.search(text, *span)]
    last = spans[-1]
    for cue in _CUE.finditer(text, *last):  # "the sum of 5 and 7 is 12"
        return next((claim.value for claim in _claimed(read, cue, PLAIN)), None)
    checks = _CHECKS.search(text, *last)
    if _CONCLUDES.search(text, *last) and not checks:
        return concluded[-1]
    agreed = concluded[0] if concluded and all(_agree(concluded[0], other) for other in concluded) else None
    if checks or not read.within(*last):
        return agreed
    ending = _after_equals(read, *last)
    return ending if ending and all(_agree(ending, other) for other in concluded) else None


def _agree(one: Numeral | None, other: Numeral | None) -> bool:
    return one is not None and other is not None and same(one, other)


def _of_sentence(read: _Text, start: int, end: int) -> Numeral | None:
    """What a sentence comes to: behind its last equals sign, else its only number; behind "so", if a number follows."""
    for found in _CONCLUDES.finditer(read.text, start, end):
        start = found.end() if read.within(found.end(), end) else start
    inside = read.within(start, end)
    if "=" in read.text[start:end]:
        return _after_equals(read, start, end)
    known = len(inside) == 1 and inside[0].value is not None and not NEGATION.search(read.text, start, end)
    return inside[0] if known else None


def _after_equals(read: _Text, start: int, end: int) -> Numeral | None:
    at = max(read.text.rfind("=", start, end), read.text.rfind("≈", start, end))
    behind = read.within(at, end) if at >= 0 else []
    if len(behind) != 1 or behind[0].value is None or _TERM_GOES_ON.match(read.text, behind[0].end):
        return None
    return behind[0] if not read.text[at + 1 : behind[0].start].strip(" $€£(") else None


def _in_words(text: str, at: int) -> Numeral | None:
    """A number in English words, such as "forty-two"."""
    found = _IN_WORDS.match(text, at)
    if found is None:
        return None
    whole = part = 0
    for word in re.findall(r"[a-z]{1,12}", found[0].lower()):
        if word in _GREAT:
            whole, part = whole + max(part, 1) * _GREAT[word], 0
        elif word == "hundred":
            part = max(part, 1) * 100
        else:
            part += _UNITS.get(word, 0) + _TENS.get(word, 0)
    return Numeral(at, found.end(), Fraction(whole + part))
