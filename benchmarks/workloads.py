"""The loads that every client is put under, and the simulator's configuration for each."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

TOKENS = 128
PROMPT_TOKENS = 32


@dataclass(frozen=True)
class Load:
    """Streams at a time, each sending its next request when the last reply has ended.

    A reply is 128 chunks of one token; the first comes `ttft_s` after the request was read, the others `itl_s` apart.
    Clients that stop by time start requests for `duration_s` (Locust wants whole seconds), the tools that stop by count
    send `requests`.
    `start_rate` is how many streams begin in a second (None: all at once); only Locust is told.
    """

    name: str
    streams: int
    ttft_s: float
    itl_s: float
    duration_s: int
    requests: int
    start_rate: float | None = None

    @property
    def cycle_s(self) -> float:
        """How long one reply takes."""
        return self.ttft_s + (TOKENS - 1) * self.itl_s

    @property
    def ramp_s(self) -> float:
        """How long it takes until all streams have begun."""
        return self.streams / self.start_rate if self.start_rate else 0.0


TTFT_S, ITL_S = 0.2, 0.02
PACED = Load("paced", 200, TTFT_S, ITL_S, duration_s=8, requests=400)
ZERO_GAP = Load("zero-gap", 32, 0.0, 0.0, duration_s=4, requests=384)
START_UP = Load("start-up", 1, TTFT_S, 0.002, duration_s=2, requests=1)
SWEEP_STREAMS = (20, 50, 500, 1000, 2000)
MOST_STREAMS_AT_ONCE = 200
SWEEP_RAMP_S = 2
_SWEEP_S = 4


def sweep(streams: int) -> Load:
    """The paced load at another number of streams, long enough for a reply of each when all have begun."""
    at_once = streams <= MOST_STREAMS_AT_ONCE
    load = replace(PACED, name=f"paced-{streams}", streams=streams, duration_s=_SWEEP_S)
    return load if at_once else replace(load, start_rate=streams / SWEEP_RAMP_S, duration_s=_SWEEP_S + SWEEP_RAMP_S)


def shortened(load: Load) -> Load:
    """The same load for a first look."""
    if load.name == ZERO_GAP.name:
        return replace(load, duration_s=2, requests=256)
    return replace(
        load, duration_s=min(load.duration_s, round(load.ramp_s) + 4), requests=min(load.requests, load.streams)
    )


def write_simulator_config(load: Load, path: Path) -> Path:
    """A simulator that lets everybody in and keeps exactly to the load's times and lengths; returns `path`."""
    provider: dict[str, Any] = {
        "keys": [],
        "capacity": None,
        "prefill_s_per_input_token": 0,
        "ttft": load.ttft_s,
        "itl": load.itl_s,
        "default_output_tokens": TOKENS,
        "reply_tokens": TOKENS,
    }
    path.write_text(json.dumps({"keys": [], "providers": {"openai-sim": provider}}), encoding="utf-8")  # JSON is YAML
    return path
