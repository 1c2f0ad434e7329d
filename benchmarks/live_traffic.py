"""Traffic of a provider in virtual time, with the noise that real ones have, as slices.

Latencies are drawn as the simulator draws them (`ttft`, `itl`: lognormal), and then a provider's days are laid over
them: what all requests of a moment share wanders (autoregressive in continuous time), a daily cycle, wild single
requests with Pareto's tail, and short bursts in which everything is slow or much fails. What proves
`analysis.watching.degradation` is made of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.watching.slices import Floats, Slice, slice_of

DAY_S = 86400.0
_APART_S = 600.0  # between bursts at least: what comes again sooner is no short burst
_STEADIER = 0.6  # the wander of ITL over that of TTFT, which also waits in lines
_GAPS = 16  # of a reply that are measured, so that days of it can be made


@dataclass(frozen=True)
class Noise:
    """What is not steady about a steady provider. `wander`: the standard deviation of the logarithm of the factor that
    all requests of a moment share, `memory`: its correlation from one minute to the next; `cycle`: how far the daily
    cycle goes up and down. `wild`: the part of requests with a wild time. `bursts` a day of 20 to 90 s, in which times
    are 1.5 to 4 times as long, or 5 to 40 % of the requests fail."""

    wander: float = 0.02
    memory: float = 0.7
    cycle: float = 0.10
    wild: float = 0.005
    bursts: float = 10.0
    error_wander: float = 0.2


STEADY = Noise(wander=0, memory=0, cycle=0, wild=0, bursts=0, error_wander=0)


@dataclass(frozen=True)
class Provider:
    """Medians in s, and the standard deviations of logarithms: of TTFT, of a reply's pace, of a gap about it."""

    rate_rps: float
    ttft_s: float = 0.5
    ttft_sigma: float = 0.3
    itl_s: float = 0.02
    pace_sigma: float = 0.08
    itl_sigma: float = 0.3
    errors: float = 0.005
    throttled: float = 0.002


@dataclass(frozen=True)
class Change:
    """What is planted at `at_s`: factors on TTFT and ITL, and the error ratio from then on. Over after `lasts_s`;
    `creeps_s`: the time within which it comes about."""

    at_s: float
    ttft: float = 1.0
    itl: float = 1.0
    errors: float | None = None
    lasts_s: float = math.inf
    creeps_s: float = 0.0

    def part(self, at_s: float) -> float:
        """How much of it there is."""
        if not self.at_s <= at_s < self.at_s + self.lasts_s:
            return 0.0
        return 1.0 if self.creeps_s == 0 else min(1.0, (at_s - self.at_s) / self.creeps_s)


