"""Whether the intervals of MTBF, MTTR and availability hold the truth as often as they say.

    python -m benchmarks.coverage_reliability [--histories N] [--seed N]

Draws histories of a provider whose up-times and repairs are exponential with known means, and estimates the means from
each: once from the times of the outages, and once by the whole way, from attempts at a constant rate through the
detection of outages. Prints a line for each condition, and exits with 1 where a claim of docs/reliability.md fails.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click
import numpy as np

from analysis.failures.lifetimes import Lifetimes, availability, exponential, lifetimes, mean_time, trend
from analysis.failures.outages import Attempts, Seen, Watch, seen
from analysis.summary import Estimate, Outage
from harness.plan import OutageRule

RULE = OutageRule()


@dataclass(frozen=True)
class Condition:
    """Histories of one kind, in seconds. `gap_s`: between attempts; None: the times of the outages are known.
    `watches`: how many watches, each as long as `watch_s`. `least` and `most`: where the coverage has to lie."""

    name: str
    mtbf_s: float
    mttr_s: float
    watch_s: float
    watches: int = 1
    gap_s: float | None = None
    least: float = 0.93
    most: float = 1.0
    unbiased: bool = False

    @property
    def true_availability(self) -> float:
        """What availability the means amount to."""
        return self.mtbf_s / (self.mtbf_s + self.mttr_s)


HOURS = 3600.0
CONDITIONS = (
    Condition("many failures, times known", 300, 30, 9 * HOURS, most=0.97, unbiased=True),
    Condition("many failures, 20 attempts/s", 300, 30, 9 * HOURS, gap_s=0.05, most=0.97, unbiased=True),
    Condition("the same in 9 watches", 300, 30, HOURS, watches=9, most=0.97, unbiased=True),
    Condition("some failures, times known", 300, 30, 3 * HOURS, most=0.97),
    Condition("half a failure expected", 300, 30, 150),
    Condition("one failure expected", 300, 30, 300),
    Condition("one failure expected, 20 attempts/s", 300, 30, 300, gap_s=0.05),
    Condition("two failures expected", 300, 30, 600),
    Condition("repairs outlast the watch", 300, 900, 300),
)


@dataclass(frozen=True)
class Tally:
    """What a condition came to: mean number of failures; shares of the intervals that hold the truth, of those that
    could be given (MTTR and availability want an outage); means of the estimates over the truth; and the share of the
    histories whose exponential times a test at 5 % spoke against (None: too few failures)."""

    failures: float
    mtbf: float
    mttr: float
    available: float
    mtbf_ratio: float
    mttr_ratio: float
    rate_ratio: float
    rejected: tuple[float, float] | None


def history(rng: np.random.Generator, condition: Condition) -> list[Seen]:
    """The true outages of each watch. A watch begins as the one before it ended, up or down."""
    found, down = [], False
    for number in range(condition.watches):
        begin_s = number * condition.watch_s
        end_s, at_s = begin_s + condition.watch_s, begin_s
        outages: list[Outage] = []
        while at_s < end_s:
            until_s = at_s + rng.exponential(condition.mttr_s if down else condition.mtbf_s)
            if down:
                end = until_s if until_s < end_s else None
                outages.append(Outage(start_s=at_s, end_s=end, failures=0, began_before=at_s == begin_s))
            if until_s < end_s:
                down = not down
            at_s = until_s
        found.append(Seen(begin_s, end_s, tuple(outages)))
    return found


def watched(true: Seen, gap_s: float) -> Watch:
    """Attempts at a constant rate in a watch, each of which fails where the provider was down."""
    start_s = np.arange(true.begin_s, true.end_s, gap_s)
    edges = [edge for outage in true.down for edge in (outage.start_s, outage.end_s or true.end_s)]
    failed = np.searchsorted(np.array(edges), start_s, side="right") % 2 == 1
    never = np.zeros(len(start_s), dtype=np.bool_)
    return Watch(true.begin_s, true.end_s, Attempts(start_s, start_s, ~failed, failed, never, never))


def lives(true: Sequence[Seen], gap_s: float | None) -> tuple[Lifetimes, Lifetimes]:
    """Up-times and repairs, from the outages themselves or from attempts."""
    return lifetimes(true if gap_s is None else [seen(watched(each, gap_s), RULE) for each in true])


def tally(condition: Condition, histories: int, seed: int, *, tests: int = 0) -> Tally:
    """Draw the histories of a condition, and see how well they are estimated. `tests`: of how many the tests of the
    exponential assumption are made, which take long."""
    rng = np.random.default_rng(seed)
    every = [lives(history(rng, condition), condition.gap_s) for _ in range(histories)]
    mtbf = [mean_time(up.total_s, up.events) for up, _ in every]
    mttr = [mean_time(down.total_s, down.events) for _, down in every]
    available = [availability(up, down) for up, down in every]
    tested = [up for up, _ in every[:tests] if up.events >= 20]
    rates = [up.events / up.total_s for up, _ in every if up.total_s > 0]
    return Tally(
        failures=float(np.mean([up.events for up, _ in every])),
        mtbf=_coverage(mtbf, condition.mtbf_s),
        mttr=_coverage(mttr, condition.mttr_s),
        available=_coverage(available, condition.true_availability),
        mtbf_ratio=_mean(mtbf) / condition.mtbf_s,
        mttr_ratio=_mean(mttr) / condition.mttr_s,
        rate_ratio=float(np.mean(rates)) * condition.mtbf_s,
        rejected=_rejected(tested) if len(tested) >= 50 else None,
    )


def _coverage(found: Sequence[Estimate], true: float) -> float:
    """The share of the intervals that hold the truth."""
    intervals = [each.ci95 for each in found if each.ci95 is not None]
    held = [(low is None or low <= true) and (high is None or true <= high) for low, high in intervals]
    return float(np.mean(held)) if held else float("nan")


def _mean(found: Sequence[Estimate]) -> float:
    values = [each.value for each in found if each.value is not None]
    return float(np.mean(values)) if values else float("nan")


def _rejected(tested: Sequence[Lifetimes]) -> tuple[float, float]:
    """How often each test speaks against what is true."""
    found = [[fit is not None and fit.p_value < 0.05 for fit in (exponential(up), trend(up))] for up in tested]
    shape, rate = np.mean(found, axis=0)
    return float(shape), float(rate)


def failed_claims(condition: Condition, found: Tally) -> list[str]:
    """What docs/reliability.md claims and a tally does not bear out."""
    claims = []
    for name, share in (("MTBF", found.mtbf), ("MTTR", found.mttr), ("availability", found.available)):
        if not np.isnan(share) and not condition.least <= share <= condition.most:
            claims.append(f"coverage of {name} {100 * share:.1f} %")
    if condition.unbiased:
        for name, ratio in (("MTBF", found.mtbf_ratio), ("MTTR", found.mttr_ratio)):
            if abs(ratio - 1) > 0.03:
                claims.append(f"{name} is off by {100 * (ratio - 1):+.1f} %")
    return claims


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    click.echo(
        f"{options.histories} histories each, seed {options.seed}; coverage of 95 % intervals, estimates over the truth"
    )
    click.echo(f"{'condition':36} failures   MTBF   MTTR  avail | MTBF  MTTR  rate | tests at 5 %: AD, Laplace")
    wrong = 0
    for condition in CONDITIONS:
        found = tally(condition, options.histories, options.seed, tests=200)
        shares = " ".join(f"{100 * share:5.1f}%" for share in (found.mtbf, found.mttr, found.available))
        ratios = " ".join(f"{ratio:5.3f}" for ratio in (found.mtbf_ratio, found.mttr_ratio, found.rate_ratio))
        tests = "" if found.rejected is None else ", ".join(f"{100 * share:.1f}%" for share in found.rejected)
        click.echo(f"{condition.name:36} {found.failures:8.1f} {shares} | {ratios} | {tests}")
        for claim in failed_claims(condition, found):
            wrong += 1
            click.echo(f"  claim failed: {claim}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
