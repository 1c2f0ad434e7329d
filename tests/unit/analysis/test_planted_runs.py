"""Runs with something planted -> what the summary says. They are those of `benchmarks/planted.py`, shorter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from runs_on_disk import MS, S, sample, steady, write_run

from analysis.loads.drift import change_points, drift_of, settles
from analysis.loads.evidence import Requests, token_effects, two_modes
from analysis.prediction import predict_load, predict_of_run
from analysis.quantiles import Floats
from analysis.report import render
from analysis.samples import load_samples
from analysis.showing.wording_capacity import capacity_lines, prediction_lines
from analysis.summarise import summarise
from analysis.summary import Summary
from benchmarks.capacity_proofs import prove_predictions, truth_of
from benchmarks.planted import SETUPS, Setup, play_setup, run_offline
from harness.errors import UsageFault
from harness.rundir import RunDir
from harness.sample import Usage


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_the_planted_cause_is_named_first_and_a_healthy_target_has_none(setup: Setup, tmp_path: Path) -> None:
    (found,) = summarise(play_setup(setup, tmp_path, seed=11, duration_s=10))[0].diagnoses
    assert [cause.cause for cause in found.causes][:1] == ([setup.cause] if setup.cause else [])
    assert all(0 < cause.strength <= 1 and cause.numbers for cause in found.causes)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    _, sigma, kappa = truth_of(3)
    slo = {"e2e_s": 1.0, "ttft_s": 0.8}
    provider = {"usl": {"sigma": sigma, "kappa": kappa}}
    return run_offline(tmp_path_factory.mktemp("sweep"), provider, seed=3, slo=slo)[0]


@pytest.fixture(scope="module")
def summary(swept: RunDir) -> Summary:
    return summarise(swept)[0]


def test_a_sweep_has_its_law_and_every_stage_its_place_in_it(summary: Summary) -> None:
    (sweep,) = summary.sweeps
    _, sigma, kappa = truth_of(3)
    assert sweep.usl.n_star is not None and sweep.usl.n_star.value is not None
    assert sweep.usl.n_star.value == pytest.approx(((1 - sigma) / kappa) ** 0.5, rel=0.15)
    first, *others = [result.scaling for result in summary.results if result.scaling is not None]
    assert (first.degradation, first.workers) == ({}, 1)
    assert first.efficiency is not None and first.efficiency.value == pytest.approx(1)
    for each in others:
        n = each.in_flight or 0
        assert each.efficiency is not None
        assert each.efficiency.value == pytest.approx(1 / (1 + sigma * (n - 1) + kappa * n * (n - 1)), rel=0.1)
    last = others[-1].degradation
    n = others[-1].in_flight or 0
    growth = 1 + sigma * (n - 1) + kappa * n * (n - 1)
    for metric in ("ttft_s.p50", "itl_s.p50", "e2e_s.p95"):
        assert last[metric].value == pytest.approx(growth, rel=0.15)
    assert last["per_user_tokens_per_s"].value == pytest.approx(1 / growth, rel=0.15)


def test_the_largest_load_within_the_slo_is_told(summary: Summary) -> None:
    (sweep,) = summary.sweeps
    found = sweep.concurrent_capacity
    assert found is not None and found.exceeded
    shares = {result.scaling.in_flight: result.scaling.slo_attainment for result in summary.results if result.scaling}
    assert found.attainment == shares[found.in_flight]
    assert found.attainment >= 0.95
    assert all((share or 0) < 0.95 for n, share in shares.items() if (n or 0) > found.in_flight)


def test_stages_that_were_throttled_are_left_out(tmp_path: Path) -> None:
    run_dir, _ = run_offline(tmp_path, {"limits": {"concurrency": 10}}, duration_s=4)
    (sweep,) = summarise(run_dir)[0].sweeps
    assert list(sweep.left_out) == [4, 5, 6, 7]
    assert "throttled" in sweep.left_out[4]
    assert sweep.usl.refused == "4 load points can be used: it takes 6"


def test_a_rate_beyond_what_a_target_can_do_is_no_load_point(tmp_path: Path) -> None:
    stages = [{"rate_rps": rate, "duration_s": 20, "arrival": "poisson"} for rate in (2, 5, 30)]
    run_dir, _ = run_offline(tmp_path, {"slots": 4}, stages=stages)
    (sweep,) = summarise(run_dir)[0].sweeps
    assert list(sweep.left_out) == [2]
    assert "kept growing" in sweep.left_out[2]


def test_the_report_and_the_terminal_say_what_was_found(swept: RunDir, summary: Summary) -> None:
    page = render([(summary, load_samples(swept))])
    for title in ("Diagnosis", "Scaling", "Throughput and load", "Degradation under load", "Throughput and E2E"):
        assert f">{title}<" in page
    lines = capacity_lines(summary)
    assert any(line.startswith("scaling: sim w: most at ") for line in lines)
    assert any("the SLO is met up to" in line for line in lines)


def test_a_load_between_those_tested_is_foretold_with_an_interval(summary: Summary) -> None:
    rate, sigma, kappa = truth_of(3)
    found = predict_load(summary.results, "sim", "w", 12)
    true = rate * 12 / (1 + sigma * 11 + kappa * 12 * 11)
    rps = next(each for each in found.predictions if each.metric == "completed_rps")
    assert rps.low < true < rps.high < 1.3 * rps.low
    assert not found.extrapolates
    assert len(prediction_lines(found)) == 1 + len(found.predictions)


@pytest.mark.parametrize("n", [0.5, 80, 1e6])
def test_what_is_far_from_the_tested_loads_is_refused(summary: Summary, n: float) -> None:
    with pytest.raises(UsageFault, match="were tested"):
        predict_load(summary.results, "sim", "w", n)
    assert predict_load(summary.results, "sim", "w", 60).extrapolates


def test_a_length_of_prompt_is_foretold_from_the_requests_of_a_stage(tmp_path: Path) -> None:
    provider = {"ttft": 0.05, "prefill_s_per_input_token": 0.001}
    workload = {"kind": "chat", "name": "w", "input_tokens": "U(100,500)", "output_tokens": 4}
    run_dir, _ = run_offline(tmp_path, provider, loads=(4,), workload=workload)
    found, _ = predict_of_run(run_dir, input_tokens=300)
    ttft = next(each for each in found.predictions if each.metric == "ttft_s.p50")
    assert ttft.value == pytest.approx(0.35, rel=0.05)
    assert ttft.low < 0.35 < ttft.high
    with pytest.raises(UsageFault, match="--input-tokens: 4000"):
        predict_of_run(run_dir, input_tokens=4000)


def test_one_load_foretells_nothing(tmp_path: Path) -> None:
    run_dir, _ = run_offline(tmp_path, {}, loads=(2,), duration_s=3)
    with pytest.raises(UsageFault, match="1 loads"):
        predict_of_run(run_dir, concurrency=3)


def test_intervals_of_predictions_cover_what_is_then_measured() -> None:
    """Three of the sixty cases of `benchmarks/capacity_proofs.py`: a length of prompts, and two loads."""
    found = prove_predictions(range(3))
    assert set(found.covered) == {"completed_rps", "ttft_s.p50", "ttft_s.p95", "e2e_s.p50", "e2e_s.p95"}
    assert found.all_covered >= 0.7


def _of_lengths(folder: Path, length_of: Callable[[int], int]) -> RunDir:
    """TTFT is 50 ms and 1 ms for each token of the prompt."""
    samples = []
    for k in range(500):
        at, tokens = k * 20 * MS, length_of(k)
        first = at + (50 + tokens) * MS
        usage = Usage(source="provider", input_tokens=tokens, output_tokens=5)
        samples.append(sample(k, at, event_ns=(first, first + MS), first_text_ns=first, end_ns=first + MS, usage=usage))
    return write_run(folder, samples)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "length_of",
    [lambda k: 100 if k % 20 else 140 + k % 60, lambda k: (100, 200, 300)[k % 3], lambda k: 100 + 50 * (k % 4)],
    ids=["mostly one length", "three lengths", "four lengths"],
)
def test_prompts_of_which_many_are_equally_long_foretell_a_length_too(
    tmp_path: Path, length_of: Callable[[int], int]
) -> None:
    found, _ = predict_of_run(_of_lengths(tmp_path, length_of), input_tokens=130)
    ttft = next(each for each in found.predictions if each.metric == "ttft_s.p50")
    assert ttft.low < ttft.high
    assert ttft.value == pytest.approx(0.180, rel=0.01)


def test_two_lengths_of_prompts_foretell_no_third(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="of 2 lengths"):
        predict_of_run(_of_lengths(tmp_path, lambda k: 100 + 100 * (k % 2)), input_tokens=150)


def test_tpot_goes_along_with_nothing_where_it_is_always_the_same(tmp_path: Path) -> None:
    """Each reply has five visible tokens 10 ms apart, and was billed for more or less thought that was not sent."""
    usages = [Usage(source="provider", input_tokens=10, output_tokens=5 + k, reasoning_tokens=k) for k in range(110)]
    samples = [msgspec.structs.replace(each, usage=usage) for each, usage in zip(steady(), usages, strict=True)]
    summary, _ = summarise(write_run(tmp_path, samples))
    (result,) = summary.results
    assert result.tpot_s is not None
    assert (result.tpot_s.p50, result.tpot_s.max) == (0.01, 0.01)
    assert [each.factor for each in summary.relations if each.latency == "tpot_s"] == []


def test_correlations_and_outliers_of_requests(tmp_path: Path) -> None:
    slow = [sample(k, k * 100 * MS, end_ns=k * 100 * MS + 20 * S) for k in (50, 70)]
    rng = np.random.default_rng(1)
    spread = [sample(k, k * 100 * MS, end_ns=k * 100 * MS + 150 * MS + int(5 * MS * rng.normal())) for k in range(110)]
    others = [each for k, each in enumerate(spread) if k not in (50, 70)]
    summary, _ = summarise(write_run(tmp_path, [*others, *slow]))
    (e2e,) = [each for each in summary.results[0].outliers if each.latency == "e2e_s"]
    assert e2e.n == 2
    assert e2e.high_s is not None and 0.15 < e2e.high_s < 0.3
    assert summary.results[0].e2e_s is not None and summary.results[0].e2e_s.max == 20  # kept
    concurrency = [each for each in summary.relations if (each.factor, each.latency) == ("concurrency", "e2e_s")]
    assert concurrency and concurrency[0].n == 100


def test_a_run_that_never_answered_has_no_diagnosis_but_no_traceback_either(tmp_path: Path) -> None:
    failed = steady(outcome="failed", event_ns=(), usage=None, first_text_ns=None)
    summary, samples = summarise(write_run(tmp_path, failed))
    assert summary.diagnoses[0].causes == ()
    assert summary.results[0].scaling is not None and summary.results[0].scaling.left_out == "no request ended ok"
    assert render([(summary, samples)])


def conversation_requests(cached_of: Callable[[Floats], Floats]) -> Requests:
    """Turns of conversations: prompts grow by 50 tokens a turn; TTFT is 40 ms and 1 ms for each uncached token."""
    rng = np.random.default_rng(3)
    tokens = np.tile([40.0, 90.0, 140.0, 190.0], 60)
    cached = cached_of(tokens)
    first_s = 0.040 + 0.001 * (tokens - cached) + 0.004 * rng.random(len(tokens))
    flags, nothing = np.zeros(len(tokens), dtype=bool), np.full(len(tokens), np.nan)
    part = np.zeros(len(tokens), dtype=np.int64)
    return Requests(first_s, first_s / np.median(first_s), nothing, flags, tokens, cached, nothing, part)


def test_what_grows_with_what_is_cached_of_it_has_no_effect_that_could_be_told() -> None:
    effects = token_effects(conversation_requests(lambda tokens: tokens - 40))
    assert effects.together and effects.long is None and effects.miss is None


def test_no_effect_of_tokens_goes_beyond_what_was_seen() -> None:
    """With half of all prompts cached, the line foretells less than nothing for short ones of the mean cache."""
    rng = np.random.default_rng(4)
    seen = conversation_requests(lambda tokens: (tokens - 40) * (rng.random(len(tokens)) < 0.6))
    effects = token_effects(seen)
    assert not effects.together
    for value in (effects.long, effects.short, effects.miss, effects.hit):
        assert value is not None and seen.relative.min() <= value <= seen.relative.max()


def test_two_groups_are_told_from_one() -> None:
    rng = np.random.default_rng(2)
    one = two_modes(rng.lognormal(0, 0.3, 2000))
    two = two_modes(np.concatenate([rng.lognormal(0, 0.1, 1500), 3 * rng.lognormal(0, 0.1, 500)]))
    assert one is not None and two is not None
    assert one.between < 0.7 and one.valley > 0.5
    assert two.between > 0.9 and two.valley < 0.1
    assert (two.share, two.high / two.low) == pytest.approx((0.25, 3), rel=0.05)
    assert two_modes(np.ones(100)) is None


def test_a_drift_a_jump_and_a_beginning_are_found_and_steadiness_is_not() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(60.0) * 10
    noise = rng.lognormal(0, 0.02, 60)
    drift, p = drift_of(times, noise * np.exp(times / times[-1] * 0.3))
    assert drift.value == pytest.approx(np.exp(0.3), rel=0.05)
    assert p < 1e-6
    (jump,) = change_points(times, noise * np.where(times < 295, 1, 1.5))
    assert (jump.at_s, jump.ratio) == pytest.approx((300, 1.5), rel=0.05)
    assert change_points(times, noise) == []
    at = np.arange(400.0) / 10
    steady_s = rng.lognormal(0, 0.1, 400)
    assert settles(at, steady_s) == 0
    assert settles(at, steady_s * np.where(at < 5, 3, 1)) == pytest.approx(5, abs=1)
    assert settles(at, steady_s * (1 + at)) is None or settles(at, steady_s * (1 + at)) != 0
