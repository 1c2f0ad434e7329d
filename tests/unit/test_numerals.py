"""Numbers as people write them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from harness.inputs.numerals import legible, number_of, numerals, written


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", "42"),
        ("-7", "-7"),
        ("−7", "-7"),
        ("+5", "5"),
        ("1,234", "1234"),
        ("1 234 567", "1234567"),
        ("1\u00a0234", "1234"),
        ("1'234.5", "1234.5"),
        ("1.234.567,8", "1234567.8"),
        ("1.234,5", "1234.5"),
        ("1.234", "1.234"),
        ("12,5", "12.5"),
        ("0,125", "0.125"),
        ("1,2345", "1.2345"),
        (".5", "0.5"),
        ("1.5e3", "1500"),
        ("1.5E-3", "0.0015"),
        ("1.5 × 10^3", "1500"),
        ("1.5 x 10^{3}", "1500"),
        ("1.5·10³", "1500"),
        ("10^-2", "0.01"),
        ("3/4", "0.75"),
        ("-3/4", "-0.75"),
        ("1/3", "1/3"),
        ("½", "0.5"),
        ("2½", "2.5"),
        ("2 1/2", "2.5"),
        ("\\frac{3}{4}", "0.75"),
        ("50%", "50%"),
        ("50 percent", "50%"),
        ("12,5 Prozent", "12.5%"),
        ("3 million", "3000000"),
        ("2.5 thousand", "2500"),
        ("minus 7", "-7"),
        ("$1,234.50", "1234.5"),
        ("４２", "42"),
        ("-$5", "-5"),
        ("9" * 300, "9" * 300),
    ],
)
def test_a_number_is_read_in_every_spelling(text: str, value: str) -> None:
    read = number_of(text)
    assert read is not None
    assert written(read) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "abc",
            "5-7",
            "5 to 7",
            "12:30",
            "3/4/2024",
            "(3,4)",
            "2x",
            "3π",
            "2^10",
            "1,2,3",
            "3rd",
            "1/0",
            "H2O",
            "5'10",
        ),
        *("42 km", "42 43", "x = 42", "1,234,5", "12,34,56", "∞", "nan", "1e5000"),
    ],
)
def test_what_is_no_number_or_more_than_one_is_none(text: str) -> None:
    assert number_of(text) is None


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("3 apples and 4.5 pears", [3, Fraction(9, 2)]),
        ("H2O at 100°C", [100]),
        ("the 3rd of 5", [5]),
        ("5-7 days", [None, 7]),
        ("covid-19 and GPT-4", []),
        ("x=-7", [-7]),
        ("答案是42。", [42]),
        ("45^\\circ", [45]),
        ("from 9 a.m.", [9]),
    ],
)
def test_numbers_are_found_in_text(text: str, values: list[object]) -> None:
    assert [number.value for number in numerals(legible(text))] == values
