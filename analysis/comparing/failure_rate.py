"""Does A fail more often than B? Their rates of failures, as failures in an hour of up-time.

Of two Poisson processes, given how many failures there were in all, those of A follow a binomial distribution whose
probability is A's share of the up-time where both rates are equal (Przyborowski and Wilenski, Biometrika 31, 1940). The
test is the exact one of that probability, and the interval that of Clopper and Pearson, brought to the ratio of rates.
Outages that strike both providers at once are not independent, as this takes them to be.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats

from analysis.records.comparison_record import Comparison
from analysis.summary import Estimate, Result

METRIC = "failures_per_h"


def compare_failure_rates(a: Result, b: Result) -> Comparison | None:
    """The ratio of the rates, without a verdict; None where one was not watched, or neither failed."""
    of_a, of_b = a.reliability, b.reliability
    if of_a is None or of_b is None or not of_a.up_s or not of_b.up_s:
        return None
    failures_a, failures_b = of_a.failures or 0, of_b.failures or 0
    if failures_a + failures_b == 0:
        return None
    test = stats.binomtest(failures_a, failures_a + failures_b, of_a.up_s / (of_a.up_s + of_b.up_s))
    ends = test.proportion_ci(0.95, "exact")
    scale = of_b.up_s / of_a.up_s
    return Comparison(
        workload=a.workload or "",
        stage=a.stage or 0,
        metric=METRIC,
        a=a.target,
        b=b.target,
        a_value=3600 * failures_a / of_a.up_s,
        b_value=3600 * failures_b / of_b.up_s,
        ratio=Estimate(
            value=scale * failures_a / failures_b if failures_b else None,
            ci95=(_odds(float(ends.low), scale), _odds(float(ends.high), scale)),
        ),
        difference=Estimate(value=3600 * (failures_a / of_a.up_s - failures_b / of_b.up_s)),
        p_value=float(test.pvalue),
        verdict="not comparable",
        method="exact test of two Poisson rates",
    )


def _odds(share: float, scale: float) -> float | None:
    """The ratio of rates at a share of A in all failures; None: without bound."""
    return scale * share / (1 - share) if share < 1 else None


@dataclass(frozen=True)
class RateTest:
    """What rates of failures say of a difference of availabilities (`mean`): whether there is one, not how large it is.
    `p` is two-sided."""

    mean: float
    p: float

    def one_sided(self, at: float, *, above: bool) -> float:
        """The p of the difference not being above (below) zero; of any other place nothing is known."""
        return self.p / 2 if at == 0 and self.mean != 0 and (self.mean > 0) == above else 1.0


def availability_test(a: Result, b: Result, difference: float) -> RateTest | None:
    """Where a side was never down, its availability has no interval; the failures of both sides still tell."""
    found = compare_failure_rates(a, b)
    return None if found is None or found.p_value is None else RateTest(difference, found.p_value)
