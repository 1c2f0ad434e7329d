"""Comparisons of results: what is claimed, how often, and what is refused."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.comparisons import Answers, compare, compare_runs
from analysis.records.quality_record import Quality
from analysis.records.record import Estimate
from analysis.reliability import wilson
from analysis.statistics import interval_tests
from analysis.statistics.multiplicity import holm
from analysis.statistics.repeat_tests import RepeatTest, detectable, hedges, paired, power, unpaired
from analysis.summary import Repeat, Result, Summary, Validity


def _result(target: str, values: list[float], workload: str = "w") -> Result:
    repeats = tuple(
        Repeat(repeat=index + 1, attempted=1, window_s=1.0, values={"e2e_s.p50": value})
        for index, value in enumerate(values)
    )
    return Result(target=target, workload=workload, stage=0, attempted=1, repeat_values=repeats)


def test_a_clear_difference_is_told_with_its_ratio() -> None:
    (found,) = compare([_result("a", [1.0, 1.01, 0.99]), _result("b", [2.0, 2.02, 1.97])])
    assert found.verdict == "better"
    assert found.ratio.value == pytest.approx(0.5, rel=0.02)


def test_equal_targets_do_not_differ_and_noisy_ones_are_not_told_apart() -> None:
    (same,) = compare([_result("a", [1.0, 1.001, 0.999]), _result("b", [1.0, 1.0, 1.0])])
    (noisy,) = compare([_result("a", [1.0, 1.5, 1.2]), _result("b", [1.1, 1.0, 1.0])])
    assert (same.verdict, same.reason) == ("no difference", "the whole interval lies within 2 %")
    assert (noisy.verdict, noisy.reason) == ("no difference", "not told apart")
    assert noisy.repeats_needed is not None


def test_unlike_workloads_and_single_repeats_are_never_ranked() -> None:
    assert compare([_result("a", [1.0] * 3), _result("b", [2.0] * 3, workload="other")]) == ()
    (single,) = compare([_result("a", [1.0]), _result("b", [2.0])])
    assert single.verdict == "not comparable"


def test_repeats_that_do_not_spread_prove_nothing_until_they_are_many() -> None:
    """Six signs alike have p = 2 / 64 by the exact test; five have 2 / 32."""
    (few,) = compare([_result("a", [1.0] * 5), _result("b", [2.0] * 5)])
    (many,) = compare([_result("a", [1.0] * 6), _result("b", [2.0] * 6)])
    assert (few.verdict, few.p_value, few.repeats_needed, few.ratio.ci95) == ("no difference", 2 / 32, 1, None)
    assert (many.verdict, many.p_value) == ("better", 2 / 64)
    (equal,) = compare([_result("a", [1.0] * 3), _result("b", [1.0] * 3)])
    assert (equal.verdict, equal.p_value) == ("no difference", 1)


def _counted(target: str, rates: list[float]) -> Result:
    repeats = tuple(
        Repeat(repeat=index + 1, attempted=int(10 * rate), window_s=10.0, values={"completed_rps": rate})
        for index, rate in enumerate(rates)
    )
    return Result(target=target, workload="w", stage=0, attempted=1, repeat_values=repeats)


def test_repeats_that_only_one_side_has_are_no_pairs() -> None:
    """a failed in the first three repeats, b in the last three: nothing was measured side by side."""
    a, b = _result("a", [1.0, 1.1, 0.9]), _result("b", [1.2, 1.3, 1.1])
    later = tuple(msgspec.structs.replace(each, repeat=each.repeat + 3) for each in b.repeat_values)
    (paired_by_chance,) = compare([a, b])
    (apart,) = compare([a, msgspec.structs.replace(b, repeat_values=later)])
    assert paired_by_chance.method.startswith("paired t")
    assert apart.method.startswith("Welch's t")
    (untold,) = compare([a, msgspec.structs.replace(b, repeat_values=later)], asked=("e2e_s.p50",))
    assert untold.verdict == "not comparable"


def test_counts_have_the_spread_that_whole_requests_make() -> None:
    """64 against 40 requests in each repeat: apart. 3 against 2: a request more or less, not told apart."""
    (apart,) = compare([_counted("a", [6.4] * 3), _counted("b", [4.0] * 3)])
    (close,) = compare([_counted("a", [0.3] * 2), _counted("b", [0.2] * 2)])
    assert apart.verdict == "better"
    assert apart.ratio.ci95 is not None
    assert close.verdict == "no difference"


def _power(effect: float, pairs: int) -> float:
    df = pairs - 1
    return power(effect * math.sqrt(pairs), df, RepeatTest(pairs, 1, 0.0, 1.0, df).critical(0.05))


def test_the_power_of_a_paired_test_is_that_of_published_tables() -> None:
    """Two-sided 5 %, power 0.8: effect 1.0 wants 10 pairs, 0.5 wants 34, 0.8 wants 15 (Cohen, 1988)."""
    for effect, pairs in ((1.0, 10), (0.5, 34), (0.8, 15)):
        assert _power(effect, pairs) >= 0.8
        assert _power(effect, pairs - 1) < 0.8


@pytest.mark.parametrize(
    ("df", "level", "effect"), [(1, 0.002, 350.0), (2, 0.002, 33.0), (3, 1e-4, 40.0), (2, 1e-4, 130.0)]
)
def test_with_few_repeats_power_waits_for_the_estimate_of_the_spread(df: int, level: float, effect: float) -> None:
    """However large a difference is, the spread may be seen too large: against 200 000 draws of t with that effect."""
    rng = np.random.default_rng(1)
    critical = RepeatTest(df + 1, 1, 0.0, 1.0, df).critical(level)
    drawn = (rng.normal(size=200_000) + effect) / np.sqrt(rng.chisquare(df, 200_000) / df)
    seen = float((drawn > critical).mean())
    assert 0.6 < seen < 0.96
    assert power(effect, df, critical) == pytest.approx(seen, abs=0.006)


def test_what_few_repeats_can_detect_has_the_power_that_is_said() -> None:
    """At the spread taken, which is the seen one over the lower decile of chi."""
    test = RepeatTest(3, 1, 0.0, 1.0, 2.0)
    least = detectable(test, 1e-4)
    assert least is not None
    assumed = math.sqrt(2.0 / (-2 * math.log(0.9)))  # chi-squared with 2 degrees of freedom: -2 ln(1 - p)
    assert power(least / assumed, 2.0, test.critical(1e-4)) == pytest.approx(0.9, abs=1e-6)


def test_the_repeats_needed_grow_with_the_number_of_comparisons() -> None:
    a, b, c = _result("a", [1.0, 1.5, 1.2]), _result("b", [1.1, 1.0, 1.0]), _result("c", [1.1, 1.3, 0.9])
    (alone,) = compare([a, b])
    among = compare([a, b, c])[0]
    assert alone.repeats_needed is not None
    assert among.repeats_needed is None or among.repeats_needed > alone.repeats_needed


@pytest.mark.parametrize(("spread", "repeats"), [(0.01, 5), (0.02, 8), (0.03, 12)])
def test_where_power_is_said_to_suffice_a_difference_is_found(spread: float, repeats: int) -> None:
    """Of 5 %, whatever the true spread is: the promise is of the runs in which it is said."""
    rng = np.random.default_rng(3)
    said = hits = 0
    for _ in range(300):
        a, b = (np.exp(rng.normal(0, spread, repeats)) for _ in range(2))
        (found,) = compare([_result("a", list(1.05 * a)), _result("b", list(b))])
        if found.detectable is not None and found.detectable <= 1.05:
            said += 1
            hits += found.verdict == "worse"
    assert hits >= 0.9 * said


def _summary(run: str, *results: Result, slo: float | None = None) -> Summary:
    validity = Validity(verdict="valid")
    return Summary(run=run, plan="p", source="samples", validity=validity, results=results, slo={"ttft_s": slo})


def test_runs_are_compared_with_the_first_whatever_their_number_of_repeats() -> None:
    first = _summary("monday", _result("t", [1.0, 1.01, 0.99]))
    slow = _summary("tuesday", _result("t", [2.0, 2.02, 1.97, 2.01]))
    (found,) = compare_runs(first, [slow])
    assert (found.a_run, found.b_run, found.verdict) == ("tuesday", "monday", "worse")
    assert found.ratio.value == pytest.approx(2, rel=0.01)
    (same,) = compare_runs(first, [first])
    assert same.verdict == "no difference"


def test_runs_of_unlike_loads_are_not_comparable_and_what_differs_is_named() -> None:
    plain = _result("t", [1.0, 1.1])
    larger = msgspec.structs.replace(plain, request={"output_tokens": 256}, load={"concurrency": 8})
    smaller = msgspec.structs.replace(plain, request={"output_tokens": 64}, load={"concurrency": 8})
    busier = msgspec.structs.replace(plain, request={"output_tokens": 64}, load={"concurrency": 9})
    (request,) = compare_runs(_summary("a", larger), [_summary("b", smaller)])
    (load,) = compare_runs(_summary("a", smaller), [_summary("b", busier)])
    assert (request.verdict, request.reason) == ("not comparable", "request differs: output_tokens 256 against 64")
    assert load.reason == "load differs: concurrency 8 against 9"
    (missing,) = compare_runs(_summary("a", plain), [_summary("b")])
    assert (missing.verdict, missing.reason) == ("not comparable", "only in a")


def test_equal_targets_are_seldom_called_different() -> None:
    """At 5 % and one comparison a run, about 5 of 100 pairs of equal targets; 15 would be far beyond chance."""
    rng = np.random.default_rng(1)
    draws = [[list(np.exp(rng.normal(0, 0.1, 5))) for _ in range(2)] for _ in range(100)]
    verdicts = [compare([_result("a", a), _result("b", b)])[0].verdict for a, b in draws]
    assert sum(verdict in ("better", "worse") for verdict in verdicts) < 15


def _of(target: str, metric: str, values: list[float | None]) -> Result:
    """`metric` in each repeat of 100 requests in 10 s."""
    repeats = tuple(
        Repeat(repeat=index + 1, attempted=100, window_s=10.0, values={metric: value})
        for index, value in enumerate(values)
    )
    return Result(target=target, workload="w", stage=0, attempted=1, repeat_values=repeats)


def test_a_repeat_of_which_nothing_was_good_counts_as_such() -> None:
    """Its rate has no logarithm: then the difference is tested, and no repeat is left out."""
    (found,) = compare(
        [_of("a", "goodput_rps", [0.0, 0.0, 1.0, 0.0]), _of("b", "goodput_rps", [9.0, 10.0, 11.0, 10.0])]
    )
    assert (found.a_value, found.b_value, found.repeats) == (0.25, 10.0, 4)
    assert (found.verdict, found.method) == ("worse", "paired t of differences")
    assert found.difference is not None and found.difference.value == -9.75
    assert found.ratio.ci95 is None


def test_repeats_that_one_side_lacks_are_left_out_of_pairs() -> None:
    a, b = _of("a", "e2e_s.p50", [1.0, None, 1.1, 1.05]), _of("b", "e2e_s.p50", [2.0, 2.1, None, 2.05])
    (found,) = compare([a, b])
    assert (found.repeats, found.a_value, found.b_value) == (2, 1.025, 2.025)


def test_shares_differ_by_percentage_points() -> None:
    (found,) = compare([_of("a", "success_ratio", [0.9, 0.91, 0.92, 0.9]), _of("b", "success_ratio", [1.0] * 4)])
    assert found.verdict == "worse"
    assert found.difference is not None and found.difference.value == pytest.approx(-0.0925)
    assert found.detectable is None and found.detectable_difference is not None


def test_all_is_told_of_a_difference() -> None:
    (found,) = compare([_result("a", [1.0, 1.1, 1.2, 1.1]), _result("b", [2.0, 2.1, 2.3, 2.2])])
    assert found.difference is not None and found.difference.ci95 is not None
    low, high = found.difference.ci95
    assert low is not None and high is not None and low < -1.05 < high
    assert found.effect_size is not None and found.effect_size < -5
    assert (found.headline, found.decided, found.repeats) == (True, True, 4)


def test_hedges_g_of_a_worked_example() -> None:
    """Means 3 and 2, both standard deviations 1, three each: d = 1, times 0.7979 at 4 degrees of freedom."""
    assert hedges([2.0, 3.0, 4.0], [1.0, 2.0, 3.0], 4) == pytest.approx(0.797885, rel=1e-5)


def test_welch_is_that_of_a_published_example() -> None:
    """Welch (Biometrika 34, 1947) by the figures of scipy's own test."""
    a, b = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0]
    found = unpaired(a, b, (0.0, 0.0))
    assert found is not None
    from scipy import stats  # noqa: PLC0415

    assert found.p_value() == pytest.approx(float(stats.ttest_ind(a, b, equal_var=False).pvalue))


