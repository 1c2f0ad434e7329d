"""What responses say of rate limits, from their bytes."""

from __future__ import annotations

import math
from email.utils import format_datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.attempts.rate_limits import later, read_limits, retry_after_s, span_s
from harness.dialects.google_generate import read_error
from harness.sample import RateLimit
from harness.simulator.limits import Meter
from harness.simulator.refusals import duration, limit_headers
from harness.sockets.http_framing import Framing

NOW_S = 1_795_485_600.0  # 2026-11-24T02:00:00Z


def headers_of(*lines: str) -> dict[str, str]:
    """The headers as the transport reads them."""
    framing = Framing()
    framing.parse(
        "\r\n".join(["HTTP/1.1 429 Too Many Requests", *lines, "content-length: 0", "", ""]).encode("latin-1")
    )
    return framing.head.headers


def test_openai_tells_limits_and_spans() -> None:
    headers = headers_of(
        "x-ratelimit-limit-requests: 500",
        "x-ratelimit-limit-tokens: 30000",
        "x-ratelimit-remaining-requests: 499",
        "x-ratelimit-remaining-tokens: 29976",
        "x-ratelimit-reset-requests: 120ms",
        "x-ratelimit-reset-tokens: 6m0s",
    )
    assert read_limits(headers, NOW_S) == RateLimit(
        limit_requests=500,
        remaining_requests=499,
        reset_requests_s=0.12,
        limit_tokens=30000,
        remaining_tokens=29976,
        reset_tokens_s=360.0,
    )


def test_anthropic_tells_four_limits_and_moments_by_its_own_clock() -> None:
    lines = [
        f"Anthropic-Ratelimit-{name}-{kind}: {value}"
        for name, limit in (("Requests", 50), ("Tokens", 48000), ("Input-Tokens", 40000), ("Output-Tokens", 8000))
        for kind, value in (("Limit", limit), ("Remaining", limit - 1), ("Reset", "2026-11-24T02:00:07Z"))
    ]
    told = read_limits(headers_of(*lines), NOW_S)
    assert told is not None
    assert msgspec.structs.astuple(told) == (50, 49, 7.0, 48000, 47999, 7.0, 40000, 39999, 7.0, 8000, 7999, 7.0)
    skewed = read_limits(headers_of(*lines, "date: Tue, 24 Nov 2026 02:00:05 GMT"), NOW_S + 3600)
    assert skewed is not None
    assert skewed.reset_requests_s == 2.0


def test_jina_tells_what_remains() -> None:
    headers = headers_of("X-RateLimit-Remaining-Requests: 0", "X-RateLimit-Remaining-Tokens: 999000")
    assert read_limits(headers, NOW_S) == RateLimit(remaining_requests=0, remaining_tokens=999000)
    with_limit = headers_of("X-RateLimit-Limit-Requests: 500", "X-RateLimit-Remaining-Requests: 12")
    assert read_limits(with_limit, NOW_S) == RateLimit(limit_requests=500, remaining_requests=12)


def test_gemini_says_it_in_the_body() -> None:
    body = (
        b'{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED","details":'
        b'[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38s"}]}}'
    )
    assert read_error(body).retry_after_s == 38.0
    assert read_limits(headers_of("content-type: application/json"), NOW_S) is None


@pytest.mark.parametrize("nothing", ["0", "-1", "", "none"])
def test_a_limit_that_is_not_positive_says_nothing(nothing: str) -> None:
    lines = [f"x-ratelimit-limit-requests: {nothing}", "x-ratelimit-remaining-requests: 0"]
    assert read_limits(headers_of(*lines, "x-ratelimit-reset-requests: 0s"), NOW_S) is None
    tokens = headers_of(*lines, "x-ratelimit-limit-tokens: 10", "x-ratelimit-remaining-tokens: -1")
    assert read_limits(tokens, NOW_S) == RateLimit(limit_tokens=10)


@pytest.mark.parametrize(
    ("lines", "wait_s"),
    [
        (["retry-after: 20"], 20.0),
        (["retry-after: 1.5"], 1.5),
        (["retry-after: 20", "retry-after-ms: 812"], 0.812),
        (["retry-after: Tue, 24 Nov 2026 02:00:30 GMT"], 30.0),
        (["retry-after: Tue, 24 Nov 2026 02:00:30 GMT", "date: Tue, 24 Nov 2026 02:00:20 GMT"], 10.0),
        (["retry-after: Tue, 24 Nov 2026 01:00:00 GMT"], 0.0),
        (["retry-after: soon"], None),
        (["retry-after: -5"], None),
        ([], None),
    ],
)
def test_how_long_to_wait(lines: list[str], wait_s: float | None) -> None:
    assert retry_after_s(headers_of(*lines), NOW_S) == wait_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("6m0s", 360.0),
        ("7.66s", 7.66),
        ("1h30m0s", 5400.0),
        ("2m59.56s", 179.56),
        ("1d", 86400.0),
        ("59", 59.0),
        ("500us", 0.0005),
        *((text, None) for text in ("", "m", "-1s", "1e3s", "1741305600000")),
    ],
)
def test_spans(text: str, seconds: float | None) -> None:
    assert span_s(text) == (None if seconds is None else pytest.approx(seconds))


@given(st.floats(0, 1e6))
def test_a_span_that_a_provider_writes_is_read_to_a_millisecond(seconds: float) -> None:
    read = span_s(duration(seconds))
    assert read is not None
    assert read == pytest.approx(math.ceil(seconds * 1000) / 1000, abs=0.01, rel=1e-5)  # it writes six digits


@given(st.integers(1, 10**9), st.floats(0, 1), st.floats(0, 3600))
def test_what_the_simulated_providers_tell_is_read(limit: int, left: float, reset_s: float) -> None:
    meters = [Meter(name, limit, int(limit * left), reset_s) for name in ("requests", "tokens")]
    for family in ("openai", "jina"):
        headers = {name.lower(): value for name, value in limit_headers(family, meters)}
        told = read_limits(headers, NOW_S)
        assert told is not None
        assert (told.remaining_requests, told.remaining_tokens) == (int(limit * left), int(limit * left))
        assert told.limit_tokens == (limit if family == "openai" else None)


NAMES = [
    *(f"x-ratelimit-{kind}-{what}" for kind in ("limit", "remaining", "reset") for what in ("requests", "tokens")),
    *(f"anthropic-ratelimit-{what}-{kind}" for kind in ("limit", "reset") for what in ("tokens", "input-tokens")),
    *("retry-after", "retry-after-ms", "date"),
]
VALUES = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=40),
    st.integers().map(str),
    st.floats().map(str),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.datetimes().map(format_datetime),
    st.from_regex(r"[0-9]{1,20}(h|m|s|ms)([0-9]{1,3}s)?", fullmatch=True),
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES), st.floats(0, 1e10))
def test_hostile_headers_never_raise_and_never_tell_a_negative_number(headers: dict[str, str], wall_s: float) -> None:
    told = read_limits(headers, wall_s)
    wait_s = retry_after_s(headers, wall_s)
    values = [] if told is None else [value for value in msgspec.structs.astuple(told) if value is not None]
    assert told is None or values
    for value in [*values, *([] if wait_s is None else [wait_s])]:
        assert value >= 0
        assert math.isfinite(value)


def test_later_responses_replace_what_they_tell() -> None:
    first = RateLimit(limit_requests=10, remaining_requests=9)
    assert later(first, RateLimit(remaining_requests=8)) == RateLimit(limit_requests=10, remaining_requests=8)
    assert later(None, first) == later(first, None) == first
