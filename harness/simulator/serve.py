"""Running the simulator: sockets, signals, and an event loop whose timers keep to the microsecond."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import select
import selectors
import signal
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from harness.errors import UsageFault
from harness.simulator.config import Config, PortFault, load_config
from harness.simulator.connection import connections
from harness.simulator.door import Door, sleep_until
from harness.simulator.outages import Script, coming, outage_file, scripts_of
from harness.simulator.service import Service
from harness.simulator.truth import TruthWriter

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8089
END_WITH_STDIN = "TOKENSWARM_END_WITH_STDIN"  # set where the simulator is part of a run, which may be killed


def serve(
    config_path: Path | None, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT, truth: Path | None = None
) -> None:
    """Serve simulated providers until SIGTERM or SIGINT, then return with all truth written.

    Prints `ready http://HOST:PORT` on stdout once it listens; port 0 takes a free one. Requests in flight at the
    end are cut off and their truth says `stopped`. Outages are written to `outage_file(truth)` as they begin. Raises
    UsageFault for a configuration, a truth file or a port that will not do.
    """
    config = load_config(config_path)
    outages = None if truth is None or next(coming(config), None) is None else outage_file(truth)
    with closing(TruthWriter(truth)) as writer, closing(TruthWriter(outages)) as announcer:
        _allow_many_sockets()
        with asyncio.Runner(loop_factory=_punctual_loop) as runner:
            runner.run(_serve(config, host, port, writer, announcer))


async def _serve(config: Config, host: str, port: int, writer: TruthWriter, announcer: TruthWriter) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if END_WITH_STDIN in os.environ:
        loop.add_reader(0, stop.set)  # whoever started this is gone
    service = Service(config, writer.write)
    door = Door(*connections(service), _of_the_port(config), service.begin_ns)
    try:
        taken = await door.open(host, port)
    except (OSError, OverflowError) as fault:
        raise UsageFault(
            f"--port: {host}:{port}: cannot listen: {fault}", "choose a free port, or 0 for any"
        ) from fault
    gc.collect()
    gc.freeze()  # what lives as long as the server is not looked at again
    shown = f"[{host}]" if ":" in host else host
    print(f"ready http://{shown}:{taken}", flush=True)  # noqa: T201  (the contract)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(door.keep()), group.create_task(_announce(config, service.begin_ns, announcer))]
        await stop.wait()
        for task in tasks:
            task.cancel()
    door.close()


def _of_the_port(config: Config) -> list[Script]:
    return [script for script in scripts_of(config) if isinstance(script.fault, PortFault)]


async def _announce(config: Config, begin_ns: int, announcer: TruthWriter) -> None:
    """Write each outage down when it begins."""
    for outage in coming(config):
        await sleep_until(begin_ns, outage.begin_s)
        ends = None if outage.end_s is None else begin_ns + round(outage.end_s * 1e9)
        stamped = msgspec.structs.replace(outage, begin_ns=begin_ns + round(outage.begin_s * 1e9), end_ns=ends)
        announcer.write(stamped)


def _allow_many_sockets() -> None:
    """Raise the limit of open files to what this process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems call it unlimited and then refuse that
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _punctual_loop() -> asyncio.AbstractEventLoop:
    """An event loop with precise timers; uvloop is no choice, since it puts writes off to the end of a turn."""
    fine = _FineEpoll() if hasattr(selectors, "EpollSelector") else selectors.DefaultSelector()
    return asyncio.SelectorEventLoop(fine)


class _FineEpoll(selectors.EpollSelector):
    """epoll whose time-outs keep to the microsecond: Python rounds them up to whole milliseconds.

    An epoll descriptor can itself be waited for, and `select` takes microseconds.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As `EpollSelector.select`."""
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)
