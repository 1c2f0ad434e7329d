"""Small versions of the proofs of decisions: runs in virtual time whose truth is known."""

from __future__ import annotations

from benchmarks.decision_proofs import TTFT, gated, pair, played, sequence


def test_a_twentieth_more_is_found_and_nothing_where_nothing_is() -> None:
    found = [pair(seed, 1.05, 12) for seed in range(2)]
    assert all(each.ttft == "better" for each in found if each.suffices)
    assert any(each.suffices for each in found)
    assert sum(bool(pair(seed, 1.0, 4).claimed) for seed in range(3)) <= 1


def test_all_metrics_of_a_pair_are_compared() -> None:
    comparisons = played(1, {"a": 1.0, "b": 1.2}, 5).comparisons
    found = {each.metric: each for each in comparisons}
    assert {TTFT, "ttft_s.p99", "e2e_s.p95", "itl_s.p50", "goodput_rps", "success_ratio"} <= found.keys()
    assert not any(metric.startswith("response_s") for metric in found)  # closed load: it is E2E
    for each in comparisons:
        assert each.difference is not None and each.method and each.verdict != "not comparable"


def test_repeats_in_sequence_decide_rightly() -> None:
    same, slower = sequence(1, 1.1, most=12)
    assert (slower.ttft, slower.repeats is not None) == ("better", True)
    assert not same.ever


def test_a_planted_regression_fails_its_gate_and_an_unchanged_run_does_not() -> None:
    assert gated(1, 1.1, 8)[0].verdict == "failed"
    assert all(gate.verdict != "failed" for gate in gated(1, 1.0, 6))
