"""When each provider was up, degraded, throttled and down: as spans, and as a line of text.

Where several hold at once the worst counts: down before throttled before degraded before up.
"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.summary import Interval, Outage, Provider, Reliability

STATES = ("up", "degraded", "throttled", "down")
LETTERS = {"up": "─", "degraded": "▒", "throttled": "░", "down": "█"}
_UNWATCHED = " "


def has_incidents(providers: Sequence[Provider]) -> bool:
    """Whether any provider was ever anything but up."""
    return any(_outages(each.reliability, state) for each in providers for state in STATES[1:])


def spans(found: Reliability, state: str) -> list[Interval]:
    """When a provider was in a state. `up` is all of the time it was watched: what lies over it is worse."""
    if state == "up":
        return list(found.watched)
    return [(outage.start_s, end_of(outage, found.watched)) for outage in _outages(found, state)]


def _outages(found: Reliability, state: str) -> tuple[Outage, ...]:
    return {"degraded": found.degraded, "throttled": found.throttled, "down": found.outages}[state]


def end_of(outage: Outage, watched: Sequence[Interval]) -> float:
    """When an outage ended, or the watch in which it began: nothing is known of it afterwards."""
    if outage.end_s is not None:
        return outage.end_s
    return next((end_s for _, end_s in watched if end_s >= outage.start_s), outage.start_s)


def extent(providers: Sequence[Provider]) -> Interval:
    """From the first to the last moment at which any was watched."""
    watched = [span for each in providers for span in each.reliability.watched]
    return min((begin for begin, _ in watched), default=0.0), max((end for _, end in watched), default=0.0)


def text_line(found: Reliability, extent_s: Interval, width: int) -> str:
    """The timeline as so many letters; one stands for the worst state in its part of the time."""
    begin_s, end_s = extent_s
    letters = [_UNWATCHED] * width
    step_s = (end_s - begin_s) / width
    for state in STATES:
        for start_s, until_s in spans(found, state):
            first = int((start_s - begin_s) / step_s)
            last = max(first + 1, round((until_s - begin_s) / step_s))
            for place in range(max(0, first), min(width, last)):
                letters[place] = LETTERS[state]
    return "".join(letters)
