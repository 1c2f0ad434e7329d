"""How each provider says no: status, headers and body; and the rate-limit headers of every reply."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Literal

from harness.simulator.limits import Meter
from harness.simulator.speech import Family, encode

Headers = list[tuple[str, str]]
Cause = Literal[
    "bad_request", "auth", "not_found", "method", "too_large", "rate_limit", "server_error", "unavailable", "overloaded"
]

STATUS: dict[Cause, int] = {
    "bad_request": 400,
    "auth": 401,
    "not_found": 404,
    "method": 405,
    "too_large": 413,
    "rate_limit": 429,
    "server_error": 500,
    "unavailable": 503,
    "overloaded": 529,
}


_OTHER_STATUS: dict[tuple[Family, Cause], int] = {
    ("aws", "auth"): 403,
    ("mistral", "bad_request"): 422,
    ("infinity", "bad_request"): 422,
}


class Denied(Exception):  # noqa: N818  (an answer, not an error)
    """The request is turned away."""

    def __init__(self, cause: Cause, message: str, wait_s: float = 1.0, limit: str = "requests") -> None:
        super().__init__(message)
        self.cause, self.message, self.wait_s, self.limit = cause, message, wait_s, limit


@dataclass(frozen=True)
class Refusal:
    """An error reply."""

    status: int
    headers: Headers
    body: bytes


def refusal(
    family: Family, cause: Cause, message: str, request_id: str, wait_s: float = 1.0, limit: str = "requests"
) -> Refusal:
    """What `family` answers for `cause`. Rate limits also say which `limit` it was, and to wait `wait_s`."""
    status = STATUS[cause]
    if (family, cause) in _OTHER_STATUS:
        status = _OTHER_STATUS[family, cause]
    headers = _retry_headers(family, wait_s) if cause == "rate_limit" else []
    if family == "aws":
        headers = [("x-amzn-errortype", f"{_aws_type(cause, message)}:http://internal.amazon.com/coral/")]
    if family == "tei" and cause == "bad_request":
        status = _TEI_STATUS[_tei_type(cause, status, message)]
    body = _BODIES[family](cause, status, message, request_id, wait_s, limit)
    return Refusal(status, headers, encode(body) if body else b"")


def _retry_headers(family: Family, wait_s: float) -> Headers:
    if family in ("google", "ollama", "tei", "infinity"):  # Gemini says it in the body, the others do not
        return []
    exact = [("retry-after-ms", str(ceil(wait_s * 1000)))] if family in ("openai", "azure") else []
    return [("retry-after", str(max(1, ceil(wait_s)))), *exact]


def _openai(cause: Cause, _status: int, message: str, _id: str, _wait_s: float, limit: str) -> dict[str, Any]:
    kinds: dict[Cause, tuple[str, str | None]] = {
        "auth": ("invalid_request_error", "invalid_api_key"),
        "not_found": ("invalid_request_error", "unknown_url"),
        "rate_limit": (limit, "rate_limit_exceeded"),
        "server_error": ("server_error", None),
        "unavailable": ("service_unavailable_error", "server_is_overloaded"),
        "overloaded": ("service_unavailable_error", "server_is_overloaded"),
    }
    kind, code = kinds.get(cause, ("invalid_request_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _anthropic(
    cause: Cause, _status: int, message: str, request_id: str, _wait_s: float, _limit: str
) -> dict[str, Any]:
    kinds: dict[Cause, str] = {
        "auth": "authentication_error",
        "not_found": "not_found_error",
        "too_large": "request_too_large",
        "rate_limit": "rate_limit_error",
        "server_error": "api_error",
        "unavailable": "api_error",
        "overloaded": "overloaded_error",
    }
    error = {"type": kinds.get(cause, "invalid_request_error"), "message": message}
    return {"type": "error", "error": error, "request_id": request_id}


def _google(cause: Cause, status: int, message: str, _id: str, wait_s: float, _limit: str) -> dict[str, Any]:
    kinds: dict[Cause, str] = {
        "auth": "UNAUTHENTICATED",
        "not_found": "NOT_FOUND",
        "rate_limit": "RESOURCE_EXHAUSTED",
        "server_error": "INTERNAL",
        "unavailable": "UNAVAILABLE",
        "overloaded": "UNAVAILABLE",
    }
    error: dict[str, Any] = {"code": status, "message": message, "status": kinds.get(cause, "INVALID_ARGUMENT")}
    if cause == "rate_limit":
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{max(1, ceil(wait_s))}s"}
        error["details"] = [retry]
    if cause == "auth":
        reason = {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **reason}]
    return {"error": error}


def _jina(cause: Cause, _status: int, message: str, _id: str, _wait_s: float, _limit: str) -> dict[str, Any]:
    codes: dict[Cause, str] = {
        "auth": "AUTH_INVALID_API_KEY",
        "not_found": "RESOURCE_NOT_FOUND",
        "rate_limit": "RATE_LIMIT_EXCEEDED",
        "server_error": "INTERNAL_ERROR",
        "unavailable": "SERVICE_UNAVAILABLE",
        "overloaded": "SERVICE_UNAVAILABLE",
    }
    return {"detail": f"[{codes.get(cause, 'VALIDATION_ERROR')}] {message}"}


def _azure(cause: Cause, status: int, message: str, _id: str, _wait_s: float, _limit: str) -> dict[str, Any]:
    codes: dict[Cause, str] = {"bad_request": "BadRequest", "not_found": "DeploymentNotFound"}
    return {"error": {"code": codes.get(cause, str(status)), "message": message}}


def _aws_type(cause: Cause, message: str) -> str:
    kinds: dict[Cause, str] = {
        "auth": "InvalidSignatureException" if "ignature" in message else "UnrecognizedClientException",
        "not_found": "ResourceNotFoundException",
        "rate_limit": "ThrottlingException",
        "server_error": "InternalServerException",
        "unavailable": "ServiceUnavailableException",
        "overloaded": "ServiceUnavailableException",
    }
    return kinds.get(cause, "ValidationException")


def _message_alone(_cause: Cause, _status: int, message: str, _id: str, _wait_s: float, _limit: str) -> dict[str, Any]:
    return {"message": message}


def _mistral(cause: Cause, status: int, message: str, _id: str, _wait_s: float, _limit: str) -> dict[str, Any]:
    if cause == "auth":
        return {"detail": "Unauthorized"}
    kinds: dict[Cause, str] = {"rate_limit": "rate_limited", "bad_request": "invalid_request_error"}
    kind = kinds.get(cause, "internal_server_error" if status >= 500 else "invalid_request_error")
    return {"object": "error", "message": message, "type": kind, "param": None, "code": "1300"}


def _text_error(_cause: Cause, _status: int, message: str, _id: str, _wait_s: float, _limit: str) -> dict[str, Any]:
    return {"error": message}


def _infinity(cause: Cause, status: int, message: str, _id: str, _wait_s: float, _limit: str) -> dict[str, Any]:
    """What FastAPI itself refuses has its shape; the others have OpenAI's."""
    plain: dict[Cause, str] = {"auth": "Unauthorized", "not_found": "Not Found", "method": "Method Not Allowed"}
    if cause in plain:
        return {"detail": plain[cause]}
    if cause == "bad_request":
        return {"detail": [{"type": "value_error", "loc": ["body"], "msg": message, "input": None}]}
    return {"error": {"message": message, "type": None, "param": None, "code": status}}


