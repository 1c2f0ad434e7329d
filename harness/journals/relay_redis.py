"""The Redis of a relay: how it is reached, how its URL may be shown, and what stands in it of a run.

- `tokenswarm:RUN:journal`, a stream of {worker, journal, offset, data}: whole lines from byte `offset` of a journal.
  `journal` is the identity of the file, so that two journals of workers with one name are never spliced.
- `tokenswarm:RUN:sent`, a hash, WORKER:JOURNAL -> up to which byte it was put into the stream; written with the entry.
- `tokenswarm:RUN:acked`, a hash, WORKER:JOURNAL -> "SIZE ASKS": how much stands in the copy, and a count that
  rises when bytes beyond SIZE were sent and lost. It is written again every second.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.errors import UsageFault

REDIS_URL = "TOKENSWARM_REDIS"  # the environment variable: a URL with a password does not belong into a process list
TTL_S = 7 * 24 * 3600
TIMEOUT_S = 5.0
_UNCLEAR = "***"


@dataclass(frozen=True)
class Keys:
    """The names in Redis of one run."""

    journal: str
    sent: str
    acked: str


def keys_of(run: str) -> Keys:
    """The names in Redis of a run."""
    return Keys(*(f"tokenswarm:{run}:{part}" for part in ("journal", "sent", "acked")))


def redacted_url(url: str) -> str:
    """A Redis URL as it may be shown: no user, password or option, and nothing at all where it is unclear which is
    which."""
    try:
        parts = urlsplit(url)
        unclear = parts.scheme not in ("redis", "rediss", "unix") or parts.port == 0
    except ValueError:
        return _UNCLEAR
    if unclear or "@" in parts.path + parts.query + parts.fragment:
        return _UNCLEAR
    user, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{'***@' * bool(user or at)}{host}{parts.path}{'?***' * bool(parts.query)}"


def connect(url: str, timeout_s: float = TIMEOUT_S) -> redis.Redis:
    """A client that waits no longer than `timeout_s` for anything and never retries by itself. Connects when it is
    first used. Raises UsageFault for what is no Redis URL."""
    shown = redacted_url(url)
    try:
        if shown == _UNCLEAR:
            raise ValueError  # noqa: TRY301
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
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
            message = f"redis: {redacted_url(url)}: does not answer: {type(error).__name__}: {error}"
            raise UsageFault(message, "start Redis, or correct the URL, user and password") from None
