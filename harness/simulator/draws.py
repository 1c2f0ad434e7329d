"""The seeded draws of one request: how long it takes, how long it is, whether it goes wrong.

The draws of a provider's n-th request (counted from 0: every request with a right key and a right body) depend on
nothing but the seed, the provider's name and n: `random.Random(f"{seed}/{name}/{n}")` gives, in this order, one
uniform number for the faults, the time to first content, the reply's length (where `reply_tokens` is set), then
one gap for each chunk after the first. Replica and cache have draws of their own: whether they are configured changes
none of the others.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, gamma, log

from harness.inputs.lengths import parse_length
from harness.simulator.config import Constant, Distribution, Exponential, Lognormal, Normal, Provider, Weibull


@dataclass(frozen=True, slots=True)
class Draws:
    """What was drawn for one request; `gap_s` draws on: the seconds that one token takes.
    `pace` is the factor of the replica that got it, `cached` whether its prompt is in the cache."""

    fault: float
    ttft_s: float
    reply_tokens: int | None
    gap_s: Callable[[], float]
    pace: float = 1.0
    cached: bool = True


def draws_of(provider: Provider, seed: int, number: int) -> Draws:
    """The draws of request `number` of `provider`."""
    rng = random.Random(f"{seed}/{provider.name}/{number}")
    fault = rng.random()
    ttft_s = sampler(provider.ttft, rng)()
    length = None if provider.reply_tokens is None else parse_length(provider.reply_tokens).draw(rng)
    pace, cached = _pace(provider, seed, number), _cached(provider, seed, number)
    return Draws(fault, ttft_s, length, sampler(provider.itl, rng), pace, cached)


def _pace(provider: Provider, seed: int, number: int) -> float:
    """The factor of the replica that gets the request."""
    if not provider.replicas:
        return 1.0
    drawn = random.Random(f"{seed}/{provider.name}/{number}/replica").random()
    for replica in provider.replicas:
        drawn -= replica.share
        if drawn < 0:
            return replica.factor
    return 1.0


def _cached(provider: Provider, seed: int, number: int) -> bool:
    if provider.cache_hits == 1:
        return True
    return random.Random(f"{seed}/{provider.name}/{number}/cache").random() < provider.cache_hits


def sampler(distribution: Distribution, rng: random.Random) -> Callable[[], float]:
    """A function that draws seconds, never negative."""
    match distribution:
        case Constant(value_s=value_s):
            return lambda: value_s
        case Lognormal(median_s=median_s, sigma=sigma):
            mu = log(median_s)
            return lambda: exp(rng.gauss(mu, sigma))
        case Normal(mean_s=mean_s, sd_s=sd_s):
            return lambda: max(0.0, rng.gauss(mean_s, sd_s))
        case Exponential(mean_s=mean_s):
            return lambda: rng.expovariate(1 / mean_s)
        case Weibull(mean_s=mean_s, shape=shape):
            scale_s = mean_s / gamma(1 + 1 / shape)  # the mean of a Weibull is scale * gamma(1 + 1/shape)
            return lambda: rng.weibullvariate(scale_s, shape)
        case number:
            return lambda: number