_TEI_STATUS = {"Validation": 413, "Empty": 400, "Tokenizer": 422}


def _tei_type(cause: Cause, status: int, message: str) -> str:
    if cause == "bad_request":
        return "Empty" if "empty" in message else "Validation" if "batch size" in message else "Tokenizer"
    kinds: dict[Cause, str] = {"rate_limit": "Overloaded", "unavailable": "Unhealthy", "overloaded": "Overloaded"}
    return kinds.get(cause, "Backend" if status >= 500 else "Validation")


def _tei(cause: Cause, status: int, message: str, _id: str, _wait_s: float, _limit: str) -> dict[str, Any]:
    return {} if cause == "auth" else {"error": message, "error_type": _tei_type(cause, status, message)}


_BODIES: dict[Family, Callable[[Cause, int, str, str, float, str], dict[str, Any]]] = {
    "openai": _openai,
    "azure": _azure,
    "anthropic": _anthropic,
    "aws": _message_alone,
    "google": _google,
    "cohere": _message_alone,
    "mistral": _mistral,
    "ollama": _text_error,
    "jina": _jina,
    "infinity": _infinity,
    "tei": _tei,
}


def limit_headers(family: Family, meters: Iterable[Meter], wall: datetime | None = None) -> Headers:
    """The state of the rate limits in the provider's own headers; Gemini has none. `wall` is now, in UTC."""
    if family in ("openai", "azure"):
        return [pair for meter in meters for pair in _openai_limits(meter)]
    if family == "mistral":
        return [pair for meter in meters for pair in _mistral_limits(meter)]
    if family == "cohere":
        return [pair for meter in meters if meter.name == "requests" for pair in _cohere_limits(meter)]
    if family == "anthropic":
        now = wall or datetime.now(UTC)
        return [pair for meter in meters for pair in _anthropic_limits(meter, now)]
    if family == "jina":
        return [(f"X-RateLimit-Remaining-{meter.name.title()}", str(meter.remaining)) for meter in meters]
    return []


