"""The one error taxonomy: what went wrong with an attempt, and the errors this program raises itself.

An attempt's failure is data: an `ErrorKind`, which belongs to one `ErrorClass`. A user's mistake is a
`UsageFault`: place, value, rule, and a hint. Provider failures (those that count for reliability) are the
classes server, transport and stream; throttling, client and content errors are reported apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

# What msgspec raises on bytes that are not the wanted record; text that is not UTF-8 and deep nesting are the last two.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class ErrorClass(StrEnum):
    """Who or what is at fault, in the words of the metrics page."""

    CLIENT = "client"
    THROTTLED = "throttled"
    SERVER = "server"
    TRANSPORT = "transport"
    STREAM = "stream"
    CONTENT = "content"


class ErrorKind(StrEnum):
    """The cause of a failed attempt; `CLASS_OF` gives its class."""

    AUTH = "auth"  # 401, 403: key missing, wrong or without permission
    BILLING = "billing"  # 402 and bodies that speak of an empty balance
    NOT_FOUND = "not_found"  # 404: path or model
    CLOCK = "clock"  # a signature that is too old or not valid yet: this machine's clock is wrong
    BAD_REQUEST = "bad_request"  # every other 4xx
    REDIRECT = "redirect"  # 3xx: never followed, since a key would travel with it
    RATE_LIMIT = "rate_limit"  # 429, or a body of that type
    QUOTA = "quota"  # a refusal that a short wait will not cure: plan, balance or the share of a day used up
    OVERLOADED = "overloaded"  # 503, 529, Groq's 498, or a body of that type
    SERVER_ERROR = "server_error"  # every other 5xx; 408, 409, 424, 499 (what stands behind it failed or gave up)
    DNS = "dns"  # the host's name could not be resolved
    CONNECT = "connect"  # no connection: refused, or no way there
    CONNECT_TIMEOUT = "connect_timeout"  # no connection in time
    TLS = "tls"  # no encrypted connection: the certificate or the handshake was not accepted
    RESET = "reset"  # connection reset, or closed before any byte of the response
    READ_TIMEOUT = "read_timeout"  # no byte of the response in time
    TOTAL_TIMEOUT = "total_timeout"  # the whole attempt took too long
    PROTOCOL = "protocol"  # what came back is not HTTP/1.1
    STREAM_ERROR = "stream_error"  # an error event after status 200
    TRUNCATED = "truncated"  # the body or the stream stopped without its end marker
    STALLED = "stalled"  # the stream began, then no byte for the read timeout
    MISMATCHED = "mismatched"  # a whole reply, but to another request
    MALFORMED = "malformed"  # bytes that are not what the dialect speaks, such as HTML
    EMPTY = "empty"  # a complete reply without any content
    REFUSED = "refused"  # the provider declined or blocked the prompt


CLASS_OF: dict[ErrorKind, ErrorClass] = {
    ErrorKind.AUTH: ErrorClass.CLIENT,
    ErrorKind.BILLING: ErrorClass.CLIENT,
    ErrorKind.NOT_FOUND: ErrorClass.CLIENT,
    ErrorKind.CLOCK: ErrorClass.CLIENT,
    ErrorKind.BAD_REQUEST: ErrorClass.CLIENT,
    ErrorKind.REDIRECT: ErrorClass.CLIENT,
    ErrorKind.RATE_LIMIT: ErrorClass.THROTTLED,
    ErrorKind.QUOTA: ErrorClass.THROTTLED,
    ErrorKind.OVERLOADED: ErrorClass.SERVER,
    ErrorKind.SERVER_ERROR: ErrorClass.SERVER,
    ErrorKind.DNS: ErrorClass.TRANSPORT,
    ErrorKind.CONNECT: ErrorClass.TRANSPORT,
    ErrorKind.CONNECT_TIMEOUT: ErrorClass.TRANSPORT,
    ErrorKind.TLS: ErrorClass.TRANSPORT,
    ErrorKind.RESET: ErrorClass.TRANSPORT,
    ErrorKind.READ_TIMEOUT: ErrorClass.TRANSPORT,
    ErrorKind.TOTAL_TIMEOUT: ErrorClass.TRANSPORT,
    ErrorKind.PROTOCOL: ErrorClass.TRANSPORT,
    ErrorKind.STREAM_ERROR: ErrorClass.STREAM,
    ErrorKind.TRUNCATED: ErrorClass.STREAM,
    ErrorKind.STALLED: ErrorClass.STREAM,
    ErrorKind.MISMATCHED: ErrorClass.STREAM,
    ErrorKind.MALFORMED: ErrorClass.STREAM,
    ErrorKind.EMPTY: ErrorClass.CONTENT,
    ErrorKind.REFUSED: ErrorClass.CONTENT,
}

PROVIDER_FAILURES = frozenset({ErrorClass.SERVER, ErrorClass.TRANSPORT, ErrorClass.STREAM})

_QUOTA_WORDS = (
    *("insufficient_quota", "quota_exceeded", "quotaexceeded", "billing_hard_limit", "spend_limit"),
    *("usage_limit", "perday", "per_month"),
)
_BILLING_WORDS = ("billing", "_balance", "current_quota", "payment_instrument")
_THROTTLE_WORDS = ("rate_limit", "resource_exhausted", "too_many_requests", "throttl", "ramp_limit")
_OVERLOAD_WORDS = ("overloaded", "unavailable", "server_is_busy")
_NOT_READY_WORDS = ("modelnotready",)  # AWS: a 429 that no lower rate cures
_REFUSAL_WORDS = ("content_filter", "responsibleaipolicy", "content_policy", "policy_violation", "bio_policy")
_REFUSED_PROMPT = "invalid_prompt"  # OpenAI: a prompt that was flagged
_FILTER_FAILED = "content_filter_error"  # Azure: the filter itself did not work
_CLOCK_WORDS = ("requesttimetooskewed", "requestexpired")
_AUTH_WORDS = (
    *("authentication", "permission", "unauthenticated", "invalid_api_key", "api_key_invalid", "auth_"),
    "notauthorized",  # AWS
)


def classify(status: int | None, error_type: str = "") -> ErrorKind | None:
    """Return the kind of error of a response, or None for a success (2xx without an error body).

    `status` is the HTTP status (None: an error event inside a stream that began with 200); `error_type` is
    the provider's own machine-readable type or code, such as `overloaded_error`, "" when there is none.
    Exceptions are not classified here: the transport names their kind where it raises them.
    """
    word = error_type.lower()
    if status is None:
        return _kind_within_a_stream(word)
    if 200 <= status < 300:
        return None
    if status < 400:
        return ErrorKind.REDIRECT
    return _kind_of_failed_status(status, word)


def _kind_within_a_stream(word: str) -> ErrorKind:
    if _refused(word):
        return ErrorKind.REFUSED
    if _has(word, _QUOTA_WORDS + _BILLING_WORDS):
        return ErrorKind.QUOTA
    return ErrorKind.RATE_LIMIT if _has(word, _THROTTLE_WORDS) else ErrorKind.STREAM_ERROR


def _kind_of_failed_status(status: int, word: str) -> ErrorKind:
    if _has(word, _CLOCK_WORDS):
        return ErrorKind.CLOCK
    if status == 429:
        return _kind_of_429(word)
    if status == 400 and _has(word, _QUOTA_WORDS):
        return ErrorKind.QUOTA
    if status == 400 and _has(word, _THROTTLE_WORDS):
        return ErrorKind.RATE_LIMIT
    if status >= 500:
        if _has(word, _THROTTLE_WORDS):
            return ErrorKind.RATE_LIMIT
        overloaded = status in (503, 529) or _has(word, _OVERLOAD_WORDS)
        return ErrorKind.OVERLOADED if overloaded else ErrorKind.SERVER_ERROR
    if status == 498:  # Groq has no capacity left, and says a type; Cohere, who says none, met a forbidden token
        return ErrorKind.OVERLOADED if word else ErrorKind.REFUSED
    if status in (408, 409, 424, 499):
        return ErrorKind.SERVER_ERROR
    return _kind_of_what_was_asked(status, word)


def _kind_of_429(word: str) -> ErrorKind:
    if _has(word, _NOT_READY_WORDS):
        return ErrorKind.OVERLOADED
    return ErrorKind.QUOTA if _has(word, _QUOTA_WORDS + _BILLING_WORDS) else ErrorKind.RATE_LIMIT


def _kind_of_what_was_asked(status: int, word: str) -> ErrorKind:
    """What is wrong with a request, or with the account that it came from."""
    if status == 400 and _refused(word):
        return ErrorKind.REFUSED
    if status == 402 or (status in (400, 403) and _has(word, _BILLING_WORDS)):
        return ErrorKind.BILLING
    if status in (401, 403) or _has(word, _AUTH_WORDS):
        return ErrorKind.AUTH
    return ErrorKind.NOT_FOUND if status == 404 else ErrorKind.BAD_REQUEST


def _refused(word: str) -> bool:
    return word == _REFUSED_PROMPT or (_has(word, _REFUSAL_WORDS) and word != _FILTER_FAILED)


def _has(word: str, parts: tuple[str, ...]) -> bool:
    return any(part in word for part in parts)


class UsageFault(Exception):  # noqa: N818  (it is the user's fault, not an error of the program)
    """Bad usage, plan or input: one line saying place, value and rule, and one saying what to do.

    The command line prints `error: MESSAGE`, then `hint: HINT`, and exits 2.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def said_fault(lines: Sequence[str], message: str, hint: str) -> UsageFault:
    """The first UsageFault that a program of this project printed; of what it did not print, what is given."""
    return UsageFault(_after("error:", lines, message), _after("hint:", lines, hint))


def _after(word: str, lines: Sequence[str], otherwise: str) -> str:
    return next((line.removeprefix(f"{word} ") for line in lines if line.startswith(word)), otherwise)
