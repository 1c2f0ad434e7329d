"""The dashboard inside Locust's web UI: a process of its own, to which requests for `/tokenswarm/` are handed on.

Dash is not loaded where the load is led: its libraries take a second to load, and a page may take as long to make,
during which Locust's event loop would stand still. So it runs beside, at a low priority, started when somebody
first asks for it; it answers only to who knows the secret that this process made, and it ends with this process.
"""

from __future__ import annotations

import http.client
import importlib.util
import secrets
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
from flask import Response, request

SECRET_HEADER = "X-Tokenswarm-Behind"  # noqa: S105  (a header's name)
_LOW_PRIORITY = 10  # at the lowest, a busy machine would not let it start within minutes
_READY_S = 90.0
_ANSWER_S = 60.0
_LOOK_S = 0.05
_MOST_BYTES = 4_000_000
_OF_THE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length")


def installed() -> bool:
    """Whether the libraries of the dashboard are here (the extra `dashboard`)."""
    return all(importlib.util.find_spec(name) is not None for name in ("dash", "waitress"))


class Mounted:
    """The dashboard of the runs below `runs_root` (None: this test alone), mounted at `prefix`, which begins and ends
    with a slash. `loopback`: whether Locust listens to this machine alone, and asks for no login."""

    def __init__(self, prefix: str, runs_root: Path | None, *, loopback: bool) -> None:
        self._prefix, self._runs_root, self._loopback = prefix, runs_root, loopback
        self._secret = secrets.token_urlsafe(32)
        self._process: subprocess.Popen[str] | None = None
        self._port: int | None = None
        self._lock = threading.Lock()

    @property
    def entrance(self) -> str:
        """The page of it that is about this run."""
        return self._prefix if self._runs_root is None else f"{self._prefix}now"

    def answer(self) -> Response:
        """The answer to the present request, from the process beside. Waits (for others to go on meanwhile) until that
        has started."""
        if (request.content_length or 0) > _MOST_BYTES:
            return _refused(413, "too long")
        with self._lock:
            port = self._listening()
        if port is None:
            return _refused(503, "the dashboard did not start; the page without it is ../tokenswarm")
        headers = {name: value for name, value in request.headers if name.lower() not in _OF_THE_CONNECTION}
        headers[SECRET_HEADER] = self._secret
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_S)
        try:
            connection.request(request.method, request.full_path.rstrip("?"), request.get_data(), headers)
            found = connection.getresponse()
            content = found.read()
        except (OSError, http.client.HTTPException) as error:
            return _refused(502, f"the dashboard does not answer: {type(error).__name__}")
        finally:
            connection.close()
        kept = [(name, value) for name, value in found.getheaders() if name.lower() not in _OF_THE_CONNECTION]
        return Response(content, found.status, kept)

    def _listening(self) -> int | None:
        """The port of the process, which is started where it does not run. None: it ended, or is not ready in time."""
        if self._process is None or self._process.poll() is not None:
            self._port, self._process = None, self._started()
        process, end_s = self._process, time.monotonic() + _READY_S
        while self._port is None and process.poll() is None and time.monotonic() < end_s:
            assert process.stdout is not None
            line = process.stdout.readline()  # gevent: others go on
            word, _, port = line.strip().partition(" ")
            if word == "ready" and port.isdigit():
                self._port = int(port)
            elif not line:
                time.sleep(_LOOK_S)
        return self._port if process.poll() is None else None

    def _started(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "dashboard.behind", self._prefix]
        command += [str(self._runs_root)] if self._runs_root is not None else []
        command += ["--loopback"] if self._loopback else []
        process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdin is not None
        process.stdin.write(f"{self._secret}\n")  # which no list of processes shows; its end is the end of that process
        process.stdin.flush()
        with suppress(psutil.Error, OSError):
            psutil.Process(process.pid).nice(_LOW_PRIORITY)
        return process

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()


def _refused(status: int, reason: str) -> Response:
    return Response(f"{reason}\n", status, {"Cache-Control": "no-store"}, mimetype="text/plain")
