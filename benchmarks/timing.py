"""What a client says of the streams, held against what the simulator truly did.

All stamps are CLOCK_MONOTONIC, which the processes of one Linux machine share, so a client's stamp of an event can be
compared with the simulator's stamp just before it wrote that event: the difference is never negative and holds the
kernel's way (some tens of microseconds) and the client's delay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import Load
from harness.simulator.truth import Truth

Values = NDArray[np.float64]


class Dist(msgspec.Struct, frozen=True, kw_only=True):
    """Mean and quantiles in milliseconds."""

    n: int
    mean_ms: float
    p50_ms: float
    p99_ms: float


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One request as a client saw it: the server's id of it, and monotonic nanoseconds."""

    id: str
    start_ns: int
    event_ns: tuple[int, ...]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a client reports, and what was true of the same run. `itl_of` says what its ITL is a distribution of.

    The true TTFT counts from the moment the simulator had read the request; a client's counts from its own start.
    """

    ttft: Dist | None
    itl: Dist | None
    itl_of: str = "gaps"


class Errors(msgspec.Struct, frozen=True, kw_only=True):
    """A client's errors, request by request. As many requests as there are streams are left out at the beginning: the
    first of each, with its connection.

    first_stamp   its stamp of the first content event - the simulator's stamp before writing it
    ttft          its TTFT - (the simulator's first write - the simulator's reading of the request): holds also the way
                  of the request, and how long it lay before the simulator read it
    itl           |its gap - the true gap|, gap by gap
    unmatched     requests whose events could not be paired with the truth
    """

    requests: int
    unmatched: int
    first_stamp: Dist | None
    ttft: Dist | None
    itl: Dist | None


@dataclass(frozen=True)
class Served:
    """What the simulator did in one run: the replies that were read to their end, and those that were cut off."""

    truths: tuple[Truth, ...]
    cut: tuple[Truth, ...] = ()

    @property
    def chunks(self) -> int:
        """Content chunks written, also of replies that the client cut off: it had to read them."""
        return sum(len(truth.content) for truth in (*self.truths, *self.cut))

    @property
    def begin_ns(self) -> int:
        """When the first request was read."""
        return min(truth.received_ns for truth in self.truths)

    @property
    def end_ns(self) -> int:
        """When the last reply ended."""
        return max(truth.end_ns for truth in self.truths)

    def chunks_between(self, begin_ns: int, end_ns: int) -> int:
        """Content chunks written in a span."""
        stamps = map(written, (*self.truths, *self.cut))
        return sum(int((at >= begin_ns).sum() - (at >= end_ns).sum()) for at in stamps)


def served(truths: Iterable[Truth]) -> Served:
    """Sort the replies of a truth file."""
    whole: list[Truth] = []
    cut: list[Truth] = []
    for truth in truths:
        if truth.path.endswith("/chat/completions"):
            (whole if truth.outcome == "complete" and truth.content else cut).append(truth)
    return Served(tuple(whole), tuple(cut))


def written(truth: Truth) -> NDArray[np.int64]:
    """When each content chunk was written."""
    return np.asarray(truth.chunk_ns, dtype=np.int64)[truth.content]


def dist(values_ms: Values | Sequence[float]) -> Dist | None:
    """Mean and quantiles (linear interpolation); None of nothing."""
    values = np.asarray(values_ms, dtype=np.float64)
    if values.size == 0:
        return None
    p50, p99 = np.quantile(values, (0.5, 0.99))
    return Dist(n=values.size, mean_ms=float(values.mean()), p50_ms=float(p50), p99_ms=float(p99))


def lateness(truths: Served, load: Load) -> Dist | None:
    """How late the simulator wrote each chunk by its own schedule. None where the load has no pace."""
    if load.ttft_s == 0:
        return None
    due = (load.ttft_s + load.itl_s * np.arange(1000)) * 1e9
    late = [written(truth) - truth.received_ns - due[: len(truth.content)] for truth in truths.truths]
    return dist(np.concatenate(late) / 1e6)


def true_timing(truths: Served) -> Said:
    """TTFT and ITL as they truly were."""
    ttft = [(written(truth)[0] - truth.received_ns) / 1e6 for truth in truths.truths]
    gaps = np.concatenate([np.diff(written(truth)) for truth in truths.truths]) / 1e6
    return Said(ttft=dist(ttft), itl=dist(gaps))


def said_of(streams: Sequence[Stream]) -> Said:
    """TTFT and ITL as a client has them."""
    whole = [stream for stream in streams if stream.event_ns]
    ttft = [(stream.event_ns[0] - stream.start_ns) / 1e6 for stream in whole]
    gaps = [np.diff(np.asarray(stream.event_ns, dtype=np.int64)) / 1e6 for stream in whole]
    return Said(ttft=dist(ttft), itl=dist(np.concatenate(gaps)) if gaps else None)


def errors_of(streams: Sequence[Stream], truths: Served, load: Load) -> Errors:
    """Each stream against its truth."""
    in_order = sorted(truths.truths, key=lambda truth: truth.received_ns)
    by_id = {truth.id: truth for truth in in_order[load.streams :]}
    pairs = [(stream, by_id[stream.id]) for stream in streams if stream.id in by_id]
    paired = [(stream, truth) for stream, truth in pairs if len(stream.event_ns) == len(truth.content)]
    first: list[float] = []
    ttft: list[float] = []
    itl: list[Values] = [np.empty(0)]
    for stream, truth in paired:
        seen, true = np.asarray(stream.event_ns, dtype=np.int64), written(truth)
        first.append((seen[0] - true[0]) / 1e6)
        ttft.append(((seen[0] - stream.start_ns) - (true[0] - truth.received_ns)) / 1e6)
        itl.append(np.abs(np.diff(seen) - np.diff(true)) / 1e6)
    return Errors(
        requests=len(paired),
        unmatched=len(by_id) - len(paired),
        first_stamp=dist(first),
        ttft=dist(ttft),
        itl=dist(np.concatenate(itl)),
    )


def read_streams(path: Path) -> list[Stream]:
    """The records that the benchmark's own clients write."""
    with path.open(encoding="utf-8") as lines:
        return [msgspec.convert(json.loads(line), Stream) for line in lines]
