"""A receiver of webhooks on loopback that misbehaves by a script."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LONG_S = 60.0


class Receiver(ThreadingHTTPServer):
    """Answers by a script of statuses, then 200; keeps what came."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[int | str] = []
        self.headers: dict[str, str] = {}
        self.got: list[tuple[dict[str, str], bytes, str]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for headers, _, _ in self.got]

    def handle_error(self, *_: object) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        does = self.server.script.pop(0) if self.server.script else 200
        self.server.got.append((dict(self.headers), body, self.path))
        if does == "hang":
            self.server.released.wait(LONG_S)
        elif does == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.server.released.wait(0.05):
                self.wfile.write(b"x")
        elif does == "close":
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.send_response(int(does))
            for name, value in self.server.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """One that listens while the block runs."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
