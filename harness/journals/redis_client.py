"""The URL of Redis: a client of it, and what may be shown of it and of its faults, since it may hold a password."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.errors import UsageFault
from harness.inputs.loopback import is_loopback
from harness.inputs.secrecy import hidden, holds_key

REDIS_URL = "TOKENSWARM_REDIS"  # the environment variable: a URL with a password does not belong into a process list
TIMEOUT_S = 5.0
UNCLEAR = "***"
_DATABASE = re.compile(r"/?\d{0,9}")


def redacted_url(url: str) -> str:
    """A Redis URL as it may be shown: no user, password or option, and nothing at all where it is unclear which is
    which."""
    try:
        parts = urlsplit(url)
        unclear = parts.scheme not in ("redis", "rediss", "unix") or parts.port == 0
    except ValueError:
        return UNCLEAR
    if unclear or "@" in parts.path + parts.query + parts.fragment:
        return UNCLEAR
    user, at, host = parts.netloc.rpartition("@")
    if parts.scheme != "unix" and (holds_key(host) or not _DATABASE.fullmatch(parts.path)):
        return UNCLEAR  # a password where a host or a number belongs
    return f"{parts.scheme}://{'***@' * bool(user or at)}{host}{parts.path}{'?***' * bool(parts.query)}"


def told(error: Exception, client: redis.Redis) -> str:
    """What Redis, or the way to it, says of a fault. A server that knows no AUTH repeats the password."""
    given = client.connection_pool.connection_kwargs
    return hidden(str(error), [given[name] for name in ("password", "username") if given.get(name)])


def in_words(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The URL that `--redis` names among a command's words, if it holds a user or password, and the words without
    it."""
    found, rest = None, list[str]()
    left = iter(words)
    for word in left:
        option, equals, url = word.partition("=")
        if option != "--redis":
            rest.append(word)
        else:
            found = url if equals else next(left, None)
    secret = found is not None and ("@" in found or "?" in found)
    return (found, rest) if secret else (None, list(words))


def in_clear(url: str) -> bool:
    """Whether the password of a Redis URL, which is one, would be sent unencrypted to another machine."""
    with connect(url) as client:
        given = client.connection_pool.connection_kwargs
    return url.startswith("redis:") and bool(given.get("password")) and not is_loopback(f"http://{_host(given)}")


def _host(given: dict[str, Any]) -> str:
    host = str(given.get("host", "localhost"))
    return f"[{host}]" if ":" in host else host


def connect(url: str, timeout_s: float = TIMEOUT_S) -> redis.Redis:
    """A client that waits no longer than `timeout_s` for anything and never retries by itself. Connects when it is
    first used. Raises UsageFault for what is no Redis URL."""
    shown = redacted_url(url)
    try:
        if shown == UNCLEAR:
            raise ValueError  # noqa: TRY301
        verified: dict[str, Any] = {"ssl_check_hostname": True} if url.startswith("rediss:") else {}
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            **verified,
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # an unknown option would be found at the first use only
    except (ValueError, TypeError, redis.RedisError):
        hint = "redis://[USER:PASSWORD@]HOST:PORT[/DB], rediss:// for TLS; special characters of a password as %XX"
        raise UsageFault(f"redis: {shown}: this is no Redis URL", hint) from None
    return client


def check_redis(url: str) -> None:
    """Whether Redis answers, to be asked before a run. Raises UsageFault."""
    with connect(url) as client:
        try:
            client.ping()
        except redis.RedisError as error:
            message = f"redis: {redacted_url(url)}: does not answer: {type(error).__name__}: {told(error, client)}"
            raise UsageFault(message, "start Redis, or correct the URL, user and password") from None
