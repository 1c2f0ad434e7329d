"""The choices of a question, as they are named in a reply: by letter, or by their text. Pure.

The article "A" and the word "I" look like letters. They count as such only where no article or word can stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from analysis.answers.answer_text import CLOSE, OPEN, cleaned
from analysis.answers.choice_text import WORD, ChoiceText, choice_text
from harness.records.question import Question, letters

_MOST_FILLERS = 20
_COMMON_WORDS = (
    "yes no true false none all both it he she they this that same other one not is on in at to up so more less never "
    "always"
)
_COMMON = frozenset(_COMMON_WORDS.split())

_FILLER = re.compile(
    rf"\s{{1,8}}|[\"'(\[{{<:=~>→,{OPEN}-]"
    r"|(?:the|an|option|options|choice|answer|letter|number|statement|ending|alternative|either|both|definitely|clearly|"
    r"indeed|most likely|probably|simply|just|likely|therefore|thus|actually|certainly|obviously|of course|in fact|"
    r"only|again|still|now|la|le|el|die|der|das|den|il|lo|réponse|reponse|respuesta|resposta|risposta|antwort|lösung|"
    r"opción|opcion|opção|opzione|alternativa|lettre|letra|lettera|buchstabe|buchstaben|variante)(?![\w'])"
    r"|l'(?=\w)|a(?= (?:letra|alternativa|opção|opción|lettera)\b)|选项|選項|选|選",
    re.IGNORECASE,
)
_LETTER = re.compile(rf"([A-Za-z])(?!{WORD})(?!'[A-Za-z])")
_NO_LETTER = re.compile(r"\s?[=<>≤≥⊂⊆∪∩^°]|[+#*]|\.\s?[A-Za-z]\.|-[A-Za-z0-9]")
_ENDS = re.compile(
    rf"$|[).,;:!?\]}}\"'|\n{CLOSE}\u2014\u3000-\u9fff\uac00-\ud7af]|\s{{1,3}}(?:[-–—(\[|→{OPEN}\u3000-\u9fff]|$|\n)"
)
_SENTENCE_ENDS = re.compile(
    rf"[\s)\]}}\"'{CLOSE}]{{0,4}}(?:$|[.,;:!?\n|()\u2014\u3001-\u3003\u3040-\u9fff\uac00-\ud7af]|[-–—]\s)"
)
_CAUSE = re.compile(
    r"[\s)\]\"'.,]{1,4}(?:because|since|as|for|due|given|based|weil|da|denn|car|parce|puisque|porque|pues|ya que)\b",
    re.IGNORECASE,
)
_TERM_GOES_ON = re.compile(r"\s?[-+*/×·^]\s?[\d(]")
_NO_ARTICLE = re.compile(  # words that no article stands before
    r"\s{1,2}(?:because|since|as|is|was|are|isn't|for|due|given|based|and|or|not|nor|which|rather|but|from|per|according|"
    r"with|without|then|in|on|at|by|here|there|it|we|this|these|the|would|will|seems|fits|matches|has|best|over|"
    r"weil|da|denn|ist|oder|und|nicht|car|parce|puisque|est|ou|et|porque|ya|es|y|o|pues)(?!\w)",
    re.IGNORECASE,
)
_QUESTIONED = re.compile(rf"[\s)\]}}\"'.{CLOSE}]{{0,3}}\?")
_WRONG = re.compile(
    rf"[\s)\]}}\"',:{CLOSE}–—-]{{0,4}}(?:(?:option|choice)\s)?"
    r"(?:(?:is|was|are|seems|looks|would be|this is|that is|that's|it is|ist|est|es|é|è)\s{1,2})?"
    r"(?:clearly |definitely |also |simply |obviously |actually |certainly |completely )?"
    r"(?:wrong|incorrect|false|impossible|invalid|excluded|eliminated|ruled out|falsch|inkorrekt|"
    r"fausse?|faux|incorrecte?|"
    r"incorrect[oa]|fals[oa]|errad[oa]|sbagliat[oa]|errat[oa]|(?:is|are|was) not\b|isn't|aren't|wasn't|can't|cannot|"
    r"not (?:correct|right|true|possible|valid|it\b|the)|ist nicht|n'est pas|no es|错误|不正确|不对|错)",
    re.IGNORECASE,
)
_JOIN = re.compile(
    rf"[\s)\]}}\"'{CLOSE}]{{0,4}}(?:\.{{2,3}}\s{{0,2}})?"
    r"(?P<joint>,\s{0,2}(?:(?:and|or|und|oder|et|ou|y|o|e)(?![\w']))?|/|&|、|或者?|和|与|及|"
    r"(?:and/or|and|or|und|oder|ou|et|y|o|e|или|и|as well as|or else)(?![\w']))"
    rf"\s{{0,2}}(?:(?:also|possibly|maybe|perhaps|both|option|choice|even)\s)?[\s(\[{{\"'{OPEN}]{{0,4}}",
    re.IGNORECASE,
)
_HARD_JOINTS = (
    "/",
    "&",
    "、",
    "or",
    "oder",
    "ou",
    "或",
    "或者",
    "和",
    "与",
    "及",
    "and/or",
    "или",
    "as well as",
    "or else",
)
_CLAUSE = re.compile(
    r"[\s)\]\"']{1,3}(?:is|are|was|were|has|have|does|do|would|can|cannot|could|will|isn't|aren't|doesn't|don't|can't|fails?|"
    r"contains?|refers?|describes?|says?|states?|ist|sind|est|sont|es|son|being)\b"
    r"(?!\s(?:all\s)?(?:both|correct|right|true|valid|possible|equally))",
    re.IGNORECASE,
)
_OTHER_LETTER = re.compile(
    r"[\s,]{0,3}(?:(?:which|that) is\s|i\.e\.,?\s)?"
    r"(?:[(\[]\s?(?:(?:option|choice|answer|letter)\s)?([A-Za-z])[)\]]|(?:option|choice|letter)\s\(?([A-Za-z])(?!\w))",
    re.IGNORECASE,
)
_BEFORE_TEXT = re.compile(r"[\s)\]}\"':.–—(-]{1,5}")
_LINE_ENDS = re.compile(r"[\s.)\"']{0,3}(?:\n|$)")
_ASKS_WRONG = re.compile(r"\b(?:not|except|incorrect|false|wrong|least|untrue|never|cannot)\b", re.IGNORECASE)


class Named(NamedTuple):
    """What is named at a place of a text: the letter of a choice (None: several, or a contradiction), where it ends,
    and whether by the choice's text alone."""

    letter: str | None
    end: int
    by_text: bool = False


