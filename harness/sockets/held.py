"""How much memory responses may take while they come in: a bound for each, and one for all of a process.

Every byte of a response is kept until it has ended, so an event that never ends would take all memory there is. A
response of more than `MAX_RESPONSE_BYTES` is given up; so is one that asks for more than its first `STEP_BYTES`
while all responses of the process hold `MAX_HELD_BYTES` beyond theirs.
"""

from __future__ import annotations

from typing import ClassVar

STEP_BYTES = 4 * 1024 * 1024
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
MAX_HELD_BYTES = 1024 * 1024 * 1024


class Hold:
    """What one response may hold: `allowed` bytes, until `more` has been asked for. Ask before holding them."""

    __slots__ = ("_granted", "_most", "allowed")
    granted_to_all: ClassVar[int] = 0

    def __init__(self, most_bytes: int = MAX_RESPONSE_BYTES) -> None:
        self._most = most_bytes
        self._granted = 0
        self.allowed = min(STEP_BYTES, most_bytes)

    def more(self, wanted: int) -> str | None:
        """Allow `wanted` bytes in all, or say why not."""
        if wanted > self._most:
            return f"a response of more than {self._most} bytes"
        while self.allowed < wanted:
            if Hold.granted_to_all + STEP_BYTES > MAX_HELD_BYTES:
                return f"a response of more than {self.allowed} bytes while others hold {Hold.granted_to_all}"
            Hold.granted_to_all += STEP_BYTES
            self._granted += STEP_BYTES
            self.allowed = min(self.allowed + STEP_BYTES, self._most)
        return None

    def release(self) -> None:
        """The response is over."""
        Hold.granted_to_all -= self._granted
        self._granted = 0