class Traffic:
    """Slices of `slice_s`, one after another from `begin_s` on; the same seed gives the same."""

    def __init__(
        self,
        provider: Provider,
        noise: Noise,
        seed: int,
        *,
        changes: tuple[Change, ...] = (),
        slice_s: float = 30.0,
        begin_s: float = 1_767_225_600.0,
    ) -> None:
        self.provider, self.noise, self.changes, self.slice_s = provider, noise, changes, slice_s
        self._rng = np.random.default_rng(seed)
        self.at_s, self._begin_s = 0.0, begin_s
        self._phase = self._rng.uniform(0, 2 * math.pi)
        self._wanders = self._rng.normal(0, 1, 3)
        self._bursts: list[tuple[float, float, float, float]] = []
        self._drawn_until_s = 0.0

    def next(self) -> Slice:
        """What ended in the next `slice_s` seconds."""
        middle_s = self.at_s + self.slice_s / 2
        n = int(self._rng.poisson(self.provider.rate_rps * self.slice_s))
        at_s = np.sort(self.at_s + self._rng.uniform(0, self.slice_s, n))
        shared = self._shared()
        slow, failing = self._burst(at_s)
        parts = np.array([[change.part(float(each)) for each in at_s] for change in self.changes])
        cycle = math.log1p(self.noise.cycle * math.sin(2 * math.pi * middle_s / DAY_S + self._phase))
        lift = np.log(slow) + cycle
        ttft = self._ttft(n) * np.exp(lift + self.noise.wander * shared[0] + self._planted(parts, "ttft", n))
        gaps = (
            self._gaps(n)
            * np.exp(lift + self.noise.wander * _STEADIER * shared[1] + self._planted(parts, "itl", n))[:, None]
        )
        u = self._rng.uniform(size=n)
        errors = self._errors(n, parts, math.exp(self.noise.error_wander * shared[2]))
        failed = u < np.maximum(errors, failing)
        throttled = ~failed & (u > 1 - self.provider.throttled)
        ok = ~failed & ~throttled
        tpot = gaps.mean(axis=1)
        self.at_s += self.slice_s
        values = {"ttft": ttft[ok], "itl": gaps[ok].ravel(), "tpot": tpot[ok], "e2e": (ttft + tpot * 200)[ok]}
        return slice_of(
            self._begin_s + self.at_s,
            self.slice_s,
            judged=n,
            failed=int(failed.sum()),
            throttled=int(throttled.sum()),
            values_s=values,
            requests={"itl": int(ok.sum())},
        )

    def _shared(self) -> Floats:
        """What all requests of this slice share, for TTFT, ITL and errors: Ornstein and Uhlenbeck's process."""
        memory = self.noise.memory ** (self.slice_s / 60) if self.noise.memory else 0.0
        fresh = self._rng.normal(0, 1, 3) * math.sqrt(1 - memory**2)
        self._wanders = memory * self._wanders + fresh
        return np.asarray(self._wanders)

    def _burst(self, at_s: Floats) -> tuple[Floats, Floats]:
        while self.noise.bursts and self._drawn_until_s < self.at_s + self.slice_s:
            begin_s = self._drawn_until_s + _APART_S + self._rng.exponential(DAY_S / self.noise.bursts - _APART_S)
            length_s = self._rng.uniform(20, 90)
            fails = self._rng.uniform() < 0.4
            factor, share = (1.0, self._rng.uniform(0.05, 0.4)) if fails else (self._rng.uniform(1.5, 4), 0.0)
            self._bursts.append((begin_s, begin_s + length_s, float(factor), float(share)))
            self._drawn_until_s = begin_s + length_s
        self._bursts = [each for each in self._bursts if each[1] > self.at_s]
        slow, failing = np.ones(len(at_s)), np.zeros(len(at_s))
        for begin_s, end_s, factor, share in self._bursts:
            inside = (at_s >= begin_s) & (at_s < end_s)
            slow[inside], failing[inside] = factor, share
        return slow, failing

    def _planted(self, parts: Floats, name: str, n: int) -> Floats:
        total = np.zeros(n)
        for change, part in zip(self.changes, parts, strict=True):
            total += np.log(getattr(change, name)) * part
        return total

    def _errors(self, n: int, parts: Floats, factor: float) -> Floats:
        share = np.full(n, self.provider.errors * factor)
        for change, part in zip(self.changes, parts, strict=True):
            if change.errors is not None:
                share += (change.errors - self.provider.errors) * part
        return share

    def _ttft(self, n: int) -> Floats:
        return self.provider.ttft_s * np.exp(self.provider.ttft_sigma * self._rng.normal(size=n)) * self._wild(n)

    def _gaps(self, n: int) -> Floats:
        pace = np.exp(self.provider.pace_sigma * self._rng.normal(size=(n, 1))) * self._wild(n)[:, None]
        return self.provider.itl_s * pace * np.exp(self.provider.itl_sigma * self._rng.normal(size=(n, _GAPS)))

    def _wild(self, n: int) -> Floats:
        wild = self._rng.uniform(size=n) < self.noise.wild
        return np.where(wild, 2 + self._rng.pareto(1.3, n), 1.0)
