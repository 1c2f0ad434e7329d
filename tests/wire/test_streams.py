"""Recorded streams of every chat dialect, read whole, cut at every byte, and cut short at every byte.

Each folder holds its streams as `*.sse` (or `*.ndjson`, or `*.bin` of AWS), and in `streams.json` what each says.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.dialects import DIALECTS
from harness.dialects.wire import Delta, merge_usage
from harness.records.stream_event import StreamReader
from harness.streams.stream_readers import reader_of

HERE = Path(__file__).parent
SUFFIXES = (".sse", ".ndjson", ".bin")
STREAMS = sorted(path for path in HERE.glob("*/*.*") if path.suffix in SUFFIXES)
CHAT = sorted(name for name, dialect in DIALECTS.items() if dialect.kind == "chat")
# How few will do of those whose replies are those of another dialect, mostly.
FEWEST = {
    "azure-openai": 6,
    "vertex": 6,
    "mistral": 8,
}

# The line that ends a stream in order, wherever it stands.
END_LINE = {
    "openai-chat": rb"data: ?\[DONE\]",
    "openai-responses": rb'data: \{"type":"response\.(?:completed|incomplete|failed)"[^\r\n]*',
    "anthropic-messages": rb'data: \{"type":"message_stop"[^\r\n]*',
    "google-generate": rb'data: [^\r\n]*"(?:finishReason|blockReason)"[^\r\n]*',
    "vertex": rb'data: [^\r\n]*"finishReason"[^\r\n]*',
    "azure-openai": rb"data: ?\[DONE\]",
    "mistral": rb"data: ?\[DONE\]",
    "cohere-chat": rb'data: [^\r\n]*(?:"message-end"|"finish_reason")[^\r\n]*',
    "ollama": rb'\{[^\n]*"done":true[^\n]*(?=\n)',
    # No line, but a message; the last byte of its checksum is the one that a line's end is elsewhere.
    "bedrock-converse": rb"messageStop.*?\}...(?=.)",
}

every_stream = pytest.mark.parametrize("path", STREAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")


@lru_cache(maxsize=4096)
def read(dialect: str, event: str, data: bytes) -> Delta:
    return DIALECTS[dialect].read(event, data)


def deltas(dialect: str, pieces: list[bytes]) -> tuple[list[Delta], StreamReader]:
    reader = reader_of(DIALECTS[dialect].framing)
    events = [event for piece in pieces for event in reader.feed(piece)]
    events += reader.flush()
    return [read(dialect, event.event, event.data) for event in events], reader


def summary(said: list[Delta]) -> dict[str, Any]:
    """What the deltas of a stream amount to, without what they do not say."""
    usage = None
    for delta in said:
        usage = merge_usage(usage, delta.usage)
    found: dict[str, Any] = {
        name: "".join(getattr(delta, name) for delta in said)
        for name in ("text", "reasoning", "refusal", "tool_arguments")
    }
    for name in ("finish", "fingerprint", "malformed"):
        found[name] = next((value for delta in reversed(said) if (value := getattr(delta, name)) is not None), None)
    found["malformed"] = found["malformed"] and found["malformed"].partition(" - at ")[0]
    server = next((delta.server for delta in said if delta.server is not None), None)
    found["server"] = server and msgspec.to_builtins(server)
    found["usage"] = usage and {name: value for name, value in msgspec.to_builtins(usage).items() if name != "source"}
    found["error"] = next(([delta.error.type, delta.error.message] for delta in said if delta.error), None)
    found["end"] = any(delta.end for delta in said)
    found["refused"] = any(delta.refused for delta in said)
    found["content_events"] = sum(delta.content for delta in said)
    return {name: value for name, value in found.items() if value not in ("", None, False, 0)}


def expectation(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((path.parent / "streams.json").read_text())[path.name]
    return told


@pytest.mark.parametrize("dialect", CHAT)
def test_every_stream_file_has_an_expectation_and_the_other_way_round(dialect: str) -> None:
    told = json.loads((HERE / dialect / "streams.json").read_text())
    assert sorted(told) == sorted(path.name for path in STREAMS if path.parent.name == dialect)
    assert len(told) >= FEWEST.get(dialect, 12)


@every_stream
def test_a_stream_says_what_was_recorded(path: Path) -> None:
    told = expectation(path)
    told.pop("stray_error", None)
    said, _ = deltas(path.parent.name, [path.read_bytes()])
    assert summary(said) == told


@every_stream
def test_a_stream_cut_anywhere_says_the_same(path: Path) -> None:
    dialect, raw = path.parent.name, path.read_bytes()
    whole, _ = deltas(dialect, [raw])
    for cut in range(len(raw) + 1):
        assert deltas(dialect, [raw[:cut], raw[cut:]])[0] == whole, f"cut at byte {cut}"
    assert deltas(dialect, [raw[i : i + 1] for i in range(len(raw))])[0] == whole


@every_stream
def test_a_stream_that_stops_early_ends_only_when_its_end_marker_came(path: Path) -> None:
    dialect, raw = path.parent.name, path.read_bytes()
    marker = re.search(END_LINE[dialect], raw, re.DOTALL)
    whole, _ = deltas(dialect, [raw])
    assert any(delta.end for delta in whole) == (marker is not None)
    for length in range(len(raw)):
        said, _ = deltas(dialect, [raw[:length]])
        came = marker is not None and length > marker.end()
        assert any(delta.end for delta in said) == came, f"after {length} bytes"
        assert said == whole[: len(said)], f"after {length} bytes"


def test_an_error_page_instead_of_a_stream_is_left_as_stray_bytes() -> None:
    page = b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>"
    said, reader = deltas("openai-chat", [page])
    assert (said, reader.between, reader.stray) == ([], False, page)


def test_a_bare_error_at_the_end_of_a_stream_can_be_read_from_the_stray_bytes() -> None:
    path = HERE / "google-generate" / "bare_error_at_end.sse"
    _, reader = deltas("google-generate", [path.read_bytes()])
    error = DIALECTS["google-generate"].read_error(reader.stray).error
    assert [error.type, error.message] == expectation(path)["stray_error"]
