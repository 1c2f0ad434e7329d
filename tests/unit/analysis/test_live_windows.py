"""Live windows: the very figures of `analysis.metrics`, whatever the order and the pieces; bounded, and honest then."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_on_disk import MS, S, header, sample, write_run

from analysis.metrics import latencies, rates_of, window_of
from analysis.samples import load_samples
from analysis.watching.live_windows import CellWindows, Ended, Sliding
from harness.errors import ErrorKind
from harness.plan import Slo, Stage
from harness.records.monitor_record import WINDOWS_S, Latency, Window
from harness.sample import Outcome, Sample, Usage, outcome_of

SLO = Slo(ttft_s=0.2, tpot_s=0.02, e2e_s=1.2)
ANCHOR_NS = header().wall_ns
ERRORS = (None, None, None, None, ErrorKind.RATE_LIMIT, ErrorKind.RESET, ErrorKind.TRUNCATED)


def _at(seconds: float) -> int:
    """That many seconds after the run began, in ns of the wall clock."""
    return ANCHOR_NS + round(seconds * S)


def _mixed(seed: int, n: int, spacing_ns: int = 50 * MS) -> list[Sample]:
    """Attempts of every kind: some fail, some tell no tokens, some have one event or none."""
    draw = random.Random(seed)
    found = []
    for seq in range(n):
        start = seq * spacing_ns
        first = start + draw.randrange(20 * MS, 400 * MS)
        gaps = [draw.randrange(0, 60 * MS) for _ in range(draw.choice((0, 1, 2, 20, 80)))]
        events = tuple(first + sum(gaps[:k]) for k in range(1, len(gaps) + 1))
        error = draw.choice(ERRORS)
        tokens = draw.choice((len(gaps), len(gaps) * 3))
        found.append(
            sample(
                seq, start, event_ns=events, first_text_ns=events[0] if events else None, error=error,
                end_ns=(events[-1] if events else first) + draw.randrange(1, 30 * MS), outcome=outcome_of(error),
                usage=draw.choice((None, Usage(source="provider", input_tokens=3, output_tokens=tokens))),
            )
        )  # fmt: skip
    return found


def _seen(samples: list[Sample], now_s: float, since_s: float = 0.0, window_s: float = 600.0) -> Window:
    sliding = Sliding(window_s)
    for each in samples:
        sliding.add(Ended(each, ANCHOR_NS))
    return sliding.figures(_at(now_s), _at(since_s), SLO)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_samples_have_the_same_figures_live_and_in_a_summary(seed: int, tmp_path: Path) -> None:
    samples = _mixed(seed, 300)
    run = load_samples(write_run(tmp_path / "r", samples))
    window = window_of(run, np.arange(300), 1, Stage(duration_s=1e6, concurrency=1), 0.0)
    final, rates = latencies([window])[0], rates_of(window, SLO)
    seen = _seen(samples, window.length_s)
    assert seen.attempted == len(window.inside) == sum(seen.outcomes.values()) == 300
    assert seen.since_s == pytest.approx(window.length_s, abs=1e-6)
    for name in ("ttft_s", "itl_s", "tpot_s", "e2e_s"):
        dist = final[name]
        assert dist is not None
        assert getattr(seen, name) == Latency(n=dist.n, p50=dist.p50, p95=dist.p95, p99=dist.p99), name
    for name in ("completed_rps", "goodput_rps"):
        assert getattr(seen, name) == pytest.approx(getattr(rates, name), rel=1e-6), name
    told = [each.usage.output_tokens for each in samples if each.usage and each.usage.output_tokens]
    assert seen.output_tokens_per_s == pytest.approx(sum(told) / window.length_s, rel=1e-6)
    assert seen.error_ratio == pytest.approx(1 - seen.outcomes["ok"] / 300)
    assert seen.throttled_ratio == pytest.approx(seen.outcomes["throttled"] / 300)
    assert sum(seen.errors.values()) == 300 - seen.outcomes["ok"]


def test_tokens_are_booked_as_in_a_summary_where_all_arrived_in_the_window(tmp_path: Path) -> None:
    samples = [sample(k, k * 100 * MS) for k in range(50)]
    run = load_samples(write_run(tmp_path / "r", samples))
    window = window_of(run, np.arange(50), 1, Stage(duration_s=1e6, concurrency=1), 0.0)
    seen = _seen(samples, window.length_s)
    assert seen.output_tokens_per_s == pytest.approx(rates_of(window, SLO).output_tokens_per_s, rel=1e-6)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), now_s=st.floats(0, 80), block=st.integers(1, 40))
def test_a_window_holds_what_ended_in_it_whatever_came_before_and_in_which_order(
    seed: int, now_s: float, block: int
) -> None:
    samples = _mixed(seed, 200, spacing_ns=300 * MS)
    shuffled = [each for k in range(0, 200, block) for each in reversed(samples[k : k + block])]
    sliding, fed = Sliding(10.0), 0
    for moment_s in sorted({*np.arange(0.0, now_s, 3.0), now_s}):  # looked at every three seconds
        while fed < len(shuffled) and shuffled[fed].end_ns <= moment_s * S:
            sliding.add(Ended(shuffled[fed], ANCHOR_NS))
            fed += 1
        seen = sliding.figures(_at(moment_s), ANCHOR_NS, SLO)
    inside = [each for each in shuffled[:fed] if (now_s - 10) * S < each.end_ns <= now_s * S]
    assert seen.attempted == len(inside)
    assert seen.outcomes.get("ok", 0) == sum(each.outcome is Outcome.OK for each in inside)
    values = [each.end_ns - (each.start_ns or 0) for each in inside if each.outcome is Outcome.OK]
    if values:
        assert seen.e2e_s is not None
        assert seen.e2e_s.p50 == pytest.approx(float(np.quantile(values, 0.5)) / 1e9)
    else:
        assert seen.e2e_s is None


def test_beyond_its_bound_a_window_keeps_a_part_and_says_so_and_counts_stay_exact() -> None:
    sliding = Sliding(600.0, most_rows=1000)
    draw = random.Random(4)
    for k in range(20_000):
        events = (k * 10 * MS + draw.randrange(50 * MS, 150 * MS),)
        error = ErrorKind.RESET if k % 10 == 0 else None
        ended = sample(k, k * 10 * MS, event_ns=events, end_ns=events[0] + MS, error=error, outcome=outcome_of(error))
        sliding.add(Ended(ended, ANCHOR_NS))
        assert sliding._rows() <= 1500
    seen = sliding.figures(_at(200.2), ANCHOR_NS, SLO)
    assert seen.thinned is not None
    assert 0.02 < seen.thinned < 0.1
    assert seen.attempted == 20_000
    assert seen.errors == {"transport": 2000}
    assert seen.error_ratio == pytest.approx(0.1)
    assert seen.ttft_s is not None
    assert seen.ttft_s.p50 == pytest.approx(0.1, abs=0.01)
    assert seen.goodput_rps == pytest.approx(90, rel=0.02)
    assert seen.output_tokens_per_s == pytest.approx(500, rel=0.15)


def test_all_is_kept_again_when_traffic_falls() -> None:
    sliding = Sliding(10.0, most_rows=100)
    for k in range(2000):
        sliding.add(Ended(sample(k, k * 5 * MS), ANCHOR_NS))
    busy = sliding.figures(_at(10), ANCHOR_NS, SLO)
    assert busy.thinned is not None
    assert busy.thinned < 1
    for k in range(2000, 2200):  # one a second
        sliding.add(Ended(sample(k, (10 + k - 2000) * S), ANCHOR_NS))
        quiet = sliding.figures(_at(11 + k - 2000), ANCHOR_NS, SLO)
    assert quiet.thinned is None
    assert quiet.attempted == 10


def test_nothing_is_said_of_what_was_not_seen() -> None:
    seen = _seen([], 5)
    assert (seen.attempted, seen.error_ratio, seen.ttft_s, seen.output_tokens_per_s) == (0, None, None, None)
    assert seen.completed_rps == 0
    assert _seen([], 0).completed_rps is None  # not watched for any time


def test_rates_divide_by_what_was_watched() -> None:
    seen = _seen([sample(k, k * 100 * MS) for k in range(20)], 4)
    assert seen.window_s == 600
    assert seen.since_s == pytest.approx(4)
    assert seen.completed_rps == pytest.approx(5)


def test_windows_of_a_young_run_agree() -> None:
    cell = CellWindows(ANCHOR_NS, SLO)
    for k in range(150):
        cell.add(Ended(sample(k, k * 200 * MS), ANCHOR_NS))
        seen = {name: window.attempted for name, window in cell.figures(_at(k / 5 + 0.2)).items()}
        assert seen["10s"] <= seen["1m"] == seen["10m"]


def test_a_cell_has_every_window_and_forgets_what_left_them() -> None:
    cell = CellWindows(ANCHOR_NS, SLO)
    for k in range(700):
        cell.add(Ended(sample(k, k * S), ANCHOR_NS))
        if k % 5 == 4:
            seen = cell.figures(_at(k + 1), anew=k == 699)
    assert {name: window.attempted for name, window in seen.items()} == {"10s": 10, "1m": 60, "10m": 600}
    assert seen.keys() == WINDOWS_S.keys()
    assert cell.newest_ns == _at(699.15)
