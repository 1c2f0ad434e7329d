"""Folders of many runs whose truth is known: summaries of runs in virtual time, with figures that vary from run to run.

Each summary is a whole one, as `tokenswarm run` writes it, of a run that was played; what varies are the figures that a
history follows, so that a file is as long as a real one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from analysis.summarise import summarise, summary_json
from analysis.summary import Dist, Result, Summary
from benchmarks.planted import run_offline

Floats = npt.NDArray[np.float64]
START = datetime(2025, 1, 1, tzinfo=UTC)
_TIMES = ("ttft_s", "ttfo_s", "itl_s", "tpot_s", "e2e_s", "response_s")
_RATES = ("achieved_rps", "completed_rps", "goodput_rps", "output_tokens_per_s", "input_tokens_per_s")
_TARGET = {"dialect": "openai-chat", "base_url": "sim://sim", "model": "m", "price": {"input": 1, "output": 2}}


@dataclass(frozen=True)
class Planned:
    """A plan of the folder: how many runs of it, one every `gap_s`, of how many targets, at which loads. TTFT of its
    first target at the first load is `step` times as long from run `step_at` on, where that is given."""

    name: str
    runs: int
    targets: int = 1
    loads: Sequence[int] = (4,)
    gap_s: float = 3600.0
    step: float = 1.0
    step_at: int | None = None


MANY = (
    Planned("chat", 4000, targets=2, step=1.1, step_at=2600),
    Planned("throughput", 3000, loads=(2, 8)),
    Planned("embedding", 3000, targets=2),
)


def autoregressive(rng: np.random.Generator, n: int, phi: float, sigma: float) -> Floats:
    """Noise of standard deviation `sigma`, of which the next run keeps `phi`."""
    new = rng.normal(0.0, sigma * np.sqrt(1 - phi**2), n)
    new[0] = rng.normal(0.0, sigma)
    for at in range(1, n):
        new[at] += phi * new[at - 1]
    return new


def write_runs(root: Path, plan: Planned, seed: int, *, sigma: float = 0.03, phi: float = 0.3) -> Iterator[Path]:
    """Write the runs of a plan below a folder; yields each summary's path."""
    rng = np.random.default_rng(seed)
    played = _played(plan)
    noise = {
        (at, what): autoregressive(rng, plan.runs, phi, sigma)
        for at in range(len(played.results))
        for what in (*_TIMES, "rates")
    }
    stepped = noise[0, "ttft_s"]
    if plan.step_at is not None:
        stepped[plan.step_at :] += np.log(plan.step)
    for number in range(plan.runs):
        began = START + timedelta(seconds=number * plan.gap_s)
        run_dir = root / plan.name / f"{began:%Y%m%dT%H%M%SZ}-{number:04x}"
        factors = [
            {what: float(np.exp(noise[at, what][number])) for what in (*_TIMES, "rates")}
            for at, _ in enumerate(played.results)
        ]
        results = tuple(varied(result, factor) for result, factor in zip(played.results, factors, strict=True))
        summary = msgspec.structs.replace(
            played,
            run=f"{plan.name}/{run_dir.name}",
            plan=plan.name,
            started_utc=f"{began:%Y-%m-%dT%H:%M:%S}Z",
            results=results,
        )
        run_dir.mkdir(parents=True)
        (run_dir / "summary.json").write_bytes(summary_json(summary))
        yield run_dir / "summary.json"


def _played(plan: Planned) -> Summary:
    targets: list[dict[str, Any]] = [{"name": f"target-{number}", **_TARGET} for number in range(plan.targets)]
    with tempfile.TemporaryDirectory(prefix="tokenswarm-played-") as folder:
        run_dir, _ = run_offline(Path(folder), {}, loads=plan.loads, duration_s=10.0, targets=targets, name=plan.name)
        return summarise(run_dir)[0]


def varied(result: Result, factors: dict[str, float]) -> Result:
    """The result with its times and rates multiplied, intervals and repeats with them."""
    changes: dict[str, Any] = {name: _scaled(getattr(result, name), factors[name]) for name in _TIMES}
    changes |= {name: _times(getattr(result, name), factors["rates"]) for name in _RATES}
    changes["repeat_values"] = tuple(
        msgspec.structs.replace(
            each, values={name: _times(value, _factor(name, factors)) for name, value in each.values.items()}
        )
        for each in result.repeat_values
    )
    return msgspec.structs.replace(result, **changes)


def _factor(path: str, factors: dict[str, float]) -> float:
    name = path.partition(".")[0]
    return factors["rates"] if name in _RATES else factors.get(name, 1.0)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _scaled(dist: Dist | None, factor: float) -> Dist | None:
    if dist is None:
        return None
    names = ("mean", "p50", "p90", "p95", "p99", "max")
    ends = {name: (low * factor, high * factor) for name, (low, high) in dist.ci95.items()}
    return msgspec.structs.replace(dist, ci95=ends, **{name: _times(getattr(dist, name), factor) for name in names})