@dataclass(frozen=True)
class Options:
    """The choices of one question, ready to be looked for."""

    letters: str
    texts: tuple[ChoiceText | None, ...]
    common: frozenset[str]  # letters of choices whose text is a word of every second sentence, such as "no"
    doubtful: frozenset[str]  # letters that stand alone in a choice's text, as in "type B"
    asks_wrong: bool  # the question asks which choice is not true

    def named(self, text: str, at: int, *, strict: bool = False) -> Named | None:
        """The choice that is named at a place, behind words such as "option"; None: none is, or it is asked about, or
        said to be wrong. `strict`: only where nothing but an end, or a reason, follows."""
        for _ in range(_MOST_FILLERS):
            first = self._option(text, at, strict=strict)
            filler = None if first else _FILLER.match(text, at)
            if filler is None:
                break
            at = filler.end()
        if first is None or _QUESTIONED.match(text, first.end):
            return None
        if _WRONG.match(text, first.end) and not self.asks_wrong:
            return None
        return first._replace(letter=None) if self._joined(text, first) else first

    def mentions(self, text: str, start: int, end: int) -> Iterator[tuple[int, Named]]:
        """The choices whose texts stand in a part of a text; where one text is part of another, the longer one."""
        found = [(at, -until) for wanted in self.texts if wanted for at, until in wanted.spans(text, start, end)]
        done = start
        for at, negative_end in sorted(found):
            if at >= done:
                done = -negative_end
                yield at, self.text_at(text, at) or Named(None, done)

    def text_at(self, text: str, at: int) -> Named | None:
        """The choice whose text stands at a place: the longest; those of one text are told apart by their capitals."""
        ends = [
            (end, letter, wanted)
            for letter, wanted in zip(self.letters, self.texts, strict=True)
            if wanted and (end := wanted.end_at(text, at)) is not None
        ]
        if not ends:
            return None
        most = max(end for end, _, _ in ends)
        longest = [(letter, wanted) for end, letter, wanted in ends if end == most]
        if len(longest) > 1:
            longest = [(letter, wanted) for letter, wanted in longest if wanted.has_capitals_of(text, at, most)]
        return Named(longest[0][0] if len(longest) == 1 else None, most, by_text=True)

    def letter_at(self, text: str, at: int, *, strict: bool = False) -> Named | None:
        """The letter that stands at a place and is no word there; the text of its choice, if that follows, is part of
        it."""
        found = _LETTER.match(text, at)
        letter = found[1].upper() if found else None
        if found is None or letter is None or letter not in self.letters:
            return None
        if own_end := self._own_text_end(text, found):
            return Named(letter, own_end)
        end = found.end()
        enclosed = text[at - 1 : at] in ("(", "[", "{", OPEN) and text[end : end + 1] in (")", "]", "}", CLOSE)
        if _NO_LETTER.match(text, end) or not (enclosed or self._stands_alone(text, found, strict=strict)):
            return None
        return Named(None if self._contradicted(text, letter, end) else letter, end)

    def _stands_alone(self, text: str, found: re.Match[str], *, strict: bool) -> bool:
        end, sign = found.end(), found[1]
        cause = bool(_CAUSE.match(text, end))
        if strict and not (
            cause or (_SENTENCE_ENDS.match(text, end) and (sign.isupper() or text[end : end + 1] == ")"))
        ):
            return False
        if cause:
            return sign not in "ai"
        if _ENDS.match(text, end):
            return True
        return sign.isupper() and (sign not in "AI" or bool(_NO_ARTICLE.match(text, end)))

    def _own_text_end(self, text: str, found: re.Match[str]) -> int | None:
        """Where the text of the letter's own choice ends, if it follows the letter."""
        own = self.texts[self.letters.index(found[1].upper())]
        between = _BEFORE_TEXT.match(text, found.end())
        if not own or not between or not found[1].isupper() or (found[1] in "AI" and not between[0].strip()):
            return None  # "A cow" is no letter with its text
        return own.end_at(text, between.end())

    def _contradicted(self, text: str, letter: str, end: int) -> bool:
        """Whether another choice's text stands behind a letter, as if it were that of the letter."""
        between = _BEFORE_TEXT.match(text, end)
        other = self.text_at(text, between.end()) if between else None
        return other is not None and other.letter != letter and bool(_LINE_ENDS.match(text, other.end))

    def _option(self, text: str, at: int, *, strict: bool) -> Named | None:
        by_letter = self.letter_at(text, at, strict=strict)
        by_text = self.text_at(text, at)
        if by_text and strict and (_TERM_GOES_ON.match(text, by_text.end) or not _ends_well(text, by_text.end)):
            by_text = None
        if by_text is None or (by_letter and by_letter.end >= by_text.end):
            return by_letter
        other = _OTHER_LETTER.match(text, by_text.end)
        letter = (other[1] or other[2]).upper() if other else by_text.letter
        return Named(None, by_text.end) if letter in tuple(self.letters) and letter != by_text.letter else by_text

    def _joined(self, text: str, first: Named) -> bool:
        """Whether another choice is named along with the first: "A or B", "A and B"; not in "A, B is wrong"."""
        joint, end, others = "", first.end, set()
        for _ in range(len(self.letters)):
            found = _JOIN.match(text, end)
            other = self._option(text, found.end(), strict=False) if found else None
            if found is None or other is None:
                break
            joint = joint or " ".join(found["joint"].lower().replace(",", " ").split())
            end = other.end
            others.add(other.letter)
        if not others - {first.letter}:
            return False
        return joint in _HARD_JOINTS or not _CLAUSE.match(text, end)


def _ends_well(text: str, end: int) -> bool:
    """Whether nothing but an end, or a reason, follows."""
    return bool(_SENTENCE_ENDS.match(text, end) or _CAUSE.match(text, end))


def options_of(question: Question) -> Options:
    """The choices of a question."""
    return _options(question.choices, question.stem)


@lru_cache(maxsize=4096)
def _options(choices: tuple[str, ...], stem: str) -> Options:
    names = letters(len(choices))
    plain = [cleaned(choice).strip(" .;,") for choice in choices]
    alone = {found[0].upper() for text in plain for found in re.finditer(r"(?<![\w'])[B-HJ-Z](?![\w'])", text)}
    return Options(
        letters=names,
        texts=tuple(None if len(text) == 1 and text.upper() in names else choice_text(text) for text in plain),
        common=frozenset(letter for letter, text in zip(names, plain, strict=True) if text.lower() in _COMMON),
        doubtful=frozenset(alone & set(names)),
        asks_wrong=bool(_ASKS_WRONG.search(stem)),
    )
