"""A cache of prompts' beginnings: what was sent or said before, message by message. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b

_MOST = 50_000  # beginnings; the one not read for the longest time goes first


class PrefixCache:
    """Of one provider. Tokens are words, as everywhere in the simulator."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def read(self, messages: tuple[str, ...]) -> int:
        """The tokens of the longest known beginning of a prompt that is whole messages."""
        found = 0
        for digest, tokens in _beginnings(messages):
            if digest not in self._known:
                break
            self._known.move_to_end(digest)
            found = tokens
        return found

    def keep(self, messages: tuple[str, ...]) -> None:
        """Every beginning of a conversation as it now stands."""
        for digest, _ in _beginnings(messages):
            self._known[digest] = None
            self._known.move_to_end(digest)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)


def _beginnings(messages: tuple[str, ...]) -> Iterator[tuple[bytes, int]]:
    running, tokens = blake2b(digest_size=16), 0
    for message in messages:
        running.update(f"{len(message)}:{message}".encode())
        tokens += len(message.split())
        yield running.digest(), tokens
