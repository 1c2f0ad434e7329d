from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pytest

from harness.simulator.config import Fault
from harness.simulator.faults import chosen, strike_stream, strike_whole
from harness.simulator.speech import Event

HEAD, TAIL = Event(b"head"), Event(b"tail")
CONTENT = [Event(b'{"a":%d}' % number, 1) for number in range(5)]


def _stream() -> Iterator[Event]:
    return iter([HEAD, *CONTENT, TAIL])


def _struck(fault: Fault, content_events: int = 5) -> list[Event]:
    return list(strike_stream(_stream(), fault, content_events, b"error"))


def test_faults_strike_after_the_content_events_they_were_told() -> None:
    assert _struck(Fault(kind="truncate", after_chunks=2)) == [HEAD, *CONTENT[:2]]
    assert _struck(Fault(kind="reset", after_chunks=2)) == [HEAD, *CONTENT[:2], Event(b"", act="reset")]
    assert _struck(Fault(kind="truncate_chunked", after_chunks=0)) == [HEAD, Event(b"", act="close")]
    assert _struck(Fault(kind="error_event", after_chunks=1)) == [HEAD, CONTENT[0], Event(b"error")]
    stalled = _struck(Fault(kind="stall", after_chunks=4))
    assert stalled == [HEAD, *CONTENT[:4], Event(b"", act="stall"), CONTENT[4], TAIL]


def test_a_short_reply_is_cut_too() -> None:
    assert _struck(Fault(kind="truncate", after_chunks=100)) == [HEAD, *CONTENT[:4]]


def test_a_malformed_event_keeps_its_line_end_but_not_its_json() -> None:
    events = _struck(Fault(kind="malformed_json", after_chunks=1))
    assert events[2] == Event(b"", 1), "its time passes, but it carries no content"
    assert events[3].data.startswith(b'{"broken') and events[3].data.endswith(b"\n\n") and events[3].tokens == 0
    assert events[:2] + events[4:] == [HEAD, CONTENT[0], *CONTENT[2:], TAIL]


@pytest.mark.parametrize("kind", ["slow", "html", "empty"])
def test_other_faults_leave_the_events_alone(kind: str) -> None:
    assert _struck(Fault(kind=kind)) == list(_stream())  # type: ignore[arg-type]


def test_faults_share_one_draw_by_their_probabilities() -> None:
    faults = [Fault(kind="reset", probability=0.25), Fault(kind="stall", probability=0.5)]
    seen = Counter(fault and fault.kind for fault in (chosen(faults, draw / 1000) for draw in range(1000)))
    assert seen == {"reset": 250, "stall": 500, None: 250}


def test_where_faults_overlap_the_first_strikes() -> None:
    first, second = Fault(kind="reset"), Fault(kind="stall")
    assert chosen([first, second], 0.99) is first
    assert chosen([], 0.0) is None


@pytest.mark.parametrize("size", [100, 65_536, 200_001])
def test_a_huge_event_has_its_size_and_is_still_legal(size: int) -> None:
    event = Event(b'event: delta\ndata: {"a":1}\n\n', 1)
    fault = Fault(kind="huge_event", after_chunks=0, event_bytes=size)
    data = b"".join(piece.data for piece in strike_stream(iter([event, TAIL]), fault, 1, b""))
    assert len(data) == size + len(TAIL.data)
    assert data.replace(b" ", b"") == (event.data + TAIL.data).replace(b" ", b"")
    assert json.loads(data.split(b"data:")[1].split(b"\n")[0]) == {"a": 1}
    assert json.loads(b"".join(piece.data for piece in strike_whole(CONTENT[0], fault, b""))) == {"a": 0}


def test_a_huge_event_may_never_end() -> None:
    endless = strike_stream(iter([CONTENT[0]]), Fault(kind="huge_event", after_chunks=0), 1, b"")
    assert sum(len(event.data) for event in islice(endless, 1000)) > 60_000_000


def test_probability_zero_never_strikes() -> None:
    assert chosen([Fault(kind="reset", probability=0.0)], 0.0) is None
