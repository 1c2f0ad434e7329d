"""USD of a cell by the price in the plan and the usage that the provider reported."""

from __future__ import annotations

import pandas as pd

from analysis.summary import Cost
from harness.plan import Price


def cost_of(rows: pd.DataFrame, price: Price | None, good: int) -> Cost | None:
    """Of all attempts that have a usage; None without a price or without any usage. Good: within every SLO limit."""
    known = rows[rows["input_tokens"].notna() | rows["output_tokens"].notna()]
    if price is None or known.empty:
        return None
    tokens_in = float(known["input_tokens"].fillna(0).astype(float).sum())
    tokens_out = float(known["output_tokens"].fillna(0).astype(float).sum())
    cached = float(known["cached_tokens"].fillna(0).astype(float).sum())
    cached_price = price.input if price.input_cached is None else price.input_cached
    usd = ((tokens_in - cached) * price.input + cached * cached_price + tokens_out * price.output) / 1e6
    return Cost(
        usd=usd,
        usd_per_request=usd / len(known),
        usd_per_1k_good=1000 * usd / good if good else None,
        usd_per_1m_output_tokens=1e6 * usd / tokens_out if tokens_out else None,
    )
