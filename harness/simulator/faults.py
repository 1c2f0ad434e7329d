"""Which fault a request gets, and what it does to a reply: pure functions over configuration and events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

from harness.simulator.config import Fault, FaultKind
from harness.simulator.refusals import Cause
from harness.simulator.speech import Event

REFUSALS: dict[FaultKind, Cause] = {
    "status_500": "server_error",
    "status_503": "unavailable",
    "status_529": "overloaded",
    "rate_limit": "rate_limit",
    "auth_failure": "auth",
}

_DATA = b"data: "
_BLANKS = b" " * 65536
PAGE = b"<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>\n"


def chosen(active: Iterable[Fault], draw: float) -> Fault | None:
    """The fault that the uniform number `draw` picks among those that are active; where they overlap, the first."""
    reached = 0.0
    for fault in active:
        reached += fault.probability
        if draw < reached:
            return fault
    return None


def strike_stream(events: Iterator[Event], fault: Fault, content_events: int, error_event: bytes) -> Iterator[Event]:
    """The events of a stream of `content_events` under a fault."""
    after = min(fault.after_chunks, max(0, content_events - 1))
    match fault.kind:
        case "reset":
            return _cut(events, after, Event(b"", act="reset"))
        case "truncate_chunked":
            return _cut(events, after, Event(b"", act="close"))
        case "truncate":
            return _cut(events, after)
        case "error_event":
            return _cut(events, after, Event(error_event))
        case "stall":
            return _pierced(events, after, lambda event: [Event(b"", act="stall"), event])
        case "malformed_json":
            return _pierced(events, after, lambda event: [Event(b"", event.tokens), Event(_broken(event.data))])
        case "huge_event":
            return _pierced(events, after, lambda event: _swollen(event, fault.event_bytes))
        case _:
            return events


def _cut(events: Iterator[Event], after: int, *ending: Event) -> Iterator[Event]:
    """The events before content event `after` (counted from 0), then `ending`."""
    seen = 0
    for event in events:
        if event.tokens:
            if seen == after:
                break
            seen += 1
        yield event
    yield from ending


def _pierced(events: Iterator[Event], after: int, change: Callable[[Event], Iterable[Event]]) -> Iterator[Event]:
    """All events, with content event `after` replaced by what `change` makes of it."""
    seen = 0
    for event in events:
        if event.tokens:
            seen += 1
            if seen == after + 1:
                yield from change(event)
                continue
        yield event


def _broken(event: bytes) -> bytes:
    """An event whose JSON stops half-way; its last line still ends."""
    return event[: event.rindex(b"{") + 1] + b'"broken\n\n' if b"{" in event else event


def _swollen(event: Event, size: int | None) -> Iterator[Event]:
    """An event, or a body, of `size` bytes (None: without end): blanks before its JSON, where they mean nothing."""
    data = event.data
    place = data.find(_DATA) + len(_DATA) if _DATA in data else 0
    blanks, rest = (None, 0) if size is None else divmod(max(0, size - len(data)), len(_BLANKS))
    yield Event(data[:place] + _BLANKS[:rest])
    yield from map(Event, repeat(_BLANKS) if blanks is None else repeat(_BLANKS, blanks))
    yield Event(data[place:], event.tokens)


def strike_whole(body: Event, fault: Fault, error_body: bytes) -> Iterable[Event]:
    """The writes of a reply that is not streamed under a fault."""
    half = len(body.data) // 2
    match fault.kind:
        case "reset":
            return [Event(b"", act="reset")]
        case "truncate" | "truncate_chunked":
            return [Event(body.data[:half]), Event(b"", act="close")]
        case "error_event":
            return [Event(error_body)]
        case "stall":
            return [Event(body.data[:half]), Event(b"", act="stall"), Event(body.data[half:], body.tokens)]
        case "malformed_json":
            return [Event(body.data[:half])]
        case "huge_event":
            return _swollen(body, fault.event_bytes)
        case _:
            return [body]
