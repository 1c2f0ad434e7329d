"""USD of a cell by its target's price and the usage that the provider reported. Formulas: docs/cost.md."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pandas as pd

from analysis.summary import Cost, Finding, Result
from harness.plan import Target
from harness.prices import price_of, spend_of
from harness.sample import Usage

COUNTED = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens", "cache_write_tokens")


def cost_of(rows: pd.DataFrame, target: Target, good: int) -> Cost | None:
    """Of all attempts that have the provider's usage, input that costs something included, whatever became of them;
    None without a price or without any usage. Good: within every SLO limit."""
    price = target.price
    if price is None:
        return None
    counted = rows["input_tokens"].notna() | ((price.input == 0) & rows["output_tokens"].notna())
    known = (rows["usage_source"] == "provider") & counted
    if price.up_to_input_tokens is not None:
        known &= ~(rows["input_tokens"] > price.up_to_input_tokens)
    replied = (rows["outcome"] == "ok") | (rows["events"] > 0) | rows["output_tokens"].notna()
    billed = rows[known]
    if billed.empty:
        return None
    usage = Usage(source="provider", **{name: int(billed[name].fillna(0).sum()) for name in COUNTED})
    spend = spend_of(price, target.dialect, usage, len(billed))
    tokens_in, tokens_out = usage.input_tokens or 0, usage.output_tokens or 0
    return Cost(
        usd=spend.usd,
        requests=len(billed),
        unknown_requests=int((replied & ~known).sum()),
        usd_per_request=spend.usd / len(billed),
        usd_per_1k_good=_per(1e3 * spend.usd, good),
        usd_per_1m_input_tokens=_per(1e6 * spend.usd, tokens_in),
        usd_per_1m_output_tokens=_per(1e6 * spend.usd, tokens_out),
        usd_per_1m_tokens=_per(1e6 * spend.usd, tokens_in + tokens_out),
        cost_per_token=_per(spend.usd, tokens_in + tokens_out),
        spend=spend,
        price=price,
    )


def _per(value: float, count: int) -> float | None:
    return value / count if count else None


def quality_per_dollar(accuracy: float | None, usd_per_request: float | None) -> float | None:
    """Accuracy over the USD of 1,000 requests; None where either is not known, or they cost nothing."""
    return None if accuracy is None or not usd_per_request else accuracy / (1e3 * usd_per_request)


def speed_quality_ratio(accuracy: float | None, output_tokens_per_s: float | None) -> float | None:
    """Output tokens/s times accuracy; None where either is not known."""
    return None if accuracy is None or output_tokens_per_s is None else accuracy * output_tokens_per_s


def with_accuracy(result: Result, accuracy: float | None) -> Result:
    """The result with what it is worth, by the share of its answers that are right (None: not graded)."""
    cost = result.cost
    if cost is not None:
        cost = msgspec.structs.replace(cost, quality_per_dollar=quality_per_dollar(accuracy, cost.usd_per_request))
    ratio = speed_quality_ratio(accuracy, result.output_tokens_per_s)
    return msgspec.structs.replace(result, cost=cost, speed_quality_ratio=ratio)


def cost_findings(results: Sequence[Result], targets: Sequence[Target]) -> list[Finding]:
    """What is not known of the cost. Simulated targets cost nothing, which needs no finding."""
    found = []
    for target in targets:
        own = [result for result in results if result.target == target.name]
        if target.price is None and not target.simulated and own:
            saw = f"price of {target.name}: {price_of(target)}"
            hint = "give it a `price` in the plan, or `tokenswarm analyze RUN_DIR --prices FILE` (docs/cost.md)"
            found.append(_note("no-price", saw, "its cost is not known; that is not the same as nothing", hint))
        unknown = sum(result.cost.unknown_requests for result in own if result.cost)
        if unknown:
            whole = sum(result.attempted for result in own)
            saw = f"{target.name}: the cost of {unknown} of {whole} requests is not known"
            why = "they had a reply, or a part of one, and no usage, none of its input, or more than its price is for"
            found.append(_note("cost-incomplete", saw, why, "the provider's bill will be higher than what stands here"))
    return found


def _note(code: str, saw: str, why: str, hint: str) -> Finding:
    return Finding(code=code, severity="note", saw=saw, why=why, hint=hint)
