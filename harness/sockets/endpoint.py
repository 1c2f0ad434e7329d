"""Where a target listens, and a socket connected to it."""

from __future__ import annotations

import errno
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import gevent.socket
from gevent.monkey import get_original

from harness.errors import ErrorKind

_getaddrinfo = get_original("socket", "getaddrinfo")


class Endpoint(NamedTuple):
    """Where a target listens: what a base URL says of the connection."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@lru_cache(maxsize=1024)
def endpoint_of(url: str) -> Endpoint:
    """The endpoint of an http:// or https:// URL."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    return Endpoint(parts.hostname or "", parts.port or (443 if tls else 80), tls)


def connected(endpoint: Endpoint) -> Any:
    """A connected socket of gevent's. What is an address already is not sent through a thread to be resolved."""
    host, port = endpoint.host, endpoint.port
    try:
        found = _getaddrinfo(host, port, type=gevent.socket.SOCK_STREAM, flags=gevent.socket.AI_NUMERICHOST)
    except gevent.socket.gaierror:
        return gevent.socket.create_connection((host, port))
    family, kind, protocol, _, address = found[0]
    plain = gevent.socket.socket(family, kind, protocol)
    try:
        plain.connect(address)
    except BaseException:
        plain.close()
        raise
    return plain


def kind_of_connect(error: OSError) -> ErrorKind:
    """The kind of a connection that was not made."""
    if error.errno == errno.ECONNRESET:
        return ErrorKind.RESET
    return ErrorKind.CONNECT_TIMEOUT if error.errno == errno.ETIMEDOUT else ErrorKind.CONNECT
