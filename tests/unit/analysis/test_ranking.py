"""Rankings: weights, names, other targets and better numbers change what they should and nothing else."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_results import made, renamed, summary
from scipy import stats

from analysis.deciding.burdens import CATEGORIES, EQUAL, normalised, read_weights
from analysis.deciding.draws import Drawn, measured
from analysis.deciding.entrants import contests
from analysis.deciding.ranking_record import Ranking
from analysis.ranking import rank
from analysis.summary import Result, Summary, Validity
from harness.errors import UsageFault

few = settings(max_examples=15)
NAMES = ("a", "b", "c", "d")
factor = st.floats(0.3, 3.0)
noise = st.lists(st.floats(-0.1, 0.1), min_size=3, max_size=3)


@st.composite
def targets(draw: st.DrawFn) -> Result:
    return made(
        "x",
        ttft_s=0.2 * draw(factor),
        e2e_s=draw(factor),
        rate=10 * draw(factor),
        accuracy=draw(st.floats(0.3, 0.99)),
        usd=0.001 * draw(factor),
        failed=draw(st.integers(0, 60)),
        noise=draw(noise),
    )


@st.composite
def markets(draw: st.DrawFn) -> Summary:
    found = draw(st.lists(targets(), min_size=2, max_size=4))
    named = [msgspec.structs.replace(each, target=name) for each, name in zip(found, NAMES, strict=False)]
    return summary(*named)


weights = st.dictionaries(st.sampled_from(CATEGORIES), st.floats(0.05, 1.0), min_size=1)


def only(found: tuple[Ranking, ...]) -> Ranking:
    (ranking,) = found
    return ranking


@few
@given(markets(), weights, st.floats(0.01, 100))
def test_weights_count_by_their_proportions(market: Summary, wanted: dict[str, float], times: float) -> None:
    scaled = normalised({name: times * weight for name, weight in wanted.items()})
    a, b = only(rank([market], normalised(wanted))), only(rank([market], scaled))
    assert [each.target for each in a.places] == [each.target for each in b.places]
    for one, other in zip(a.places, b.places, strict=True):
        assert one.total.value == pytest.approx(other.total.value)


@few
@given(markets(), weights, st.permutations(["zeta", "a", "Best", "~"]))
def test_names_have_no_part_in_it(market: Summary, wanted: dict[str, float], names: list[str]) -> None:
    new = dict(zip(NAMES, names, strict=True))
    a = msgspec.to_builtins(rank([market], normalised(wanted)))
    b = msgspec.to_builtins(rank([renamed(market, new)], normalised(wanted)))
    for ranking in a:
        for place in ranking["places"]:
            place["target"] = new[place["target"]]
    assert a == b


@few
@given(markets(), weights, st.randoms(use_true_random=False))
def test_the_order_of_targets_has_no_part_in_it(
    market: Summary, wanted: dict[str, float], random: st.DataObject
) -> None:
    """Targets of equal totals apart: which of them comes first is a matter of their order."""
    shuffled = list(market.results)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    a = only(rank([market], normalised(wanted)))
    assume(len({round(place.total.value or 0.0, 9) for place in a.places}) == len(a.places))
    b = only(rank([msgspec.structs.replace(market, results=tuple(shuffled))], normalised(wanted)))
    by_name = {each.target: each for each in b.places}
    for place in a.places:
        other = by_name[place.target]
        assert (place.total.value, place.first) == pytest.approx((other.total.value, other.first), abs=1e-9)
        assert place.rank_ci95 == other.rank_ci95


@few
@given(markets(), targets(), weights)
def test_another_target_changes_no_ratio_of_the_others(market: Summary, more: Result, wanted: dict[str, float]) -> None:
    larger = summary(*market.results, msgspec.structs.replace(more, target="more"))
    a, b = (
        {place.target: place.total.value or 0.0 for place in only(rank([each], normalised(wanted))).places}
        for each in (market, larger)
    )
    first, *others = a
    for name in others:
        assert a[name] / a[first] == pytest.approx(b[name] / b[first])


@few
@given(markets(), weights, st.sampled_from(["ttft_s", "e2e_s", "rate", "accuracy", "usd"]), st.floats(1.0, 3.0))
def test_who_gets_better_does_not_fall(market: Summary, wanted: dict[str, float], what: str, by: float) -> None:
    mine = market.results[0]
    better = summary(_better(mine, what, by), *market.results[1:])
    before, after = (
        next(place.rank for place in only(rank([each], normalised(wanted))).places if place.target == "a")
        for each in (market, better)
    )
    assert after <= before


def _better(result: Result, what: str, by: float) -> Result:
    replace = msgspec.structs.replace
    if what == "usd":
        assert result.cost is not None and result.cost.usd_per_request is not None
        return replace(result, cost=replace(result.cost, usd_per_request=result.cost.usd_per_request / by))
    if what == "rate":
        assert result.completed_rps is not None
        return replace(result, completed_rps=result.completed_rps * by)
    if what == "accuracy":
        assert result.quality is not None and result.quality.accuracy_of_all is not None
        found = result.quality.accuracy_of_all
        right = replace(found, value=1 - (1 - (found.value or 0.0)) / by)
        return replace(result, quality=replace(result.quality, accuracy_of_all=right))
    dist = getattr(result, what)
    return replace(result, **{what: replace(dist, p50=dist.p50 / by, p95=dist.p95 / by)})


def test_scores_follow_the_printed_formula() -> None:
    good, bad = made("good"), made("bad", rate=5.0, usd=0.002, accuracy=0.6, failed=9, e2e_s=2.0)
    ranking = only(rank([summary(bad, good)], read_weights("cost=1, quality=3,reliability=2")))
    first, second = ranking.places
    assert (first.target, second.target) == ("good", "bad")
    scores = {each.category: each.score.value for each in second.scores}
    assert scores == pytest.approx({"quality": 100 * 21 / 41, "reliability": 100 / 2, "cost": 50})
    assert second.total.value == pytest.approx(100 * (21 / 41) ** (1 / 2) * (1 / 2) ** (1 / 3) * (1 / 2) ** (1 / 6))
    assert ranking.weights == pytest.approx({"quality": 1 / 2, "reliability": 1 / 3, "cost": 1 / 6})


def test_the_latency_score_is_a_geometric_mean() -> None:
    ranking = only(rank([summary(made("a"), made("b", ttft_s=0.8))], normalised({"latency": 1})))
    assert ranking.places[1].total.value == pytest.approx(100 / math.sqrt(4))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("speed=1", "no such category"),
        ("cost=-1", "from 0 on"),
        ("cost=nan", "from 0 on"),
        ("cost=much", "must be a number"),
        ("cost=1,cost=2", "given twice"),
        ("cost=0,latency=0", "all are 0"),
        ("", "no such category"),
    ],
)
def test_wrong_weights_are_told(text: str, part: str) -> None:
    with pytest.raises(UsageFault) as fault:
        read_weights(text or "=1")
    assert part in fault.value.message


def test_one_difference_has_the_posterior_of_student() -> None:
    """The difference of the logarithms of two targets' latencies, paired by repeat."""
    logs_a, logs_b = [0.02, -0.05, 0.04], [0.05, -0.01, 0.0]
    market = summary(made("a", noise=logs_a), made("b", ttft_s=0.21, noise=logs_b))
    (contest,) = contests([market])
    drawn = Drawn(contest.entrants)
    found = []
    for place, entrant in enumerate(contest.entrants):
        measure = measured(entrant, "ttft_s.p50")
        assert measure is not None
        values = drawn.of(measure, "run", (place, 0))
        assert values is not None
        found.append(np.log(values))
    differences = np.array(logs_a) - np.array(logs_b)
    error = float(np.std(differences, ddof=1)) / math.sqrt(3)
    expected = stats.t(2, loc=math.log(0.2 / 0.21), scale=error)
    drawn_quantiles = np.quantile(found[0] - found[1], [0.05, 0.25, 0.5, 0.75, 0.95])
    reached = expected.cdf(drawn_quantiles)
    assert reached == pytest.approx([0.05, 0.25, 0.5, 0.75, 0.95], abs=0.025)


