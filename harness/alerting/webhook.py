"""Webhooks: what is posted of an alert or a report, signed, in one request that no receiver can hold up for long."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache

import httpx
import msgspec

from harness import __version__
from harness.inputs.loopback import is_loopback
from harness.records.alert_record import AlertEvent, WebhookSink
from harness.rules.alert_file import fault_of_url

SIGNATURE = "X-Tokenswarm-Signature"
TIMESTAMP = "X-Tokenswarm-Timestamp"
_LONGEST_WAIT_S = 3600.0
_AGAIN = {408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524, 529}
_COLOURS = {"critical": "#c0392b", "warning": "#d68910", "info": "#2874a6"}
_GOOD = "#1e8449"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted. `kind` is `alert` (with `event`), `report` (with `html`, where it is attached) or `test`.
    `key` is the same whenever the same thing is posted again."""

    schema: int = 1
    kind: str
    key: str
    run: str
    text: str
    event: AlertEvent | None = None
    file: str | None = None
    html: str | None = None


@dataclass(frozen=True)
class Sent:
    """How an attempt to tell somebody ended. `again`: it may go better later, not before `wait_s` (None: not said)."""

    ok: bool
    again: bool = False
    wait_s: float | None = None
    said: str = ""


def notice_of(event: AlertEvent, run: str) -> Notice:
    """What is told of an alert."""
    place = " ".join(part for part in (event.rule, event.target, event.workload) if part)
    text = f"{event.state} {event.severity} {place}: {event.summary}"
    return Notice(kind="alert", key=event.key, run=run, text=text, event=event)


def body_of(notice: Notice, form: str) -> bytes:
    """The JSON of a notice: all of it (`plain`), or a message for Slack and what understands the same (`slack`)."""
    if form == "plain":
        return msgspec.json.encode(notice)
    event = notice.event
    text = _for_slack(notice.text)
    if event is None:
        return msgspec.json.encode({"text": text})
    colour = _GOOD if event.state == "resolved" else _COLOURS[event.severity]
    fields = [("Target", event.target), ("Workload", event.workload), ("Since", event.since_utc), ("Run", notice.run)]
    shown = [{"title": title, "value": _for_slack(value), "short": True} for title, value in fields if value]
    words = _for_slack(f"[{event.severity}] {event.rule} is {event.state}: {event.summary}")
    card = {"color": colour, "fallback": text, "fields": shown, "ts": int(event.at_wall_s)}
    return msgspec.json.encode({"text": words, "attachments": [card]})


def _for_slack(text: str) -> str:
    """Text in which nothing is markup: no mention, no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`v1=` and the HMAC-SHA256 (RFC 2104) in hex of the timestamp, a dot and the body, by the secret as UTF-8."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def unready(sink: WebhookSink) -> str | None:
    """Why nothing can be posted from this environment, without any secret; None: it can."""
    for name in (sink.url_env, sink.secret_env):
        if name is not None and not os.environ.get(name):
            return f"the environment variable {name} is not set"
    fault = fault_of_url(sink.url or os.environ[sink.url_env or ""])
    return None if fault is None else f"the URL in {sink.url_env or 'the rules'} {fault}"


def in_clear(sink: WebhookSink) -> str | None:
    """Where a URL that is a secret would be sent unencrypted to another machine, the warning; None: it would not."""
    url = os.environ.get(sink.url_env or "", "")
    told = url.lower().startswith("http:") and not is_loopback(url)
    return f"the URL in {sink.url_env} travels unencrypted to another machine: use https://" if told else None


def post(sink: WebhookSink, notice: Notice) -> Sent:
    """Post it once. Nothing is raised and no redirect followed; what is said never holds the URL or the secret."""
    fault = unready(sink)
    if fault is not None:
        return Sent(ok=False, again=True, said=fault)
    url = sink.url or os.environ[sink.url_env or ""]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"tokenswarm/{__version__}",
        "Idempotency-Key": notice.key,
        TIMESTAMP: str(int(time.time())),
    }
    body = body_of(notice, sink.format)
    if sink.secret_env is not None:
        headers[SIGNATURE] = signature(os.environ[sink.secret_env], headers[TIMESTAMP], body)
    return asyncio.run(_post(url, headers, body, sink.timeout_s))


async def _post(url: str, headers: dict[str, str], body: bytes, timeout_s: float) -> Sent:
    """One request, with a bound on all of it: a limit for each read would let a receiver drip bytes for ever."""
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, verify=_trusted()) as client,
            client.stream("POST", url, headers=headers, content=body) as response,
        ):
            return _read(response.status_code, response.headers.get("Retry-After"))
    except (TimeoutError, httpx.TimeoutException):
        return Sent(ok=False, again=True, said=f"no answer within {timeout_s:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Sent(ok=False, again=True, said=f"{type(error).__name__}: the receiver cannot be reached or understood")


@cache
def _trusted() -> ssl.SSLContext:
    """Whom to trust, read once: it takes longer than a request does."""
    return httpx.create_ssl_context()


def _read(status: int, retry_after: str | None) -> Sent:
    if 200 <= status < 300:
        return Sent(ok=True)
    if 300 <= status < 400:
        return Sent(ok=False, said=f"HTTP {status}: redirects are not followed")
    return Sent(ok=False, again=status in _AGAIN, wait_s=_wait_s(retry_after), said=f"HTTP {status}")


def _wait_s(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header (a number or a date), at most an hour. None: it says nothing."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), _LONGEST_WAIT_S)
    try:
        wait_s = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S)
