"""Counts by bucket against the values themselves."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis.watching.slices import log_quantiles, merged, share_above, sketch_of, slice_of

DURATIONS = st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=200)


@given(DURATIONS, st.floats(0.01, 0.99))
def test_a_quantile_is_within_a_bucket_of_a_value_at_its_rank(values: list[float], share: float) -> None:
    found = math.exp(log_quantiles(sketch_of(np.array(values)), (share,))[0])
    ordered = sorted(values)
    at = min(len(values) - 1, max(0, math.ceil(share * len(values)) - 1))
    assert ordered[at] * 0.989 <= found <= ordered[at] * 1.011


@given(DURATIONS, st.floats(1e-4, 1e3))
def test_the_share_above_a_duration(values: list[float], limit: float) -> None:
    found = share_above(sketch_of(np.array(values)), math.log(limit))
    surely = sum(value > limit * 1.011 for value in values) / len(values)
    perhaps = sum(value > limit * 0.989 for value in values) / len(values)
    assert surely - 1e-9 <= found <= perhaps + 1e-9


@given(DURATIONS, DURATIONS)
def test_two_slices_are_one_slice_of_all_values(one: list[float], other: list[float]) -> None:
    parts = [
        slice_of(10.0 * at, 10.0, judged=len(each), failed=1, throttled=0, values_s={"ttft": np.array(each)})
        for at, each in ((1, one), (2, other))
    ]
    both = {"ttft": np.array(one + other)}
    whole = slice_of(20.0, 20.0, judged=len(one) + len(other), failed=2, throttled=0, values_s=both)
    assert merged(*parts) == whole


def test_what_was_not_measured_is_left_out() -> None:
    values = {"ttft": np.array([0.5, np.nan]), "itl": np.array([np.nan]), "tpot": np.array([])}
    made = slice_of(0.0, 1.0, judged=2, failed=0, throttled=0, values_s=values)
    assert set(made.spreads) == {"ttft"} and made.spreads["ttft"].requests == 1
