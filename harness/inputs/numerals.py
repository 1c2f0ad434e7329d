"""Numbers as people write them: text -> exact values.

Read are `1,234.5`, `1 234`, `1.234.567,8`, `1'234`, `12,5`, `1.5e3`, `1.5 x 10^3`, `-7`, `3/4`, `2 1/2`, `5%`
and `3 million`. A comma with three digits behind it sets thousands apart (`1,234`) unless there is only a 0 before it
(`0,125`); any other is a decimal comma. What looks like a number but is none, or more than one, has no value: a range,
a time of day, a date, a point `(3,4)`, a term such as `2x`, a power but one of ten.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_RAISED = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]{1,6}")
_VULGAR = re.compile(r"[¼-¾⅐-⅞]")
_FRACTION = re.compile(r"\\[dt]?frac\s?\{\s?(-?[\d.]{1,20})\s?\}\s?\{\s?([\d.]{1,20})\s?\}")
_GROUP_IN_TEX = re.compile(r"(?<=\d)(?:\{,\}|\\,)(?=\d{3})")
_TIMES_IN_TEX = re.compile(r"\\(?:times|cdot)(?![A-Za-z])")
_DEGREES_IN_TEX = re.compile(r"\^\{?\\circ\}?")
_SIGN_WORD = re.compile(r"\b(?:minus|negative|moins|menos)\s(?=\d)", re.IGNORECASE)
_SIGNS = str.maketrans("\u2212\u2010\u2011\u2044", "---/")

_DIGITS = (
    r"(?:(?!0\D)\d{1,3}(?P<gap>[,'’_ ])\d{3}(?:(?P=gap)\d{3}){0,8}(?!\d)(?:(?!(?P=gap))[.,]\d{1,60})?"
    r"|\d{1,3}(?:\.\d{3}){2,8}(?!\d)(?:,\d{1,60})?"
    r"|\d{1,3}\.\d{3},\d{1,60}"
    r"|\d{1,400}(?:[.,]\d{1,400})?"
    r"|\.\d{1,400})"
)
_NUMBER = re.compile(
    r"(?<![A-Za-z\d_])(?<!\d[.,:])(?<![A-Za-z]-)(?P<sign>[+-][$€£]?)?"
    rf"(?P<digits>{_DIGITS})"
    r"(?:(?:[eE]|\s?[x×*·]\s?10\s?(?:\^|\*\*))[({]?(?P<exponent>[+-]?\d{1,3})[)}]?(?!\d))?"
    r"(?:\s?/\s?(?P<under>\d{1,60})(?![.,]?\d)|\s(?P<top>\d{1,4})/(?P<bottom>\d{1,4})(?![.,]?\d))?"
)
_TEN_TO = re.compile(r"(?:\^|\*\*)\s?[({]?(?P<exponent>[+-]?\d{1,3})[)}]?(?!\d)")
_AFTER = re.compile(
    r"\s{0,2}(?:(?P<percent>%|(?:percent|per cent|prozent|pour cent|por ciento)(?![A-Za-z]))"
    r"|(?P<scale>hundred|thousand|million|billion)(?![A-Za-z]))",
    re.IGNORECASE,
)
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_ORDINAL = re.compile(r"(?:st|nd|rd|th|er|e|ème|º|ª)(?![A-Za-z])", re.IGNORECASE)
_NO_END = re.compile(
    r"[:/']\s?\d|[.,]\d|\s?(?:-|–|—|~|±|\*\*)\s?\d|\^|\s?\(?[π√∞]|\s?[xyzn](?![A-Za-z'])|[kabi](?![A-Za-z'])"
)


class Numeral(NamedTuple):
    """A number in a text: where it stands, and its value (None: it looks like one but is none). Of `5%` the value is 5,
    and `percent` says so."""

    start: int
    end: int
    value: Fraction | None
    percent: bool = False


def legible(text: str) -> str:
    """The text with raised digits, fractions of one character, full-width digits and LaTeX's numbers in plain signs."""
    text = _RAISED.sub(lambda found: "^" + found[0].translate(_SUPERSCRIPT), text)
    text = _VULGAR.sub(lambda found: " " + unicodedata.normalize("NFKC", found[0]), text)
    text = unicodedata.normalize("NFKC", text).translate(_SIGNS).replace("\\%", "%")
    text = _DEGREES_IN_TEX.sub("°", _TIMES_IN_TEX.sub("×", _GROUP_IN_TEX.sub(",", text)))
    return _SIGN_WORD.sub("-", _FRACTION.sub(r"\1/\2", text))


