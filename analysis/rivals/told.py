"""What a result file of another tool says, in this project's words and units, and how its fields are looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from analysis.quantiles import Floats
from analysis.summary import Dist

Beside = Callable[[str], bytes | None]  # a file by its name in the folder of the result file; None: it is not there

_MOST_REQUESTS = 1e12


@dataclass(frozen=True)
class Told:
    """One load that a tool put on one model. Seconds; None is what the file does not tell.

    `values_s`: TTFT, ITL, TPOT and E2E of the requests that the tool takes for good, one by one; `said`: the tool's own
    statistics, where the file has no more. `failed` of `attempted` requests failed, by the tool's own judgement, with
    the errors in `errors`. `notes` are what its figures mean otherwise than here: (what it says, why that matters).
    """

    tool: str
    model: str
    attempted: int
    failed: int
    version: str | None = None
    cancelled: int = 0
    load: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    duration_s: float | None = None
    goodput_rps: float | None = None
    output_tokens_per_s: float | None = None
    input_tokens_per_s: float | None = None
    in_flight_mean: float | None = None
    values_s: dict[str, Floats] = field(default_factory=dict)
    said: dict[str, Dist | None] = field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()
    started_utc: str | None = None

    @property
    def ok(self) -> int:
        """The requests that the tool takes for good."""
        return max(0, self.attempted - self.failed - self.cancelled)


def at(document: object, *path: str | int) -> Any:
    """The value at a path of keys and places; None where it leads nowhere."""
    for step in path:
        if isinstance(document, Mapping) and isinstance(step, str):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int) and -len(document) <= step < len(document):
            document = document[step]
        else:
            return None
    return document


def number(value: object) -> float | None:
    """A finite number; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if np.isfinite(found) else None


def count(value: object) -> int:
    """A number of requests: 0 where it is none, or more than any load has."""
    found = number(value)
    return 0 if found is None or not 0 < found < _MOST_REQUESTS else int(found)


def text(value: object) -> str | None:
    """A text that is not empty; None for all else."""
    return value if isinstance(value, str) and value else None


def utc_of(wall_s: float) -> str | None:
    """A moment of the wall clock, in s since 1970, as text; None where no calendar has it."""
    try:
        return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return None


def known(values: Iterable[object], scale: float = 1.0) -> Floats:
    """The numbers among some values, times `scale`."""
    found = (number(value) for value in values)
    return np.array([value * scale for value in found if value is not None], dtype=np.float64)


def given(pairs: Mapping[str, object]) -> dict[str, Any]:
    """What is told of some pairs, as numbers and texts."""
    return {name: value for name, value in pairs.items() if text(value) or isinstance(value, bool) or number(value)}


def tpot_s(e2e: Sequence[object], ttft: Sequence[object], tokens: Sequence[object]) -> Floats:
    """(E2E - TTFT) / (output tokens - 1) of requests of which all three are told and more than one token came."""
    rows = zip(map(number, e2e), map(number, ttft), map(number, tokens), strict=True)
    whole = [(end, first, n) for end, first, n in rows if end is not None and first is not None and n is not None]
    return np.array([(end - first) / (n - 1) for end, first, n in whole if n > 1], dtype=np.float64)


def stated(statistics: object, names: Mapping[str, str], n: int, scale: float = 1.0) -> Dist | None:
    """The tool's own statistics of `n` values; `names`: what it calls mean, p50 ... max. Percentiles that `n` is too
    few for are kept as the tool gives them. None where there is neither a mean nor a median."""
    found = {ours: number(at(statistics, theirs)) for ours, theirs in names.items()}
    if n == 0 or (found.get("mean") is None and found.get("p50") is None):
        return None
    scaled: dict[str, Any] = {name: None if value is None else value * scale for name, value in found.items()}
    return Dist(n=n, **scaled)
