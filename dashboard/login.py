"""The page that asks for the token, and the patience it has with wrong ones."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

import jinja2

WINDOW_S = 60.0
TRIES = 5  # wrong ones of one address in the window
TRIES_OF_ALL = 50
_ADDRESSES = 1000  # that are remembered
_PAGE = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
)


class Throttle:
    """Wrong tokens of the last minute: after 5 of one address, or 50 of all, one has to wait. Times in seconds of any
    one clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: dict[str, deque[float]] = {}
        self._all: deque[float] = deque(maxlen=TRIES_OF_ALL)

    def failed(self, address: str, now_s: float) -> None:
        """Note a wrong token."""
        with self._lock:
            self._all.append(now_s)
            own = self._failed.pop(address, None) or deque(maxlen=TRIES)
            own.append(now_s)
            self._failed[address] = own
            while len(self._failed) > _ADDRESSES:
                self._failed.pop(next(iter(self._failed)))

    def wait_s(self, address: str, now_s: float) -> float:
        """How long this address has to wait; 0: not at all."""
        with self._lock:
            waits = [
                tries[0] + WINDOW_S - now_s
                for tries in (self._failed.get(address), self._all)
                if tries is not None and len(tries) == tries.maxlen
            ]
        return max(0.0, *waits, 0.0)


def login_page(action: str, nonce: str, says: str = "") -> str:
    """The page as text. It reads a token behind the `#` of its address, which browsers send to nobody."""
    return _PAGE.get_template("login.html").render(action=action, nonce=nonce, says=says)
