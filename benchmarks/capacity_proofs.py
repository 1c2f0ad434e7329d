"""How often the analysis of capacity is right, against simulated truth: `python -m benchmarks.capacity_proofs`.

Prints JSON: the parameters and the knee over seeded sweeps, the first cause of planted set-ups, the coverage of
prediction intervals, and how near a search comes to a known limit. `--quick` takes a tenth of the sweeps.
"""

from __future__ import annotations

import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from analysis.prediction import Predicted, predict_load, predict_prompt
from analysis.records.capacity_record import Usl
from analysis.samples import load_samples
from analysis.summarise import summarise, windows_of
from analysis.summary import Result
from benchmarks.planted import LOADS, SETUPS, play_setup, run_offline
from benchmarks.search_proofs import prove_searches
from harness.rundir import RunDir

_TOKENS = 8
_TTFT_S, _ITL_S, _SIGMA = 0.25, 0.02, 0.15
PREDICTED = ("completed_rps", "ttft_s.p50", "e2e_s.p50", "e2e_s.p95")
PREDICTED_OF_PROMPT = ("ttft_s.p50", "ttft_s.p95")


class Sweeps(msgspec.Struct, frozen=True, kw_only=True):
    """Over sweeps of a known USL: how often each parameter lies in its 95 % interval, how often there is a knee, and
    how far off that is. `knees_elsewhere`: knees told of targets that have none."""

    sweeps: int
    lambda_inside: float
    sigma_inside: float
    kappa_inside: float
    n_star_inside: float
    knees: int
    n_star_worst_error: float
    n_star_median_error: float
    refusals: list[str]
    knees_elsewhere: dict[str, str]
    took_s: float


class Diagnoses(msgspec.Struct, frozen=True, kw_only=True):
    """What was named first, against what was planted."""

    right: int
    of: int
    healthy_silent: int
    of_healthy: int
    wrong: list[str]
    took_s: float


class Predictions(msgspec.Struct, frozen=True, kw_only=True):
    """How often the 90 % interval covers what was then measured, by metric, and how wide it is (high / low, median)."""

    cases: int
    covered: dict[str, float]
    width: dict[str, float]
    all_covered: float
    took_s: float


def truth_of(seed: int) -> tuple[float, float, float]:
    """(lambda, sigma, kappa) of a sweep, the knee between 8 and 26 in flight. A request alone takes the mean of its
    lognormal waits: the median times exp(sigma^2 / 2)."""
    rng = random.Random(f"truth/{seed}")  # noqa: S311  (a choice, not a secret)
    sigma = rng.uniform(0.0, 0.2)
    knee = math.exp(rng.uniform(math.log(8), math.log(26)))
    alone_s = (_TTFT_S + (_TOKENS - 1) * _ITL_S) * math.exp(_SIGMA**2 / 2)
    return 1 / alone_s, sigma, (1 - sigma) / knee**2


