"""The reader of a stream, by the framing that its dialect names."""

from __future__ import annotations

from harness.records.stream_event import Framing, StreamReader
from harness.sse import SseReader
from harness.streams.json_lines import JsonLinesReader


def reader_of(framing: Framing) -> StreamReader:
    """A reader for one response."""
    if framing == "ndjson":
        return JsonLinesReader()
    if framing == "aws-event-stream":
        from harness.streams.aws_stream import AwsStreamReader  # noqa: PLC0415  (botocore is an extra)

        return AwsStreamReader()
    return SseReader()