def test_equal_targets_are_tied_and_unlike_ones_are_not() -> None:
    market = summary(made("a"), made("b", noise=(0.0, 0.01, -0.01)), made("c", ttft_s=0.6, e2e_s=3.0, rate=3.0))
    ranking = only(rank([market]))
    groups = {place.target: place.group for place in ranking.places}
    assert groups == {"a": 1, "b": 1, "c": 2}
    assert ranking.places[2].rank_ci95 == (3, 3)
    assert sum(place.first or 0.0 for place in ranking.places) == pytest.approx(1.0)


def test_who_lacks_what_others_have_stands_apart() -> None:
    ranking = only(rank([summary(made("a"), made("b"), made("c", usd=None))]))
    assert [place.target for place in ranking.places] and {place.target for place in ranking.places} == {"a", "b"}
    (apart,) = ranking.apart
    assert apart.target == "c" and "cost was not measured" in apart.reason


def test_what_nobody_has_is_left_out_and_said() -> None:
    ranking = only(rank([summary(made("a", accuracy=None), made("b", accuracy=None))]))
    assert set(ranking.weights) == set(CATEGORIES) - {"quality"}
    assert sum(ranking.weights.values()) == pytest.approx(1)
    assert "not measured of any target" in ranking.left_out["quality"]


def test_free_targets_have_no_ratio_of_cost() -> None:
    ranking = only(rank([summary(made("a", usd=0.0), made("b", usd=0.0))]))
    assert ranking.left_out["cost"] == "all of them cost nothing"


def test_one_target_alone_is_not_ranked() -> None:
    ranking = only(rank([summary(made("a"))]))
    assert ranking.places == () and ranking.apart[0].target == "a"
    assert "nobody else is comparable" in ranking.apart[0].reason


def test_an_invalid_run_and_an_unlike_one_stand_apart() -> None:
    first = summary(made("a"), made("b"))
    unlike = summary(made("a", request={"input_tokens": 200}), run="longer")
    bad = summary(made("b"), run="bad", validity=Validity(verdict="invalid"))
    ranking = only(rank([bad, first, unlike]))
    assert [place.run for place in ranking.places] == ["run", "run"]
    reasons = {each.run: each.reason for each in ranking.apart}
    assert reasons == {"bad": "its run is invalid", "longer": "request differs: input_tokens 100 against 200"}


def test_a_single_repeat_has_no_intervals() -> None:
    ranking = only(rank([summary(made("a", noise=[0.0]), made("b", noise=[0.0], rate=1.0))], EQUAL))
    assert ranking.note is not None and "has no interval" in ranking.note
    assert [(each.rank_ci95, each.first) for each in ranking.places] == [(None, None)] * 2


def test_who_has_no_interval_takes_nobody_elses() -> None:
    ranking = only(rank([summary(made("a"), made("b"), made("c", noise=[0.0]))]))
    assert ranking.note is None and all(each.rank_ci95 for each in ranking.places)
    assert [each.target for each in ranking.apart] == ["c"] and "has no interval" in ranking.apart[0].reason


def test_a_load_that_was_not_run_is_a_fault() -> None:
    market = summary(made("a"), made("b"))
    with pytest.raises(UsageFault, match="--workload other: not run"):
        rank([market], workload="other")
    with pytest.raises(UsageFault, match="--stage 4: not run"):
        rank([market], stage=4)
