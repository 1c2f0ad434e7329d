"""Evidence that something changed, at a time that nobody knows: Shiryaev and Roberts' sum over all times. Pure.

A step adds to each of several bets the logarithm of how much likelier the step is under that bet than without a change.
Where each factor has mean 1 at most given the past (without a change), the mean of the sums is an e-detector: the mean
time to a false alarm is at least the threshold, in steps, whatever else the numbers do (Shin, Ramdas and Rinaldo,
"E-detectors: a nonparametric framework for sequential change detection", New England J. Statist. Data Sci., 2023;
Shiryaev 1963; Roberts 1966).

What steps may add is limited by a credit that refills slowly: a factor that is cut has no larger mean, and no burst of
fewer than `FEWEST` steps is an alarm, however wild it is.
"""

from __future__ import annotations

import math

import msgspec

FEWEST = 6  # steps that an alarm takes, of 30 s each
_RISING = 2  # the last steps, that must all speak for it
_REFILL = 5.5  # each step refills the threshold over this ...
_HELD = 1.5  # ... and so many refills are held at most
_NONE = -1e3  # exp of it is 0


class Bet(msgspec.Struct, frozen=True, array_like=True):
    """One bet: the logarithm of its sum; what may be added now; and for the time of the change, the sum of gains since
    they last were nothing, with how many steps and the time (wall clock, s) at which that was."""

    log_sum: float = _NONE
    credit: float = 0.0
    run: float = 0.0
    steps: int = 0
    since_s: float | None = None


class Evidence(msgspec.Struct, frozen=True, array_like=True):
    """All bets of one question, and how many steps in a row have spoken for a change until now."""

    bets: tuple[Bet, ...]
    rising: int = 0


def no_evidence(bets: int, threshold: float) -> Evidence:
    """Before the first step. `threshold`: the logarithm of the mean time to a false alarm, in steps."""
    return Evidence(tuple(Bet(credit=_HELD * threshold / _REFILL) for _ in range(bets)))


def with_step(evidence: Evidence, gains: tuple[float, ...], threshold: float, begin_s: float) -> Evidence:
    """After a step that began at `begin_s` (wall clock), with the log factor of each bet."""
    most = threshold + math.log(len(gains))
    bets = tuple(_placed(bet, gain, threshold, most, begin_s) for bet, gain in zip(evidence.bets, gains, strict=True))
    best = max(range(len(bets)), key=lambda at: bets[at].run)
    return Evidence(bets, rising=evidence.rising + 1 if gains[best] > 0 else 0)


def _placed(bet: Bet, gain: float, threshold: float, most: float, begin_s: float) -> Bet:
    gain = min(gain, bet.credit)
    refill = threshold / _REFILL
    run = bet.run + gain
    since_s = begin_s if bet.since_s is None else bet.since_s
    return Bet(
        log_sum=min(most, math.log1p(math.exp(bet.log_sum)) + gain),
        credit=min(_HELD * refill, bet.credit - max(0.0, gain) + refill),
        run=min(most, max(0.0, run)),
        steps=bet.steps + 1 if run > 0 else 0,
        since_s=since_s if run > 0 else None,
    )


def statistic(evidence: Evidence) -> float:
    """The logarithm of the mean of the sums: an alarm where it reaches the threshold."""
    return math.log(max(1e-300, sum(math.exp(bet.log_sum) for bet in evidence.bets) / len(evidence.bets)))


def alarm(evidence: Evidence, threshold: float) -> bool:
    """Whether the threshold is reached, the change is `FEWEST` steps old at least, and it has not just ended. To wait
    for the latter two makes false alarms come later still."""
    return evidence.rising >= _RISING and strongest(evidence).steps >= FEWEST and statistic(evidence) >= threshold


def strongest(evidence: Evidence) -> Bet:
    """The bet that has gained most lately; its `since_s` is when the change seems to have been."""
    return max(evidence.bets, key=lambda bet: bet.run)
