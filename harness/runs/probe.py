"""The network's floor: what connecting, TLS and the cheapest round trip to each target take, before any load."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from harness.plan import Target

_TIMEOUT_S = 3.0
_ROUND_TRIPS = 5


class NetworkFloor(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; None: not measured, `error` says why. `round_trip_s` is the shortest of a few requests for the root of
    the host on a standing connection, without a key; `status` is what it was answered with, which does not matter."""

    target: str
    connect_s: float | None = None
    tls_s: float | None = None
    round_trip_s: float | None = None
    status: int | None = None
    error: str | None = None


def network_floors(targets: Iterable[Target]) -> list[NetworkFloor]:
    """The floor of every target, one after another. Never raises for what the network does."""
    return [_floor(target) for target in targets]


def _floor(target: Target) -> NetworkFloor:
    parts = urlsplit(target.base_url)
    spans = _Spans()
    try:
        context = ssl.create_default_context()  # no proxy, as in the measurement, but the same certificates
        with httpx.Client(timeout=_TIMEOUT_S, trust_env=False, verify=context) as client:
            url = f"{parts.scheme}://{parts.netloc}/"
            trips = [_round_trip(client, url, spans) for _ in range(_ROUND_TRIPS)]
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        reason = f"{type(error).__name__}: {error}"
        return NetworkFloor(target=target.name, connect_s=spans.connect_s, tls_s=spans.tls_s, error=reason[:200])
    warm = [took_s for took_s, _ in trips[1:]]  # the first opened the connection
    return NetworkFloor(
        target=target.name, connect_s=spans.connect_s, tls_s=spans.tls_s, round_trip_s=min(warm), status=trips[-1][1]
    )


def _round_trip(client: httpx.Client, url: str, spans: _Spans) -> tuple[float, int]:
    begin_ns = time.monotonic_ns()
    response = client.get(url, extensions={"trace": spans.note})
    return (time.monotonic_ns() - begin_ns) / 1e9, response.status_code


class _Spans:
    """What httpx tells of the first connection it opens: how long TCP and TLS took."""

    def __init__(self) -> None:
        self.connect_s: float | None = None
        self.tls_s: float | None = None
        self._began_ns = 0

    def note(self, event: str, _: dict[str, Any]) -> None:
        """Httpx's trace hook."""
        if event.endswith(".started"):
            self._began_ns = time.monotonic_ns()
        elif event == "connection.connect_tcp.complete" and self.connect_s is None:
            self.connect_s = (time.monotonic_ns() - self._began_ns) / 1e9
        elif event == "connection.start_tls.complete" and self.tls_s is None:
            self.tls_s = (time.monotonic_ns() - self._began_ns) / 1e9