def _accurate(target: str, accuracy: float, low: float, high: float) -> Result:
    none = Estimate(value=0.0, ci95=(0.0, 0.1))
    quality = Quality(
        replies=100, graded=100, accuracy=Estimate(value=accuracy, ci95=(low, high)), refused=none, cut=none
    )
    return Result(target=target, workload="w", stage=0, attempted=1, quality=quality)


def test_accuracies_are_paired_by_question_where_the_answers_are_known() -> None:
    """Both miss the same twenty of a hundred questions, and b five more: unpaired, noise hides it."""
    a, b = _accurate("a", 0.80, 0.71, 0.87), _accurate("b", 0.75, 0.66, 0.82)
    names = [f"q{k}" for k in range(100)]
    right_a = np.array([0.0] * 20 + [1.0] * 80)
    right_b = np.array([0.0] * 25 + [1.0] * 75)
    answers: Answers = {
        ("a", "w", 0): (np.tile(right_a, 4), names * 4),
        ("b", "w", 0): (np.tile(right_b, 4), names * 4),
    }
    (by_interval,) = compare([a, b])
    (by_question,) = compare([a, b], answers)
    assert by_interval.p_value is not None and by_question.p_value is not None
    assert by_question.p_value < 0.05 < by_interval.p_value
    assert (by_question.verdict, by_interval.verdict) == ("better", "no difference")


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 10)), min_size=1, max_size=30))
def test_holm_rejects_what_closed_testing_of_weighted_bonferroni_does(tests: list[tuple[float, float]]) -> None:
    p_values, weights = [p for p, _ in tests], [w for _, w in tests]
    steps = holm(p_values, weights, 0.05)
    rejected = {index for index, step in enumerate(steps) if step.adjusted is not None and step.adjusted < 0.05}
    left = set(range(len(tests)))
    while True:  # step down by the definition
        least = min(left, key=lambda index: p_values[index] / weights[index], default=None)
        if least is None or p_values[least] * sum(weights[index] for index in left) / weights[least] >= 0.05:
            break
        left.remove(least)
    assert rejected == set(range(len(tests))) - left
    for index in left:  # none of them is below the level it is said to be held against
        assert p_values[index] >= steps[index].level * (1 - 1e-9)


