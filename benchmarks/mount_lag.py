"""What the dashboard costs the event loop of Locust's master: `python -m benchmarks.mount_lag`.

A greenlet of the process that serves Locust's web UI notes how late it wakes, every 5 ms: with nobody there, while the
dashboard beside it starts, and while its pages are loaded one after another, libraries and all.
"""

from __future__ import annotations

# ruff: noqa: E402  (gevent patches before anything else is loaded, as Locust does)
from gevent import monkey

monkey.patch_all()

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gevent
import numpy as np
from flask import Flask
from gevent.pywsgi import WSGIServer
from gevent.subprocess import check_output
from rich.console import Console
from rich.table import Table

from harness.live.mounted import Mounted

_BEAT_S = 0.005
_PREFIX = "/tokenswarm/"
_LIMIT_S = 0.1
_PATHS = ("", "matrix", "history", "what-if", "run", "alerts")


def _lags(work: Callable[[], None]) -> list[float]:
    """How late each beat came while some work was done, in seconds."""
    late: list[float] = []

    def beat() -> None:
        while True:
            due_s = time.monotonic() + _BEAT_S
            gevent.sleep(_BEAT_S)
            late.append(max(0.0, time.monotonic() - due_s))

    beating = gevent.spawn(beat)
    work()
    beating.kill()
    return late


def _get(url: str) -> bytes:
    """By another process, whose work is not this one's."""
    return check_output(["curl", "-sS", "--max-time", "60", url])


def _pages(url: str) -> None:
    import re  # noqa: PLC0415

    for path in _PATHS:
        page = _get(f"{url}{_PREFIX}{path}").decode()
        for script in re.findall(r'src="([^"]+)"', page):
            _get(f"{url}{script}")
    _get(f"{url}{_PREFIX}_dash-component-suites/plotly/package_data/plotly.min.js")


def main() -> None:
    """Measure, and print promise, seen and kept."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = Mounted(_PREFIX, Path(folder), loopback=True)
        app = Flask("master")
        app.add_url_rule(_PREFIX, "root", mounted.answer)
        app.add_url_rule(f"{_PREFIX}<path:rest>", "rest", lambda rest: mounted.answer())  # noqa: ARG005
        server = WSGIServer(("127.0.0.1", 0), app, log=None)
        server.start()
        url = f"http://127.0.0.1:{server.server_port}"
        parts = {
            "nobody there": lambda: gevent.sleep(5),
            "the dashboard starts": lambda: (_get(f"{url}{_PREFIX}"), None)[1],
            "its pages are loaded": lambda: _pages(url),
        }
        table = Table("while", "beats", "p50 ms", "p99 ms", "max ms", "promise", "kept")
        for name, work in parts.items():
            late = np.array(_lags(work))
            p50, p99, most = (1000 * float(value) for value in (*np.quantile(late, (0.5, 0.99)), late.max()))
            kept = "yes" if p99 < 1000 * _LIMIT_S else "no"
            row = (
                name,
                str(len(late)),
                f"{p50:.2f}",
                f"{p99:.2f}",
                f"{most:.1f}",
                f"p99 < {1000 * _LIMIT_S:.0f}",
                kept,
            )
            table.add_row(*row)
        mounted.end()
        server.stop()
    Console().print(table)


if __name__ == "__main__":
    main()