def _openai_limits(meter: Meter) -> Headers:
    return [
        (f"x-ratelimit-limit-{meter.name}", str(meter.limit)),
        (f"x-ratelimit-remaining-{meter.name}", str(meter.remaining)),
        (f"x-ratelimit-reset-{meter.name}", duration(meter.reset_s)),
    ]


def _mistral_limits(meter: Meter) -> Headers:
    name = "req" if meter.name == "requests" else meter.name
    return [
        (f"x-ratelimit-limit-{name}-minute", str(meter.limit)),
        (f"x-ratelimit-remaining-{name}-minute", str(meter.remaining)),
    ]


def _cohere_limits(meter: Meter) -> Headers:
    """Told of trial keys only."""
    return [
        ("x-trial-endpoint-call-limit", str(meter.limit)),
        ("x-trial-endpoint-call-remaining", str(meter.remaining)),
    ]


def _anthropic_limits(meter: Meter, now: datetime) -> Headers:
    reset = (now + timedelta(seconds=ceil(meter.reset_s))).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = f"anthropic-ratelimit-{meter.name}"
    return [(f"{head}-limit", str(meter.limit)), (f"{head}-remaining", str(meter.remaining)), (f"{head}-reset", reset)]


def duration(seconds: float) -> str:
    """A duration as OpenAI writes it: `12ms`, `1.5s`, `6m0s`, `1h0m0s`."""
    total_ms = ceil(seconds * 1000)
    if total_ms < 1000:
        return f"{total_ms}ms"
    minutes, ms = divmod(total_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    hour_part = f"{hours}h" if hours else ""
    minute_part = f"{minutes}m" if hours or minutes else ""
    return f"{hour_part}{minute_part}{ms / 1000:g}s"


def service_headers(family: Family, request_id: str, busy_ms: int) -> Headers:
    """The request's id, and how long the server worked on it, where the provider says so."""
    names = {
        "anthropic": "request-id",
        "azure": "apim-request-id",
        "aws": "x-amzn-requestid",
        "cohere": "x-debug-trace-id",
        "mistral": "mistral-correlation-id",
    }
    name = names.get(family, "x-request-id")
    timing = {"openai": "openai-processing-ms", "anthropic": "x-envoy-upstream-service-time"}.get(family)
    return [(name, request_id), *([(timing, str(busy_ms))] if timing else [])]
