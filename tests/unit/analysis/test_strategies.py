"""Strategies: each is there where its rule is met, gone where not, and its gain is what the numbers say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from made_results import cost, made, summary

from analysis.deciding.entrants import contests
from analysis.deciding.recommendation_record import Strategy
from analysis.deciding.risks import risks_of
from analysis.deciding.strategies import strategies_of
from analysis.deciding.use_cases import UseCase
from analysis.records.capacity_record import Cause, CauseName, Diagnosis
from analysis.records.quality_record import QualityUnderLoad
from analysis.records.record import Estimate
from analysis.summary import Batch, Dist, Provider, Result, Summary

CASE = UseCase(weights={"latency": 1}, requests_per_month=1000)
TOKENS = Dist(n=900, mean=100.0, p50=100.0)


def found_by(market: Summary, stage: int = 0) -> dict[str, Strategy]:
    (contest,) = [each for each in contests([market]) if each.stage == stage and each.workload == "w"]
    own, *others = contest.entrants
    return {each.name: each for each in strategies_of(own, others, CASE)}


def caused(name: CauseName, **numbers: float) -> Summary:
    cause = Cause(cause=name, strength=0.5, of="x", saw="x", numbers=numbers, plot="x", hint="x")
    diagnosis = Diagnosis(target="a", workload="w", causes=(cause,))
    return summary(made("a", input_tokens=TOKENS), diagnoses=(diagnosis,))


def test_nothing_is_proposed_without_a_measurement_for_it() -> None:
    assert found_by(summary(made("a", usd=None, tpot_s=1e-4))) == {}


def test_shorter_prompts_save_by_the_slope() -> None:
    found = found_by(caused("prefill bound", s_per_1k_input_tokens=0.4, t=10.0))["shorter prompts"]
    assert found.gain.value == pytest.approx(0.3 * 100 * 0.0004)
    assert found.gain.ci95 == pytest.approx((0.012 * (1 - 0.196), 0.012 * (1 + 0.196)))
    assert "0.4 ms" in found.says or "400" in found.says


def test_a_cache_saves_what_its_misses_cost() -> None:
    found = found_by(caused("cache effect", hit_share=0.5, hit_s=0.1, miss_s=0.3, t=-20.0))["prefix caching"]
    assert found.gain.value == pytest.approx(0.4 * 0.2)
    assert "prefix caching" not in found_by(caused("cache effect", hit_share=0.95, hit_s=0.1, miss_s=0.3, t=-20.0))


def test_connections_that_are_kept_cost_nothing() -> None:
    made_new = caused("connection set-up", new_connections_share=0.5, cost_s=0.04, mean_first_content_s=0.2)
    found = found_by(made_new)["connection reuse"]
    assert (found.gain.value, found.share) == pytest.approx((0.02, 0.1))


def test_slow_replicas_cost_their_share() -> None:
    found = found_by(caused("slow replica", slow_share=0.25, fast_s=0.1, slow_s=0.3))["hedged requests"]
    assert found.gain.value == pytest.approx(0.05)


def test_shorter_replies_save_time_and_money() -> None:
    output = Dist(n=900, mean=81.0, p50=81.0)
    names = [each.name for each in strategies_of(_only(made("a", output_tokens=output)), (), CASE)]
    assert names == ["shorter replies", "shorter replies"]
    by_time, by_cost = strategies_of(_only(made("a", output_tokens=output)), (), CASE)
    assert by_time.gain.value == pytest.approx(0.3 * 80 * 0.01)
    assert by_cost.gain.value == pytest.approx(0.3 * 0.001 * 2 / 3)


def _only(result: Result) -> Any:
    (contest,) = contests([summary(result)])
    return contest.entrants[0]


def at_stage(stage: int, users: float, **changes: Any) -> Result:
    return made("a", usd=None, tpot_s=1e-4, stage=stage, load={"concurrency": users}, in_flight_mean=users, **changes)


def test_beyond_the_knee_a_lower_load_is_as_good() -> None:
    market = summary(at_stage(0, 8.0, e2e_s=0.8), at_stage(1, 16.0, e2e_s=1.6))
    found = found_by(market, stage=1)["operate at the knee"]
    assert found.gain.value == pytest.approx(0.8)
    assert found_by(market, stage=0) == {}


def test_below_the_knee_a_higher_load_brings_more() -> None:
    market = summary(at_stage(0, 8.0), at_stage(1, 16.0, rate=19.0, e2e_s=1.02))
    found = found_by(market, stage=0)["more at a time"]
    assert (found.gain.value, found.share) == pytest.approx((9.0, 0.9))
    assert found_by(market, stage=1) == {}


def test_larger_batches_bring_more_items() -> None:
    one = made("a", usd=None, tpot_s=1e-4, batch=Batch(size=1, items_per_s=10.0))
    many = made("a", workload="w8", batch=Batch(size=8, items_per_s=30.0))
    assert found_by(summary(one, many))["larger batches"].gain.value == pytest.approx(20.0)
    shorter = msgspec.structs.replace(many, request={"input_tokens": 10, "batch": 8})
    assert "larger batches" not in found_by(summary(one, shorter)), "its texts are shorter, not its batches better"


def test_what_is_refused_need_not_be_sent() -> None:
    refused = made("a", usd=None, tpot_s=1e-4, outcomes={"ok": 810, "throttled": 90})
    assert found_by(summary(refused))["below throttling"].gain.value == pytest.approx(0.1)


def test_less_load_gives_the_accuracy_back() -> None:
    fall = QualityUnderLoad(
        target="a",
        workload="w",
        lowest="2 users",
        highest="24 users",
        lowest_in_flight=2.0,
        highest_in_flight=24.0,
        accuracy=Estimate(value=-0.1, ci95=(-0.15, -0.05)),
        verdict="falls",
    )
    found = found_by(summary(made("a", usd=None), quality_under_load=(fall,)))["less load"]
    assert (found.gain.value, found.gain.ci95) == (0.1, (0.05, 0.15))


def test_batch_prices_and_cached_input_save_money() -> None:
    bill = cost(0.001, 900, batch_factor=0.5, input_cached=0.001 / 3 / 100 * 1e6 / 10)
    found = found_by(summary(made("a", cost=bill)))
    assert found["batch API price"].gain.value == pytest.approx(0.0005)
    assert found["cached input"].gain.value == pytest.approx(0.3 * 0.001 / 3 * 0.9)


def test_a_cheaper_target_must_be_shown_to_answer_as_well() -> None:
    own = made("a", usd=0.002, accuracy=0.9, answers=4000)
    as_good = made("b", usd=0.001, accuracy=0.9, answers=4000)
    assert found_by(summary(own, as_good))["cheaper at equal accuracy"].gain.value == pytest.approx(0.001)
    for worse in (made("b", usd=0.001, accuracy=0.8, answers=4000), made("b", usd=0.001, accuracy=0.9, answers=40)):
        assert "cheaper at equal accuracy" not in found_by(summary(own, worse))


def test_risks_are_told_with_what_to_do() -> None:
    own = made("a", failed=9, limits_left={"requests": 0.05})
    assert own.reliability is not None
    market = summary(own, providers=(Provider(target="a", reliability=own.reliability),))
    (contest,) = contests([market])
    found = {each.kind: each for each in risks_of(contest.entrants[0], CASE, ())}
    assert "10.0 [" in found["outage"].says and found["outage"].level == "high"  # 1 % of 1000, Wilson's lower end 98 %
    assert found["rate limit"].level == "high" and "5.00 %" in found["rate limit"].says
    assert found["variance"].level == "low"
    assert found["drift"].level == "unknown"
    assert all(each.mitigation for each in found.values())


def test_a_drift_that_was_seen_is_told() -> None:
    from analysis.records.capacity_record import Trend  # noqa: PLC0415

    trend = Trend(
        target="a", workload="w", stage=0, repeat=2, latency="ttft_s", n=300,
        drift=Estimate(value=1.2, ci95=(1.1, 1.3)), says=("it drifted by +20.0 % from beginning to end",),
    )  # fmt: skip
    (contest,) = contests([summary(made("a"), trends=(trend,))])
    (found,) = [each for each in risks_of(contest.entrants[0], CASE, ()) if each.kind == "drift"]
    assert (found.level, found.quotes[0].path) == ("medium", "trends[0].drift.value")
    assert msgspec.to_builtins(found)["says"].startswith("TTFT in repeat 2")
