"""Outages from attempts: by the rule, at the moment they were sent, and for every way in which a provider fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.failures.lifetimes import lifetimes
from analysis.failures.outages import Attempts, Seen, Watch, rule_text, seen, spans
from harness.plan import OutageRule

GAP_S = 0.05
E2E_S = 0.3
RULE = OutageRule()


def _watch(letters: str, gap_s: float = 1.0, **columns: Any) -> Watch:
    """One attempt a gap: `.` ok, `x` failed, `t` throttled, `c` the client's fault, `s` slow."""
    each = np.array(list(letters))
    start_s = np.arange(len(each)) * gap_s
    made = {
        "start_s": start_s, "stopped_s": start_s, "ok": np.isin(each, [".", "s"]), "failed": each == "x",
        "throttled": each == "t", "slow": each == "s",
    } | columns  # fmt: skip
    return Watch(0.0, len(each) * gap_s, Attempts(**made))


def _spans(found: Seen) -> list[tuple[float, float | None]]:
    return [(outage.start_s, outage.end_s) for outage in found.down]


def test_an_outage_begins_at_the_first_of_three_failures_and_ends_at_the_first_of_three_successes() -> None:
    found = seen(_watch(".xx.xxx.x...xxx"), RULE)
    assert _spans(found) == [(4.0, 9.0), (12.0, None)]
    assert [outage.failures for outage in found.down] == [4, 3]


def test_long_replies_that_are_cut_off_together_tell_of_that_moment_not_of_when_they_were_sent() -> None:
    """Three long replies are under way while seven short ones come well; then the server dies, and is back at 14."""
    letters = "xxx.......xxxx...."
    stopped_s = np.arange(len(letters)) * 1.0
    stopped_s[:3] = 9.5
    found = seen(_watch(letters, stopped_s=stopped_s), RULE)
    assert _spans(found) == [(9.5, 14.0)]
    assert found.down[0].failures == 7
    assert not found.down[0].began_before
    up, down = lifetimes([found])
    assert (up.total_s, up.events, down.total_s) == (13.5, 1, 4.5)
    alone = seen(_watch(letters[:10], stopped_s=stopped_s[:10]), RULE)
    assert _spans(alone) == [(9.5, None)]


def test_what_is_not_the_providers_fault_is_passed_over() -> None:
    """Neither a throttled attempt nor one that the client spoilt ends a run of failures, or begins one."""
    assert _spans(seen(_watch("..xtxctx..c."), RULE)) == [(2.0, 8.0)]
    assert _spans(seen(_watch("ttttcccctttt"), RULE)) == []


def test_k_can_be_chosen_and_is_printed() -> None:
    rule = OutageRule(k=2, failure_ratio=0.5, window_s=20)
    assert _spans(seen(_watch(".xx..x.."), OutageRule(k=2))) == [(1.0, 3.0)]
    assert "first of 2 consecutive" in rule_text(rule)
    assert "50 % of the attempts of 20 s" in rule_text(rule)


def test_a_share_of_failures_is_an_outage_where_the_rule_names_one() -> None:
    """Every second attempt fails from 20 to 60, and one alone at 5: three in a row never do."""
    letters = "".join("x" if k == 5 or (20 <= k < 60 and k % 2) else "." for k in range(100))
    assert _spans(seen(_watch(letters), RULE)) == []
    (outage,) = seen(_watch(letters), OutageRule(failure_ratio=0.3)).down
    assert (outage.start_s, outage.end_s, outage.failures) == (21, 60, 20)


def test_a_watch_that_begins_in_an_outage_has_seen_no_failure() -> None:
    (outage,) = seen(_watch("xxxx...."), RULE).down
    assert outage.began_before
    assert outage.end_s == 4


def test_slow_replies_are_degradation_and_no_outage() -> None:
    found = seen(_watch("..ssss..xxx...s.s."), RULE)
    assert [(each.kind, each.start_s, each.end_s, each.failures) for each in found.degraded] == [("degraded", 2, 6, 4)]
    assert _spans(found) == [(8, 11)]


def test_refusals_that_are_near_one_another_are_one_span() -> None:
    found = seen(_watch("..t.tt" + "." * 20 + "t"), RULE)
    assert [(each.start_s, each.end_s, each.failures) for each in found.throttled] == [(2, 6, 3), (26, None, 1)]
    assert found.down == ()


def test_nothing_at_all_is_no_outage() -> None:
    assert seen(_watch(""), RULE) == Seen(0.0, 0.0, ())


def _scripted(kind: str, begin_s: float, end_s: float) -> Watch:
    """Attempts of 60 s that a provider answers in 0.3 s, but for those between `begin_s` and `end_s`."""
    start_s = np.arange(0, 60, GAP_S)
    struck = (start_s >= begin_s) & (start_s < end_s)
    cut = (start_s < begin_s) & (start_s + E2E_S > begin_s)
    failed = struck | cut if kind == "crash" else struck
    stopped_s = start_s + {"refuse": 0.001, "timeout": 0.0, "truncate": 0.13, "crash": 0.0}[kind]
    if kind == "crash":
        stopped_s = np.where(cut, begin_s, stopped_s)
    never = np.zeros(len(start_s), dtype=bool)
    return Watch(0.0, 60.0, Attempts(start_s, stopped_s, ~failed, failed, never, never))


@pytest.mark.parametrize("kind", ["refuse", "timeout", "truncate", "crash"])
@given(begin_s=st.floats(1, 30), length_s=st.floats(0.25, 25))
def test_edges_are_within_a_gap_whatever_way_it_fails(kind: str, begin_s: float, length_s: float) -> None:
    """Refused one by one; timed out (which ends long afterwards); cut off after some events, each on its own; or all
    cut off together when the server died."""
    (outage,) = seen(_scripted(kind, begin_s, begin_s + length_s), RULE).down
    assert outage.end_s is not None
    assert abs(outage.start_s - begin_s) <= GAP_S + 1e-9
    assert abs(outage.end_s - begin_s - length_s) <= GAP_S + 1e-9


def test_failures_that_each_take_a_while_are_no_replies_cut_off_together() -> None:
    """The second is sent, a little late, before the first has ended; they end about as far apart as they were sent."""
    sent_s = np.arange(14.0)
    sent_s[5] += 0.05
    stopped_s = sent_s + np.array([0.0] * 4 + [1.1, 0.9] + [1.0] * 8)
    watch = _watch("....xxxxxx....", start_s=sent_s, stopped_s=stopped_s)
    assert _spans(seen(watch, RULE)) == [(4.0, 10.0)]


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 5))
def test_spans_follow_the_rule_step_by_step(bad: list[bool], k: int) -> None:
    """Against the rule as one would apply it by hand, one attempt after another."""
    expected: list[list[int | None]] = []
    down, run = False, 0
    for place, failed in enumerate(bad):
        run = run + 1 if failed != down else 0
        if run == k:
            down, run = not down, 0
            if down:
                expected.append([place - k + 1, None])
            else:
                expected[-1][1] = place - k + 1
    assert [list(each) for each in spans(np.array(bad, dtype=bool), k)] == expected
