"""Compliance, budgets and burn rates against counts that are known."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.watching.sla import MONTH_S, Counts, SlaBook, begin, objectives, update
from harness.plan import Slo
from harness.records.monitor_record import SlaState

BEGIN_S = 1_767_225_600.0
UP = Slo(availability=0.99)


def _watched(book: SlaBook, rows: list[tuple[float, int, int]], begin_s: float = BEGIN_S) -> tuple[SlaBook, SlaState]:
    """Rows of (length in s, valid, bad), one after another."""
    at_s = begin_s
    stands: list[SlaState] = []
    for length_s, valid, bad in rows:
        at_s += length_s
        book, stands = update(
            book, Counts(at_s=at_s, valid={"availability": valid}, good={"availability": valid - bad})
        )
    return book, stands[0]


def test_objectives_are_named_by_their_limits() -> None:
    slo = Slo(ttft_s=1.0, tpot_s=0.05, e2e_s=10, availability=0.995)
    assert objectives(slo) == {"ttft_s<=1.0": 0.95, "tpot_s<=0.05": 0.95, "e2e_s<=10.0": 0.95, "availability": 0.995}
    assert objectives(Slo()) == {}


def test_compliance_and_the_budget_of_the_period() -> None:
    """Half an hour in which 2 % of the attempts fail spends twice what 30 minutes of 30 days may."""
    _, stands = _watched(begin(UP), [(60.0, 50, 1)] * 31)
    assert stands.compliance is not None and abs(stands.compliance - 0.98) < 1e-9
    assert stands.budget_left is not None and abs(stands.budget_left - (1 - 2 * 1800 / MONTH_S)) < 1e-9
    _, stands = _watched(begin(UP, period_s=600.0), [(10.0, 50, 1)] * 100)
    assert stands.budget_left is not None and abs(stands.budget_left + 1) < 1e-9


def test_an_outage_burns_both_windows_and_an_old_one_only_the_long_one() -> None:
    well, outage = [(60.0, 100, 0)] * 60, [(60.0, 100, 100)] * 10
    book, stands = _watched(begin(UP), well + outage)
    fast = stands.burn["1h/5m"]
    assert fast.burning and fast.limit == 14.4 and round(fast.short or 0, 6) == 100
    assert fast.long is not None and abs(fast.long - 100 * 10 / 60) < 1e-6
    _, stands = _watched(book, [(60.0, 100, 0)] * 6, BEGIN_S + 70 * 60)
    fast = stands.burn["1h/5m"]
    assert not fast.burning and fast.short == 0
    assert fast.long is not None and fast.long > 14.4


def test_a_trickle_that_spends_the_budget_is_found_by_the_slow_pair_alone() -> None:
    _, stands = _watched(begin(UP), [(3600.0, 400, 6)] * 80)
    assert [name for name, burn in stands.burn.items() if burn.burning] == ["3d/6h"]


def test_few_attempts_burn_nothing() -> None:
    _, stands = _watched(begin(UP), [(60.0, 1, 1)] * 10)
    assert not any(burn.burning for burn in stands.burn.values())
    assert stands.burn["1h/5m"].long is None and stands.compliance == 0
    _, stands = _watched(begin(UP), [(60.0, 1, 1)] * 25)
    assert stands.burn["1h/5m"].burning


def test_nothing_seen_is_unknown() -> None:
    _, stands = _watched(begin(UP), [(60.0, 0, 0)])
    assert stands.compliance is None and stands.budget_left is None


def test_windows_shorten_with_the_period_and_limits_stay_reachable() -> None:
    _, stands = _watched(begin(UP, period_s=600.0), [(1.0, 10, 0)] * 30)
    burn = stands.burn["1h/5m"]
    assert (burn.long_s, burn.short_s) == (60.0, 10.0)
    book, lax = begin(Slo(ttft_s=1.0), latency_target=0.9), list[SlaState]()
    for minute in range(30):
        book, lax = update(book, Counts(at_s=BEGIN_S + 60.0 * minute, valid={"ttft_s<=1.0": 10}, good={}))
    assert lax[0].burn["1h/5m"].limit < 14.4 and lax[0].burn["1h/5m"].burning


def test_an_objective_that_allows_nothing() -> None:
    slo = Slo(availability=1.0)
    _, stands = _watched(begin(slo), [(60.0, 50, 0)] * 5)
    assert stands.budget_left == 1 and not stands.burn["1h/5m"].burning
    _, stands = _watched(begin(slo), [(60.0, 50, 1)] * 5)
    assert stands.budget_left is None and stands.burn["1h/5m"].burning


ROWS = st.lists(
    st.tuples(st.sampled_from([1.0, 7.5, 60.0, 1000.0, 90000.0]), st.integers(0, 50), st.floats(0, 1)),
    min_size=1,
    max_size=60,
)


@given(ROWS, st.integers(0, 59))
@settings(max_examples=60, deadline=None)
def test_a_restart_changes_nothing_and_no_attempt_is_counted_twice(
    rows: list[tuple[float, int, float]], cut: int
) -> None:
    counted = [(length_s, valid, int(valid * part)) for length_s, valid, part in rows]
    whole, stands = _watched(begin(UP), counted)
    book, at_s = begin(UP), BEGIN_S
    if counted[:cut]:
        book, _ = _watched(book, counted[:cut])
        at_s += sum(length_s for length_s, _, _ in counted[:cut])
    book = msgspec.json.decode(msgspec.json.encode(book), type=SlaBook)
    if counted[cut:]:
        book, again = _watched(book, counted[cut:], at_s)
        assert again == stands
    assert book == whole
    valid, bad = sum(row[1] for row in counted), sum(row[2] for row in counted)
    if sum(row[0] for row in counted) < MONTH_S * 0.9:
        assert stands.compliance == (None if not valid else 1 - bad / valid)
    assert all(len(ring.buckets) <= 60 for each in whole.objectives.values() for ring in (each.period, *each.pairs))


def test_a_clock_that_is_set_back_or_far_ahead_breaks_nothing() -> None:
    book, _ = _watched(begin(UP), [(60.0, 100, 0)] * 10)
    book, stands = _watched(book, [(-5000.0, 100, 50)])
    assert stands.compliance is not None and stands.compliance < 1
    _, stands = _watched(book, [(400 * 86400.0, 10, 0)])
    assert stands.compliance == 1
