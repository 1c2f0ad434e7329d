"""What this machine can measure: paced streams in rising numbers against the simulator, which knows the truth.

Client and simulator are processes of their own and share the machine's monotonic clock. The error of a stamp is the
time from just before the simulator wrote a chunk to when the client says that it arrived.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from harness.errors import UNREADABLE, UsageFault
from harness.records.health_record import Health, decode_health
from harness.rundir import RunDir
from harness.sample import Header, Outcome, Sample, decode
from harness.simulator.process import running
from harness.simulator.truth import Truth, read_truth

LEVELS = (20, 100, 200, 500, 1000, 2000)
QUICK_LEVELS = (20, 200)
CPU_CEILING = 0.9
SIMULATOR_LATE_S = 0.005
ZERO_GAP = "zero-gap"
_PACED = {"ttft": 0.2, "itl": 0.02}
_AT_ONCE = {"ttft": 0.0, "itl": 0.0}


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement: so many streams at once. Errors are absolute, in seconds; a bias is the median signed error.
    `failed` counts replies that did not end well, or had another number of chunks than the simulator wrote; `cpu_share`
    is of one core, in the median second. `simulator_late_s` is the p99 of how far the simulator's own gaps were from
    what it was told: it is in no error, but where it is large the load was not what it should be. `rss_bytes` is the
    most memory that the process had resident."""

    streams: int
    pace: str  # "20 ms" or "zero-gap"
    stamps: str
    requests: int
    failed: int
    chunks_per_s: float
    cpu_us_per_chunk: float
    cpu_share: float
    loop_lag_p99_s: float | None
    ttft_error_p50_s: float
    ttft_error_p99_s: float
    itl_error_p50_s: float
    itl_error_p99_s: float
    ttft_bias_s: float
    itl_bias_s: float
    simulator_late_s: float
    rss_bytes: int | None


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker process of this machine measures. `streams_within_...` are the most paced streams that were
    measured with a p99 error of TTFT and ITL below that, on less than 90 % of a core; 0: none."""

    schema: int = 1
    machine: str
    levels: tuple[Level, ...]
    streams_within_1ms: int
    streams_within_5ms: int
    chunks_per_s: float  # of one worker, as fast as it can
    ttft_bias_s: float
    itl_bias_s: float


def calibrate(*, quick: bool, tell: Callable[[str], None]) -> Calibration:
    """Measure every level; `tell` hears of each before it begins. Raises UsageFault where that cannot be done."""
    levels = []
    seconds = 2.0 if quick else 5.0
    for streams in QUICK_LEVELS if quick else LEVELS:
        for stamps in ("kernel", "user") if streams == 200 else ("kernel",):
            tell(f"{streams} streams, a chunk each 20 ms, {stamps} stamps")
            levels.append(_level(streams, seconds, stamps, _PACED))
    tell("32 streams without a gap")
    fast = _level(32, seconds, "kernel", _AT_ONCE)
    paced = [level for level in levels if level.stamps != "user"]
    return Calibration(
        machine=machine(),
        levels=(*levels, fast),
        streams_within_1ms=_ceiling(paced, 0.001),
        streams_within_5ms=_ceiling(paced, 0.005),
        chunks_per_s=fast.chunks_per_s / max(fast.cpu_share, 0.01) * min(fast.cpu_share, CPU_CEILING),
        ttft_bias_s=paced[0].ttft_bias_s,
        itl_bias_s=paced[0].itl_bias_s,
    )


def machine() -> str:
    """What a calibration belongs to."""
    return f"{platform.node()} {platform.machine()} {os.cpu_count()} cores, Python {platform.python_version()}"


def _ceiling(levels: list[Level], limit_s: float) -> int:
    good = 0
    for level in sorted(levels, key=lambda each: each.streams):
        if (
            max(level.ttft_error_p99_s, level.itl_error_p99_s) > limit_s
            or level.cpu_share > CPU_CEILING
            or level.failed
        ):
            break
        good = level.streams
    return good


def _level(streams: int, seconds: float, stamps: str, pace: dict[str, float]) -> Level:
    with tempfile.TemporaryDirectory(prefix="tokenswarm-calibrate-") as name:
        folder = Path(name)
        config, truth = folder / "simulator.json", folder / "truth.jsonl"
        provider = {"name": "calibrate", "dialects": ["openai-chat"], **pace}
        config.write_bytes(msgspec.json.encode({"providers": [provider]}))
        with running(config, truth) as url:
            _run_client(f"{url}/calibrate/v1", streams, seconds, folder, stamps)
        return _judge(streams, stamps, pace, folder, {each.id: each for each in read_truth(truth)})


def _run_client(url: str, streams: int, seconds: float, folder: Path, stamps: str) -> None:
    command = [
        sys.executable,
        "-m",
        "harness.capacity.calibrate_client",
        url,
        str(streams),
        str(seconds),
        str(folder),
        stamps,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)  # noqa: S603
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UsageFault(f"calibrate: {streams} streams: {said}", "is the limit of open files (ulimit -n) high enough?")


def _judge(streams: int, stamps: str, pace: dict[str, float], folder: Path, truths: dict[str, Truth]) -> Level:
    header, samples = _journal(RunDir(folder))
    good = [sample for sample in samples if sample.outcome is Outcome.OK and sample.request_id in truths]
    first, gaps, late = [], [], []
    for sample in good:
        written = _content_ns(truths[str(sample.request_id)])
        seen = np.array(sample.event_ns) + header.mono_ns
        if len(seen) != len(written):
            continue
        first.append(float(seen[0] - written[0]) / 1e9)
        gaps.append((np.diff(seen) - np.diff(written)) / 1e9)
        late.append(np.abs(np.diff(written) - pace["itl"] * 1e9))
    if not first:
        raise UsageFault(f"calibrate: {streams} streams: no reply came whole", "is something else using the machine?")
    rows = _health(RunDir(folder))
    busy = rows[1:-1] or rows
    chunks = sum(len(sample.event_ns) for sample in samples)
    span_s = max(sum(row.span_s for row in rows), 1e-9)
    cpu_s = sum((row.cpu_share or 0) * row.span_s for row in rows)
    error, gap_error = np.array(first), np.concatenate(gaps)
    return Level(
        streams=streams,
        pace="20 ms" if pace["itl"] else ZERO_GAP,
        stamps=stamps if all(sample.stamps == stamps for sample in good) else "kernel, in part",
        requests=len(samples),
        failed=len(samples) - len(first),
        chunks_per_s=chunks / span_s,
        cpu_us_per_chunk=cpu_s / chunks * 1e6,
        cpu_share=float(np.median([row.cpu_share or 0 for row in busy])),
        loop_lag_p99_s=max((row.loop_lag_p99_s or 0 for row in busy), default=None),
        ttft_error_p50_s=float(np.median(np.abs(error))),
        ttft_error_p99_s=float(np.quantile(np.abs(error), 0.99)),
        itl_error_p50_s=float(np.median(np.abs(gap_error))),
        itl_error_p99_s=float(np.quantile(np.abs(gap_error), 0.99)),
        ttft_bias_s=float(np.median(error)),
        itl_bias_s=float(np.median(gap_error)),
        simulator_late_s=float(np.quantile(np.concatenate(late), 0.99)) / 1e9,
        rss_bytes=max((row.rss_bytes for row in rows if row.rss_bytes is not None), default=None),
    )


def _content_ns(truth: Truth) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(truth.chunk_ns, dtype=np.int64)[np.array(truth.content, dtype=np.int64)]


def _journal(run_dir: RunDir) -> tuple[Header, list[Sample]]:
    header, *records = (decode(line) for line in run_dir.journal("w0").read_bytes().splitlines())
    assert isinstance(header, Header)
    return header, [record for record in records if isinstance(record, Sample)]


def _health(run_dir: RunDir) -> list[Health]:
    return [decode_health(line) for line in run_dir.health.read_bytes().splitlines()]


def doubts_of(calibration: Calibration) -> Iterator[str]:
    """What the levels do not show: those that the simulator, and not the client, could not keep up with."""
    for level in calibration.levels:
        if level.pace != ZERO_GAP and level.simulator_late_s > SIMULATOR_LATE_S:
            late = f"the simulator itself was {level.simulator_late_s * 1e3:.1f} ms out of time (p99)"
            yield f"{level.streams} streams, {level.stamps} stamps: {late}; it is in no error, but the load was uneven"


def cache_path() -> Path:
    """Where the last calibration of this user is kept."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "tokenswarm" / "calibration.json"