def prove_sweeps(seeds: Sequence[int]) -> Sweeps:
    """Fit sweeps of a known USL, and of targets without a knee: linear, and limited in four ways."""
    begun_s = time.monotonic()
    inside = dict.fromkeys(("lambda_rps", "sigma", "kappa", "n_star"), 0)
    errors, refusals = [], []
    for seed in seeds:
        truth = truth_of(seed)
        usl = _usl({"usl": {"sigma": truth[1], "kappa": truth[2]}}, seed)
        knee = math.sqrt((1 - truth[1]) / truth[2])
        for name, true in zip(inside, (*truth, knee), strict=True):
            inside[name] += _inside(usl, name, true)
        if usl.n_star is not None and usl.n_star.value is not None:
            errors.append(abs(usl.n_star.value / knee - 1))
        else:
            refusals.append(f"seed {seed}: {usl.refused}")
    n = len(seeds)
    elsewhere = {
        f"{name}, seed {seed}": f"{usl.n_star.value:.3g}"
        for name, provider in WITHOUT_KNEE.items()
        for seed in seeds[: max(1, n // 5)]
        if (usl := _usl(provider, seed)).n_star is not None and usl.n_star.value is not None
    }
    return Sweeps(
        sweeps=n,
        lambda_inside=inside["lambda_rps"] / n,
        sigma_inside=inside["sigma"] / n,
        kappa_inside=inside["kappa"] / n,
        n_star_inside=inside["n_star"] / n,
        knees=len(errors),
        n_star_worst_error=max(errors, default=math.nan),
        n_star_median_error=float(np.median(errors)) if errors else math.nan,
        refusals=refusals,
        knees_elsewhere=elsewhere,
        took_s=time.monotonic() - begun_s,
    )


WITHOUT_KNEE: dict[str, dict[str, Any]] = {
    "linear": {},
    "contention": {"usl": {"sigma": 0.08, "kappa": 0.0}},
    "slots": {"slots": 12},
    "requests a minute": {"limits": {"rpm": 900}},
    "concurrency": {"limits": {"concurrency": 10}},
}


def _usl(provider: dict[str, Any], seed: int) -> Usl:
    with tempfile.TemporaryDirectory(prefix="tokenswarm-proof-") as name:
        run_dir, _ = run_offline(Path(name), provider, seed=seed)
        return summarise(run_dir)[0].sweeps[0].usl


def _inside(usl: Usl, name: str, true: float) -> bool:
    estimate = getattr(usl, name)
    if estimate is None or estimate.ci95 is None:
        return False
    low, high = estimate.ci95
    return (low is None or low <= true) and (high is None or true <= high)


def prove_diagnoses(seeds: Sequence[int]) -> Diagnoses:
    """Run every planted set-up with every seed."""
    begun_s = time.monotonic()
    right = silent = 0
    wrong = []
    for seed in seeds:
        for setup in SETUPS:
            with tempfile.TemporaryDirectory(prefix="tokenswarm-proof-") as name:
                causes = summarise(play_setup(setup, Path(name), seed))[0].diagnoses[0].causes
            first = causes[0].cause if causes else None
            right += setup.cause is not None and first == setup.cause
            silent += setup.cause is None and first is None
            if first != setup.cause:
                wrong.append(f"{setup.name}, seed {seed}: {first}")
    planted = sum(setup.cause is not None for setup in SETUPS)
    return Diagnoses(
        right=right,
        of=planted * len(seeds),
        healthy_silent=silent,
        of_healthy=(len(SETUPS) - planted) * len(seeds),
        wrong=wrong,
        took_s=time.monotonic() - begun_s,
    )


def prove_predictions(seeds: Sequence[int]) -> Predictions:
    """For each seed, hold one load of a sweep out and foretell it; for every third also a length of prompt that another
    run then measures."""
    begun_s = time.monotonic()
    hits: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    for seed in seeds:
        for predicted, measured, metrics in _cases(seed):
            for each in predicted.predictions:
                value = measured(each.metric) if each.metric in metrics else None
                if value is not None:
                    hits.setdefault(each.metric, []).append(each.low <= value <= each.high)
                    widths.setdefault(each.metric, []).append(each.high / each.low)
    everything = [hit for each in hits.values() for hit in each]
    return Predictions(
        cases=len(seeds),
        covered={name: float(np.mean(each)) for name, each in hits.items()},
        width={name: float(np.median(each)) for name, each in widths.items()},
        all_covered=float(np.mean(everything)),
        took_s=time.monotonic() - begun_s,
    )


Case = tuple[Predicted, Callable[[str], float | None], Sequence[str]]


def _cases(seed: int) -> Iterator[Case]:
    _, sigma, kappa = truth_of(seed)
    providers: list[dict[str, Any]] = [
        {"usl": {"sigma": sigma, "kappa": kappa}},
        {"slots": 6 + seed % 10},
        {"capacity": 6 + seed % 10, "slows": "gaps"},
        {"usl": {"sigma": sigma, "kappa": 0.0}},
    ]
    with tempfile.TemporaryDirectory(prefix="tokenswarm-proof-") as name:
        if seed % 3:
            yield _held_load(Path(name), providers[seed % len(providers)], seed)
        else:
            yield _held_length(Path(name), seed)


def _held_load(folder: Path, provider: dict[str, Any], seed: int) -> Case:
    run_dir, _ = run_offline(folder, provider, seed=seed)
    results = list(summarise(run_dir)[0].results)
    held = results.pop(1 + seed % (len(LOADS) - 2))
    found = predict_load(results, "sim", "w", held.in_flight_mean or 0.0)
    return found, lambda metric: _measured(held, metric), PREDICTED


def _held_length(folder: Path, seed: int) -> Case:
    provider = {"ttft": {"kind": "lognormal", "median_s": 0.05, "sigma": 0.15}, "prefill_s_per_input_token": 0.0005}
    tokens = 300 + 37 * seed % 400
    shape = {"kind": "chat", "name": "w", "output_tokens": _TOKENS}
    known, plan = run_offline(
        folder / "a", provider, loads=(4,), seed=seed, workload={**shape, "input_tokens": "U(200,800)"}
    )
    other, _ = run_offline(
        folder / "b", provider, loads=(4,), seed=seed + 500, workload={**shape, "input_tokens": tokens}
    )
    ((_, windows),) = windows_of(plan, load_samples(RunDir(known.root)))
    (held,) = summarise(other)[0].results
    return predict_prompt(windows, "sim", "w", tokens), lambda metric: _measured(held, metric), PREDICTED_OF_PROMPT


def _measured(result: Result, metric: str) -> float | None:
    """As it was measured: the mean of the repeats of a rate, the quantile over all of a latency."""
    name, _, statistic = metric.partition(".")
    value = getattr(result, name)
    found: float | None = getattr(value, statistic) if statistic and value is not None else value
    return found


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="A tenth of it.")
@click.option("--only", type=click.Choice(["sweeps", "diagnoses", "predictions", "searches"]), multiple=True)
def main(*, quick: bool, only: tuple[str, ...]) -> None:  # noqa: D103
    proofs: dict[str, Callable[[], msgspec.Struct]] = {
        "sweeps": lambda: prove_sweeps(range(5 if quick else 50)),
        "diagnoses": lambda: prove_diagnoses(range(1 if quick else 5)),
        "predictions": lambda: prove_predictions(range(6 if quick else 60)),
        "searches": lambda: prove_searches(range(2 if quick else 20)),
    }
    found = {name: prove() for name, prove in proofs.items() if not only or name in only}
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n")


if __name__ == "__main__":
    main()
