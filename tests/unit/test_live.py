"""Live statistics: the figures of `analysis.metrics` to within a bucket, however they are split over reports."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_samples import made_sample

from analysis.metrics import latencies, meets_slo, window_of
from analysis.samples import load_samples
from harness.errors import ErrorKind
from harness.live.live import WINDOW_S, Board, CellReport, Figures, Live
from harness.live.live_cell import bucket_of, middle_s, quantile_s
from harness.plan import Price, Slo, Stage, Target
from harness.prices import usd_of
from harness.records.health_record import Health
from harness.rundir import RunDir
from harness.sample import Footer, Header, Outcome, Sample, Usage, encode, outcome_of

MS = 1_000_000
SLO = Slo(ttft_s=0.2, tpot_s=0.02, e2e_s=1.2)
NAMES = ("ttft_s", "itl_s", "tpot_s", "e2e_s")


def _sample(seq: int, draw: random.Random) -> Sample:
    """An attempt of any kind: some fail, some tell no tokens, some have one event or none, some gaps are zero."""
    start = seq * 50 * MS
    gaps = [draw.choice((0, draw.randrange(1, 60 * MS))) for _ in range(draw.choice((0, 1, 2, 20, 80)))]
    first = start + draw.randrange(20 * MS, 400 * MS)
    events = tuple(first + sum(gaps[:k]) for k in range(1, len(gaps) + 1))
    error = draw.choice((None, None, None, None, ErrorKind.RATE_LIMIT, ErrorKind.RESET, ErrorKind.TRUNCATED))
    tokens = draw.choice((None, len(gaps), len(gaps) * 3))
    usage = Usage(
        source="provider",
        input_tokens=tokens,
        output_tokens=tokens,
        reasoning_tokens=draw.choice((None, 0, 5)) if tokens else None,
    )
    return made_sample(
        seq=seq,
        start_ns=start,
        headers_ns=first,
        event_ns=events,
        first_text_ns=draw.choice(events) if events else None,
        end_ns=(events[-1] if events else first) + draw.randrange(1, 30 * MS),
        outcome=outcome_of(error),
        error=error,
        usage=draw.choice((None, usage, usage, usage)),
        first_event_tokens=draw.choice((None, None, 1, 3)),
        stamps=draw.choice(("kernel", "user")),
    )


def _samples(seed: int, n: int) -> list[Sample]:
    draw = random.Random(seed)
    return [_sample(seq, draw) for seq in range(n)]


def _figures(samples: Sequence[Sample], slo: Slo) -> Figures:
    live, board = Live(0.0, slo), Board()
    for each in samples:
        live.add(each)
    board.merge("w", live.take(1.0), 1.0)
    (row,) = board.view(1.0)
    assert row.window == row.test
    return row.test


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("slo", [SLO, Slo()])
def test_live_and_final_figures_have_one_definition(seed: int, slo: Slo, tmp_path: Path) -> None:
    samples = _samples(seed, 300)
    run_dir = RunDir(tmp_path)
    run_dir.journals.mkdir()
    head = Header(schema=1, run="r", worker="r1-w0", repeat=1, share=(0, 1), wall_ns=10**18, mono_ns=0, pid=1, host="h")
    foot = Footer(samples=len(samples), end_ns=1)
    run_dir.journal("r1-w0").write_bytes(encode(head) + b"".join(map(encode, samples)) + encode(foot))
    whole = Stage(duration_s=1e6, concurrency=1)
    window = window_of(load_samples(run_dir), np.arange(len(samples)), 1, whole, 0.0)
    final, _ = latencies([window])
    shown = _figures(samples, slo)
    assert shown.attempted == len(window.inside) == len(samples)
    assert shown.outcomes["ok"] == len(window.good)
    assert shown.good == meets_slo(window, slo) > 0
    for name in NAMES:
        exact, live = final[name], getattr(shown, name)
        assert exact is not None and live.n == exact.n > 20, name
        assert live.p50 == pytest.approx(exact.p50, rel=0.0102, abs=1e-9), name
        assert live.p95 == pytest.approx(exact.p95, rel=0.0102, abs=1e-9), name


@given(st.integers(0, 10**13))
def test_a_bucket_is_two_percent_wide(value_ns: int) -> None:
    middle = middle_s(bucket_of(value_ns)) * 1e9
    assert middle == pytest.approx(value_ns, rel=0.0102, abs=1)
    assert bucket_of(-1) == bucket_of(0) == 0 != bucket_of(1)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=60), st.sampled_from([0.5, 0.95]))
def test_quantiles_are_of_type_seven_and_none_where_too_few(values: list[int], q: float) -> None:
    sketch: dict[int, int] = {}
    for value in values:
        sketch[bucket_of(value)] = sketch.get(bucket_of(value), 0) + 1
    found = quantile_s(sketch, q)
    if q == 0.95 and len(values) < 20:
        assert found is None
    else:
        assert found == pytest.approx(float(np.quantile(values, q)) / 1e9, rel=0.0102, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=40), st.integers(0, 99))
def test_any_split_over_workers_and_reports_gives_the_same(steps: list[tuple[int, bool]], seed: int) -> None:
    samples = _samples(seed, len(steps))
    workers, board = [Live(0.0, SLO) for _ in range(3)], Board()
    for each, (worker, reports) in zip(samples, steps, strict=True):
        workers[worker].add(each)
        if reports:
            board.merge(f"w{worker}", workers[worker].take(1.0), 1.0)
    for k, live in enumerate(workers):
        board.merge(f"w{k}", json.loads(json.dumps(live.take(2.0))), 2.0)  # any plain encoding will do
        board.merge(f"w{k}", live.take(2.0), 2.0)
    (row,) = board.view(2.0)
    assert row.test == row.window == _figures(samples, SLO)


def _steady(live: Live, samples: Sequence[Sample], outcome: Outcome = Outcome.OK) -> None:
    for each in samples:
        usage = Usage(source="provider", output_tokens=10)
        live.add(msgspec.structs.replace(each, outcome=outcome, error=None, usage=usage))


def test_rates_are_of_the_last_seconds_and_of_the_workers_that_still_report() -> None:
    samples, board = _samples(7, 4), Board()
    lives = {"a": Live(0.0), "b": Live(0.0)}
    for second in range(1, 31):
        for name, live in lives.items():
            if name == "a" or second <= 15:
                _steady(live, samples)
                board.merge(name, live.take(float(second)), float(second))
        if second == 15:
            (row,) = board.view(15.2)
            assert (row.rates.completed_rps, row.rates.output_tokens_per_s) == (8.0, 80.0)
            assert row.window.attempted == 2 * 4 * WINDOW_S
    (row,) = board.view(30.2)
    assert (row.rates.completed_rps, row.rates.goodput_rps, row.rates.attempted_rps) == (4.0, 4.0, 4.0)
    assert row.test.attempted == 4 * (30 + 15)
    (row,) = board.view(30.0 + WINDOW_S)
    assert (row.rates.completed_rps, row.window.attempted, row.test.attempted) == (None, 0, 180)


def test_what_was_dropped_is_counted_but_not_as_attempted() -> None:
    live, board = Live(0.0), Board()
    _steady(live, _samples(1, 3), Outcome.DROPPED)
    _steady(live, _samples(1, 2))
    board.merge("w", live.take(1.0), 1.0)
    (row,) = board.view(1.0)
    assert (row.test.attempted, row.test.outcomes) == (2, {"dropped": 3, "ok": 2})


def test_what_is_under_way_is_the_latest_of_each_worker() -> None:
    lives, board = [Live(0.0), Live(0.0)], Board()
    assert board.view(0.0) == []
    for k, live in enumerate(lives):
        for _ in range(3 + k):
            live.enter("t", "w")
        board.merge(f"w{k}", live.take(1.0), 1.0)
    lives[0].leave("t", "w")
    board.merge("w0", lives[0].take(2.0), 2.0)
    (row,) = board.view(2.0)
    assert row.in_flight == 2 + 4
    assert (row.test.attempted, row.test.output_tokens, row.rates.output_tokens_per_s) == (0, None, None)


def test_a_test_begins_from_nothing() -> None:
    live, board = Live(0.0), Board()
    _steady(live, _samples(1, 3))
    board.merge("w", live.take(1.0), 1.0)
    _steady(live, _samples(1, 5))
    live.clear(2.0)
    board.clear()
    _steady(live, _samples(1, 2))
    board.merge("w", live.take(4.0), 4.0)
    (row,) = board.view(4.0)
    assert (row.test.attempted, row.rates.attempted_rps) == (2, 1.0)


def test_health_goes_along_and_is_forgotten_with_its_worker() -> None:
    live, board = Live(0.0), Board()
    rows = [Health(run="r", worker="r1-w0", repeat=1, t_ns=k, span_s=1.0, cpu_share=0.5) for k in range(30)]
    for row in rows:
        live.add_health(row)
    board.merge("w", live.take(1.0), 1.0)
    assert board.health(1.0) == [rows[-int(WINDOW_S) :]]
    assert board.health(1.0 + WINDOW_S) == []


@pytest.mark.parametrize("report", [{}, {"span_s": 1}, {"span_s": 1, "cells": [{"target": 1}], "health": []}])
def test_a_report_of_another_form_is_refused(report: dict[str, object]) -> None:
    board = Board()
    with pytest.raises(msgspec.ValidationError):
        board.merge("w", report, 1.0)
    assert board.view(1.0) == []


def test_a_report_is_small_however_many_requests_there_were() -> None:
    live = Live(0.0)
    for each in _samples(3, 3000):
        live.add(each)
    assert len(json.dumps(live.take(1.0))) < 40_000
    assert math.isclose(live.take(3.0)["span_s"], 2.0)


@given(st.lists(st.sampled_from(["add", "report", "test begins", "worker gone"]), max_size=40), st.integers(0, 99))
def test_what_was_ever_counted_holds_every_attempt_once_and_never_falls(steps: list[str], seed: int) -> None:
    samples, live, board = _samples(seed, len(steps)), Live(0.0, SLO), Board()
    added, before = [], 0
    for now_s, (step, sample) in enumerate(zip(steps, samples, strict=True)):
        if step == "add":
            live.add(sample)
            added.append(sample)
        elif step == "report":
            board.merge("w", live.take(now_s), now_s)
        elif step == "test begins":
            board.clear()
            live.clear(now_s)
        seen = sum(
            sum(cell.new.outcomes.values()) for cell in board.ever(now_s + (100 if step == "worker gone" else 0))
        )
        assert seen >= before
        before = seen
    board.merge("w", live.take(99.0), 99.0)
    alone = Live(0.0, SLO)
    for sample in added:
        alone.add(sample)
    whole = Board()
    whole.merge("w", alone.take(99.0), 99.0)
    assert [(cell.target, cell.new) for cell in board.ever(99.0)] == [
        (cell.target, cell.new) for cell in whole.ever(99.0) if added
    ]


def test_counts_go_on_in_the_next_process_as_its_locust_does_for_each_repeat() -> None:
    samples, before = _samples(3, 60), list[CellReport]()
    for part in (samples[:20], samples[20:40], samples[40:]):
        live, board = Live(0.0, SLO), Board(before)
        for sample in part:
            live.add(sample)
        board.clear()
        board.merge("w", live.take(1.0), 1.0)
        before = msgspec.json.decode(msgspec.json.encode(board.ever(1.0)), type=list[CellReport])
    alone, whole = Live(0.0, SLO), Board()
    for sample in samples:
        alone.add(sample)
    whole.merge("w", alone.take(1.0), 1.0)
    assert [cell.new for cell in before] == [cell.new for cell in whole.ever(1.0)]


def test_costs_and_sums_are_exact() -> None:
    price = Price(input=1.0, output=2.0)
    target = Target(name="t", dialect="openai-chat", base_url="http://h", model="m", price=price)
    live, board = Live(0.0, SLO, {"t": target}), Board()
    for sample in _samples(5, 200):
        live.add(sample)
    board.merge("w", live.take(1.0), 1.0)
    cell = board.ever(1.0)[0].new
    ok = [each for each in _samples(5, 200) if each.outcome is Outcome.OK and each.start_ns is not None]
    costs = [usd_of(target, each.usage) for each in _samples(5, 200)]
    assert cell.usd == pytest.approx(sum(filter(None, costs)))
    assert cell.usd > 0
    assert cell.priced == sum(cost is not None for cost in costs)
    assert cell.e2e_ns == sum(each.end_ns - (each.start_ns or 0) for each in ok)
    assert cell.ttft_ns == sum(each.event_ns[0] - (each.start_ns or 0) for each in ok if each.event_ns)
    assert cell.itl_ns == sum(each.event_ns[-1] - each.event_ns[0] for each in ok if each.event_ns)
