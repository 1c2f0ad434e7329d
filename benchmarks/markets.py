"""Simulated markets: four to six providers whose true utilities for a use case are known, and runs that measure them.

How a market is drawn. A level of each property for the whole market, then each provider around it: TTFT and ITL
log-normal with sigma 0.35 (two providers typically differ by half), accuracy with sigma 0.5 on the logit scale, price
log-normal with sigma 0.5, failures 0 for half of them and else log-uniform from 0.2 % to 4 %. All of it independent:
no provider is good at everything on purpose, and no difference is forced to be large or small. A run is 3 to 6
repeats; in every repeat each wait of a provider is multiplied by a factor of its own for that cell, log-normal with
sigma from 2 % to 8 %; the slowest answers 350 questions in each, or 800 where the use case gives half of its weight or
more to quality. The data are journals of the simulator in virtual time, read by the code that reads every run.

In a market of near equals the truly best provider has a twin in place of one of the others: the same model, 1 % quicker
or slower, 1 % dearer or cheaper; and repeats differ by 0.2 % to 1 % only, since otherwise nobody could say that it does
not matter.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from analysis.deciding.burdens import METRICS, burden, normalised
from analysis.deciding.hard_limits import hard_limits
from analysis.deciding.use_cases import UseCase, shipped
from harness.errors import ErrorKind
from harness.plan_file import plan_of
from harness.rundir import RunDir
from harness.sample import Outcome, Sample, decode, encode
from harness.simulator.config import config_from
from harness.simulator.offline import Client, play_offline

USERS = 8
OUTPUT_TOKENS = 32
INPUT_TOKENS = 256
_ASKED, _OF = 350, 600  # so many questions, of a set of so many
_ASKED_OF_QUALITY, _OF_QUALITY = 800, 1000
_SIGMA_TTFT, _SIGMA_ITL = 0.3, 0.2
_DRAWS = 40_000


@dataclass(frozen=True)
class Provider:
    """The true properties of one provider."""

    name: str
    ttft_s: float
    itl_s: float
    accuracy: float
    failures: float
    input_usd: float
    output_usd: float


@dataclass(frozen=True)
class Market:
    """Providers, the use case they are wanted for, and how they are measured."""

    seed: int
    providers: tuple[Provider, ...]
    use_case: UseCase
    repeats: int
    spread: float


def draw_market(seed: int, kind: str, *, alike: bool = False) -> Market:
    """A market for a shipped use case, or for one `own` that is drawn too: weights, a limit on TTFT p95 that some
    providers miss, and a budget. `alike`: one of near equals."""
    rng = random.Random(f"market/{seed}")  # noqa: S311  (seeded randomness is wanted, not secrets)
    level = {
        "ttft_s": rng.lognormvariate(math.log(0.3), 0.5),
        "itl_s": rng.lognormvariate(math.log(0.012), 0.4),
        "logit": rng.uniform(0.4, 2.0),
        "usd": rng.lognormvariate(math.log(1.5), 0.8),
    }
    count = rng.randint(4, 6)
    providers = tuple(_provider(rng, f"p{number}", level) for number in range(count))
    place = rng.random()  # of the one that gives way to a twin, where there is one
    use_case = _own(rng, providers) if kind == "own" else msgspec.structs.replace(shipped()[kind], kinds=())
    market = Market(seed, providers, use_case, rng.randint(3, 6), rng.uniform(0.02, 0.08))
    return _with_twin(market, place, rng) if alike else market


def _with_twin(market: Market, place: float, rng: random.Random) -> Market:
    true = true_utilities(market)
    best = max(market.providers, key=lambda each: true[each.name])
    others = [each for each in market.providers if each is not best]
    gone = others[int(place * len(others))]
    twin = _twin(rng, best, gone.name)
    providers = tuple(twin if each is gone else each for each in market.providers)
    return replace(market, providers=providers, spread=rng.uniform(0.002, 0.01))


def _provider(rng: random.Random, name: str, level: dict[str, float]) -> Provider:
    usd = level["usd"] * rng.lognormvariate(0, 0.5)
    return Provider(
        name=name,
        ttft_s=level["ttft_s"] * rng.lognormvariate(0, 0.35),
        itl_s=level["itl_s"] * rng.lognormvariate(0, 0.35),
        accuracy=1 / (1 + math.exp(-(level["logit"] + rng.gauss(0, 0.5)))),
        failures=0.0 if rng.random() < 0.5 else math.exp(rng.uniform(math.log(0.002), math.log(0.04))),
        input_usd=usd,
        output_usd=4 * usd,
    )


def _twin(rng: random.Random, other: Provider, name: str) -> Provider:
    """The same model on machines that are nearly as quick, at nearly the same price, and with its own failures."""
    usd = other.input_usd * rng.lognormvariate(0, 0.01)
    return replace(
        other,
        name=name,
        ttft_s=other.ttft_s * rng.lognormvariate(0, 0.01),
        itl_s=other.itl_s * rng.lognormvariate(0, 0.01),
        input_usd=usd,
        output_usd=4 * usd,
    )


def _own(rng: random.Random, providers: tuple[Provider, ...]) -> UseCase:
    weights = {name: rng.expovariate(1) for name in METRICS}
    tails = sorted(each.ttft_s * math.exp(1.645 * _SIGMA_TTFT) for each in providers)
    costs = sorted(usd_of(each) for each in providers)
    limit_s = (tails[-2] + tails[-1]) / 2 * rng.uniform(0.9, 1.1)
    volume = 100_000.0
    return UseCase(
        weights=weights,
        limits=(f"ttft_s.p95 < {limit_s:.6f}",),
        requests_per_month=volume,
        budget_usd=volume * (costs[-2] + costs[-1]) / 2,
    )


def usd_of(provider: Provider) -> float:
    """What a request costs."""
    return (INPUT_TOKENS * provider.input_usd + OUTPUT_TOKENS * provider.output_usd) / 1e6


def truth_of(provider: Provider, spread: float) -> dict[str, float]:
    """What endless repeats would show of a provider."""
    rng = np.random.default_rng(0)
    factor = np.exp(spread * rng.standard_normal(_DRAWS))
    ttft = factor * provider.ttft_s * np.exp(_SIGMA_TTFT * rng.standard_normal(_DRAWS))
    gaps = np.exp(_SIGMA_ITL * rng.standard_normal((_DRAWS, OUTPUT_TOKENS - 1))).sum(axis=1)
    decode_s = factor * provider.itl_s * gaps
    e2e = ttft + decode_s
    # The mean over repeats of what one repeat's factor makes of the rate.
    rate = USERS / float((e2e / factor).mean()) * math.exp(spread**2 / 2)
    ends: dict[str, float] = {}
    for name, values in (("ttft_s", ttft), ("tpot_s", decode_s / (OUTPUT_TOKENS - 1)), ("e2e_s", e2e)):
        for statistic, q in (("p50", 0.5), ("p95", 0.95)):
            ends[f"{name}.{statistic}"] = float(np.quantile(values, q))
    return ends | {
        "completed_rps": rate * (1 - provider.failures),
        "output_tokens_per_s": rate * OUTPUT_TOKENS,
        "success_ratio": 1 - provider.failures,
        "quality.accuracy_of_all": provider.accuracy,
        "cost.usd_per_request": usd_of(provider),
    }


def true_utilities(market: Market) -> dict[str, float]:
    """The total of each provider by the true numbers; 0 for one that truly misses a limit."""
    weights = normalised(market.use_case.weights)
    hards = hard_limits(market.use_case)
    found = {}
    for provider in market.providers:
        truth = truth_of(provider, market.spread)
        log = 0.0
        for category, weight in weights.items():
            paths = [path for path in market.use_case.metrics.get(category, METRICS[category]) if path in truth]
            log -= weight * sum(math.log(burden(category, truth[path])) for path in paths) / len(paths)
        found[provider.name] = math.exp(log) if all(hard.meets(truth[hard.path]) for hard in hards) else 0.0
    return found


def play_market(market: Market, folder: Path, span_s: float = 20.0) -> RunDir:
    """The run directory of a market's measurement, in virtual time."""
    plan = plan_of(_document(market, span_s), "market")
    run_dir = RunDir(folder / "market" / f"seed-{market.seed}")
    play_offline(plan, config_from(plan.simulator), run_dir, Client(spread=market.spread))
    _let_fail(market, run_dir)
    return run_dir


