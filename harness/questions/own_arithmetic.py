"""Own questions on arithmetic. Each answer is computed from the numbers drawn; wrong choices are what mistakes give."""

from __future__ import annotations

from collections.abc import Iterable

from harness.questions.draws import Rng, one, some, whole
from harness.questions.own_draft import NAMES, THINGS, Draft, near

_SHOPPING = (
    "{name} buys {n} {first} at {price} euros each and {m} {second} at {other} euros each. How many euros is that?",
    "At a market {first} cost {price} euros apiece, {second} {other} euros. What do {n} {first} and {m} {second} cost?",
    "{name} orders {n} {first} for {price} euros each and {m} {second} for {other} euros each. What is the price?",
)
_ASK = ("What is {}?", "Compute {}.", "Work out {}.", "Calculate {}.", "Find the value of {}.", "How much is {}?")


def arithmetic(rng: Rng) -> Draft:
    """A question on arithmetic: a choice, or a number to be given."""
    families = (_sum, _brackets, _shopping, _change, _remainder, _percent, _part, _sequence, _output, _arrival)
    return one(rng, families)(rng)


def _draft(rng: Rng, stem: str, right: int, likely: Iterable[int]) -> Draft:
    if rng.random() < 0.5:
        return Draft("arithmetic", "number", stem, str(right))
    return Draft("arithmetic", "choice", stem, str(right), tuple(map(str, near(rng, right, likely))))


def _sum(rng: Rng) -> Draft:
    terms = [whole(rng, 12, 989) for _ in range(whole(rng, 2, 4))]
    signs = [1] + [one(rng, (1, -1)) for _ in terms[1:]]
    right = sum(sign * term for sign, term in zip(signs, terms, strict=True))
    text = str(terms[0]) + "".join(f" {'+' if s > 0 else '-'} {t}" for s, t in zip(signs[1:], terms[1:], strict=True))
    other_sign = right - 2 * signs[-1] * terms[-1]
    return _draft(rng, one(rng, _ASK).format(text), right, (other_sign, right + 10, right - 10, right - 100))


def _brackets(rng: Rng) -> Draft:
    a, b, c, d = whole(rng, 3, 29), whole(rng, 3, 29), whole(rng, 2, 12), whole(rng, 2, 49)
    text, right, likely = one(
        rng,
        (
            (f"{a} + {b} × {c}", a + b * c, ((a + b) * c, a * b + c)),
            (f"({a} + {b}) × {c} - {d}", (a + b) * c - d, (a + b * c - d, (a + b) * (c - d))),
            (f"{a} × {c} + {b} × {d}", a * c + b * d, ((a * c + b) * d, a * (c + b) * d)),
            (f"{d} + {c} × ({a} + {b})", d + c * (a + b), ((d + c) * (a + b), d + c * a + b)),
            (f"{a} × ({b} + {d}) - {c}", a * (b + d) - c, (a * b + d - c, a * (b + d - c))),
        ),
    )
    return _draft(rng, one(rng, _ASK).format(text), right, likely)


def _shopping(rng: Rng) -> Draft:
    name, (first, second) = one(rng, NAMES), some(rng, THINGS, 2)
    n, m, price, other = whole(rng, 3, 19), whole(rng, 3, 19), whole(rng, 2, 29), whole(rng, 2, 29)
    stem = one(rng, _SHOPPING).format(name=name, n=n, m=m, first=first, second=second, price=price, other=other)
    right = n * price + m * other
    return _draft(rng, stem, right, (n * other + m * price, (n + m) * price, (n + m) * (price + other), n * price + m))


def _change(rng: Rng) -> Draft:
    name, thing, n, price = one(rng, NAMES), one(rng, THINGS), whole(rng, 2, 9), whole(rng, 3, 21)
    paid = next(note for note in (50, 100, 200) if note > n * price)
    stem = one(
        rng,
        (
            "{name} pays for {n} {thing} with {paid} euros. Each costs {price} euros. How many euros are given back?",
            "With {paid} euros in hand, {name} buys {n} {thing} for {price} euros each. How many euros are left?",
        ),
    ).format(name=name, n=n, thing=thing, price=price, paid=paid)
    right = paid - n * price
    return _draft(rng, stem, right, (paid - price, n * price, right + price, right + 10))


