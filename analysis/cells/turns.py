"""Turns of conversations: how latency and the cache behave as the history grows; and how often structured replies are
valid."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.summary import Structured, Turn

_MOST_TURNS = 50


def turns_of(rows: pd.DataFrame) -> tuple[Turn, ...]:
    """One record a turn, of attempts inside the window; none where there were no conversations."""
    numbers = sorted({int(turn) for turn in rows["turn"].dropna().unique()})
    return tuple(_turn(number, rows[rows["turn"] == number]) for number in numbers[:_MOST_TURNS])


def _turn(number: int, rows: pd.DataFrame) -> Turn:
    good = rows[rows["outcome"] == "ok"]
    told = good[good["input_tokens"].notna() & good["cached_tokens"].notna()]
    given = float(told["input_tokens"].sum())
    ttft_s = (good["first_event_ns"] - good["start_ns"]) / 1e9
    return Turn(
        turn=number,
        attempted=len(rows),
        ok=len(good),
        input_tokens_mean=_finite(good["input_tokens"].mean()),
        cached_share=float(told["cached_tokens"].sum()) / given if given else None,
        ttft_p50_s=_finite(ttft_s.median()),
        e2e_p50_s=_finite(((good["end_ns"] - good["start_ns"]) / 1e9).median()),
    )


def structured_of(rows: pd.DataFrame) -> Structured | None:
    """Of replies that came whole: how many were JSON of the schema that was asked for. None: none was asked for."""
    judged = rows["valid"].dropna()
    if judged.empty:
        return None
    return Structured(replies=len(judged), valid=int(judged.sum()), valid_share=float(judged.mean()))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
