"""What Text Embeddings Inference tells in headers, and nowhere else: tokens, and where its time went."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.dialects.wire import Delta
from harness.sample import ServerTime, Usage

_COUNT = re.compile(r"\d{1,15}", re.ASCII)


def read_headers(headers: Mapping[str, str]) -> Delta:
    """`x-compute-tokens`, and the times `x-total-time`, `x-queue-time` and `x-inference-time` in milliseconds."""
    tokens = _count(headers, "x-compute-tokens")
    total_ms, queue_ms = _count(headers, "x-total-time"), _count(headers, "x-queue-time")
    inference_ms = _count(headers, "x-inference-time")
    told = total_ms is not None or queue_ms is not None or inference_ms is not None
    return Delta(
        usage=None if tokens is None else Usage(source="provider", input_tokens=tokens),
        server=ServerTime(source="tei", total_ns=_ns(total_ms), queue_ns=_ns(queue_ms), prompt_ns=_ns(inference_ms))
        if told
        else None,
    )


def _count(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "").strip()
    return int(text) if _COUNT.fullmatch(text) else None


def _ns(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds * 1_000_000