def _remainder(rng: Rng) -> Draft:
    dividend, divisor = whole(rng, 120, 9876), whole(rng, 6, 29)
    right, quotient = dividend % divisor, dividend // divisor
    stem = one(
        rng,
        (
            f"What is the remainder when {dividend} is divided by {divisor}?",
            f"{dividend} is divided by {divisor}. What remains?",
            f"{dividend} seats are set out in full rows of {divisor}. How many seats are left over?",
        ),
    )
    return _draft(rng, stem, right, (divisor - right, quotient, right + 1, quotient % divisor))


def _percent(rng: Rng) -> Draft:
    percent, base = 5 * whole(rng, 1, 19), 20 * whole(rng, 2, 120)
    right = percent * base // 100
    if rng.random() < 0.5:
        return _draft(
            rng, one(rng, _ASK).format(f"{percent}% of {base}"), right, (base - right, right * 2, base // percent)
        )
    stem = f"A price of {base} euros falls by {percent}%. What is the new price in euros?"
    return _draft(rng, stem, base - right, (right, base - percent, base + right))


def _part(rng: Rng) -> Draft:
    under = whole(rng, 3, 9)
    over, base = whole(rng, 2, under - 1), under * whole(rng, 4, 150)
    right = base // under * over
    return _draft(
        rng, one(rng, _ASK).format(f"{over}/{under} of {base}"), right, (base // under, base - right, base // over)
    )


def _sequence(rng: Rng) -> Draft:
    start, step, growth = whole(rng, 1, 60), whole(rng, 3, 40), whole(rng, 0, 6)
    terms = [start]
    for place in range(5):
        terms.append(terms[-1] + step + growth * place)
    shown, right = ", ".join(map(str, terms[:-1])), terms[-1]
    stem = one(
        rng,
        (
            f"Which number comes next: {shown}, ...?",
            f"A sequence begins {shown}. What is its next number?",
            f"Continue the sequence {shown} by one number.",
        ),
    )
    return _draft(rng, stem, right, (2 * terms[-2] - terms[-3], right + growth, right + step, terms[-2] + 1))


def _output(rng: Rng) -> Draft:
    parts, minutes, hours = whole(rng, 3, 60), one(rng, (5, 6, 10, 12, 15, 20, 30)), whole(rng, 2, 16)
    maker, thing = one(rng, ("machine", "workshop", "press", "robot")), one(rng, THINGS)
    stem = one(
        rng,
        (
            f"A {maker} makes {parts} {thing} in {minutes} minutes. How many does it make in {hours} hours?",
            f"Every {minutes} minutes a {maker} finishes {parts} {thing}. How many are finished after {hours} hours?",
        ),
    )
    right = parts * (60 // minutes) * hours
    return _draft(rng, stem, right, (parts * hours, parts * minutes * hours, right // 2, parts * (60 // minutes)))


def _arrival(rng: Rng) -> Draft:
    vehicle, start, length = one(rng, ("train", "ferry", "bus", "plane")), whole(rng, 300, 900), whole(rng, 65, 420)
    stem = one(
        rng,
        (
            "A {vehicle} leaves at {start} and is on its way for {hours} h {minutes} min. When does it arrive?",
            "A {vehicle} that sets out at {start} takes {hours} h {minutes} min. At what time is it there?",
        ),
    ).format(vehicle=vehicle, start=_clock(start), hours=length // 60, minutes=length % 60)
    right = start + length
    wrong = near(rng, right, (right + 60, right - 60, right + 40, right - 10, right + 10))
    return Draft("arithmetic", "choice", stem, _clock(right), tuple(map(_clock, wrong)))


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
