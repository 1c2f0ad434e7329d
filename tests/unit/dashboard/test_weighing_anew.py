"""Weights that change: the rankings are those that are made from nothing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.deciding.burdens import CATEGORIES, normalised
from analysis.deciding.entrants import contests
from analysis.ranking import ranking_of
from analysis.summarise import summarise
from analysis.summary import Summary
from benchmarks.planted import run_offline
from dashboard.compared import against_others, turned
from dashboard.weighing import Weighing, chosen_load, load_key

PRICE = {"input": 1, "output": 2}


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    names = ("a", "b", "c")
    targets = [
        {"name": name, "dialect": "openai-chat", "base_url": "sim://sim", "model": "m", "price": PRICE}
        for name in names
    ]
    run_dir, _ = run_offline(tmp_path_factory.mktemp("w"), {}, loads=(2, 4), duration_s=6.0, targets=targets)
    return summarise(run_dir)[0]


@settings(max_examples=25)
@given(weights=st.dictionaries(st.sampled_from(CATEGORIES), st.integers(0, 20), min_size=1))
def test_a_ranking_that_is_weighed_anew_is_the_one_made_from_nothing(summary: Summary, weights: dict[str, int]) -> None:
    if not any(weights.get(name) for name in ("latency", "throughput", "reliability", "cost")):
        weights["latency"] = 1
    weighing = _weighing(summary)
    contest, known = weighing.contests(summary)[-1]
    assert weighing.rank(contest, known, weights) == ranking_of(contest, normalised(weights))
    assert len(known) <= 16


_KEPT: dict[int, Weighing] = {}


def _weighing(summary: Summary) -> Weighing:
    """One for all examples: what is kept of earlier ones is what is tried."""
    return _KEPT.setdefault(id(summary), Weighing())


def test_a_load_is_found_by_its_address(summary: Summary) -> None:
    loads = Weighing().contests(summary)
    for contest, _ in loads:
        assert chosen_load(loads, load_key(contest))[0] is contest
    assert chosen_load(loads, "nonsense")[0] is loads[-1][0]


def test_a_comparison_is_the_same_from_both_sides(summary: Summary) -> None:
    contest = contests([summary])[-1]
    (seen, _) = against_others(summary, contest, "b", "ttft_s.p50")
    back = turned(seen)
    assert {each.a for each in against_others(summary, contest, "b", "ttft_s.p50")} == {"b"}
    assert back.ratio.value == pytest.approx(1 / (seen.ratio.value or 1))
    assert turned(back).ratio.value == pytest.approx(seen.ratio.value)
    assert msgspec.structs.replace(turned(back), ratio=seen.ratio) == seen
    low, high = seen.ratio.ci95 or (None, None)
    assert list(back.ratio.ci95 or ()) == pytest.approx([1 / (high or 1), 1 / (low or 1)])
