"""Recorded conversations, in the layouts of ShareGPT and of OpenAI's messages -> what people said.

A file has one conversation a line, or is one JSON list of them. Only the turns of the user are taken: what an assistant
replied then is no reply of the target's.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import UNREADABLE, UsageFault

_MOST_BYTES = 1 << 30
_MOST_CONVERSATIONS = 200_000
_USERS = ("human", "user")
_HINT = 'a line is {"conversations": [{"from": "human", "value": "..."}]}, or {"messages": [{"role": "user", ...}]}'
_LISTS = ("conversations", "conversation", "messages", "items")

Said = tuple[str, ...]  # by the user, turn after turn


@lru_cache(maxsize=8)
def read_conversations(path: str) -> tuple[Said, ...]:
    """The conversations of a file in which the user says something, in their order; at most 200,000. Raises UsageFault,
    which names the line."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MOST_BYTES + 1)  # what a device or a pipe holds is not known before
    except OSError as error:
        raise UsageFault(f"{path}: cannot be read: {error.strerror}", "name a readable file") from error
    if len(data) > _MOST_BYTES:
        raise UsageFault(f"{path}: is longer: at most {_MOST_BYTES} bytes", "take a part of the file")
    found: list[Said] = []
    for place, value in _values(data, path):
        said = _said(value)
        if said is None:
            raise UsageFault(f"{path}: {place}: no conversation", _HINT)
        if any(said) and len(found) < _MOST_CONVERSATIONS:
            found.append(tuple(text for text in said if text))
    if not found:
        raise UsageFault(f"{path}: no conversation in which the user says something", _HINT)
    return tuple(found)


def _values(data: bytes, path: str) -> Iterator[tuple[str, Any]]:
    """The JSON values of a file with their places: the items of one list, or its lines."""
    try:
        if data.lstrip()[:1] == b"[":
            for number, each in enumerate(msgspec.json.decode(data, type=list[Any])):
                yield f"item {number}", each
            return
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.strip():
                place = f"line {number}"
                yield place, msgspec.json.decode(line)
    except UNREADABLE as error:
        where = "" if data.lstrip()[:1] == b"[" else f" line {number}:"
        raise UsageFault(f"{path}:{where} not JSON: {error}", _HINT) from error


def _said(value: Any) -> list[str] | None:
    """What the user says, turn by turn; None: it is no conversation."""
    turns = value if isinstance(value, list) else None
    if isinstance(value, dict):
        turns = next((value[name] for name in _LISTS if name in value), None)
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        return None
    users = [turn for turn in turns if turn.get("from", turn.get("role")) in _USERS]
    return [_text(turn.get("value", turn.get("content"))) for turn in users]


def _text(content: Any) -> str:
    if isinstance(content, list):
        content = " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content.strip() if isinstance(content, str) else ""