def numerals(text: str) -> Iterator[Numeral]:
    """Every number in a legible text, in its order. Digits inside words (`H2O`) and ordinals (`3rd`) are none."""
    at = 0
    while found := _NUMBER.search(text, at):
        numeral = _read(text, found)
        if numeral:
            yield numeral
        at = numeral.end if numeral else found.end()


def number_of(text: str) -> Numeral | None:
    """The number that a text is, with nothing around it but a currency sign; None where it is none."""
    plain = legible(text).strip().strip("$€£¥").strip()
    found = next(numerals(plain), None)
    whole = found is not None and found.start == 0 and found.end == len(plain) and found.value is not None
    return found if whole else None


def same(one: Numeral, other: Numeral) -> bool:
    """Whether two numbers are equal. 50% is both 50 and 0.5, since a question may mean either."""
    if one.percent == other.percent:
        return one.value is not None and one.value == other.value
    return bool(_meanings(one) & _meanings(other))


def written(numeral: Numeral) -> str:
    """A number that has a value, as plain text: `1234`, `-0.75`, `1/3`, `50%`."""
    assert numeral.value is not None
    return _decimal(numeral.value) + ("%" if numeral.percent else "")


def _decimal(value: Fraction) -> str:
    places = _places(value.denominator)
    if places is None:
        return str(value)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    point = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return ("-" if value < 0 else "") + point


def _places(denominator: int) -> int | None:
    """How many decimal places a fraction in lowest terms has; None: they do not end, or are too many to write."""
    most = 0
    for prime in (2, 5):
        count = 0
        while denominator % prime == 0:
            denominator, count = denominator // prime, count + 1
        most = max(most, count)
    return most if denominator == 1 and most <= 400 else None


def _meanings(numeral: Numeral) -> set[Fraction]:
    value = numeral.value
    if value is None:
        return set()
    return {value, value / 100} if numeral.percent else {value}


def _read(text: str, found: re.Match[str]) -> Numeral | None:
    """The numeral of a match, with what belongs to it behind; None: an ordinal, which is no number."""
    start, end = found.span()
    value = _value(found)
    if found["digits"] == "10" and end == found.end("digits") and (power := _TEN_TO.match(text, end)):
        value, end = _signed(found, Fraction(10) ** int(power["exponent"])), power.end()
    after = _AFTER.match(text, end)
    if after:
        end = after.end()
        value = value * _SCALES[after["scale"].lower()] if value is not None and after["scale"] else value
    elif _ORDINAL.match(text, end):
        return None
    is_point = "," in found["digits"] and not found["gap"] and text[start - 1 : start] + text[end : end + 1] == "()"
    if is_point or _NO_END.match(text, end):
        value = None
    return Numeral(start, end, value, bool(after and after["percent"]))


def _value(found: re.Match[str]) -> Fraction | None:
    value = Fraction(_plain_digits(found["digits"], found["gap"]))
    if found["exponent"]:
        value *= Fraction(10) ** int(found["exponent"])
    under, bottom = found["under"], found["bottom"]
    if int(under or bottom or 1) == 0:
        return None
    if under:
        value /= int(under)
    elif bottom:
        value += Fraction(int(found["top"]), int(bottom))
    return _signed(found, value)


def _signed(found: re.Match[str], value: Fraction) -> Fraction:
    return -value if (found["sign"] or "").startswith("-") else value


def _plain_digits(digits: str, gap: str | None) -> str:
    """Digits with a decimal point and nothing else."""
    if gap:
        digits = digits.replace(gap, "")
    elif digits.count(".") > 1 or ("." in digits and "," in digits):
        digits = digits.replace(".", "")
    return f"0{digits}".replace(",", ".")
