"""Structured output: the schema that replies are asked to have, and whether one has it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from harness.errors import UNREADABLE

ASK = "Describe the words above as a JSON object with a `title`, a `count` of them and up to five `tags`."


class _Report(msgspec.Struct, forbid_unknown_fields=True):
    title: str
    count: Annotated[int, msgspec.Meta(ge=0)]
    tags: Annotated[list[str], msgspec.Meta(max_length=5)]


_decoder = msgspec.json.Decoder(_Report)
SCHEMA: dict[str, Any] = {  # without lengths, which some providers' strict schemas do not know
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "count": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["title", "count", "tags"],
    "additionalProperties": False,
}


def valid(text: str) -> bool:
    """Whether a reply is JSON of the schema and nothing else: no fence, no word before it."""
    try:
        _decoder.decode(text)
    except (*UNREADABLE, UnicodeError):
        return False
    return True
