from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from harness.simulator.config import Fault
from harness.simulator.faults import chosen, is_active, strike_stream
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
    seen = Counter(fault and fault.kind for fault in (chosen(faults, draw / 1000, 0.0) for draw in range(1000)))
    assert seen == {"reset": 250, "stall": 500, None: 250}


@pytest.mark.parametrize(
    ("elapsed_s", "down"),
    [(0, False), (9.9, False), (10, True), (14.9, True), (15, False), (69, False), (70, True), (75, False)],
)
def test_an_outage_comes_and_goes(elapsed_s: float, *, down: bool) -> None:
    fault = Fault(kind="status_503", start_s=10, duration_s=5, every_s=60)
    assert is_active(fault, elapsed_s) is down
    assert (chosen([fault], 0.99, elapsed_s) is fault) is down


def test_probability_zero_never_strikes() -> None:
    assert chosen([Fault(kind="reset", probability=0.0)], 0.0, 0.0) is None
