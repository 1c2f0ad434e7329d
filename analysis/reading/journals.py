"""Journals -> column batches, range by range, on several processes where the files are large.

A range of bytes owns the lines that begin in it, so that ranges can be read apart and in any order.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

from harness.errors import UNREADABLE
from harness.sample import Header, Sample, ServerTime, Usage, decode

RANGE_BYTES = 8_000_000
PARALLEL_FROM_BYTES = 150_000_000  # below, starting processes takes longer than it saves
MOST_PROCESSES = 4

TIMES = ("due_ns", "start_ns", "connect_ns", "headers_ns", "first_text_ns", "end_ns", "repair_ns")
NUMBERS = (
    "status",
    "retry_after_s",
    "text_chars",
    "items",
    "response_bytes",
    "first_event_tokens",
    "reused",
    "turn",
    "max_tokens",
    "valid",
)
USAGE = tuple(name for name in Usage.__struct_fields__ if name != "source")
SERVER = tuple(name for name in ServerTime.__struct_fields__ if name != "source")
RATES = ("limit_requests", "remaining_requests", "limit_tokens", "remaining_tokens")
WHOLE = {"seq": np.int64, "attempt": np.int32, "stage": np.int32, "repeat": np.int32}
_PLAIN_TEXT = ("run", "target", "dialect", "model", "workload", "worker", "finish_reason", "fingerprint", "stamps")
REPEATED_TEXT = (*_PLAIN_TEXT, "outcome", "error", "error_class", "echo", "injected")
UNIQUE_TEXT = ("prompt_id", "request_id", "error_detail", "text", "conversation")


@dataclass(frozen=True)
class Batch:
    """What one range of a journal holds, by columns of one row a sample.

    `numbers`: floats (NaN: None) or whole numbers. `categories`: texts that repeat, as the texts and each row's place
    among them (-1: None). `texts`: those that do not repeat. `gaps`: the gaps between the content events of one sample
    after another, in ns, as uint32 where all of them fit. `headers`: those met, each with the number of rows before it.
    `bad_lines`: lines that are no record and not a torn end.
    """

    numbers: dict[str, npt.NDArray[Any]]
    categories: dict[str, tuple[list[str], npt.NDArray[np.int32]]]
    texts: dict[str, pa.Array]
    gaps: npt.NDArray[np.uint32] | npt.NDArray[np.int64]
    headers: tuple[tuple[int, Header], ...]
    closed: bool
    torn: bool
    bad_lines: int

    @property
    def rows(self) -> int:
        """How many samples."""
        return len(self.numbers["seq"])


def count_lines(path: Path) -> int:
    """How many lines a file has, one without an end included."""
    with path.open("rb") as file:
        return 1 + sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))


def read_journals(paths: Sequence[Path]) -> Iterator[tuple[Path, Batch]]:
    """The batches of every journal, in the order of the files."""
    sizes = [path.stat().st_size for path in paths]
    ranges = [
        (path, begin, min(begin + RANGE_BYTES, size))
        for path, size in zip(paths, sizes, strict=True)
        for begin in range(0, max(size, 1), RANGE_BYTES)
    ]
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    if sum(sizes) < PARALLEL_FROM_BYTES or processes == 1:
        yield from ((each[0], read_range(*each)) for each in ranges)
        return
    fresh = multiprocessing.get_context("spawn")  # a fork would copy this process's threads' locks
    with ProcessPoolExecutor(processes, mp_context=fresh, initializer=gc.disable) as pool:
        batches = pool.map(read_range, *zip(*ranges, strict=True))
        yield from ((each[0], batch) for each, batch in zip(ranges, batches, strict=True))


def read_range(path: Path, begin: int, end: int) -> Batch:
    """The lines of a journal that begin at or after `begin` and before `end`."""
    samples: list[Sample] = []
    headers: list[tuple[int, Header]] = []
    closed = torn = False
    bad = 0
    lines, cut = _lines(path, begin, end)
    for index, line in enumerate(lines):
        try:
            record = decode(line)
        except UNREADABLE:
            torn = cut and index == len(lines) - 1
            bad += not torn
            continue
        if isinstance(record, Sample):
            samples.append(record)
        elif isinstance(record, Header):
            if _datable(record):
                headers.append((len(samples), record))
            else:
                bad += 1
        else:
            closed = True
    events, gaps = _events(samples)
    numbers = _numbers(samples) | events
    return Batch(numbers, _categories(samples), _texts(samples), gaps, tuple(headers), closed, torn, bad)


_LATENCIES_NEED = (
    *("start_ns", "end_ns", "first_text_ns", "first_event_tokens", "output_tokens", "reasoning_tokens"),
    *("seq", "attempt"),
)


def batch_of(samples: Sequence[Sample]) -> Batch:
    """Samples that were read already as columns: those that latencies, tokens and outcomes are made of."""
    events, gaps = _events(samples)
    usages = [each.usage for each in samples]
    numbers: dict[str, npt.NDArray[Any]] = events
    for name in _LATENCIES_NEED:
        of = usages if name in USAGE else samples
        values = [each and getattr(each, name) for each in of]
        numbers[name] = np.array(values, WHOLE.get(name, np.float64))
    categories = {name: _category([getattr(each, name) for each in samples]) for name in ("outcome", "error_class")}
    categories["worker"] = _category([each.worker for each in samples])
    return Batch(numbers, categories, {}, gaps, (), closed=False, torn=False, bad_lines=0)


def _lines(path: Path, begin: int, end: int) -> tuple[list[bytes], bool]:
    """The lines of a range, and whether the last of them has no end. Only a line feed ends one."""
    with path.open("rb") as file:
        if begin > 0:
            file.seek(begin - 1)
            file.readline()
        here = file.tell()
        data = file.read(end - here) if here < end else b""
        if data and not data.endswith(b"\n"):
            data += file.readline()
    *lines, last = data.split(b"\n")
    return ([*lines, last], True) if last else (lines, False)


_LAST_NS = 1 << 62  # the year 2116


def _datable(header: Header) -> bool:
    """Whether its wall clock can be one."""
    return abs(header.clock_offset_ns) < _LAST_NS and 0 <= header.wall_ns - header.clock_offset_ns < _LAST_NS


def _events(samples: Sequence[Sample]) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[Any]]:
    """How many content events each sample has, its first and its last (NaN without any); and the gaps between them."""
    counts = np.fromiter((len(each.event_ns) for each in samples), np.int64, len(samples))
    flat = np.fromiter(chain.from_iterable(each.event_ns for each in samples), np.int64, int(counts.sum()))
    ends = np.cumsum(counts)
    some = counts > 0
    first, last = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    first[some], last[some] = flat[(ends - counts)[some]], flat[ends[some] - 1]
    within = np.ones(max(0, len(flat) - 1), dtype=bool)
    within[ends[some][:-1] - 1] = False
    columns: dict[str, npt.NDArray[Any]] = {"events": counts, "first_event_ns": first, "last_event_ns": last}
    return columns, narrowed(np.diff(flat)[within])


def narrowed(gaps: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32] | npt.NDArray[np.int64]:
    """As 32 bits where every gap lies within 0 and 4.29 s: half the memory."""
    fits = len(gaps) == 0 or (gaps.min() >= 0 and gaps.max() < 1 << 32)
    return gaps.astype(np.uint32) if fits else gaps


def _numbers(samples: Sequence[Sample]) -> dict[str, npt.NDArray[Any]]:
    usages = [each.usage for each in samples]
    servers = [each.server for each in samples]
    found: dict[str, npt.NDArray[Any]] = {
        name: np.array([getattr(each, name) for each in samples], kind) for name, kind in WHOLE.items()
    }
    found |= {name: _floats([getattr(each, name) for each in samples]) for name in (*TIMES, *NUMBERS)}
    found |= {name: _floats([each and getattr(each, name) for each in usages]) for name in USAGE}
    found |= {f"server_{name}": _floats([each and getattr(each, name) for each in servers]) for name in SERVER}
    limits = [each.limits for each in samples]
    found |= {f"rate_{name}": _floats([each and getattr(each, name) for each in limits]) for name in RATES}
    return found


def _floats(values: list[Any]) -> npt.NDArray[np.float64]:
    """Numbers as floats, None as NaN: exact below 2^53."""
    return np.array(values, dtype=np.float64)


def _categories(samples: Sequence[Sample]) -> dict[str, tuple[list[str], npt.NDArray[np.int32]]]:
    found = {name: _category([getattr(each, name) for each in samples]) for name in REPEATED_TEXT}
    found["usage_source"] = _category([each.usage and each.usage.source for each in samples])
    found["server_source"] = _category([each.server and each.server.source for each in samples])
    return found


def _category(values: list[Any]) -> tuple[list[str], npt.NDArray[np.int32]]:
    known: dict[str, int] = {}
    codes = [-1 if value is None else known.setdefault(value, len(known)) for value in values]
    return [str(each) for each in known], np.array(codes, np.int32)


def _texts(samples: Sequence[Sample]) -> dict[str, pa.Array]:
    return {name: pa.array([getattr(each, name) for each in samples], pa.string()) for name in UNIQUE_TEXT}