def keep(calibration: Calibration) -> Path:
    """Write it to the cache, for `check` and `run`."""
    path = cache_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(calibration), indent=2) + b"\n")
    return path


def kept() -> Calibration | None:
    """The calibration of this machine, if there is one that this version can read."""
    try:
        found = msgspec.json.decode(cache_path().read_bytes(), type=Calibration)
    except (OSError, *UNREADABLE):
        return None
    return found if found.machine == machine() else None


def rows_of(calibration: Calibration) -> Iterator[tuple[str, ...]]:
    """The levels as a table's rows, milliseconds where people read."""
    for level in calibration.levels:
        yield (
            f"{level.streams}",
            level.pace,
            level.stamps,
            f"{level.chunks_per_s:,.0f}",
            f"{level.cpu_us_per_chunk:.1f}",
            f"{level.cpu_share:.0%}",
            f"{level.ttft_error_p50_s * 1e3:.3f} / {level.ttft_error_p99_s * 1e3:.3f}",
            f"{level.itl_error_p50_s * 1e3:.3f} / {level.itl_error_p99_s * 1e3:.3f}",
            f"{level.simulator_late_s * 1e3:.2f}",
            "unknown" if level.rss_bytes is None else f"{level.rss_bytes / 1e6:.0f}",
        )


COLUMNS = (
    "streams",
    "pace",
    "stamps",
    "chunks/s",
    "CPU us/chunk",
    "CPU",
    "TTFT error p50 / p99 ms",
    "ITL error p50 / p99 ms",
    "simulator's gaps off by, p99 ms",
    "memory MB",
)
