"""Own questions on reading: a short passage made of facts that were drawn, and a question on one of them, or on two."""

from __future__ import annotations

from dataclasses import dataclass

from harness.questions.draws import Rng, one, shuffled, some, whole
from harness.questions.own_draft import NAMES, THINGS, Draft, near

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_CITIES = (  # noqa: SIM905
    "Lisbon Oslo Vienna Prague Dublin Athens Madrid Warsaw Bruges Porto Geneva Turin Lyon Krakow Bergen Seville Ghent "
    "Leipzig Utrecht Malmo"
).split()
_JOBS = (  # noqa: SIM905
    "baker nurse teacher carpenter lawyer gardener pilot tailor painter plumber dentist violinist chemist librarian "
    "surveyor cook"
).split()
_WEATHER = ("It rained on most of these days.", "The week was unusually warm.", "Prices were the same everywhere.", "")
_TRIPS = (
    "On {day} {name}, the {job}, travelled to {city} and bought {count} {thing} there.",
    "{name}, who works as a {job}, was in {city} on {day} and came home with {count} {thing}.",
    "The {job} {name} went to {city} on {day} for {count} {thing}.",
    "{count} {thing} were what the {job} {name} carried back from {city} on {day}.",
)
_EVENTS = (
    ("the concert", "was postponed"),
    ("the ferry", "left late"),
    ("the museum", "was closed"),
    ("the match", "was called off"),
    ("the bridge", "was blocked"),
    ("the lecture", "began an hour late"),
    ("the market", "moved indoors"),
    ("the library", "stayed open longer"),
    ("the road", "was repaired"),
    ("the play", "was rewritten"),
)
_REASONS = (
    ("the singer", "was ill"),
    ("the river", "had risen"),
    ("the heating", "had failed"),
    ("a storm", "was forecast"),
    ("a lorry", "had overturned"),
    ("the keys", "were lost"),
    ("the roof", "was leaking"),
    ("an exam", "was near"),
    ("a pipe", "had burst"),
    ("the sponsor", "had withdrawn"),
    ("the power", "was cut"),
    ("a film crew", "needed the space"),
)


def reading(rng: Rng) -> Draft:
    """A question on a passage: a choice, a number or a few words to be given."""
    return one(rng, (_trip, _trip, _stock, _reason))(rng)


@dataclass(frozen=True)
class _Trip:
    name: str
    job: str
    city: str
    day: str
    count: int
    thing: str

    def said(self, rng: Rng) -> str:
        return one(rng, _TRIPS).format(
            name=self.name, job=self.job, city=self.city, day=self.day, count=self.count, thing=self.thing
        )


def _trip(rng: Rng) -> Draft:
    columns = (some(rng, NAMES, 4), some(rng, _JOBS, 4), some(rng, _CITIES, 4), some(rng, _DAYS, 4))
    counts, things = some(rng, range(3, 60), 4), some(rng, THINGS, 4)
    trips = [_Trip(*row) for row in zip(*columns, counts, things, strict=True)]
    passage = " ".join([*(trip.said(rng) for trip in trips), one(rng, _WEATHER)]).strip()
    asked = one(rng, (_where, _when, _who, _what, _how_many))
    return asked(rng, passage, shuffled(rng, trips))


def _where(rng: Rng, passage: str, trips: list[_Trip]) -> Draft:
    trip = trips[0]
    ask = one(rng, (f"Where did {trip.name} go?", f"Which city did the {trip.job} visit?"))
    others = tuple(other.city for other in trips[1:])
    return _drafted(rng, passage, ask, (trip.city, f"to {trip.city}", f"in {trip.city}"), others)


def _when(rng: Rng, passage: str, trips: list[_Trip]) -> Draft:
    trip = trips[0]
    ask = one(rng, (f"On which day was {trip.name} in {trip.city}?", f"On which day were the {trip.thing} bought?"))
    return _drafted(rng, passage, ask, (trip.day, f"on {trip.day}"), tuple(other.day for other in trips[1:]))


