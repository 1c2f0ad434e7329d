"""Samples for tests that count, price or follow them, and do not care for most of their fields."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.sample import Outcome, Sample

_GOOD = Sample(
    run="r",
    target="t",
    dialect="openai-chat",
    model="m",
    workload="w",
    stage=0,
    repeat=1,
    worker="r1-w0",
    seq=0,
    prompt_id="p",
    start_ns=0,
    end_ns=1_000_000,
    outcome=Outcome.OK,
)


def made_sample(**fields: Any) -> Sample:
    """A reply that came well, but for what `fields` say."""
    return msgspec.structs.replace(_GOOD, **fields)