def _document(market: Market, span_s: float) -> dict[str, Any]:
    careful = normalised(market.use_case.weights).get("quality", 0.0) >= 0.5
    asked, source = (_ASKED_OF_QUALITY, f"own:{_OF_QUALITY}") if careful else (_ASKED, f"own:{_OF}")
    providers = {
        each.name: {
            "dialects": ["openai-chat"],
            "ttft": {"kind": "lognormal", "median_s": each.ttft_s, "sigma": _SIGMA_TTFT},
            "itl": {"kind": "lognormal", "median_s": each.itl_s, "sigma": _SIGMA_ITL},
            "skill": {"questions": source, "accuracy": each.accuracy, "steadiness": 0.95},
        }
        for each in market.providers
    }
    slowest_s = max(each.ttft_s for each in market.providers)
    asked_s = asked * slowest_s / USERS
    return {
        "name": "market",
        "seed": market.seed,
        "repeats": market.repeats,
        "warmup_s": 2,
        "targets": [
            {
                "name": each.name,
                "base_url": f"sim://{each.name}",
                "dialect": "openai-chat",
                "model": "m",
                "price": {"input": each.input_usd, "output": each.output_usd},
            }
            for each in market.providers
        ],
        "workloads": [
            {"kind": "chat", "name": "chat", "input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
            {
                "kind": "chat",
                "name": "asked",
                "questions": source,
                "output_tokens": 128,
                "stages": [{"concurrency": USERS, "duration_s": max(2.0, asked_s)}],
            },
        ],
        "stages": [{"concurrency": USERS, "duration_s": span_s}],
        "simulator": {"seed": market.seed, "providers": providers},
    }


def _let_fail(market: Market, run_dir: RunDir) -> None:
    """Replies to chats fail with each provider's chance, at the moment at which they would have ended."""
    chance = {each.name: each.failures for each in market.providers}
    rng = random.Random(f"failures/{market.seed}")  # noqa: S311  (as above)
    for path in sorted(run_dir.journals.glob("*.jsonl")):
        lines = []
        for line in path.read_bytes().splitlines():
            record = decode(line)
            fails = isinstance(record, Sample) and record.workload == "chat" and rng.random() < chance[record.target]
            if isinstance(record, Sample) and fails:
                record = msgspec.structs.replace(
                    record,
                    outcome=Outcome.FAILED,
                    error=ErrorKind.SERVER_ERROR,
                    status=500,
                    event_ns=(),
                    first_text_ns=None,
                    usage=None,
                )
            lines.append(encode(record))
        path.write_bytes(b"".join(lines))
