"""Leave to send: limits are kept in every window, and no budget is passed."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_samples import made_sample

from harness.allowances.allowance import Allowance, Ask, OwnLedger, Purse, ask_of, limited, paid, part
from harness.plan import Limits, Price, Target
from harness.plan_file import plan_of
from harness.prompts import Prompt
from harness.sample import Sample, Usage

TARGET = Target(
    name="t",
    dialect="openai-chat",
    base_url="http://127.0.0.1:1/v1",
    model="m",
    price=Price(input=2.0, output=8.0, input_cached=1.0),
)


def sample(usage: Usage | None) -> Sample:
    return made_sample(worker="w0", end_ns=1, usage=usage)


def test_the_most_that_a_prompt_may_cost() -> None:
    assert ask_of(TARGET, Prompt("p", ("x" * 400,), 50)) == Ask("t", 151, round(101 * 2e3 + 50 * 8e3))


def test_what_was_paid_is_by_the_providers_count_and_the_cached_price() -> None:
    usage = Usage(source="provider", input_tokens=100, output_tokens=10, cached_tokens=40)
    assert paid(TARGET, sample(usage)) == round(60 * 2e3 + 40 * 1e3 + 10 * 8e3)
    assert paid(TARGET, sample(None)) is None
    assert paid(TARGET, sample(Usage(source="provider"))) is None  # a usage that says nothing is not 0 USD


@given(st.integers(0, 10**12), st.integers(1, 64))
def test_the_parts_of_a_limit_add_up_to_it(limit: int, workers: int) -> None:
    parts = [part(limit, (k, workers)) for k in range(workers)]
    assert sum(parts) == limit
    assert max(parts) - min(parts) <= 1
    assert part(limit, (workers, workers)) == 0  # one that came late


@given(
    st.floats(1, 6000),
    st.one_of(st.none(), st.floats(100, 1e6)),
    st.lists(st.integers(1, 5000), min_size=2, max_size=60),
    st.integers(1, 4),
)
def test_turns_keep_both_limits(rpm: float, tpm: float | None, tokens: list[int], workers: int) -> None:
    """Turns are reserved one after another: between two of them lies what the slower limit asks for."""
    ledger = OwnLedger({"t": Limits(rpm=rpm, tpm=tpm)}, Purse(), (0, workers))
    waits_s = [ledger.turn(Ask("t", each, 0), 1e9) for each in tokens]
    gaps_s = [b - a for a, b in pairwise(waits_s) if a is not None and b is not None]
    assert len(gaps_s) == len(tokens) - 1
    for gap_s, each in zip(gaps_s, tokens, strict=False):
        least_s = workers * 60 * max(1 / rpm, each / tpm if tpm else 0)
        assert gap_s > least_s - 0.05  # the clock has gone on a little between two calls


def test_a_turn_that_comes_too_late_reserves_nothing() -> None:
    ledger = OwnLedger({"t": Limits(rpm=60)}, Purse(), (0, 1))
    assert ledger.turn(Ask("t", 1, 0), 0.5) == 0
    assert ledger.turn(Ask("t", 1, 0), 0.5) is None
    again_s = ledger.turn(Ask("t", 1, 0), 2.0)
    assert again_s is not None
    assert again_s <= 1


@given(st.integers(0, 50), st.lists(st.integers(0, 100), max_size=80), st.integers(0, 2000))
def test_a_budget_is_never_passed(requests: int, costs: list[int], nano_usd: int) -> None:
    ledger = OwnLedger({"t": Limits()}, Purse(requests, nano_usd), (0, 1))
    granted = [cost for cost in costs if ledger.spend(Ask("t", 1, cost))]
    assert len(granted) <= requests
    assert sum(granted) <= nano_usd


@pytest.mark.parametrize(
    ("limits", "purse"),
    [(Limits(), Purse(requests=100)), (Limits(rpm=6000), Purse()), (Limits(concurrency=9), Purse())],
)
def test_a_worker_that_came_late_sends_nothing_of_what_was_divided_and_does_not_say_that_it_is_spent(
    limits: Limits, purse: Purse
) -> None:
    ledger = OwnLedger({"t": limits}, purse, (2, 2))
    allowance = Allowance(ledger)
    assert allowance.admit(Ask("t", 1, 0), time.monotonic_ns() + 10_000_000) == "late"
    assert not allowance.spent, "the run would end for all"
    assert limits.rpm is None or ledger.turn(Ask("t", 1, 0), 60) is None, "asked alone where Redis is away"
    free = Allowance(OwnLedger({"t": Limits()}, Purse(), (2, 2)))
    assert free.admit(Ask("t", 1, 0)) is None


def test_what_was_set_aside_and_not_needed_can_be_spent() -> None:
    allowance = Allowance(OwnLedger({"t": Limits(concurrency=1)}, Purse(None, 100), (0, 1)))
    ask = Ask("t", 1, 100)
    assert allowance.admit(ask) is None
    assert allowance.admit(ask, latest_ns=0) == "late"  # the only place is taken
    allowance.settle(ask, 0)
    assert allowance.admit(ask) is None
    allowance.settle(ask, None)
    assert allowance.admit(ask) == "spent"
    assert allowance.spent


def test_only_plans_with_limits_ask_for_leave() -> None:
    document = {
        "name": "p",
        "targets": [{"name": "t", "dialect": "openai-chat", "base_url": "http://127.0.0.1:1/v1", "model": "m"}],
        "workload": {},
        "stages": [{"concurrency": 1, "duration_s": 1}],
    }
    assert not limited(plan_of(document, "plan"))
    assert limited(plan_of(document | {"budget": {"requests": 5}}, "plan"))
