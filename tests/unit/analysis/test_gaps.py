"""Exact quantiles by counting: the same as sorting gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.reading.gaps import FEW, Gaps, Part, gap_figures
from analysis.reading.journals import narrowed

QUANTILES = (0.0, 0.5, 0.9, 0.99, 1.0)
# Beside ordinary gaps: equal ones, the edges of the 16-bit and 32-bit ranges, longer ones, and negative ones.
GAP = st.one_of(
    st.integers(0, 50_000_000),
    st.sampled_from([0, 65_535, 65_536, 2**32 - 1, 2**32, 2**40, -1, -(2**33)]),
    st.integers(20_000_000, 20_000_010),
)
ROWS = st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.lists(GAP, max_size=6)), max_size=25)


def _gaps(rows: list[tuple[int, list[int]]], part_rows: int) -> Gaps:
    parts = []
    for begin in range(0, len(rows), part_rows):
        lists = [values for _, values in rows[begin : begin + part_rows]]
        flat = np.array([value for values in lists for value in values], dtype=np.int64)
        parts.append(Part(begin, np.cumsum([len(values) for values in lists]), narrowed(flat)))
    return Gaps(tuple(parts))


@given(ROWS, st.integers(1, 7), st.sampled_from([-1, FEW]))
def test_counting_gives_what_sorting_gives(rows: list[tuple[int, list[int]]], part_rows: int, few: int) -> None:
    """Rows of group 2 are chosen by none."""
    group = np.array([number for number, _ in rows], dtype=np.int64)
    found = gap_figures(_gaps(rows, part_rows), [group == 0, group == 1], QUANTILES, few=few)
    for figures, numbers in zip(found, ([0], [1], [0, 1]), strict=True):
        values = np.array([value for number, each in rows for value in each if number in numbers], dtype=float)
        if figures is None:
            assert len(values) == 0
            continue
        assert figures.n == len(values)
        assert figures.max_ns == values.max()
        assert figures.mean_ns == pytest.approx(values.mean(), rel=1e-12, abs=1e-6)
        expected = np.quantile(values, QUANTILES)
        assert list(figures.quantiles_ns.values()) == pytest.approx(expected, rel=1e-12, abs=1e-6)


def test_equal_gaps_in_great_number_are_counted_not_kept() -> None:
    flat = np.full(2_000_000, 20_000_000, dtype=np.uint32)
    gaps = Gaps((Part(0, np.arange(1, 2_000_001), flat),))
    (one, _) = gap_figures(gaps, [np.ones(2_000_000, dtype=bool)], (0.5, 0.999))
    assert one is not None
    assert (one.n, one.quantiles_ns, one.max_ns) == (2_000_000, {0.5: 20_000_000, 0.999: 20_000_000}, 20_000_000)
