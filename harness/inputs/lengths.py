"""Lengths in tokens as plans write them: `256`, `N(480,120)` or `U(100,400)`."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Length:
    """A distribution of lengths in tokens: `fixed` (a), `normal` (mean a, standard deviation b) or `uniform`
    (from a to b). Draws are whole and at least 1."""

    shape: Literal["fixed", "normal", "uniform"]
    a: float
    b: float = 0.0

    def draw(self, rng: random.Random) -> int:
        """One length."""
        if self.shape == "fixed":
            return int(self.a)
        value = rng.gauss(self.a, self.b) if self.shape == "normal" else rng.uniform(self.a, self.b)
        return max(1, round(value))

    @property
    def mean(self) -> float:
        """The mean length."""
        return (self.a + self.b) / 2 if self.shape == "uniform" else self.a


_NUMBER = r"\s*(\d{1,7}(?:\.\d{1,3})?)\s*"
_LENGTH = re.compile(rf"^([NU])\({_NUMBER},{_NUMBER}\)$")


def parse_length(value: int | str) -> Length:
    """Read `256`, `N(480,120)` or `U(100,400)`. Raises ValueError saying the rule that was broken."""
    if isinstance(value, int) or value.strip().isdigit():
        if not 1 <= int(value) <= 10_000_000:
            raise ValueError("a length is at least 1 token and at most 10000000")
        return Length("fixed", float(value))
    match = _LENGTH.match(value.strip())
    if match is None:
        raise ValueError("a length is a whole number, N(mean,sd) or U(low,high)")
    letter, a, b = match[1], float(match[2]), float(match[3])
    if letter == "N" and a >= 1:
        return Length("normal", a, b)
    if letter == "U" and 1 <= a <= b:
        return Length("uniform", a, b)
    raise ValueError("N(mean,sd) wants mean >= 1; U(low,high) wants 1 <= low <= high")