def _who(rng: Rng, passage: str, trips: list[_Trip]) -> Draft:
    trip = trips[0]
    ask = one(rng, (f"Who is the {trip.job}?", f"Who bought the {trip.thing}?", f"Who went to {trip.city}?"))
    accepted = (trip.name, f"{trip.name} the {trip.job}", f"the {trip.job} {trip.name}")
    return _drafted(rng, passage, ask, accepted, tuple(other.name for other in trips[1:]))


def _what(rng: Rng, passage: str, trips: list[_Trip]) -> Draft:
    trip = trips[0]
    ask = one(rng, (f"What did {trip.name} bring home?", f"What did the {trip.job} buy in {trip.city}?"))
    accepted = (trip.thing, f"{trip.count} {trip.thing}")
    return _drafted(rng, passage, ask, accepted, tuple(other.thing for other in trips[1:]))


def _how_many(rng: Rng, passage: str, trips: list[_Trip]) -> Draft:
    one_trip, other = trips[:2]
    total = one_trip.count + other.count
    ask = f"How many things did {one_trip.name} and {other.name} buy together?"
    stem = f"{passage}\n\n{ask}"
    if rng.random() < 0.5:
        return Draft("reading", "number", stem, str(total))
    likely = (one_trip.count, other.count, sum(trip.count for trip in trips), total + 1)
    return Draft("reading", "choice", stem, str(total), tuple(map(str, near(rng, total, likely))))


def _drafted(rng: Rng, passage: str, ask: str, accepted: tuple[str, ...], others: tuple[str, ...]) -> Draft:
    stem = f"{passage}\n\n{ask}"
    if rng.random() < 0.4:
        return Draft("reading", "text", stem, accepted[0], references=accepted)
    return Draft("reading", "choice", stem, accepted[0], others)


def _stock(rng: Rng) -> Draft:
    thing, keeper, at_first = one(rng, THINGS), one(rng, NAMES), whole(rng, 80, 400)
    sold, came, broken = whole(rng, 12, 70), whole(rng, 15, 90), whole(rng, 2, 9)
    first = whole(rng, 0, 3)
    begin, then, end = _DAYS[first : first + 3]
    passage = " ".join(
        (
            f"On {begin} morning {keeper}'s shop had {at_first} {thing}.",
            f"{sold} of them were sold that day, and nothing else happened to them.",
            f"On {then} a delivery brought {came} more, of which {broken} arrived broken and were thrown away.",
            one(rng, (f"{keeper} closed early on {then}.", "Nothing was sold after that.", "No other delivery came.")),
        )
    )
    after_sale, right = at_first - sold, at_first - sold + came - broken
    ask = f"How many {thing} did the shop have on {end} morning, if none was sold on {then}?"
    if rng.random() < 0.3:
        ask, right = f"How many {thing} did the shop have on {begin} evening?", after_sale
    stem = f"{passage}\n\n{ask}"
    if rng.random() < 0.5:
        return Draft("reading", "number", stem, str(right))
    likely = (at_first - sold + came, at_first + came, at_first, at_first - sold + came + broken)
    return Draft("reading", "choice", stem, str(right), tuple(map(str, near(rng, right, likely))))


def _reason(rng: Rng) -> Draft:
    events, reasons = some(rng, _EVENTS, 4), some(rng, _REASONS, 4)
    said = [
        one(
            rng,
            (f"{_capital(' '.join(event))} because {' '.join(why)}.", f"Because {' '.join(why)}, {' '.join(event)}."),
        )
        for event, why in zip(events, reasons, strict=True)
    ]
    passage = f"It was an unusual {one(rng, _DAYS)} in {one(rng, _CITIES)}. {' '.join(shuffled(rng, said))}"
    right = " ".join(reasons[0])
    stem = f"{passage}\n\nWhat reason is given for this: {' '.join(events[0])}?"
    if rng.random() < 0.4:
        return Draft("reading", "text", stem, right, references=(right, f"because {right}"))
    return Draft("reading", "choice", stem, _capital(right), tuple(_capital(" ".join(why)) for why in reasons[1:]))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
