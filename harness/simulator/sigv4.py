"""Checking a SigV4 signature, by AWS's description of it and not by the library that signs: each proves the other."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote

SCHEME = "AWS4-HMAC-SHA256"
_SKEW_S = 300
_PARTS = re.compile(
    SCHEME + r"\s+Credential=(?P<id>[^/,\s]+)/(?P<scope>[^,\s]+),\s*SignedHeaders=(?P<headers>[^,\s]+),"
    r"\s*Signature=(?P<signature>[0-9a-f]{64})"
)


def fault_in(method: str, target: str, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> str | None:
    """What is wrong with a request's signature, in AWS's words; None: it is good for one of the secrets. `target` is
    path and query as they were sent, names of headers are in lower case."""
    match = _PARTS.fullmatch(headers.get("authorization", "").strip())
    moment = headers.get("x-amz-date", "")
    if match is None or not re.fullmatch(r"\d{8}T\d{6}Z", moment):
        return "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters and X-Amz-Date."
    names = match["headers"].split(";")
    if "host" not in names or any(name not in headers for name in names):
        return "'Host' or a signed header is missing in the request."
    late_s = (datetime.now(UTC) - datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)).total_seconds()
    if abs(late_s) > _SKEW_S:
        when = "expired: {} is now earlier than" if late_s > 0 else "not yet current: {} is still later than"
        return f"Signature {when.format(moment)} the server's time by more than {_SKEW_S // 60} min."
    wanted = _to_sign(match["scope"], moment, _canonical(method, target, headers, names, body))
    if any(hmac.compare_digest(_signature(secret, match["scope"], wanted), match["signature"]) for secret in secrets):
        return None
    return "The request signature we calculated does not match the signature you provided."


def _canonical(method: str, target: str, headers: Mapping[str, str], names: list[str], body: bytes) -> str:
    path, _, query = target.partition("?")
    fields = sorted(tuple(field.partition("=")[::2]) for field in query.split("&") if field)
    pairs = [f"{quote(unquote(name), safe='-_.~')}={quote(unquote(value), safe='-_.~')}" for name, value in fields]
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in names]
    return "\n".join(
        [
            method,
            quote(path, safe="/-_.~"),  # of what is encoded already: every service but S3 wants it twice
            "&".join(pairs),
            *lines,
            "",
            ";".join(names),
            headers.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest(),
        ]
    )


def _to_sign(scope: str, moment: str, canonical: str) -> str:
    return "\n".join([SCHEME, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])


def _signature(secret: str, scope: str, wanted: str) -> str:
    key = b"AWS4" + secret.encode()
    for part in (*scope.split("/"), wanted):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()
