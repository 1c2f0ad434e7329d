"""Summaries of known numbers: targets with the values of their repeats, made without a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from analysis.quantiles import interval
from analysis.records.quality_record import Quality
from analysis.reliability import wilson
from analysis.summary import Cost, Dist, Estimate, Reliability, Repeat, Result, Summary, Validity
from harness.plan import Price
from harness.prices import Spend

LATENCIES = ("ttft_s", "tpot_s", "e2e_s")


def made(
    target: str,
    *,
    ttft_s: float = 0.2,
    tpot_s: float = 0.01,
    e2e_s: float = 1.0,
    rate: float = 10.0,
    accuracy: float | None = 0.8,
    usd: float | None = 0.001,
    failed: int = 0,
    noise: Sequence[float] = (0.01, -0.01, 0.0),
    answers: float = 400.0,
    n: int = 900,
    **changes: Any,
) -> Result:
    """A result whose repeats differ from its values by these logarithms; p95 is 1.5 times p50."""
    factors = np.exp(np.array(noise))
    found: dict[str, Any] = {}
    own: list[dict[str, float | None]] = [{} for _ in noise]
    for name, value in zip(LATENCIES, (ttft_s, tpot_s, e2e_s), strict=True):
        statistics = {"mean": value * 1.1, "p50": value, "p95": value * 1.5}
        spread = {key: list(each * factors) for key, each in statistics.items()}
        ends = {key: ends for key, each in spread.items() if (ends := interval(each)) is not None}
        cv = {key: float(np.std(each, ddof=1) / np.mean(each)) for key, each in spread.items() if len(each) > 1}
        found[name] = Dist(n=n, p99=value * 2, **statistics, ci95=ends, cv=cv)
        for place, values in enumerate(own):
            values |= {f"{name}.{key}": float(each[place]) for key, each in spread.items()}
    for place, values in enumerate(own):
        values |= {"completed_rps": rate / factors[place], "output_tokens_per_s": 50 * rate / factors[place]}
        values |= {"success_ratio": 1 - failed / n}
    repeats = tuple(
        Repeat(repeat=k + 1, attempted=n // len(noise), window_s=30.0, values=values) for k, values in enumerate(own)
    )
    outcomes = {"ok": n - failed} | ({"failed": failed} if failed else {})
    fields: dict[str, Any] = {
        "target": target,
        "workload": "w",
        "kind": "chat",
        "stage": 0,
        "stage_label": "8 users",
        "load": {"concurrency": 8},
        "request": {"input_tokens": 100},
        "repeats": len(noise),
        "attempted": n,
        "outcomes": outcomes,
        "completed_rps": rate,
        "achieved_rps": rate,
        "output_tokens_per_s": 50 * rate,
        "in_flight_mean": 8.0,
        "reliability": reliability(n - failed, n),
        "quality": None if accuracy is None else quality(accuracy, answers),
        "cost": None if usd is None else cost(usd, n),
        "repeat_values": repeats,
    }
    return Result(**(fields | found | changes))


def reliability(ok: int, n: int, **changes: Any) -> Reliability:
    """So many successes of n, and no outage."""
    fields: dict[str, Any] = {
        "rule": "r",
        "resolution_s": 0.1,
        "success_ratio": wilson(ok, n),
        "availability": Estimate(value=1.0),
        "mtbf_s": Estimate(value=None),
        "mttr_s": Estimate(value=None),
        "provider_failures": n - ok,
        "failures_per_1k": 0.0,
    }
    return Reliability(**(fields | changes))


def quality(accuracy: float, answers: float) -> Quality:
    """An accuracy on so many independent answers."""
    n = round(answers)
    found = wilson(round(accuracy * n), n)
    exact = Estimate(value=accuracy, ci95=found.ci95)
    none = wilson(0, n)
    return Quality(
        replies=n,
        questions=n,
        graded=n,
        correct=round(accuracy * n),
        effective_n=answers,
        accuracy=exact,
        accuracy_of_all=exact,
        refused=none,
        cut=none,
    )


def cost(usd: float, n: int, **price: Any) -> Cost:
    """A third of it is input, the rest output: 100 tokens in and 50 out at prices that say so."""
    spend = Spend(input_usd=n * usd / 3, output_usd=n * usd * 2 / 3)
    return Cost(
        usd=n * usd,
        requests=n,
        usd_per_request=usd,
        usd_per_1k_good=1000 * usd,
        usd_per_1m_output_tokens=None,
        spend=spend,
        price=Price(input=usd / 3 / 100 * 1e6, output=usd * 2 / 3 / 50 * 1e6, **price),
    )


def summary(*results: Result, run: str = "run", **changes: Any) -> Summary:
    """A valid run of these results."""
    fields: dict[str, Any] = {
        "run": run,
        "plan": "p",
        "source": "samples",
        "started_utc": "2026-01-01T00:00:00Z",
        "validity": Validity(verdict="valid"),
        "results": results,
    }
    return Summary(**(fields | changes))


def renamed(found: Summary, names: dict[str, str]) -> Summary:
    """The same run with other names for its targets."""
    results = tuple(msgspec.structs.replace(each, target=names[each.target]) for each in found.results)
    return msgspec.structs.replace(found, results=results)


def ratio(a: float, b: float) -> float:
    """The logarithm of a ratio."""
    return math.log(a / b)
