"""Answers in free text: what two of them have in common, by SQuAD's measures. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_IN_NUMBER = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_MARK = re.compile(
    r"(?P<kept>(?<=\d)[./](?=\d)|(?<!\w)-(?=\d)|(?<=\d)%|(?<=[a-z])[+#]{1,2})|(?P<nothing>['’.])|[^\w\s]|_"
)
_CHARACTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CHARACTER}]|[^\s{_CHARACTER}]{{1,1000}}")


def normalised(text: str) -> str:
    """A text without what does not matter: case, punctuation, the articles a, an, the, extra white space, the width of
    characters, commas between thousands. What makes a number another one (its point, sign, % and fraction bar) stays,
    and so do `C++` and `C#`."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2212", "-")
    plain = _MARK.sub(lambda found: found["kept"] or ("" if found["nothing"] else " "), _IN_NUMBER.sub("", plain))
    return " ".join(_ARTICLES.sub(" ", plain).split())


def token_f1(answer: str, reference: str) -> float:
    """How much two texts have in common: the harmonic mean of precision and recall over their normalised words, each
    counted as often as it stands there. A Chinese or Japanese character is a word. Two texts without words: 1."""
    got, wanted = Counter(_words(answer)), Counter(_words(reference))
    if not got or not wanted:
        return float(got == wanted)
    return 2 * (got & wanted).total() / (got.total() + wanted.total())


def _words(text: str) -> list[str]:
    return _WORD.findall(normalised(text))
