"""Chromium, driven over its DevTools protocol: open a page, click, read, take a picture."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium")
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
_FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's package `chromium`)")


class Tab:
    """A page. `complaints`: exceptions of its scripts, and what the browser refused to do for it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._calls = 0
        self.complaints: list[str] = []
        for domain in ("Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> Any:
        """The result of one call of the protocol. Raises LookupError while the page cannot answer: it loads."""
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        end = time.monotonic() + 30
        while True:
            said = json.loads(self._socket.recv(max(0.0, end - time.monotonic())))
            if said.get("id") == self._calls:
                if "error" in said:
                    raise LookupError(said["error"])
                return said["result"]
            entry = said["params"].get("entry", {})
            if said["method"] == "Runtime.exceptionThrown" or entry.get("source") in ("security", "javascript"):
                self.complaints.append(json.dumps(said))

    def go(self, url: str) -> None:
        """Load a page, which may be the same again."""
        self.read("window.left = true")
        self.call("Page.navigate", url=url)
        self.wait("!window.left && document.readyState === 'complete'")

    def read(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str, limit_s: float = 40) -> Any:
        """The value of an expression, as soon as it is true."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            with suppress(LookupError):
                if found := self.read(expression):
                    return found
            time.sleep(0.1)
        raise TimeoutError(f"{expression}\nnever came; the page says: {self.read('document.body.innerText')}")

    def picture(self, path: Path) -> None:
        """Keep what is to be seen. A page that lies behind another is not drawn."""
        self.call("Page.bringToFront")
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
        assert path.stat().st_size > 10_000

    def shape(self, width: int, height: int, *, dark: bool) -> None:
        """The size of the window, and what its user likes."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])


@contextmanager
def browser(folder: Path) -> Iterator[str]:
    """A Chromium for as long as the block lasts; yields where it can be told what to do."""
    profile = folder / "profile"
    command = [str(CHROMIUM), *_FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        place, end = profile / "DevToolsActivePort", time.monotonic() + 30
        while not (place.exists() and place.read_text().strip()):
            assert time.monotonic() < end and process.poll() is None, (folder / "chromium.log").read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{place.read_text().splitlines()[0]}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def tab(place: str, url: str) -> Iterator[Tab]:
    """A page in a tab of its own."""
    made = httpx.put(f"{place}/json/new?about:blank", timeout=20).json()
    with connect(made["webSocketDebuggerUrl"], max_size=None, open_timeout=20) as socket:
        opened = Tab(socket)
        opened.shape(1500, 700, dark=False)
        opened.go(url)
        yield opened
