"""Serving `/metrics` from a process without a web UI: one thread, and who may ask."""

from __future__ import annotations

import hmac
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from harness.errors import UsageFault
from harness.inputs.loopback import is_loopback_host
from harness.live.exposition import Exposition

TOKEN = "TOKENSWARM_METRICS_TOKEN"  # noqa: S105  (the name of a variable)
PATH = "/metrics"
REMEMBERED_S = 120.0  # a Prometheus that asked so long ago will ask again


@dataclass(frozen=True)
class Door:
    """Where metrics are served (port 0: a free one), and how long is waited at the end for one more to ask."""

    host: str
    port: int
    linger_s: float = 0.0


class _Handler(WSGIRequestHandler):
    timeout = 10  # s, for a client that connects and says nothing

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """As inherited, but without looking up this machine's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is no news."""


class _Server6(_Server):
    address_family = socket.AF_INET6


@dataclass(frozen=True)
class _Page:
    """A page that tells when all of it was sent."""

    parts: list[bytes]
    sent: Callable[[], None]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def close(self) -> None:
        """Called by the server at the end."""
        self.sent()


class Scraped:
    """When what somebody was last told held, in s of the monotonic clock."""

    def __init__(self) -> None:
        self._told = threading.Condition()
        self._last_s: float | None = None

    def note(self, at_s: float) -> None:
        """Somebody has all that held at a moment, or later."""
        with self._told:
            self._last_s = max(at_s, self._last_s or at_s)
            self._told.notify_all()

    def lately(self) -> bool:
        """Whether somebody has been told so lately that they will ask again."""
        with self._told:
            return self._last_s is not None and time.monotonic() - self._last_s < REMEMBERED_S

    def wait_since(self, since_s: float, most_s: float) -> bool:
        """Wait until somebody has been told what holds since a moment, at most so long. Whether that was so."""
        with self._told:
            return self._told.wait_for(lambda: self._last_s is not None and self._last_s >= since_s, timeout=most_s)


def token_of_environment() -> str | None:
    """What a client must bring as `Authorization: Bearer ...`; None: nothing."""
    return os.environ.get(TOKEN) or None


def may_ask(authorization: str | None, token: str) -> bool:
    """Whether a client's `Authorization` (bytes as WSGI has them, Latin-1) holds the token. Takes as long for a wrong
    one as for the right one."""
    scheme, _, given = (authorization or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode("latin-1", "replace"), token.encode()
    )


def check_host(host: str) -> None:
    """Refuse an address that others reach while no token is set. Raises UsageFault."""
    if token_of_environment() is None and not is_loopback_host(host):
        message = f"--metrics-host: {host}: other machines reach this address, and anybody could read the figures"
        raise UsageFault(message, f"set {TOKEN} to a long random text, which Prometheus sends as its bearer token")


@contextmanager
def serving(exposition: Exposition, door: Door) -> Iterator[tuple[str, Scraped]]:
    """Serve for as long as the block lasts. Yields the URL, and who asked. Raises UsageFault where nothing can listen
    there, or where others could reach it and no token is set."""
    check_host(door.host)
    scraped = Scraped()
    try:
        kind = _Server6 if ":" in door.host else _Server
        server = make_server(door.host, door.port, _app(exposition, token_of_environment(), scraped), kind, _Handler)
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or error
        raise UsageFault(f"--metrics-port: cannot listen: {door.host}:{door.port}: {said}", "choose another") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{_bracketed(door.host)}:{server.server_port}{PATH}", scraped
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _app(exposition: Exposition, token: str | None, scraped: Scraped) -> Callable[..., Iterable[bytes]]:
    metrics = make_wsgi_app(exposition.registry)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"metrics are at /metrics\n"]
        if token is not None and not may_ask(environ.get("HTTP_AUTHORIZATION"), token):
            start_response("401 Unauthorized", [("Content-Type", "text/plain"), ("WWW-Authenticate", "Bearer")])
            return [b"a bearer token is wanted\n"]
        at_s = time.monotonic()
        return _Page(list(metrics(environ, start_response)), lambda: scraped.note(at_s))

    return app
