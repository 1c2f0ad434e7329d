from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.sockets.held import MAX_HELD_BYTES, MAX_RESPONSE_BYTES, STEP_BYTES, Hold


@contextmanager
def holds(number: int) -> Iterator[list[Hold]]:
    made = [Hold() for _ in range(number)]
    try:
        yield made
    finally:
        for hold in made:
            hold.release()


def test_a_response_may_hold_so_much_and_no_more() -> None:
    with holds(1) as (hold,):
        assert hold.allowed == STEP_BYTES
        assert hold.more(STEP_BYTES + 1) is None
        assert hold.allowed == 2 * STEP_BYTES
        assert hold.more(MAX_RESPONSE_BYTES) is None
        assert "more than 67108864 bytes" in str(hold.more(MAX_RESPONSE_BYTES + 1))


def test_a_bound_below_the_first_step_stands() -> None:
    hold = Hold(1000)
    assert hold.allowed == 1000
    assert hold.more(1000) is None
    assert "more than 1000 bytes" in str(hold.more(1001))
    assert Hold.granted_to_all == 0


def test_all_responses_share_what_there_is_and_give_it_back() -> None:
    with holds(100) as made:
        refused = [hold.more(MAX_RESPONSE_BYTES) for hold in made]
        assert Hold.granted_to_all <= MAX_HELD_BYTES
        assert 0 < sum(why is None for why in refused) < 100
        assert "while others hold" in str(refused[-1])
        made[0].release()
        assert made[-1].more(2 * STEP_BYTES) is None
    assert Hold.granted_to_all == 0
