"""The text of one choice, found in replies whatever its case, spaces and commas; never inside a word. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

WORD = r"[^\W\u3000-\u9fff\uac00-\ud7af]"  # a character of a script that sets words apart
_MOST_CHARS = 600  # of a choice that are looked for
_TOKEN = re.compile(r"\w{1,80}|[^\w\s]")
_ARTICLE = re.compile(r"(?:the|an?)\s(?=\w)", re.IGNORECASE)

_ANYWHERE = re.compile("")
_DIGIT_BEGINS = re.compile(r"(?<![\w/^-])(?<!\d[.,])")
_SIGN_BEGINS = re.compile(r"(?<![\w)])")
_WORD_BEGINS = re.compile(rf"(?<!{WORD})")
_DIGIT_ENDS = re.compile(r"(?![\w/^]|[.,]\d|\s?%)")
_WORD_ENDS = re.compile(rf"(?!{WORD})")
_IS_WORD = re.compile(WORD)


@dataclass(frozen=True)
class ChoiceText:
    """A choice's text: its words in order, and what may not stand right before and behind it."""

    words: re.Pattern[str]
    begins: re.Pattern[str]
    ends: re.Pattern[str]

    def end_at(self, text: str, at: int) -> int | None:
        """Where the choice's text ends that begins at a place, if it does."""
        found = self.words.match(text, at)
        return found.end() if found and self._is_whole(text, found) else None

    def spans(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Where it stands in a part of a text."""
        for found in self.words.finditer(text, start, end):
            if self._is_whole(text, found):
                yield found.span()

    def has_capitals_of(self, text: str, start: int, end: int) -> bool:
        """Whether what stands there has the choice's capitals too."""
        return re.compile(self.words.pattern).fullmatch(text, start, end) is not None

    def _is_whole(self, text: str, found: re.Match[str]) -> bool:
        return bool(self.begins.match(text, found.start()) and self.ends.match(text, found.end()))


def choice_text(text: str) -> ChoiceText | None:
    """A choice's text, cleaned, to be looked for; None where nothing is left of it. An article before it may be left
    out or differ."""
    text = _ARTICLE.sub("", text[:_MOST_CHARS], count=1) if _ARTICLE.match(text) else text[:_MOST_CHARS]
    tokens = list(_TOKEN.finditer(text))
    if not tokens:
        return None
    pieces = [_piece(text, tokens[0], alone=len(tokens) == 1)]
    for before, token in pairwise(tokens):
        pieces += [_between(before, token), _piece(text, token, alone=False)]
    words = re.compile(r"(?:(?<!\w)(?:the|an?)\s)?" + "".join(pieces), re.IGNORECASE)
    return ChoiceText(words, _beginning(tokens[0][0]), _ending(tokens[-1][0]))


def _piece(text: str, token: re.Match[str], *, alone: bool) -> str:
    """A word or sign as it is; a comma or its like between words may be left out."""
    inside = text[token.start() - 1 : token.start()].isalnum() and text[token.end() : token.end() + 1].isalnum()
    is_comma = token[0] in ",.;:!?\"'" and not inside and not alone
    return "[,.;:!?\"']{0,2}" if is_comma else re.escape(token[0])


def _between(before: re.Match[str], token: re.Match[str]) -> str:
    are_words = before[0][-1].isalnum() and token[0][0].isalnum()
    if are_words and before.end() == token.start():
        return ""  # a long word in two
    return r"\s{1,3}" if are_words else r"\s{0,3}"


def _beginning(first: str) -> re.Pattern[str]:
    if first[0].isdigit():
        return _DIGIT_BEGINS
    return _SIGN_BEGINS if first in "+-" else _WORD_BEGINS if _IS_WORD.match(first) else _ANYWHERE


def _ending(last: str) -> re.Pattern[str]:
    if last[-1].isdigit():
        return _DIGIT_ENDS
    return _WORD_ENDS if _IS_WORD.match(last[-1]) else _ANYWHERE
