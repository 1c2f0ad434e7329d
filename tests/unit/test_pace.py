"""Pacing by what a provider tells, and by its refusals."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.allowances.allowance import Ask, OwnLedger, Purse
from harness.allowances.pace import Heard, Pace, Told, paced_s
from harness.plan import Limits
from harness.sample import RateLimit
from harness.simulator.config import Limits as Allowed
from harness.simulator.limits import Limiter

PACED = {"t": Limits(pace=True)}


def test_headers_set_the_pace_just_under_the_limit() -> None:
    told = Told().after(RateLimit(limit_requests=600, limit_tokens=60_000))
    spacing = paced_s(100, told, None, 0.0)
    assert spacing["requests"] == pytest.approx(0.1 / 0.95)
    assert spacing["tokens"] == pytest.approx(0.1 / 0.95)
    assert paced_s(100, Told(), None, 0.0) == {}


def test_a_limit_of_a_day_is_not_taken_for_one_of_a_minute() -> None:
    """200 requests a day, one back every 432 s: 100 of them are used, so they are back in 43200 s."""
    told = Told().after(RateLimit(limit_requests=200, remaining_requests=100, reset_requests_s=43_200))
    assert told.requests_per_s == pytest.approx(200 / 86_400)


def test_where_only_the_rest_is_told_the_most_that_was_left_stands_for_the_limit() -> None:
    told = Told()
    for left in (499, 480, 450):
        told = told.after(RateLimit(remaining_requests=left))
    assert told.requests_per_s == pytest.approx(500 / 60)


def test_a_refusal_makes_all_wait_and_those_sent_before_it_teach_nothing_new() -> None:
    pace = Pace(held_s=0.0, until_s=0.0).refused(Heard(refused=True, age_s=0.1, wait_s=5.0), 10.0, 40)
    assert (pace.holds, pace.until_s) == (1, 15.0)
    assert pace.rate_per_s == pytest.approx(4.0 * 0.9)
    assert pace.refused(Heard(refused=True, age_s=2.0, wait_s=5.0), 10.5, 41) == pace
    assert pace.refused(Heard(refused=True, age_s=2.0, wait_s=60.0), 10.5, 41).until_s == 70.5
    grown = pace.allowed_per_s(25.0)
    assert grown == pytest.approx(pace.rate_per_s * 1.1 if pace.rate_per_s else None)


@given(st.integers(60, 3000), st.integers(1, 40), st.integers(1, 3))
def test_a_provider_without_headers_is_soon_asked_about_as_fast_as_it_allows(
    rpm: int, users: int, longest_wait_s: int
) -> None:
    """Simulated time: users who send when they may, against a bucket that was full; 50 ms a reply."""
    limiter, pace, now_s, next_s = Limiter(Allowed(rpm=rpm)), Pace(held_s=0.0, until_s=0.0), 0.0, 0.0
    accepted = 0
    outcomes: Counter[bool] = Counter()
    while now_s < 400:
        rate = pace.allowed_per_s(now_s)
        step_s = max(1 / rate if rate else 0.0, 0.05 / users)
        now_s = max(now_s, next_s)
        next_s = now_s + step_s
        refused = limiter.admit(1, 0, now_s) is not None
        if now_s > 200:
            outcomes[refused] += 1
        if refused:
            pace = pace.refused(Heard(refused=True, age_s=0.0, wait_s=longest_wait_s), now_s, accepted)
            next_s = pace.until_s
        else:
            accepted += 1
        now_s += 1e-6
    sent_per_minute = outcomes[False] / 200 * 60
    most = min(rpm, users / 0.05 * 60)
    assert sent_per_minute > 0.75 * most
    assert outcomes[True] < 0.1 * outcomes[False]


def test_turns_reserved_before_a_refusal_are_void() -> None:
    ledger = OwnLedger(PACED, Purse(), (0, 1))
    ask = Ask("t", 1, 0)
    ledger.hear("t", Heard(refused=False, age_s=0.0, limits=RateLimit(limit_requests=600)))
    waits_s = [ledger.turn(ask, 1e9) for _ in range(5)]
    assert waits_s[-1] == pytest.approx(0.4 / 0.95, abs=0.05)
    before = ledger.holds("t")
    ledger.hear("t", Heard(refused=True, age_s=0.0, wait_s=3.0))
    assert ledger.holds("t") == before + 1
    again_s = ledger.turn(ask, 1e9)
    assert again_s == pytest.approx(3.0, abs=0.1)
    assert ledger.turn(ask, 2.0) is None  # too late for one that may not wait so long


def test_a_worker_paces_its_own_part() -> None:
    ledger = OwnLedger(PACED, Purse(), (1, 4))
    ledger.hear("t", Heard(refused=False, age_s=0.0, limits=RateLimit(limit_requests=600)))
    assert ledger.turn(Ask("t", 1, 0), 1e9) == 0
    assert ledger.turn(Ask("t", 1, 0), 1e9) == pytest.approx(4 * 0.1 / 0.95, abs=0.02)


def test_nobody_waits_for_a_target_that_has_told_nothing() -> None:
    ledger = OwnLedger(PACED, Purse(), (0, 1))
    assert [ledger.turn(Ask("t", 1, 0), 0) for _ in range(100)] == [0] * 100
