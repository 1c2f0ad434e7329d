"""Student's t for looking again and again: a test and an interval that hold whenever one stops, and for any reason.

The mean of normal values with unknown spread is tested by the Bayes factor of an effect size ~ N(0, PRIOR^2) against
none, with the right Haar prior on the spread. It depends on the values through t alone, and is a martingale of mean 1
where the true mean is zero; so it passes 1 / alpha with probability alpha at most, however often it is looked at
(Ville; Lai, "On confidence sequences", Ann. Statist. 4, 1976; Perez-Ortiz, Lardy, de Heide and Gruenwald,
"E-statistics, group invariance and anytime-valid testing", Ann. Statist. 52, 2024). 1 / the factor is a p-value at any
stopping time, and all means that are not refuted make an interval that holds at all times together.
"""

from __future__ import annotations

import math

PRIOR = 2.0  # effects between load tests are large: a difference of 5 % at a spread of 2 % is one of 2.5


def log_factor(t: float, n: int) -> float:
    """The logarithm of the Bayes factor at Student's t of n values; 0 with fewer than two."""
    if n < 2:
        return 0.0
    r, x = 1 + n * PRIOR**2, t * t / (n - 1)
    return n / 2 * (math.log1p(x) - math.log1p(x / r)) - math.log(r) / 2


def p_value(t: float, n: int) -> float:
    """A p that holds at any stopping time."""
    return min(1.0, math.exp(-log_factor(t, n)))


def critical(n: int, level: float) -> float:
    """The |t| of n values from which on zero is refuted at a level; infinite while no t could."""
    if n < 2:
        return math.inf
    r = 1 + n * PRIOR**2
    bound = math.exp(min(700.0, (math.log(r) / 2 - math.log(level)) * 2 / n))
    return math.inf if bound >= r else math.sqrt((n - 1) * (bound - 1) / (1 - bound / r))
