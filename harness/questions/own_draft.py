"""What this project's own questions are made of: names, things, and a question before its choices are lettered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.questions.draws import Rng, shuffled, whole
from harness.records.question import Kind

NAMES = (  # noqa: SIM905  (forty quoted words would be harder to read)
    "Anna Bruno Clara David Elena Felix Greta Hugo Irene Jonas Karin Leo Maria Nils Olga Paul Rosa Simon Tessa Victor "
    "Walter Yara Zoe Amir Bianca Carlos Dora Emil Fatima Georg Hanna Ivan Julia Kemal Lucia Marco Nadia Oscar Petra "
    "Rafael"
).split()
THINGS = (  # noqa: SIM905
    "apples lamps chairs books pencils plates towels candles baskets bottles brushes mirrors pillows ropes shirts "
    "spoons stamps tickets vases umbrellas"
).split()


@dataclass(frozen=True)
class Draft:
    """A question whose choices have no letters yet: `answer` is the right text, `wrong` are the others of a choice."""

    subject: str
    kind: Kind
    stem: str
    answer: str
    wrong: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


def near(rng: Rng, right: int, likely: Iterable[int], count: int = 3) -> tuple[int, ...]:
    """So many wrong numbers: those that a likely mistake leads to, then some close by. None is the right one, none
    stands twice, and none is negative unless the right one is."""
    found: list[int] = []
    for value in [*shuffled(rng, list(dict.fromkeys(likely))), *_close(rng, right)]:
        if value != right and value not in found and (value >= 0 or right < 0):
            found.append(value)
    return tuple(found[:count])


def _close(rng: Rng, right: int) -> list[int]:
    return [right + sign * step for step in (1, 10, 2, whole(rng, 3, 9), 20, 100) for sign in (1, -1)]
