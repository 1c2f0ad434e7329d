"""The search for a capacity, in virtual time against providers whose limit is known."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from benchmarks.search_proofs import Provider, prove_searches
from harness.capacity.capacity_search import Search
from harness.plan import Slo
from harness.records.search_record import Answer, Question, State

WAITS = {
    "ttft": {"kind": "lognormal", "median_s": 0.25, "sigma": 0.12},
    "itl": {"kind": "lognormal", "median_s": 0.02, "sigma": 0.12},
}
EASY = Slo(e2e_s=100.0)


def searched(provider: Provider, seed: int = 1, state: State | None = None, **question: Any) -> tuple[Answer, Search]:
    asked = Question(deadline_s=provider.slo.e2e_s, **question)
    search = Search(asked, 0.0, state)
    provider.ask(search, seed)
    assert search.answer is not None
    return search.answer, search


@pytest.mark.timeout(600)  # some hundreds of searches
def test_known_limits_are_found_with_less_than_other_ways_take() -> None:
    proof = prove_searches(range(100, 105))
    assert proof.within_a_twentieth >= 4
    assert proof.inside >= 4
    assert proof.spent_of_scan < 0.4
    assert proof.spent_of_doubling < 0.75  # of few providers; of 20 see benchmarks/capacity_proofs.py


@pytest.mark.parametrize("limit", [3, 11, 40])
def test_a_hard_limit_is_found_to_the_user(limit: int) -> None:
    provider = Provider("limit", {**WAITS, "limits": {"concurrency": limit}}, EASY)
    answer, _ = searched(provider)
    assert answer.reason == "found"
    assert answer.capacity is not None
    assert abs(answer.capacity - limit) <= max(1, 0.05 * limit)


def test_what_never_misses_is_told_as_a_bound() -> None:
    answer, search = searched(Provider("linear", WAITS, EASY), most=48)
    assert (answer.reason, answer.capacity, answer.at_least) == ("never missed", None, 48)
    assert max(step.load for step in search.steps) == 48


def test_what_never_meets_is_told_soon() -> None:
    answer, search = searched(Provider("slow", WAITS, Slo(e2e_s=0.05)))
    assert (answer.reason, answer.capacity) == ("never met", None)
    assert search.sent < 30


@pytest.mark.parametrize("requests", [1, 40, 200])
def test_no_more_is_sent_than_may_be(requests: int) -> None:
    provider = Provider("capacity", {**WAITS, "capacity": 30}, Slo(e2e_s=0.7))
    answer, search = searched(provider, requests=requests)
    assert answer.reason == "budget"
    assert search.sent == requests


def test_another_process_can_go_on() -> None:
    provider = Provider("capacity", {**WAITS, "capacity": 30}, Slo(e2e_s=0.7))
    _, first = searched(provider, requests=250)
    kept = msgspec.json.decode(msgspec.json.encode(first.state), type=State)
    begun = kept.steps[-1].load
    answer, second = searched(provider, seed=2, state=kept)
    whole, _ = searched(provider, seed=3)
    assert second.steps[: len(kept.steps)] == list(kept.steps)
    assert second.steps[len(kept.steps)].load == begun
    assert second.sent > first.sent
    assert answer.reason == "found"
    assert answer.capacity == pytest.approx(whole.capacity, rel=0.1)


def test_stopping_answers_with_what_is_known() -> None:
    search = Search(Question(), 0.0)
    search.began(0, 0.0)
    search.ended(0, 0.5, None)  # cut off by us: it tells nothing
    search.stop(1.0)
    assert search.answer == Answer(reason="stopped")
    assert search.load == 0
    assert [step.judged for step in search.steps] == [0]


def test_a_request_that_is_too_late_already_is_not_waited_for() -> None:
    search = Search(Question(deadline_s=1.0), 0.0)
    for key in range(4):
        search.began(key, key * 0.1)
    search.look(0.9)
    assert search.steps == []
    search.look(2.0)
    assert [step.said for step in search.steps] == ["misses"]


def test_arrivals_beyond_what_can_be_done_are_noticed_and_left_behind() -> None:
    provider = Provider("slots", {**WAITS, "slots": 20}, Slo(ttft_s=0.45), open_load=True)
    answer, search = searched(provider, unit="rate", begin=2.0, most=2000.0)
    most_rps = 20 / 0.39  # 20 at once, each for 0.25 + 7 x 0.02 s
    assert answer.reason == "found"
    assert answer.capacity is not None
    assert 0.75 * most_rps < answer.capacity < 1.02 * most_rps
    assert any(step.said == "misses" for step in search.steps)
