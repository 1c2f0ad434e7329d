"""What a response says of rate limits: headers -> `RateLimit`, and how long to wait. Pure: the wall clock is given.

- OpenAI, and many who speak its protocol: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; a reset is a span
  such as `12ms` or `6m0s`.
- Anthropic: `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`; a reset is a
  moment (RFC 3339).
- Jina: OpenAI's names, as a rule only what remains. Azure: OpenAI's names.
- Mistral: `x-ratelimit-{limit,remaining}-{req,tokens}-minute`.
- Cohere, of trial keys: `x-trial-endpoint-call-{limit,remaining}`.
- Gemini: no headers. The delay stands in the body of a refusal, where its dialect reads it.

Some gateways fill in 0 or -1 where they know nothing: a limit that is not positive says nothing, nor do then its
remainder and its reset. Nothing here raises, whatever the headers hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import msgspec

from harness.sample import RateLimit

_MOST_S = 3.2e7  # a year; what lies further off is no span but a date in some other form
_OF_OPENAI = ("requests", "tokens")
_OF_ANTHROPIC = ("requests", "tokens", "input_tokens", "output_tokens")


def _names() -> dict[str, str]:
    """The field of a `RateLimit` by the name of the header."""
    found: dict[str, str] = {}
    for kind in ("limit", "remaining", "reset"):
        unit = "_s" if kind == "reset" else ""
        for what in _OF_OPENAI:
            found[f"x-ratelimit-{kind}-{what}"] = f"{kind}_{what}{unit}"
        for what in _OF_ANTHROPIC:
            found[f"anthropic-ratelimit-{what.replace('_', '-')}-{kind}"] = f"{kind}_{what}{unit}"
    for kind in ("limit", "remaining"):
        found[f"x-ratelimit-{kind}-req-minute"] = f"{kind}_requests"
        found[f"x-ratelimit-{kind}-tokens-minute"] = f"{kind}_tokens"
        found[f"x-trial-endpoint-call-{kind}"] = f"{kind}_requests"
    return found


_NAMES = _names()
_RESETS = frozenset(name for name in RateLimit.__struct_fields__ if name.startswith("reset"))


def read_limits(headers: Mapping[str, str], wall_s: float) -> RateLimit | None:
    """What the headers (names in lower case) tell; None: nothing. `wall_s`: now, in seconds since 1970; moments are
    taken by the `date` header instead where there is one, since the provider's clock may differ."""
    told = [name for name in headers if name in _NAMES]
    if not told:
        return None
    found: dict[str, Any] = {}
    unknown: set[str] = set()
    for name in told:
        field, text = _NAMES[name], headers[name]
        if field in _RESETS:
            found[field] = _reset_s(name, text, headers, wall_s)
            continue
        count = _count(text)
        found[field] = count
        if not count and field.startswith("limit"):
            unknown.add(field.removeprefix("limit"))
    for what in unknown:
        for field in (f"limit{what}", f"remaining{what}", f"reset{what}_s"):
            found[field] = None
    return RateLimit(**found) if any(each is not None for each in found.values()) else None


def retry_after_s(headers: Mapping[str, str], wall_s: float) -> float | None:
    """Seconds the provider asks to wait: `retry-after-ms`, or `retry-after` in seconds or as an HTTP date."""
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _SECONDS.match(milliseconds):
        return float(milliseconds) / 1000
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if _SECONDS.match(text):
        return float(text)
    return _until_s(_http_date_s(text), headers, wall_s)


_COUNT = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_SECONDS = re.compile(r"^\d{1,9}(\.\d{1,9})?$", re.ASCII)
_SPAN = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ns|us|ms|s|m|h|d))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)", re.ASCII)
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def _count(text: str) -> int | None:
    text = text.strip()
    return int(float(text)) if _COUNT.fullmatch(text) else None


def _reset_s(name: str, text: str, headers: Mapping[str, str], wall_s: float) -> float | None:
    if name.startswith("anthropic"):
        return _until_s(_moment_s(text), headers, wall_s)
    return span_s(text)


def span_s(text: str) -> float | None:
    """The seconds of a span such as `12ms`, `7.66s`, `6m0s` or `1h30m0s`; a bare number is one of seconds. None: it is
    none, or longer than a year."""
    text = text.strip()
    if len(text) > 60:
        return None
    if _SECONDS.match(text):
        seconds = float(text)
    elif _SPAN.fullmatch(text):
        seconds = sum(float(number) * _UNIT_S[unit] for number, unit in _PART.findall(text))
    else:
        return None
    return seconds if seconds <= _MOST_S else None


def _until_s(moment_s: float | None, headers: Mapping[str, str], wall_s: float) -> float | None:
    """From now until a moment: 0 when it is past."""
    if moment_s is None:
        return None
    date_s = _http_date_s(headers.get("date", ""))
    left_s = moment_s - (wall_s if date_s is None else date_s)
    return max(0.0, left_s) if left_s <= _MOST_S else None


@lru_cache(maxsize=64)
def _moment_s(text: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 moment, which names its offset."""
    try:
        moment = datetime.fromisoformat(text.strip()[:40])
        return None if moment.tzinfo is None else moment.timestamp()
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=64)
def _http_date_s(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date."""
    try:
        moment = parsedate_to_datetime(text[:60])
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def later(before: RateLimit | None, told: RateLimit | None) -> RateLimit | None:
    """What is known after one more response: field by field the newer word where there is one."""
    if before is None or told is None:
        return told or before
    newer = {name: value for name in told.__struct_fields__ if (value := getattr(told, name)) is not None}
    return msgspec.structs.replace(before, **newer)
