"""Recommendations: when they commit, what would turn them, and that each number can be looked up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import LATENCIES, cost, made, renamed, summary

from analysis.deciding.quotes import Quote, number_at
from analysis.deciding.recommendation_record import Recommendation
from analysis.deciding.use_cases import UseCase, read_use_case, shipped
from analysis.ranking import rank
from analysis.recommendation import recommend
from analysis.summarise import summarise, summary_json
from analysis.summary import Result, Summary
from benchmarks.markets import draw_market, play_market
from harness.errors import UsageFault

FAST = UseCase(name="fast", weights={"latency": 1})
WIDE = (0.2, -0.25, 0.05)


def quicker(target: str, by: float, **changes: Any) -> Result:
    return made(target, ttft_s=0.2 / by, e2e_s=1.0 / by, rate=10 * by, **changes)


def quotes_of(found: Recommendation) -> list[Quote]:
    parts: tuple[Any, ...] = (*found.reasons, *found.sensitivity, *found.risks, *found.fail_over, *found.strategies)
    scores = [quote for place in found.places for score in place.scores for quote in score.quotes]
    numbers = [quote for place in found.places for quote in place.numbers.values()]
    return [quote for part in parts for quote in part.quotes] + scores + numbers


def test_a_clear_best_is_recommended() -> None:
    found = recommend([summary(made("slow"), quicker("quick", 1.5))], FAST)
    assert (found.answer, found.primary) == ("recommended", "quick")
    assert found.confidence is not None and found.confidence >= 0.9
    assert found.says.startswith("take quick")


def test_a_difference_that_matters_not_is_said_to() -> None:
    alike = made("a", noise=(0.001, -0.001, 0.0)), quicker("b", 1.0005, noise=(-0.001, 0.001, 0.0))
    found = recommend([summary(*alike)], FAST)
    assert found.answer == "no difference"
    assert found.loss_bound is not None and found.loss_bound < 0.03


def test_noise_decides_nothing_and_repeats_would() -> None:
    noisy = made("a", noise=WIDE), quicker("b", 1.15, noise=WIDE[::-1])
    found = recommend([summary(*noisy)], FAST)
    assert found.answer == "cannot tell" and found.repeats_needed is not None
    many = [summary(*(_with_repeats(each, found.repeats_needed) for each in noisy))]
    assert recommend(many, FAST).answer != "cannot tell"


def _with_repeats(result: Result, more: int) -> Result:
    """As many repeats more, that vary as those that there are."""
    old = result.repeat_values
    times = -(-(len(old) + more) // len(old))
    repeats = [msgspec.structs.replace(each, repeat=k + 1) for k, each in enumerate(list(old) * times)]
    return msgspec.structs.replace(result, repeat_values=tuple(repeats), repeats=len(repeats))


def test_questions_are_asked_for_where_repeats_would_not_help() -> None:
    right = UseCase(weights={"quality": 1})
    found = recommend([summary(made("a", accuracy=0.8), made("b", accuracy=0.83))], right)
    assert (found.answer, found.repeats_needed) == ("cannot tell", None)
    assert found.replies_factor is not None and found.replies_factor > 1


def test_one_repeat_cannot_tell() -> None:
    found = recommend([summary(made("a", noise=[0.0]), quicker("b", 3, noise=[0.0]))], FAST)
    assert (found.answer, found.primary, found.repeats_needed) == ("cannot tell", "b", 1)


def test_one_target_cannot_be_chosen_from() -> None:
    found = recommend([summary(made("a"))], FAST)
    assert (found.answer, found.primary) == ("cannot tell", None)
    assert "only one to choose from" in found.says and found.apart[0].target == "a"


def test_where_nothing_that_has_a_weight_was_measured_nobody_is_chosen() -> None:
    market = summary(made("a", usd=None), made("b", usd=None))
    found = recommend([market], UseCase(weights={"cost": 1}))
    assert (found.answer, found.primary, found.places) == ("cannot tell", None, ())
    assert "no target" in found.says
    assert list(found.left_out) == ["cost"]
    assert [each.target for each in found.apart] == ["a", "b"]
    assert all("nothing that has a weight was measured" in each.reason for each in found.apart)
    (ranking,) = rank([market], {"cost": 1.0})
    assert (ranking.places, [each.target for each in ranking.apart]) == ((), ["a", "b"])


def test_what_is_good_by_another_slo_is_no_rival() -> None:
    """Twice the goodput, by a limit five times as high."""
    strict = summary(made("a", goodput_rps=5.0), made("b", goodput_rps=6.0), run="strict", slo={"ttft_s": 0.2})
    lax = summary(made("c", goodput_rps=10.0), run="lax", slo={"ttft_s": 1.0})
    case = UseCase(weights={"throughput": 1}, metrics={"throughput": ("goodput_rps",)})
    found = recommend([strict, lax], case)
    assert [(each.run, each.reason) for each in found.apart] == [
        ("lax", "its throughput counts what is good by another SLO")
    ]
    alike = msgspec.structs.replace(lax, slo=strict.slo)
    assert recommend([strict, alike], case).apart == ()


def limited(*limits: str, **more: Any) -> UseCase:
    return UseCase(weights={"latency": 1}, limits=limits, **more)


def test_a_limit_keeps_out_who_misses_it() -> None:
    market = summary(made("good"), quicker("hasty", 1.5, failed=90))
    found = recommend([market], limited("success_ratio > 0.99"))
    assert (found.answer, found.primary) == ("recommended", "good")
    assert any("hasty" in each.says and "missed" in each.says for each in found.reasons)
    (turn,) = [each for each in found.sensitivity if each.winner == "hasty"]
    assert turn.kind == "limit" and turn.threshold < 0.9
    assert recommend([market], limited(f"success_ratio > {turn.threshold + 0.001:.6f}")).primary == "good"
    assert recommend([market], limited(f"success_ratio > {turn.threshold - 0.001:.6f}")).primary == "hasty"


def test_a_straddled_limit_is_not_shown_to_be_met() -> None:
    """The quicker one may miss the limit, and would be best if it did not."""
    market = summary(made("good"), quicker("hasty", 1.5, failed=8))
    found = recommend([market], limited("success_ratio > 0.99"))
    assert found.answer == "cannot tell"
    (own,) = [each for each in found.choices if each.target == "hasty"]
    assert own.limits[0].met == "not shown"


def test_none_qualifies() -> None:
    found = recommend([summary(made("a"), made("b"))], limited("ttft_s.p95 < 0.1"))
    assert (found.answer, found.primary) == ("none qualifies", None)
    assert "a (ttft_s.p95 < 0.1)" in found.says
    assert all(each.quotes for each in found.reasons) and len(found.reasons) == 2


def test_a_limit_on_what_was_not_measured_is_said_to_be_that() -> None:
    found = recommend([summary(made("a"), made("b"))], limited("batch.items_per_s > 3", "ttft_s.p95 < 0.1"))
    assert found.answer == "none qualifies"
    assert "a (batch.items_per_s > 3: not measured)" in found.says and "a (ttft_s.p95 < 0.1)" in found.says


def test_the_budget_is_a_limit() -> None:
    market = summary(made("dear", usd=0.002), quicker("cheap", 0.8, usd=0.001))
    found = recommend([market], limited(budget_usd=150, requests_per_month=100_000))
    assert (found.answer, found.primary) == ("recommended", "cheap")
    assert found.choices[0].usd_per_month is not None
    assert found.choices[0].usd_per_month.value == pytest.approx(100)


def test_prices_and_tokens_of_the_use_case_make_the_cost() -> None:
    """A million tokens of input at the price of `made`: a third of its cost for 100 tokens."""
    case = UseCase(weights={"cost": 1}, input_tokens=200, output_tokens=50, requests_per_month=10)
    found = recommend([summary(made("a"), made("b", usd=0.003))], case)
    assert found.choices[0].usd_per_month is not None
    assert found.choices[0].usd_per_month.value == pytest.approx(10 * (0.001 * 2 / 3 + 0.001 * 2 / 3))
    assert found.primary == "a"


def test_tokens_of_the_use_case_cost_a_job_what_jobs_cost() -> None:
    """As they did in the run: half the price of a token."""
    jobs: dict[str, Any] = {"dialect": "openai-batches", "kind": "batch"}
    halved = cost(0.0028, 900, batch_factor=0.5)
    market = summary(made("a", **jobs, usd=0.001), made("b", **jobs, cost=halved))
    case = UseCase(weights={"cost": 1}, input_tokens=100, output_tokens=50, requests_per_month=10)
    found = recommend([market], case)
    dear = found.choices[1].usd_per_month
    assert dear is not None
    assert dear.value == pytest.approx(10 * 0.0028 / 2)
    (cut,) = [each for each in found.sensitivity if each.what == "output price of b"]
    assert cut.threshold == pytest.approx(cut.now * 4 / 7)  # 0.0004 less of 0.0014, of which 2/3 are output
    assert any(quote.path.endswith("price.batch_factor") for quote in quotes_of(found))


def test_a_price_that_does_not_hold_for_so_much_input_makes_no_cost() -> None:
    tiered = made("tiered", cost=cost(0.0001, 900, up_to_input_tokens=1000))
    market = summary(tiered, made("a"), made("b", usd=0.003))
    case = UseCase(weights={"latency": 1, "cost": 1}, input_tokens=50_000, output_tokens=50, requests_per_month=10)
    found = recommend([market], case)
    assert [each.target for each in found.apart] == ["tiered"]
    limited_case = limited(budget_usd=1000, requests_per_month=10, input_tokens=50_000, output_tokens=50)
    (limit,) = recommend([market], limited_case).choices[-1].limits
    assert (limit.target, limit.met) == ("tiered", "not measured")


def test_weights_turn_at_their_thresholds() -> None:
    market = summary(made("right", accuracy=0.9), quicker("quick", 1.6))
    case = UseCase(weights={"latency": 0.7, "quality": 0.3})
    found = recommend([market], case)
    assert found.primary == "quick"
    (turn,) = [each for each in found.sensitivity if each.what == "quality"]
    for delta, best in ((-0.02, "quick"), (0.02, "right")):
        weight = turn.threshold + delta
        moved = UseCase(weights={"latency": 1 - weight, "quality": weight})
        places = recommend([market], moved).places
        assert places[0].target == best


def test_prices_turn_at_their_thresholds() -> None:
    market = summary(made("cheap", usd=0.001), quicker("quick", 1.05, usd=0.0014))
    case = UseCase(weights={"latency": 0.5, "cost": 0.5})
    found = recommend([market], case)
    assert found.primary == "cheap"
    (turn,) = [each for each in found.sensitivity if each.what == "output price of quick"]
    assert turn.winner == "quick" and turn.threshold < turn.now
    for times, best in ((1.02, "cheap"), (0.98, "quick")):
        results = market.results[0], _with_output_price(market.results[1], turn.threshold * times)
        assert recommend([summary(*results)], case).places[0].target == best


def test_no_price_turns_what_cost_hardly_weighs_in() -> None:
    """The rise that would is exp(1400), and no number at all."""
    market = summary(made("cheap", usd=0.001), quicker("quick", 2.0, usd=0.0014))
    found = recommend([market], UseCase(weights={"latency": 1, "cost": 0.0005}))
    assert found.primary == "quick"
    assert [each.what for each in found.sensitivity if each.kind == "price"] == []


def _with_output_price(result: Result, price: float) -> Result:
    assert result.cost is not None
    usd = 100 * result.cost.price.input / 1e6 + 50 * price / 1e6
    return msgspec.structs.replace(result, cost=cost(usd, result.attempted))


@given(st.permutations(["zeta-1", "alpha-2", "Best-3"]), st.lists(st.floats(0.5, 2), min_size=3, max_size=3))
@settings(max_examples=10)
def test_nothing_is_recommended_by_name(names: list[str], speeds: list[float]) -> None:
    """Other names change the names in the answer, and not a word or a digit besides."""
    old = ("first-x", "second-y", "third-z")
    market = summary(*(quicker(name, speed, noise=WIDE) for name, speed in zip(old, speeds, strict=True)))
    new = dict(zip(old, names, strict=True))
    told = msgspec.json.encode(recommend([renamed(market, new)], FAST)).decode()
    for before, after in new.items():
        told = told.replace(after, before)
    assert told == msgspec.json.encode(recommend([market], FAST)).decode()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """A market that was really measured, in virtual time."""
    found, _ = summarise(play_market(draw_market(1, "real_time_chat"), tmp_path_factory.mktemp("market"), 6.0))
    return found


@pytest.mark.parametrize("name", ["real_time_chat", "batch_processing", "high_quality_analysis"])
def test_every_number_can_be_found_in_the_summary(measured: Summary, name: str) -> None:
    case = msgspec.structs.replace(shipped()[name], requests_per_month=1e6, budget_usd=1e6)
    found = recommend([measured], case, workload="chat")
    document = json.loads(summary_json(measured))
    assert found.reasons and all(reason.quotes for reason in found.reasons)
    for quote in quotes_of(found):
        assert quote.run == document["run"]
        assert number_at(document, quote.path) == quote.value
        if quote.ci95_path is not None:
            assert tuple(number_at(document, quote.ci95_path)) == quote.ci95


def test_quality_is_read_where_it_was_graded(measured: Summary) -> None:
    found = recommend([measured], shipped()["high_quality_analysis"], workload="chat")
    (score,) = [each for each in found.places[0].scores if each.category == "quality"]
    index = int(score.quotes[0].path.split("[")[1].split("]")[0])
    assert measured.results[index].workload == "asked"
    assert measured.results[index].target == found.places[0].target


def test_the_load_must_be_named_where_several_fit(measured: Summary) -> None:
    with pytest.raises(UsageFault, match="2 workloads fit"):
        recommend([measured], shipped()["real_time_chat"])
    with pytest.raises(UsageFault, match="wants a workload of kind embeddings"):
        recommend([measured], shipped()["embedding_generation"])


def test_every_shipped_use_case_is_known() -> None:
    assert list(shipped()) == [
        "real_time_chat",
        "batch_processing",
        "high_quality_analysis",
        "embedding_generation",
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[]", "a use case is a mapping"),
        ("weights: {latency: 1", "not YAML"),
        ("about: x", "missing required field"),
        ("weights: {speed: 1}", "no such category"),
        ("weights: {latency: 1}\nmetrics: {latency: [cost]}", "none of"),
        ("weights: {latency: 1}\nlimits: ['nonsense < 1']", "must be PATH < NUMBER"),
        ("weights: {latency: 1}\nbudget_usd: 5", "needs requests_per_month"),
        ("weights: {latency: 1}\nbudget: 5", "unknown field"),
    ],
)
def test_wrong_use_cases_are_told(tmp_path: Path, text: str, part: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UsageFault) as fault:
        read_use_case(str(file))
    assert part in fault.value.message and "mine.yaml" in fault.value.message


def test_a_use_case_of_ones_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("weights: {latency: 3, cost: 1}\nmetrics: {latency: [ttft_s.p99]}\nlimits: ['e2e_s.p95 < 9']\n")
    found = read_use_case(str(file))
    assert (found.name, found.metrics) == ("mine", {"latency": ("ttft_s.p99",)})


def test_p99_has_an_interval_only_where_the_summary_has_one() -> None:
    """`made` gives none for p99, so that a limit on it is not shown to be met."""
    found = recommend([summary(made("a"), quicker("b", 2))], limited("ttft_s.p99 < 10"))
    assert found.answer == "cannot tell"
    assert {each.limits[0].met for each in found.choices} == {"not shown"}
    assert LATENCIES[0] == "ttft_s"
