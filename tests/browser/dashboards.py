"""The dashboard as people have it: the real command in a process of its own, and Chromium driven by Playwright."""

from __future__ import annotations

import os
import queue
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import BIN, ROOT

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's package `chromium`)")
patient = pytest.mark.timeout(400)  # several waits of PATIENCE_MS
PATIENCE_MS = 90_000  # on a busy machine a page takes its time
DESK, PHONE = (1366, 768), (390, 844)
LOOKS = {"light": (DESK, "light"), "dark": (DESK, "dark"), "phone": (PHONE, "light")}


@dataclass
class Served:
    """A dashboard that listens: where, and what it said on stderr."""

    url: str
    said: list[str] = field(default_factory=list)

    @property
    def token(self) -> str:
        """The one that it made."""
        return next(found[1] for line in self.said if (found := re.search(r"#token=(\S+)", line)))


@contextmanager
def served(root: Path, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Served]:
    """`tokenswarm dashboard` of a folder, for as long as the block lasts."""
    command = [str(BIN / "tokenswarm"), "dashboard", str(root), "--port", "0", *arguments]
    variables = os.environ | (env or {})
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root, env=variables
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        found, first = Served(""), queue.Queue[str]()
        reader = threading.Thread(target=_read, args=(process.stdout, first.put))
        errors = threading.Thread(target=_read, args=(process.stderr, found.said.append))
        for thread in (reader, errors):
            thread.start()
        try:
            word, _, found.url = first.get(timeout=90).strip().partition(" ")
            assert word == "ready"
            yield found
        finally:
            process.terminate()
            code = process.wait(60)
            reader.join(20)
            errors.join(20)
    assert code == 0 and not any("Traceback" in line for line in found.said), found.said


def _read(lines: Iterable[str], tell: Callable[[str], None]) -> None:
    for line in lines:
        tell(line)


@dataclass
class Visit:
    """A page in a window of its own: what it complained of, and which hosts it asked."""

    page: Any
    base: str
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def go(self, path: str = "") -> None:
        """Open a page and wait until it is made."""
        self.page.goto(f"{self.base}{path}")
        self.page.wait_for_selector("#page h1, #page .empty", timeout=PATIENCE_MS)

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression is true. Playwright's own way to do so wants 'unsafe-eval'."""
        end = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < end, f"{expression}\nnever came: {self.page.inner_text('#page')}"
            self.page.wait_for_timeout(30)

    def until(self, met: Callable[[], bool]) -> None:
        """Wait until something is so, while the browser's news come in."""
        end = time.monotonic() + PATIENCE_MS / 1000
        while not met():
            assert time.monotonic() < end, self.page.inner_text("body")
            self.page.wait_for_timeout(30)

    def drawn(self, selector: str) -> None:
        """Wait until a figure is drawn."""
        self.page.wait_for_selector(f"{selector} .js-plotly-plot .main-svg", timeout=PATIENCE_MS)

    def picture(self, name: str) -> None:
        """Keep what is to be seen, for people who look at a build."""
        folder = Path(os.environ.get("TOKENSWARM_SCREENSHOTS", ROOT / "build" / "screenshots"))
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=folder / f"dashboard-{name}.png", full_page=True)


@contextmanager
def visit(browser: Any, base: str, look: str = "light") -> Iterator[Visit]:
    """A window in the browser. Afterwards: nothing was complained of, and no other host was asked."""
    (width, height), scheme = LOOKS[look]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    found = Visit(page, base)
    page.on("console", lambda said: found.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("dialog", lambda dialog: _dismiss(dialog, found))
    page.on("request", lambda asked: found.hosts.add(urlsplit(asked.url).netloc))
    try:
        yield found
        assert not found.complaints, found.complaints
        assert found.hosts <= {urlsplit(base).netloc, ""}
    finally:
        context.close()


def _dismiss(dialog: Any, found: Visit) -> None:
    found.complaints.append(f"dialog: {dialog.message}")
    dialog.dismiss()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (only where there is a browser)

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


def faults(page: Any) -> list[str]:
    """What axe-core finds that is serious or critical. The inside of figures, which are one image each, is left out:
    it has thousands of elements."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415

    only = {"resultTypes": ["violations"]}  # to tell of all that is well takes most of the time
    found = Axe().run(page, context={"exclude": [[".js-plotly-plot"]]}, options=only).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:160] for node in each['nodes'][:4]]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
