"""The metrics that comparisons look at: which way is better, on what scale they differ, what does not matter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

FAILURES = "failures_per_h"
ACCURACY = "quality.accuracy"
_SAME_RATIO = math.log(1.02)
_SAME_SHARE = 0.001
_SAME_QUALITY = 0.01
_HEADLINE_WEIGHT, _OTHER_WEIGHT = 10.0, 1.0


@dataclass(frozen=True)
class Metric:
    """A path into a result. `scale`: whether two values are told apart by their ratio or, as shares of one are, by
    their difference. `same`: what does not matter: of the logarithm of the ratio, or of the difference."""

    path: str
    less_is_better: bool
    scale: Literal["ratio", "difference"]
    same: float


HEADLINES = (
    *("ttft_s.p50", "ttft_s.p95", "tpot_s.p50", "e2e_s.p50", "e2e_s.p95"),
    *("goodput_rps", "output_tokens_per_s", "batch.items_per_s"),
    *("success_ratio", FAILURES, ACCURACY, "cost.usd_per_1k_good"),
)
OF_REPEATS = (
    *("ttft_s.p50", "ttft_s.p90", "ttft_s.p95", "ttft_s.p99", "itl_s.p50", "itl_s.p95", "itl_s.p99"),
    *("tpot_s.p50", "tpot_s.p95", "e2e_s.p50", "e2e_s.p90", "e2e_s.p95", "e2e_s.p99"),
    *("response_s.p50", "response_s.p95", "response_s.p99"),
    *("completed_rps", "goodput_rps", "output_tokens_per_s", "batch.items_per_s"),
    *("success_ratio", "cost.usd_per_1k_good"),
)
BY_SLO = ("goodput_rps", "cost.usd_per_1k_good", "scaling.slo_attainment")  # they count what meets the limits
OF_ESTIMATES = ("availability", "quality.refused", "quality.cut")
_SHARES = ("success_ratio", "availability", "integrity")
_LESS = ("cost.", "quality.refused", "quality.cut", "recovery.")
_OF_TIMES = ("ttft_s", "ttfo_s", "itl_s", "tpot_s", "e2e_s", "response_s", "lag_s")


def metric_of(path: str) -> Metric:
    """What is known of a metric."""
    is_time = path.partition(".")[0] in _OF_TIMES
    less = is_time or path == FAILURES or path.startswith(_LESS)
    if is_share(path):
        same = _SAME_QUALITY if path.startswith("quality.") else _SAME_SHARE
        return Metric(path, less, "difference", same)
    return Metric(path, less, "ratio", _SAME_RATIO)


def is_share(path: str) -> bool:
    """Whether a metric is a share of one, whose changes are told in percentage points."""
    return path in _SHARES or (path.startswith("quality.") and path != "quality.bleu")


def weight_of(path: str, asked: tuple[str, ...] | None = None) -> float:
    """How much of the 5 % a metric has in Holm's weighted correction: ten times as much for a headline, or for what a
    sequential run was `asked`."""
    return _HEADLINE_WEIGHT if path in (HEADLINES if asked is None else asked) else _OTHER_WEIGHT
