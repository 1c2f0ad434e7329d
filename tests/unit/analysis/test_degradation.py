"""Watching for degradation: what is found, what is not, and that a restart changes nothing. The long proofs, with many
seeds and days, are `python -m benchmarks.live_proofs`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.watching.degradation import DegradationState, begin, update
from analysis.watching.slices import Slice, log_quantiles, merged
from benchmarks.live_proofs import simulated
from benchmarks.live_traffic import STEADY, Change, Noise, Provider, Traffic
from harness.records.monitor_record import Shift

HOUR = 120  # slices
PLANTED_S = 5400.0


def _slices(traffic: Traffic, n: int) -> Iterable[Slice]:
    return (traffic.next() for _ in range(n))


def _confirmed(shifts: list[Shift]) -> set[tuple[str, str, str]]:
    return {(each.metric, each.kind, each.against) for each in shifts if each.confirmed}


def _watched(state: DegradationState, slices: Iterable[Slice]) -> tuple[DegradationState, list[list[Shift]]]:
    told = []
    for each in slices:
        state, shifts = update(state, each)
        told.append(shifts)
    return state, told


def test_hours_of_a_noisy_but_steady_provider_are_no_degradation() -> None:
    _, told = _watched(begin(), _slices(Traffic(Provider(5), Noise(), seed=1), 4 * HOUR))
    assert not any(_confirmed(shifts) for shifts in told)


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        (Change(PLANTED_S, ttft=1.2), "ttft"),
        (Change(PLANTED_S, itl=1.15), "itl"),
        (Change(PLANTED_S, errors=0.03), "error_ratio"),
    ],
)
def test_a_planted_shift_is_found_dated_and_seen_to_end(change: Change, metric: str) -> None:
    changes = (replace(change, lasts_s=1200.0),)
    traffic = Traffic(Provider(20), Noise(cycle=0, bursts=0), seed=3, changes=changes)
    before = int(PLANTED_S) // 30
    state, told = _watched(begin(), _slices(traffic, before))
    assert not any(_confirmed(shifts) for shifts in told)
    state, told = _watched(state, _slices(traffic, 10))
    found = [each for each in told[-1] if each.confirmed and each.metric == metric and each.kind == "level"]
    assert found and found[0].since_utc is not None and found[0].ratio is not None and found[0].ratio > 1.08
    assert "2026-01-01T01:2" < found[0].since_utc < "2026-01-01T01:34"
    state, told = _watched(state, _slices(traffic, 30 + 40))
    assert not _confirmed(told[-1])


def test_a_burst_of_two_minutes_is_no_degradation() -> None:
    changes = tuple(Change(PLANTED_S + 1800 * n, ttft=3.0, itl=3.0, errors=0.5, lasts_s=110.0) for n in range(4))
    _, told = _watched(begin(), _slices(Traffic(Provider(10), STEADY, seed=4, changes=changes), 4 * HOUR))
    assert not any(_confirmed(shifts) for shifts in told)


def test_a_tail_that_grows_under_the_same_median_is_a_shift_of_the_distribution() -> None:
    calm, wild = (Noise(cycle=0, bursts=0, wild=share) for share in (0.0, 0.25))
    state, _ = _watched(begin(), _slices(Traffic(Provider(10), calm, seed=5), 2 * HOUR))
    _, told = _watched(state, _slices(Traffic(Provider(10), wild, seed=6), 20))
    assert ("ttft", "distribution", "recent") in _confirmed(told[-1])


def test_a_run_as_the_baseline_is_held_against_what_comes_after_it() -> None:
    usual = Traffic(Provider(5), Noise(cycle=0, bursts=0), seed=7)
    baseline = usual.next()
    for each in _slices(usual, 20):
        baseline = merged(baseline, each)
    slower = Traffic(Provider(5, ttft_s=0.5 * 1.4), Noise(cycle=0, bursts=0), seed=8)
    _, told = _watched(begin(baseline), _slices(slower, 90))
    assert ("ttft", "level", "baseline") in _confirmed(told[-1])
    assert not any(each.metric == "itl" and each.confirmed for each in told[-1])
    shift = next(each for each in told[-1] if each.metric == "ttft" and each.kind == "level")
    assert shift.baseline == pytest.approx(0.5, rel=0.05) and shift.now == pytest.approx(0.7, rel=0.1)


def test_what_creeps_is_not_absorbed_by_the_hours_before_it() -> None:
    """TTFT grows by 60 % within eight hours, too slowly for the last half hour to see it at once."""
    change = Change(6.5 * 3600.0, ttft=1.6, creeps_s=8 * 3600.0)
    _, told = _watched(
        begin(), _slices(Traffic(Provider(1), Noise(cycle=0, bursts=0), 9, changes=(change,)), 14 * HOUR)
    )
    assert not any(_confirmed(shifts) for shifts in told[: 7 * HOUR])
    assert any(each[0] == "ttft" for each in _confirmed(told[-1]))


def test_few_probes_and_silence_are_no_degradation() -> None:
    state, told = _watched(begin(), _slices(Traffic(Provider(0.05), Noise(bursts=0), seed=10), 12 * HOUR))
    assert not any(_confirmed(shifts) for shifts in told)
    quiet = Slice(at_s=2e9, length_s=30.0, judged=0, failed=0, throttled=0, spreads={})
    silent, told = _watched(state, [quiet] * 4 * HOUR)
    assert not any(_confirmed(shifts) for shifts in told)
    assert silent.latencies["ttft"].level == state.latencies["ttft"].level
    slower = Traffic(Provider(0.5, ttft_s=2.0), Noise(cycle=0, bursts=0), seed=10)
    _, told = _watched(silent, _slices(slower, HOUR // 2))
    assert ("ttft", "level", "recent") in _confirmed(told[-1])


def test_an_outage_is_found_while_no_reply_has_a_latency() -> None:
    change = Change(PLANTED_S, errors=1.0)
    traffic = Traffic(Provider(5), Noise(bursts=0), seed=12, changes=(change,))
    _, told = _watched(begin(), _slices(traffic, int(PLANTED_S) // 30 + 9))
    assert ("error_ratio", "level", "recent") in _confirmed(told[-1])


@pytest.mark.parametrize("metric", ["failed", "throttled"])
@pytest.mark.parametrize("known", [False, True])
def test_a_target_of_which_every_request_has_always_failed_has_not_become_worse(metric: str, *, known: bool) -> None:
    counts = {"judged": 20, "failed": 0, "throttled": 0} | {metric: 20}
    baseline = Slice(at_s=9e8, length_s=300.0, **counts, spreads={}) if known else None
    slices = [Slice(at_s=1e9 + 30 * n, length_s=30.0, **counts, spreads={}) for n in range(2 * HOUR)]
    _, told = _watched(begin(baseline), slices)
    assert not any(_confirmed(shifts) for shifts in told)


def test_memory_is_constant() -> None:
    traffic = Traffic(Provider(2), Noise(), seed=13)
    state, _ = _watched(begin(), _slices(traffic, HOUR))
    early = len(msgspec.json.encode(state))
    state, _ = _watched(state, _slices(traffic, 4 * HOUR))
    assert len(msgspec.json.encode(state)) < 1.2 * early + 2000


@pytest.fixture(scope="module")
def eventful() -> tuple[list[Slice], list[list[Shift]], DegradationState]:
    changes = (Change(2400.0, ttft=1.5, errors=0.2, lasts_s=900.0),)
    slices = list(_slices(Traffic(Provider(3), Noise(bursts=40), seed=14, changes=changes, slice_s=10.0), 450))
    state, told = _watched(begin(), slices)
    return slices, told, state


@given(st.lists(st.integers(0, 450), min_size=1, max_size=5))
@settings(max_examples=6, deadline=None)
def test_a_restart_from_the_kept_state_in_any_place_changes_nothing(
    eventful: tuple[list[Slice], list[list[Shift]], DegradationState], cuts: list[int]
) -> None:
    slices, told, whole = eventful
    assert any(_confirmed(shifts) for shifts in told)
    state, again, places = begin(), [], sorted({0, *cuts, len(slices)})
    for low, high in pairwise(places):
        state, part = _watched(state, slices[low:high])
        again += part
        state = msgspec.json.decode(msgspec.json.encode(state), type=DegradationState)
    assert again == told
    assert state == whole


def test_slices_of_the_simulator_hold_what_it_drew() -> None:
    slices = list(simulated(3, 2.0, lambda _: "steady", hours=1 / 6))
    assert len(slices) == 20 and 900 < sum(each.judged for each in slices) < 1500
    whole = slices[0]
    for each in slices[1:]:
        whole = merged(whole, each)
    middles = {name: math.exp(log_quantiles(spread.counts, (0.5,))[0]) for name, spread in whole.spreads.items()}
    assert middles["ttft"] == pytest.approx(0.5, rel=0.08) and middles["itl"] == pytest.approx(0.02, rel=0.05)
    assert middles["tpot"] == pytest.approx(0.021, rel=0.05) and middles["e2e"] == pytest.approx(0.65, rel=0.08)
