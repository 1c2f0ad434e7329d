"""How a provider slows, queues and sleeps: pure state, times given."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageFault
from harness.simulator.bottlenecks import Bottlenecks, ColdStart, Replica, Usl
from harness.simulator.config import Provider, config_from
from harness.simulator.draws import draws_of
from harness.simulator.load import Load, factor_at


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 0.1), st.integers(1, 500))
def test_waits_grow_as_the_law_says_so_that_throughput_is_the_laws(sigma: float, kappa: float, n: int) -> None:
    provider = Bottlenecks(usl=Usl(sigma=sigma, kappa=kappa))
    alone_s = 0.4
    throughput = n / (alone_s * factor_at(provider, n))
    law = (1 / alone_s) * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))
    assert throughput == pytest.approx(law)


def test_those_in_line_slow_nobody() -> None:
    assert factor_at(Bottlenecks(usl=Usl(sigma=0.1, kappa=0), slots=4), 40) == pytest.approx(1.3)


@pytest.mark.parametrize(("slows", "first", "gaps"), [("all", 2, 2), ("first", 2, 1), ("gaps", 1, 2)])
def test_load_may_strike_the_first_content_or_the_gaps_alone(slows: str, first: float, gaps: float) -> None:
    load = Load(msgspec.convert({"capacity": 2, "slows": slows}, Bottlenecks))
    for second in range(4):
        load.enter(second)
    assert (load.first_factor, load.gap_factor) == (first, gaps)


def test_a_line_is_first_come_first_served_and_who_leaves_it_is_not_called() -> None:
    load, begun = Load(Bottlenecks(slots=2)), []
    for name in "abcde":
        load.enter(0)
        if load.begin(name, lambda name=name: begun.append(name)):  # type: ignore[misc]
            begun.append(name)
    assert begun == ["a", "b"]
    load.leave("d", 1)  # gave up while it waited
    load.leave("a", 2)
    load.leave("b", 3)
    assert begun == ["a", "b", "c", "e"]
    load.leave("c", 4)
    load.leave("e", 5)
    assert load.in_flight == 0


def test_a_cold_provider_wakes_once_and_sleeps_again_when_nobody_asks() -> None:
    load = Load(Bottlenecks(cold_start=ColdStart(wake_s=2, idle_s=10)))
    load.enter(100)
    load.enter(101)
    assert (load.asleep_s(100), load.asleep_s(101), load.asleep_s(103)) == (2, 1, 0)
    load.leave("a", 104)
    load.leave("b", 104)
    load.enter(113)
    assert load.asleep_s(113) == 0
    load.leave("c", 114)
    load.enter(124)
    assert load.asleep_s(124) == 2


def test_replicas_and_cache_are_drawn_by_their_shares_and_change_no_other_draw() -> None:
    plain = Provider(name="p", dialects=("openai-chat",), ttft=0.1, cached_share=0.5)
    more = msgspec.structs.replace(
        plain, replicas=(Replica(share=0.2, factor=3), Replica(share=0.1, factor=5)), cache_hits=0.25
    )
    drawn = [draws_of(more, 7, number) for number in range(4000)]
    paces = Counter(each.pace for each in drawn)
    assert {pace: n / 4000 for pace, n in paces.items()} == pytest.approx({1.0: 0.7, 3: 0.2, 5: 0.1}, abs=0.03)
    assert sum(each.cached for each in drawn) / 4000 == pytest.approx(0.25, abs=0.03)
    assert [each.fault for each in drawn] == [draws_of(plain, 7, number).fault for number in range(4000)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"capacity": 4, "usl": {"sigma": 0, "kappa": 0}}, "two laws of load"),
        ({"replicas": [{"share": 0.6, "factor": 2}, {"share": 0.6, "factor": 3}]}, "more than 1 together"),
        ({"usl": {"sigma": 2, "kappa": 0}}, "usl.sigma"),
    ],
)
def test_what_contradicts_itself_is_told(fields: dict[str, object], said: str) -> None:
    with pytest.raises(UsageFault, match=said):
        config_from({"providers": {"p": {"dialects": ["openai-chat"], **fields}}})
