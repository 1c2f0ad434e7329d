from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.simulator.config import Limits
from harness.simulator.limits import Limiter, Meter
from harness.simulator.refusals import duration, limit_headers


def test_a_burst_of_a_minute_is_let_through_then_a_steady_rate() -> None:
    limiter = Limiter(Limits(rpm=60))
    assert [limiter.admit(1, 0, 100.0) for _ in range(60)] == [None] * 60
    refused = limiter.admit(1, 0, 100.0)
    assert refused is not None and refused.name == "requests" and refused.limit == 60
    assert refused.wait_s == pytest.approx(1.0)
    assert limiter.admit(1, 0, 101.01) is None


def test_what_is_refused_costs_nothing() -> None:
    limiter = Limiter(Limits(rpm=10, tpm=100))
    assert limiter.admit(90, 0, 0.0) is None
    refused = limiter.admit(20, 0, 0.0)
    assert refused is not None and refused.name == "tokens"
    assert [meter.remaining for meter in limiter.meters(0.0)] == [9, 10]


def test_more_tokens_than_a_minute_holds_are_never_let_through() -> None:
    limiter = Limiter(Limits(tpm=100))
    refused = limiter.admit(101, 0, 0.0)
    assert refused is not None and refused.wait_s > 0


def test_concurrency_is_limited_by_itself() -> None:
    limiter = Limiter(Limits(concurrency=2))
    assert limiter.admit(1, 1, 0.0) is None
    refused = limiter.admit(1, 2, 0.0)
    assert refused is not None and refused.name == "concurrent requests"


def test_meters_say_when_a_bucket_is_full_again() -> None:
    limiter = Limiter(Limits(rpm=120))
    for _ in range(30):
        limiter.admit(1, 0, 5.0)
    assert limiter.meters(5.0) == [Meter("requests", 120, 90, 15.0)]
    assert limiter.meters(500.0) == [Meter("requests", 120, 120, 0.0)]


@given(
    rpm=st.integers(1, 200),
    gaps=st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=200),
)
def test_no_span_lets_through_more_than_a_bucket_and_its_refill(rpm: int, gaps: list[float]) -> None:
    limiter, now_s, admitted = Limiter(Limits(rpm=rpm)), 0.0, []
    for gap in gaps:
        now_s += gap
        if limiter.admit(1, 0, now_s) is None:
            admitted.append(now_s)
    for first, since_s in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= rpm * (1 + (admitted[last] - since_s) / 60) + 1e-6


@given(rpm=st.integers(1, 1000), drained=st.integers(0, 1000))
def test_waiting_as_long_as_told_is_enough(rpm: int, drained: int) -> None:
    limiter = Limiter(Limits(rpm=rpm))
    for _ in range(min(drained, rpm)):
        limiter.admit(1, 0, 0.0)
    refused = limiter.admit(1, 0, 0.0)
    if refused is not None:
        assert limiter.admit(1, 0, refused.wait_s + 1e-6) is None


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0ms"),
        (0.0115, "12ms"),
        (0.999, "999ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (360, "6m0s"),
        (61, "1m1s"),
        (3600, "1h0m0s"),
    ],
)
def test_openai_durations(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def test_each_provider_has_its_own_rate_limit_headers() -> None:
    meters = [Meter("requests", 60, 59, 1.0)]
    now = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert dict(limit_headers("openai", meters)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
    }
    assert dict(limit_headers("anthropic", meters, now)) == {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "59",
        "anthropic-ratelimit-requests-reset": "2030-01-02T03:04:06Z",
    }
    assert limit_headers("jina", meters) == [("X-RateLimit-Remaining-Requests", "59")]
    assert limit_headers("google", meters) == []
