"""Shares and differences whose values belong together in clusters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.statistics import clusters


def _names(count: int) -> list[str]:
    return [f"q{number}" for number in range(count)]


def _width(ends: tuple[float | None, float | None]) -> float:
    assert None not in ends
    return (ends[1] or 0.0) - (ends[0] or 0.0)


def test_without_clusters_a_share_has_wilsons_interval() -> None:
    values = [1.0] * 41 + [0.0] * 9
    found = clusters.share(values, _names(50))
    wilson = stats.binomtest(41, 50).proportion_ci(0.95, method="wilson")
    assert found is not None
    assert found.ci95 is not None
    assert found.value == pytest.approx(0.82)
    assert found.ci95[0] == pytest.approx(wilson.low, abs=0.004)  # G / (G - 1) widens it a little
    assert found.ci95[1] == pytest.approx(wilson.high, abs=0.004)


def test_the_same_answers_again_tell_nothing_new() -> None:
    once = np.array([1.0] * 30 + [0.0] * 10)
    five_times = np.tile(once, 5)
    n = clusters.effective_n(five_times, _names(40) * 5)
    assert n == pytest.approx(clusters.effective_n(once, _names(40)))
    assert n == pytest.approx(39)


def test_independent_answers_to_few_questions_are_worth_nearly_all_of_them() -> None:
    rng = np.random.default_rng(5)
    values = (rng.random(4000) < 0.7).astype(float)
    n = clusters.effective_n(values, [f"q{k % 200}" for k in range(4000)])
    assert 3000 < n <= 4000


def test_all_right_is_worth_one_answer_a_question() -> None:
    found = clusters.share([1.0] * 100, _names(10) * 10)
    assert found is not None
    assert found.ci95 is not None
    assert found.ci95[0] == pytest.approx(stats.binomtest(10, 10).proportion_ci(0.95, method="wilson").low)
    assert found.ci95[1] == pytest.approx(1.0)


def test_questions_that_are_all_answered_equally_well_do_not_vary_among_themselves() -> None:
    """Each was asked twice, and answered once rightly."""
    values = np.array([1.0, 0.0] * 4)
    names = [name for name in _names(4) for _ in range(2)]
    assert clusters.effective_n(values, names) == 8
    found = clusters.share(values, names)
    assert found is not None
    assert found.value == 0.5
    assert found.ci95 is not None
    assert 0 < found.ci95[0] < found.ci95[1] < 1  # type: ignore[operator]


def test_a_change_on_the_same_questions_is_paired() -> None:
    rng = np.random.default_rng(6)
    before = (rng.random(400) < 0.7).astype(float)
    after = before.copy()
    after[:8] = 0
    paired = clusters.change((before, _names(400)), (after, _names(400)))
    apart = clusters.change((before, _names(400)), (after, [f"other{k}" for k in range(400)]))
    assert paired is not None
    assert apart is not None
    assert paired.ci95 is not None
    assert apart.ci95 is not None
    assert paired.value == pytest.approx(after.mean() - before.mean())
    assert _width(paired.ci95) < _width(apart.ci95) / 4
    assert paired.ci95[1] is not None and paired.ci95[1] < 0
    assert apart.ci95[1] is not None and apart.ci95[1] > 0


def test_a_paired_change_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(7)
    before, after = rng.normal(0, 1, 60), rng.normal(0.4, 1, 60)
    found = clusters.change((before, _names(60)), (after, _names(60)))
    wanted = stats.ttest_rel(after, before).confidence_interval()
    assert found is not None
    assert found.ci95 == pytest.approx((wanted.low, wanted.high))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """200 questions, each known or not, asked 5 times; a reply strays in one case of ten."""
    rng = np.random.default_rng(8)
    held = 0
    for _ in range(400):
        known = rng.random(200) < 0.8
        replies = np.tile(known, 5)
        stray = rng.random(1000) < 0.1
        replies = np.where(stray, rng.random(1000) < 0.8, replies)
        found = clusters.share(replies.astype(np.float64), _names(200) * 5)
        assert found is not None
        assert found.ci95 is not None
        low, high = found.ci95
        held += (low or 0) <= 0.8 <= (high or 1)
    assert 0.92 <= held / 400 <= 0.985


def test_nothing_has_no_share() -> None:
    assert clusters.share([], []) is None
    assert clusters.mean([], []) is None
    assert clusters.change((np.empty(0), []), (np.ones(3), _names(3))) is None


@pytest.mark.parametrize(("questions", "shown"), [(3, False), (5, False), (6, True), (400, True)])
def test_few_answers_that_are_all_alike_prove_nothing(questions: int, shown: bool) -> None:  # noqa: FBT001
    """All wrong, then all right: no spread is seen, and yet three coins fall alike one time in four."""
    names = _names(questions)
    found = clusters.change((np.zeros(questions), names), (np.ones(questions), names))
    assert found is not None
    p_value = clusters.p_value(found, names, names)
    assert p_value == pytest.approx(2.0 ** (1 - questions))
    assert (p_value < 0.05) is shown
    others = [f"other{k}" for k in range(questions)]
    assert clusters.p_value(found, names, others) == pytest.approx(2 / math.comb(2 * questions, questions))


def test_equal_answers_have_a_p_of_one() -> None:
    found = clusters.change((np.ones(9), _names(9)), (np.ones(9), _names(9)))
    assert found is not None and clusters.p_value(found, _names(9), _names(9)) == 1.0
