r"""The text of a reply, made plain before an answer is looked for in it: no reasoning blocks, no markup, no LaTeX.

What stood in a box (LaTeX's `\boxed{}`, a line `#### 42`, `<answer>`) stands between ⟦ and ⟧ afterwards. Pure; every
pattern here repeats a bounded number of times, so that no reply takes long.
"""

from __future__ import annotations

import re

from harness.inputs.numerals import legible

MOST_CHARS = 20_000
_HEAD_CHARS = 4_000  # of a longer reply this much of its beginning is read, and the rest from its end
OPEN, CLOSE = "⟦", "⟧"

_THOUGHT = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad"
_THOUGHT_ENDS = re.compile(rf"</(?:{_THOUGHT})>", re.IGNORECASE)
_THOUGHT_BEGINS = re.compile(rf"<(?:{_THOUGHT})>", re.IGNORECASE)
_CHANNEL = "<|message|>"

_INVISIBLE = dict.fromkeys([*range(0x200B, 0x2010), 0x2060, 0xFEFF, 0xFE0E, 0xFE0F, 0x20E3], None)
_SQUARED = {
    first + offset: chr(ord("A") + offset) for first in (0x1F130, 0x1F150, 0x1F170) for offset in range(26)
}  # 🄰 🅐 🅰
_QUOTES = str.maketrans("‘’‚“”„«»「」『』", '\'\'\'"""""""""')

_STRUCK = re.compile(r"~~[^~\n]{1,300}~~|<(?:s|del|strike)>[^<\n]{1,300}</(?:s|del|strike)>")
_TAG = re.compile(
    r"</?(?:b|strong|i|em|u|p|br|span|div|sub|sup|code|pre|mark|font|center|h[1-6])(?:\s[^<>\n]{0,80})?\s?/?>",
    re.IGNORECASE,
)
_BOX_TAG = re.compile(r"<((?:final[_ ]?)?answer)>\s{0,5}([^<]{0,300}?)\s{0,5}</\1>", re.IGNORECASE)
_BOX_LINE = re.compile(r"^####[ ]{0,3}(\S{0,29}[^\s.:)])[ ]{0,3}$", re.MULTILINE)
_BOX_TEX = re.compile(r"\\(?:boxed|fbox|framebox)\s?\{([^{}]{0,300})\}")
_TEX_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|boldsymbol|bm|operatorname|emph|underline)"
    r"\s?\{([^{}]{0,300})\}"
)
_TEX_SIGN = re.compile(r"\\[()\[\]]|\$")
_TEX_SPACE = re.compile(r"\\(?:[,;:! ]|quad|qquad)(?![A-Za-z])")
_HEADING = re.compile(r"^[ ]{0,3}#{1,6}[ ]", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]{0,8}(?:[*+•·▪–-]|>)[ \t]{1,3}", re.MULTILINE)
_STRONG = re.compile(r"(?<!\d)\*\*|\*\*(?!\d)|__|`")
_EMPHASIS = re.compile(r"(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)")


def spoken(reply: str) -> str:
    """What of a reply was meant to be read: what follows its reasoning; "" where that was begun and not ended. Of a
    very long reply, its beginning and its end."""
    ends = list(_THOUGHT_ENDS.finditer(reply))
    if ends:
        reply = reply[ends[-1].end() :]
    if begun := _THOUGHT_BEGINS.search(reply):
        reply = reply[: begun.start()]
    reply = reply[reply.rfind(_CHANNEL) + len(_CHANNEL) :] if _CHANNEL in reply else reply
    if len(reply) <= MOST_CHARS:
        return reply
    return f"{reply[:_HEAD_CHARS]}\n{reply[_HEAD_CHARS - MOST_CHARS :]}"


def cleaned(text: str) -> str:
    """A text without markup, in plain characters. Choices are cleaned like replies, so that they can be found there."""
    text = text.replace("\r\n", "\n").translate(_INVISIBLE).translate(_SQUARED)
    text = legible(text)[: 2 * MOST_CHARS].translate(_QUOTES)  # one character may have become many
    text = _TAG.sub(" ", _BOX_TAG.sub(rf"{OPEN}\2{CLOSE}", _STRUCK.sub(" ", text)))
    text = _BOX_LINE.sub(rf"{OPEN}\1{CLOSE}", text)
    for _ in range(3):  # one command may stand in another
        text = _TEX_TEXT.sub(r"\1", text)
    text = _TEX_SPACE.sub(" ", _BOX_TEX.sub(rf"{OPEN}\1{CLOSE}", text))
    text = _TEX_SIGN.sub("", _STRONG.sub("", text))
    text = _BULLET.sub("", _HEADING.sub("", text))
    return _EMPHASIS.sub("", text).strip()