@given(st.lists(st.floats(0.5, 2), min_size=3, max_size=12), st.floats(0.2, 5))
def test_a_comparison_knows_no_units_and_no_sides(values: list[float], unit: float) -> None:
    others = [1.3 * value**0.5 for value in reversed(values)]
    a, b = _result("a", values), _result("b", others)
    (found,), (turned,) = compare([a, b]), compare([b, a])
    (scaled,) = compare([_result("a", [unit * v for v in values]), _result("b", [unit * v for v in others])])
    assert found.p_value == pytest.approx(turned.p_value) == pytest.approx(scaled.p_value, abs=1e-6)
    mirrored = {"better": "worse", "worse": "better"}
    assert mirrored.get(turned.verdict, turned.verdict) == found.verdict


def test_another_tools_result_is_held_against_the_target_of_its_model() -> None:
    """Two targets ran at the load of the other tool; where neither has its model, both are held against it."""
    load = {"concurrency": 8}
    ours = [msgspec.structs.replace(_result(name, [1.0, 1.1]), model=f"m-{name}", load=load) for name in ("a", "b")]
    first = Summary(run="ours", plan="p", source="samples", validity=Validity(verdict="valid"), results=tuple(ours))
    for model, against in (("m-a", ["a"]), ("m-b", ["b"]), ("unknown", ["a", "b"])):
        told = msgspec.structs.replace(_result(model, [2.0, 2.2]), workload=None, load=load)
        other = msgspec.structs.replace(first, run="theirs", source="import", results=(told,))
        found = compare_runs(first, [other])
        assert [each.b for each in found if each.verdict != "not comparable"] == against
        assert [each.reason for each in found if each.verdict == "not comparable"] == ["only in ours"] * (
            2 - len(against)
        )


