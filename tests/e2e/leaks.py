"""Looking for keys that were planted: in files of every kind, in Redis, in process lists, in what was said."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import redis

PART = 8


def planted(*names: str) -> dict[str, str]:
    """A key for each way in, without the beginnings by which keys are known, so that nothing hides them by chance."""
    return {name: "".join(secrets.choice("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(36))
            for name in names}  # fmt: skip


class Search:
    """What to look for, and where it was found: `found` holds (which key, place)."""

    def __init__(self, planted: Mapping[str, str]) -> None:
        self._parts = {
            name: [key[begin : begin + PART].encode() for begin in range(len(key) - PART + 1)]
            for name, key in planted.items()
        }
        self.found: set[tuple[str, str]] = set()
        self.places: Counter[str] = Counter()  # by kind

    def look(self, place: str, data: bytes | str) -> None:
        """Look into some bytes."""
        self.places[place.split(" ", maxsplit=1)[0]] += 1
        data = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        for name, parts in self._parts.items():
            if any(part in data for part in parts):
                self.found.add((name, place))

    def files(self, folder: Path, *, but: frozenset[str] = frozenset()) -> None:
        """Every file in a folder, and its path; what is packed is unpacked."""
        for path in folder.rglob("*"):
            name = str(path.relative_to(folder))
            self.look(f"path {name}", name)
            if path.is_file() and path.name not in but:
                self.look(f"file {name}", path.read_bytes())
                if path.suffix == ".parquet":
                    self.look(f"rows {name}", json.dumps(pq.ParquetFile(path).read().to_pylist(), default=str))

    def redis(self, client: redis.Redis) -> None:
        """Every key and value."""
        reads: dict[bytes, Any] = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"stream": client.xrange,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        }
        for key in client.scan_iter():
            self.look("redis key", key)
            with suppress(redis.RedisError):  # it has just gone
                kind: Any = client.type(key)
                if kind in reads:
                    self.look(f"redis {kind.decode()}", repr(reads[kind](key)))

    @contextmanager
    def processes(self) -> Iterator[None]:
        """The command lines of this process's descendants, for as long as the block lasts."""
        over = threading.Event()

        def watch() -> None:
            own = psutil.Process()
            while not over.wait(0.05):
                for child in own.children(recursive=True):
                    with suppress(psutil.Error):
                        self.look("process list", "\0".join(child.cmdline()))

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


class Echoing:
    """A provider that says the request's headers again wherever it can; by the first part of the path how.

    ok: a good reply whose text, id and fingerprint hold them. body: an error with them in JSON. html: a page with them.
    stream: an error after 200. redirect: to `elsewhere`.
    """

    def __init__(self, elsewhere: str = "") -> None:
        self.requests: list[dict[str, str]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                provider.requests.append(headers | {"path": self.path})
                kind = self.path.split("/")[1]
                said = "; ".join(f"{name}: {value}" for name, value in self.headers.items())
                status, mime, body = _answer(kind, said)
                self.send_response(status)
                keys = [value for name, value in self.headers.items() if "key" in name or "auth" in name.lower()]
                self.send_header("x-request-id", (keys or ["none"])[0])
                if kind == "redirect":
                    self.send_header("location", f"{elsewhere}{self.path}")
                self.send_header("content-type", mime)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                time.sleep(0.01)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _answer(kind: str, said: str) -> tuple[int, str, bytes]:
    if kind == "ok":
        chunks: list[dict[str, Any]] = [
            {"id": said, "system_fingerprint": said, "choices": [{"index": 0, "delta": {"content": said}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": said}]},
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}},
        ]
        events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        return 200, "text/event-stream", f"{events}data: [DONE]\n\n".encode()
    if kind == "stream":
        error = json.dumps({"error": {"message": f"you said {said}", "type": said, "code": said}})
        return 200, "text/event-stream", f"data: {error}\n\n".encode()
    if kind == "html":
        return 502, "text/html", f"<html><pre>{said}</pre></html>".encode()
    if kind == "redirect":
        return 307, "text/plain", said.encode()
    error = json.dumps({"error": {"message": f"wrong key: {said}", "type": "invalid_api_key", "param": said}})
    return 401, "application/json", error.encode()
