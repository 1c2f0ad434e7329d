"""Schedules: one seed, one schedule, however many workers share it; the right law; no drift. And due times, to the
nanosecond, where they can be worked out by hand."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.arrivals import Arrival, _unit_arrivals, arrivals, expected_arrivals
from harness.plan import Stage

RATES = st.floats(0.5, 400)
KINDS = st.sampled_from(["constant", "poisson", "gamma"])
BURSTINESS = st.floats(0.1, 10)
SEEDS = st.integers(0, 2**32)
SPAN_S = 5.0
DAY_S = 86_400.0


def stage_of(kind: Any, rate_rps: float, end_rate_rps: float | None = None, burstiness: float = 1.0) -> Stage:
    return Stage(duration_s=SPAN_S, rate_rps=rate_rps, end_rate_rps=end_rate_rps, arrival=kind, burstiness=burstiness)


def due_s_of(stage: Stage, span_s: float, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([each.due_ns for each in arrivals(stage, span_s, seed)]) / 1e9


def one_whole_of(stage: Stage, span_s: float, seed: int, n: int) -> list[Arrival]:
    """The schedule, once it is seen that n workers share it without a gap or an overlap."""
    whole = list(arrivals(stage, span_s, seed))
    parts = [list(arrivals(stage, span_s, seed, (k, n))) for k in range(n)]
    assert sorted((each for part in parts for each in part), key=lambda each: each.index) == whole
    assert all(each.index % n == k for k, part in enumerate(parts) for each in part)
    due = [each.due_ns for each in whole]
    assert due == sorted(due)
    assert [each.index for each in whole] == list(range(len(whole)))
    assert all(0 <= each < span_s * 1e9 for each in due)
    return whole


@given(KINDS, RATES, st.none() | RATES, BURSTINESS, SEEDS, st.integers(1, 7))
def test_the_union_over_workers_is_the_one_schedule(
    kind: str, rate_rps: float, end_rate_rps: float | None, burstiness: float, seed: int, n: int
) -> None:
    one_whole_of(stage_of(kind, rate_rps, end_rate_rps, burstiness), SPAN_S, seed, n)


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=50), st.floats(0.1, 10), st.integers(1, 7))
def test_the_union_over_workers_is_the_whole_trace(at_ms: list[int], speed: float, n: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.jsonl"
        rows = [f'{{"timestamp": {at}, "input_length": {k}, "output_length": 9}}' for k, at in enumerate(at_ms, 1)]
        path.write_text("\n".join(rows))
        stage = Stage(duration_s=SPAN_S, arrival="trace", trace=str(path), trace_speed=speed)
        whole = one_whole_of(stage, SPAN_S, 0, n)
        assert len(whole) == expected_arrivals(stage, SPAN_S)
        after_ms = sorted(at - min(at_ms) for at in at_ms)
        expected_ns = [round(at / 1e3 / speed * 1e9) for at in after_ms if at / 1e3 / speed < SPAN_S - 1e-9]
        assert [each.due_ns for each in whole][: len(expected_ns)] == pytest.approx(expected_ns, abs=1)
        assert whole[0].input_tokens == at_ms.index(min(at_ms)) + 1, "of one time, the first in the file goes first"


@given(st.floats(0.01, 400), st.none() | RATES, st.floats(0.01, 30))
def test_a_constant_schedule_has_exactly_the_arrivals_it_promises_and_never_drifts(
    rate_rps: float, end_rate_rps: float | None, span_s: float
) -> None:
    stage = stage_of("constant", rate_rps, end_rate_rps)
    due_s = due_s_of(stage, span_s, 0)
    end = rate_rps if end_rate_rps is None else end_rate_rps
    assert len(due_s) == expected_arrivals(stage, span_s)
    assert 0 <= len(due_s) - (rate_rps + end) / 2 * span_s < 1 or abs(len(due_s) - (rate_rps + end) / 2 * span_s) < 1e-5
    expected = rate_rps * due_s + (end - rate_rps) * due_s**2 / (2 * span_s)
    assert np.allclose(expected, np.arange(len(due_s)), rtol=0, atol=1e-5)


@given(KINDS.filter(lambda kind: kind != "constant"), RATES, SEEDS)
def test_a_seed_is_its_schedule(kind: str, rate_rps: float, seed: int) -> None:
    stage = stage_of(kind, rate_rps)
    first, again, other = (list(islice(arrivals(stage, 1e6, each), 9)) for each in (seed, seed, seed + 1))
    assert first == again
    assert first != other


@given(KINDS, BURSTINESS, SEEDS, st.integers(1, 300))
def test_how_much_is_drawn_at_a_time_changes_nothing(kind: str, burstiness: float, seed: int, size: int) -> None:
    stage = stage_of(kind, 1, burstiness=burstiness)
    whole = next(_unit_arrivals(stage, seed, 1000))
    blocks = islice(_unit_arrivals(stage, seed, size), -(-1000 // size))
    assert np.concatenate(list(blocks))[:1000].tobytes() == whole.tobytes()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("kind", "burstiness"), [("poisson", 1.0), ("gamma", 0.5), ("gamma", 4.0)])
def test_gaps_follow_their_law(kind: str, burstiness: float, seed: int) -> None:
    """20 000 gaps, several blocks: a wrong law is rejected at any level; a right one passes at these seeds."""
    due_s = due_s_of(stage_of(kind, 100, burstiness=burstiness), 200, seed)
    gaps_s = np.diff(due_s, prepend=0.0)
    law = stats.gamma(burstiness, scale=1 / (100 * burstiness))
    assert stats.kstest(gaps_s, law.cdf).pvalue > 0.01
    assert stats.kstest(gaps_s, stats.gamma(burstiness * 1.3, scale=1 / (130 * burstiness)).cdf).pvalue < 1e-6
    assert abs(len(due_s) - 20_000) < 5 * np.sqrt(20_000 / burstiness)


def test_gaps_do_not_depend_on_those_before_them() -> None:
    """Also across the border of two blocks: no correlation in 50 000 gaps (standard error 0.0045)."""
    gaps_s = np.diff(due_s_of(stage_of("gamma", 100, burstiness=0.5), 500, 3))
    assert abs(np.corrcoef(gaps_s[:-1], gaps_s[1:])[0, 1]) < 0.015


@pytest.mark.parametrize(("begin_rps", "end_rps"), [(100.0, 900.0), (900.0, 100.0), (1.0, 999.0)])
@pytest.mark.parametrize(("kind", "burstiness"), [("poisson", 1.0), ("gamma", 0.5), ("gamma", 4.0)])
def test_a_ramp_of_random_arrivals_follows_its_rate(
    kind: str, burstiness: float, begin_rps: float, end_rps: float
) -> None:
    """Counted arrivals stay near the integral of the rate, and on its scale the gaps have the law of a steady stage."""
    due_s = due_s_of(stage_of(kind, begin_rps, end_rps, burstiness), 40, 5)
    integral = begin_rps * due_s + (end_rps - begin_rps) * due_s**2 / 80
    assert np.abs(integral - np.arange(1, len(due_s) + 1)).max() < 4 * np.sqrt(20_000 / burstiness)
    law = stats.gamma(burstiness, scale=1 / burstiness)
    assert stats.kstest(np.diff(integral, prepend=0.0), law.cdf).pvalue > 0.01


def test_the_counts_of_a_ramp_are_those_of_its_rate() -> None:
    """Counts in ten equal parts against the integral of the rate: chi-squared."""
    seen, _ = np.histogram(due_s_of(stage_of("poisson", 100, 900), 40, 5), bins=10, range=(0, 40))
    edges = np.linspace(0, 40, 11)
    expected = np.diff(100 * edges + 800 * edges**2 / 80)
    assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 0.01


def test_a_constant_schedule_begins_at_0_and_ends_before_its_span() -> None:
    found = list(arrivals(Stage(duration_s=1, rate_rps=3), 1, 0))
    assert found == [Arrival(0, 0), Arrival(1, 333_333_333), Arrival(2, 666_666_667)]
    assert expected_arrivals(Stage(duration_s=1, rate_rps=3), 1) == 3


@pytest.mark.parametrize(("rate_rps", "span_s"), [(38.2, 8105), (20.6, 7025), (83.9, 8080), (0.3, 10)])
def test_no_arrival_is_due_at_the_end_itself_whatever_the_rounding(rate_rps: float, span_s: float) -> None:
    stage = Stage(duration_s=span_s, rate_rps=rate_rps)
    due_ns = [each.due_ns for each in arrivals(stage, span_s, 0)]
    assert due_ns[-1] < span_s * 1e9
    assert len(due_ns) == round(rate_rps * span_s) == expected_arrivals(stage, span_s)


def test_nothing_drifts_in_a_day() -> None:
    """One worker of a million, so that the whole day is drawn and little of it is kept."""
    stage = Stage(duration_s=DAY_S, rate_rps=33.3)
    late = list(arrivals(stage, DAY_S, 0, (876_543, 1_000_000)))
    assert [each.index for each in late] == [876_543, 1_876_543, 2_876_543]
    for each in late:
        assert abs(each.due_ns - Fraction(each.index) / Fraction(33.3) * 10**9) <= 1


def test_a_ramp_of_constant_arrivals_is_its_formula() -> None:
    """From 1/s to 3/s in 4 s: t + t^2/4 arrivals by t, thus 3 by 2 s and 8 by 4 s."""
    stage = Stage(duration_s=4, rate_rps=1, end_rate_rps=3)
    due_ns = [each.due_ns for each in arrivals(stage, 4, 0)]
    assert (due_ns[0], due_ns[3]) == (0, 2_000_000_000)
    assert len(due_ns) == 8 == expected_arrivals(stage, 4)


def test_a_ramp_down_is_a_ramp_up_seen_from_its_end() -> None:
    up = [each.due_ns for each in arrivals(Stage(duration_s=4, rate_rps=1, end_rate_rps=3), 4, 0)]
    down = [each.due_ns for each in arrivals(Stage(duration_s=4, rate_rps=3, end_rate_rps=1), 4, 0)]
    mirrored = [4_000_000_000 - each for each in reversed(down[1:])]
    assert up[1:] == pytest.approx(mirrored, abs=2)


def test_a_random_schedule_begins_after_its_first_gap() -> None:
    firsts = [next(arrivals(Stage(duration_s=9, rate_rps=1, arrival="poisson"), 9, seed)).due_ns for seed in range(5)]
    assert all(firsts), firsts
    assert len(set(firsts)) == 5


def test_a_seed_gives_the_same_schedule_everywhere_and_0_is_a_seed() -> None:
    """Pinned: hosts of one run each draw the schedule and must agree, and a run can be repeated years later."""
    stage = Stage(duration_s=9, rate_rps=10, arrival="poisson")
    assert [each.due_ns for each in islice(arrivals(stage, 9, 0), 3)] == [13_970_565, 269_395_462, 282_151_750]
    assert list(arrivals(stage, 9, 0)) == list(arrivals(stage, 9, "0"))
    assert list(arrivals(stage, 9, 0)) != list(arrivals(stage, 9, ""))


def test_arrivals_are_drawn_as_they_are_asked_for() -> None:
    forever = Stage(duration_s=1e9, rate_rps=1e6, arrival="gamma", burstiness=0.5)
    assert [each.index for each in islice(arrivals(forever, 1e9, 0, (2, 5)), 3)] == [2, 7, 12]


def test_a_worker_may_have_no_arrival_at_all() -> None:
    assert list(arrivals(Stage(duration_s=1, rate_rps=3), 1, 0, (3, 4))) == []


def test_the_mean_number_of_random_arrivals_is_the_integral_of_the_rate() -> None:
    stage = Stage(duration_s=8, rate_rps=1, end_rate_rps=4, arrival="poisson")
    assert expected_arrivals(stage, 10) == 25
    assert expected_arrivals(Stage(duration_s=8, rate_rps=1.5, arrival="gamma"), 9) == 13.5


def test_a_trace_slowed_down_a_billion_times_is_cut_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"timestamp": {at}, "input_length": 1, "output_length": 1}}\n' for at in (7, 8, 10**9)))
    stage = Stage(duration_s=1, arrival="trace", trace=str(path), trace_speed=1e-9)
    assert list(arrivals(stage, 2e6, 0)) == [Arrival(0, 0, 1, 1), Arrival(1, 10**15, 1, 1)]
    assert expected_arrivals(stage, 2e6) == 2
    assert list(arrivals(stage, 1e6, 0)) == [Arrival(0, 0, 1, 1)]
