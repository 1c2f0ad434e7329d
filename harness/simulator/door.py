"""The server's port: who may connect, and when nobody can. Faults of the port strike here, before any request."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from math import inf

from harness.errors import UsageFault
from harness.simulator.connection import Connection
from harness.simulator.outages import Script, Timetable

_BACKLOG = 4096


class Door:
    """Listens on one port. While a `tcp_refuse` is active nobody does, but the port stays taken."""

    def __init__(
        self, connect: Callable[[], Connection], open_connections: set[Connection], scripts: list[Script], begin_ns: int
    ) -> None:
        self._connect = connect
        self._open_connections = open_connections
        self._refusing = [script for script in scripts if script.fault.kind == "tcp_refuse"]
        self._closing = [Timetable(script) for script in scripts if script.fault.kind == "close_at_accept"]
        self._begin_ns = begin_ns
        self._server: asyncio.Server | None = None  # None: nobody listens
        self._port: socket.socket | None = None  # the one that listens, kept where it must cease to
        self._refusals = 0  # that are active now

    async def open(self, host: str, port: int) -> int:
        """Listen; 0 takes a free port. Returns which one it is. Raises OSError, OverflowError and UsageFault."""
        loop = asyncio.get_running_loop()
        if not self._refusing:
            self._server = await loop.create_server(self._enter, host, port, backlog=_BACKLOG)
            return int(self._server.sockets[0].getsockname()[1])
        self._port = _bound(host, port)
        begins = [next(iter(script.spans()), None) for script in self._refusing]
        if any(span is not None and span.begin_s <= 0 for span in begins):
            self._be_deaf(self._port)  # before anybody is told that we are there
        else:
            await self._listen()
        return int(self._port.getsockname()[1])

    async def keep(self) -> None:
        """Refuse connections whenever it is time to, for ever."""
        async with asyncio.TaskGroup() as group:
            for script in self._refusing:
                group.create_task(self._refuse_by(script))

    def close(self) -> None:
        """No more connections; those that stand are stopped."""
        if self._server is not None:
            self._server.close()
        if self._port is not None:
            self._port.close()
        for connection in list(self._open_connections):
            connection.stop()

    def _enter(self) -> asyncio.Protocol:
        at_s = (time.monotonic_ns() - self._begin_ns) * 1e-9
        closed = any(timetable.active(at_s) for timetable in self._closing)
        return _ClosedDoor() if closed else self._connect()

    async def _listen(self) -> None:
        assert self._port is not None
        _share(self._port, yes=True)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._enter, sock=self._port.dup(), backlog=_BACKLOG)

    async def _refuse_by(self, script: Script) -> None:
        for span in script.spans():
            await sleep_until(self._begin_ns, span.begin_s)
            self._refusals += 1
            if self._refusals == 1:
                self._crash()
            await sleep_until(self._begin_ns, span.end_s)
            self._refusals -= 1
            if self._refusals == 0:
                await self._listen()

    @staticmethod
    def _be_deaf(port: socket.socket) -> None:
        port.shutdown(socket.SHUT_RD)  # Linux: listens no longer, and stays bound
        _share(port, yes=False)

    def _crash(self) -> None:
        """As if the process had died: nobody listens, and every connection is reset."""
        assert self._port is not None
        if self._server is not None:
            self._server.close()
            self._server = None
            self._be_deaf(self._port)
        for connection in list(self._open_connections):
            connection.crash("tcp_refuse")


class _ClosedDoor(asyncio.Protocol):
    """A connection that is closed as soon as it is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _bound(host: str, port: int) -> socket.socket:
    """A socket bound to the port by its number: one that the kernel chose would be lost when listening ends."""
    if not sys.platform.startswith("linux"):
        raise UsageFault("port_faults: tcp_refuse: is done by Linux alone", "use close_at_accept")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port == 0:
        with socket.create_server((host, 0), family=family) as chosen:
            port = chosen.getsockname()[1]
    bound = socket.create_server((host, port), family=family)
    bound.settimeout(0)
    return bound


def _share(port: socket.socket, *, yes: bool) -> None:
    """Whether others who share ports may bind this one. Linux lets them as long as nobody listens on it, and gives it
    to them as a free one; yet those whom we served may still stand in it when we come back."""
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(yes))


async def sleep_until(begin_ns: int, after_s: float) -> None:
    """Until `after_s` (inf: for ever) after a moment of the monotonic clock."""
    if after_s == inf:
        await asyncio.Event().wait()
    await asyncio.sleep(max(0.0, after_s - (time.monotonic_ns() - begin_ns) * 1e-9))
