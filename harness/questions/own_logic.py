"""Own questions on logic. Each answer is found by going through all worlds, orders or truth values that there are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, permutations, product

from harness.questions.draws import Rng, one, shuffled, some, whole
from harness.questions.own_draft import NAMES, Draft

_KINDS = (  # noqa: SIM905  (words that mean nothing, so that nobody knows the answer beforehand)
    "blickets zorps wugs daxes feps toves lorks gazzers mimps quells drons snarps tamps vints yorls brilks cromps "
    "dulfs frabs glims"
).split()
_FORMS = ("All {} are {}.", "No {} are {}.", "Some {} are {}.", "Some {} are not {}.")
_PAIRS = (("taller", "shorter"), ("older", "younger"), ("faster", "slower"))
_NONE = "None of the other three"
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_Statement = tuple[int, int, int]  # a form, and two of three kinds as bits


def logic(rng: Rng) -> Draft:
    """A question on logic: a choice, or a name or day to be given."""
    return one(rng, (_syllogism, _order, _compound, _liars, _weekday))(rng)


def _holds(statement: _Statement, world: tuple[int, ...]) -> bool:
    """Whether a statement is true of a world: the regions of the diagram of three kinds that have members."""
    form, x, y = statement
    both = any(region & x and region & y for region in world)
    only_x = any(region & x and not region & y for region in world)
    return (not only_x, not both, both, only_x)[form]


def _worlds() -> list[tuple[int, ...]]:
    """All worlds with a member of each kind."""
    choices = product((False, True), repeat=7)
    all_worlds = [tuple(region for region, there in zip(range(1, 8), each, strict=True) if there) for each in choices]
    return [world for world in all_worlds if all(any(region & kind for region in world) for kind in (1, 2, 4))]


_WORLDS = _worlds()


def _syllogism(rng: Rng) -> Draft:
    a, b, c = 1, 2, 4
    premises = (_about(rng, a, b), _about(rng, b, c))
    left = [world for world in _WORLDS if all(_holds(premise, world) for premise in premises)]
    conclusions = [(form, x, y) for form in range(4) for x, y in ((a, c), (c, a))]
    must = [each for each in conclusions if all(_holds(each, world) for world in left)]
    need_not = [each for each in conclusions if each not in must]
    names = dict(zip((a, b, c), some(rng, _KINDS, 3), strict=True))

    def said(statement: _Statement) -> str:
        return _FORMS[statement[0]].format(names[statement[1]], names[statement[2]])

    wrong = _differing(rng, need_not)
    right = said(one(rng, must)) if must else _NONE
    others = tuple(map(said, wrong)) if not must or rng.random() < 0.5 else (*map(said, wrong[:2]), _NONE)
    stem = f"{said(premises[0])} {said(premises[1])} There is at least one of each kind. " + one(
        rng, ("Which of these must be true?", "What follows of necessity?", "Which statement is certain?")
    )
    return Draft("logic", "choice", stem, right, others)


def _differing(rng: Rng, statements: list[_Statement]) -> list[_Statement]:
    """Three of the statements; "No a are b" and "No b are a" say the same, as do "Some ...": of such only one."""
    found: list[_Statement] = []
    for form, x, y in shuffled(rng, statements):
        if form not in (1, 2) or (form, y, x) not in found:
            found.append((form, x, y))
    return found[:3]


def _about(rng: Rng, x: int, y: int) -> _Statement:
    first, second = one(rng, ((x, y), (y, x)))
    return whole(rng, 0, 3), first, second


def _order(rng: Rng) -> Draft:
    names = some(rng, NAMES, whole(rng, 4, 5))
    more, less = pair = one(rng, _PAIRS)
    clues = list(pairwise(names))  # the first of each is the taller one
    skipped = (names[0], names[2 + whole(rng, 0, len(names) - 3)])
    clues = shuffled(rng, [*clues, skipped] if rng.random() < 0.5 else clues)
    found = [each for each in permutations(sorted(names)) if all(each.index(x) < each.index(y) for x, y in clues)]
    assert len(found) == 1, "the clues leave one order"
    said = " ".join(f"{x} is {more} than {y}." if rng.random() < 0.5 else f"{y} is {less} than {x}." for x, y in clues)
    asked, right = _place_asked(rng, pair, found[0])
    others = shuffled(rng, [name for name in found[0] if name != right])
    if rng.random() < 0.4:
        return Draft("logic", "text", f"{said} {asked} Give the name.", right)
    return Draft("logic", "choice", f"{said} {asked}", right, tuple(others[:3]))


def _place_asked(rng: Rng, pair: tuple[str, str], order: tuple[str, ...]) -> tuple[str, str]:
    more, less = pair
    place = whole(rng, 0, 3)
    asked = (
        f"Who is the {_most(more)} of them?",
        f"Who is the {_most(less)} of them?",
        f"Who is the second {_most(more)}?",
        f"Who is the second {_most(less)}?",
    )[place]
    return asked, order[(0, -1, 1, -2)[place]]


def _most(comparative: str) -> str:
    return comparative.removesuffix("er") + "est"


_Formula = tuple[str, Callable[[dict[str, bool]], bool]]


def _compound(rng: Rng) -> Draft:
    names = "PQRS"[: whole(rng, 3, 4)]
    facts, values = _facts(rng, names)
    wanted = rng.random() < 0.5
    found: dict[bool, list[str]] = {True: [], False: []}
    while len(found[wanted]) < 1 or len(found[not wanted]) < 3:
        text, holds = _formula(rng, names)
        same = found[holds(values)]
        if text not in same:
            same.append(text)
    ask = one(rng, ("{} Which of these is {}?", "Given are these statements. {} Which of the following is {}?"))
    stem = ask.format(facts, "true" if wanted else "false")
    return Draft("logic", "choice", stem, found[wanted][0], tuple(found[not wanted][:3]))


def _facts(rng: Rng, names: str) -> tuple[str, dict[str, bool]]:
    """A statement on numbers for each name, and which of them are true."""
    said, values = [], {}
    for name in names:
        x, y, divisor = whole(rng, 11, 99), whole(rng, 11, 99), whole(rng, 3, 9)
        total = x + y + one(rng, (0, 0, 1, -10))
        text, holds = one(
            rng,
            (
                (f"{x} is greater than {y}", x > y),
                (f"{x} + {y} = {total}", x + y == total),
                (f"{x} can be divided by {divisor} without remainder", x % divisor == 0),
                (f"{x * divisor} can be divided by {divisor} without remainder", True),
            ),
        )
        said.append(f"{name}: {text}.")
        values[name] = holds
    return " ".join(said), values


def _formula(rng: Rng, names: str) -> _Formula:
    """A statement made of two or three others."""
    x, y, z = (_literal(rng, name) for name in some(rng, names, 3))
    inner = _joined(rng, x, y)
    if rng.random() < 0.4:
        return inner
    bracketed = (f"({inner[0]})", inner[1])
    return _joined(rng, bracketed, z) if rng.random() < 0.5 else _joined(rng, z, bracketed)


def _literal(rng: Rng, name: str) -> _Formula:
    if rng.random() < 0.6:
        return name, lambda values: values[name]
    return f"not {name}", lambda values: not values[name]


def _joined(rng: Rng, one_side: _Formula, other: _Formula) -> _Formula:
    (left, holds_left), (right, holds_right) = one_side, other
    return one(
        rng,
        (
            (f"{left} and {right}", lambda values: holds_left(values) and holds_right(values)),
            (f"{left} or {right}", lambda values: holds_left(values) or holds_right(values)),
            (f"if {left} then {right}", lambda values: not holds_left(values) or holds_right(values)),
            (f"{left} exactly when {right}", lambda values: holds_left(values) == holds_right(values)),
        ),
    )


def _liars(rng: Rng) -> Draft:
    """Of some people exactly one tells the truth; who, is found by trying each."""
    while True:
        names = some(rng, NAMES, whole(rng, 3, 4))
        claims = [_claim(rng, names, speaker) for speaker in range(len(names))]
        able = [
            who
            for who in range(len(names))
            if all(_true(claim, who) == (speaker == who) for speaker, claim in enumerate(claims))
        ]
        if len(able) == 1 and len(set(claims)) > 1:
            break
    said = " ".join(
        f'{names[speaker]} says: "{names[about]} {"tells the truth" if honest else "is lying"}."'
        for speaker, (about, honest) in enumerate(claims)
    )
    stem = f"{said} Exactly one of the {('three', 'four')[len(names) - 3]} tells the truth. Who is it?"
    right = names[able[0]]
    if len(names) == 3 or rng.random() < 0.3:
        return Draft("logic", "text", stem, right)
    return Draft("logic", "choice", stem, right, tuple(name for name in names if name != right))


def _claim(rng: Rng, names: list[str], speaker: int) -> tuple[int, bool]:
    about = one(rng, [place for place in range(len(names)) if place != speaker])
    return about, rng.random() < 0.3


def _true(claim: tuple[int, bool], honest: int) -> bool:
    about, says_honest = claim
    return (about == honest) == says_honest


def _weekday(rng: Rng) -> Draft:
    today, days, ahead = whole(rng, 0, 6), whole(rng, 8, 400), rng.random() < 0.5
    right = _DAYS[(today + (days if ahead else -days)) % 7]
    stem = one(
        rng,
        (
            "Today is {}. Which day of the week {} {} days{}?".format(
                _DAYS[today], *(("will it be in", days, "") if ahead else ("was it", days, " ago"))
            ),
            "If today is {}, what day of the week is it {} days {}?".format(
                _DAYS[today], days, "from now" if ahead else "before today"
            ),
        ),
    )
    if rng.random() < 0.4:
        return Draft("logic", "text", stem, right, references=(right, f"a {right}", f"on {right}"))
    return Draft("logic", "choice", stem, right, tuple(some(rng, [day for day in _DAYS if day != right], 3)))