def test_what_is_zero_on_both_sides_in_all_repeats_is_the_same() -> None:
    """Targets that cost nothing, or none of whose replies is good enough: no repeat more would tell them apart."""
    (found,) = compare([_result("a", [0.0] * 3), _result("b", [0.0] * 3)])
    assert (found.verdict, found.decided, found.repeats_needed) == ("no difference", True, None)
    (apart,) = compare([_result("a", [0.0, 0.0, 0.0]), _result("b", [0.0, 1e-3, 2e-3])])
    assert not apart.decided


def _of_few(target: str, ok: int, attempted: int = 1000, counted: int = 50) -> Result:
    values = {"success_ratio": ok / counted, "completed_rps": ok / 10}
    repeats = [Repeat(repeat=k, attempted=attempted, window_s=10.0, values=dict(values)) for k in range(5)]
    return Result(target=target, workload="w", stage=0, attempted=5 * attempted, repeat_values=tuple(repeats))


def test_arrivals_that_were_never_sent_make_no_success_ratio_surer() -> None:
    """One failure in each of five repeats, and none: of 50 attempts that is little, whatever was dropped besides."""
    dropped, sent = (
        {each.metric: each for each in compare([_of_few("a", 50, n), _of_few("b", 49, n)])}["success_ratio"]
        for n in (1000, 50)
    )
    assert dropped.p_value == pytest.approx(sent.p_value)
    assert dropped.p_value is not None
    assert dropped.p_value > 0.05


def test_an_interval_and_its_p_tell_the_same() -> None:
    found = paired([1.2, 1.4, 1.1, 1.5], [1.0, 1.1, 1.2, 1.1], 0.0)
    assert found is not None
    level = found.p_value()
    low, high = found.interval(level) or (1.0, 1.0)
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9)


def test_mover_of_a_published_example() -> None:
    """56 of 70 against 48 of 80: 0.0524 to 0.3339 (Newcombe, Statistics in Medicine 17, 1998, table II, method 10)."""
    found = interval_tests.difference(wilson(56, 70), wilson(48, 80))
    assert found is not None
    assert found.ci95() == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.p_value() < 0.05
    shifted = found.shifted(0.0524)
    assert shifted.one_sided(0.0, above=True) == pytest.approx(0.025, abs=1e-3)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.integers(5, 500), st.integers(5, 500))
def test_an_interval_that_leaves_zero_out_has_a_p_below_a_twentieth(p: float, q: float, n: int, m: int) -> None:
    found = interval_tests.difference(wilson(round(p * n), n), wilson(round(q * m), m))
    assert found is not None
    low, high = found.ci95()
    assert low is not None and high is not None
    assert (low > 0 or high < 0) == (found.p_value() < 0.05)
