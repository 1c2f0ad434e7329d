"""Open load through the real command: the schedule, several workers, and what a freeze of the provider looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FINISHED, Command

from harness.arrivals import arrivals
from harness.plan import Stage
from harness.sample import Header, Outcome, Sample, decode

PLAN = """
name: open
seed: 3
repeats: 1
warmup_s: 0
targets: [{name: sim, dialect: openai-chat, base_url: "sim://p", model: m}]
workload: {kind: chat, input_tokens: 20, output_tokens: 4}
stages: [STAGE]
simulator: {providers: [PROVIDER]}
"""
CALM = "{name: p, dialects: [openai-chat], ttft: 0.05, itl: 0.01}"


def write_plan(path: Path, stage: str, provider: str = CALM) -> Path:
    path.write_text(PLAN.replace("STAGE", stage).replace("PROVIDER", provider))
    return path


def samples_of(run_dir: Path) -> list[tuple[float, Sample]]:
    """Every sample with the monotonic time of its due moment in seconds, in the order of those."""
    found = []
    for path in run_dir.glob("journal/*.jsonl"):
        records = [decode(line) for line in path.read_bytes().splitlines()]
        assert isinstance(records[0], Header)
        base_ns = records[0].mono_ns
        found += [((each.due_ns or 0) + base_ns, each) for each in records if isinstance(each, Sample)]
    return [(due_ns / 1e9, each) for due_ns, each in sorted(found, key=lambda pair: pair[0])]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_union_over_workers_is_the_one_seeded_schedule(tokenswarm: Command, tmp_path: Path, workers: int) -> None:
    plan = write_plan(tmp_path / "plan.yaml", "{rate_rps: 60, arrival: poisson, duration_s: 4}")
    done = tokenswarm("run", plan, "--workers", workers)
    assert done.returncode in FINISHED, done.stderr
    found = samples_of(tmp_path / done.stdout.splitlines()[-1])
    stage = Stage(rate_rps=60, arrival="poisson", duration_s=4)
    planned = [arrival.due_ns / 1e9 for arrival in arrivals(stage, 4, "3/arrivals/default/0/1")]
    due = np.array([due_s for due_s, _ in found])
    assert len(due) == len(planned)
    assert np.allclose(due - due[0], np.array(planned) - planned[0], atol=5e-5)
    assert {sample.outcome for _, sample in found} == {Outcome.OK}
    assert len({sample.prompt_id for _, sample in found}) == len(found), "every arrival has a prompt of its own"


def test_a_freeze_shows_in_the_response_time_and_not_only_in_the_service_time(
    tokenswarm: Command, tmp_path: Path
) -> None:
    outage = "{kind: stall, after_chunks: 0, stall_s: 1.5, start_s: 0, probability: 0.02}"
    provider = CALM[:-1] + f", faults: [{outage}]}}"
    stage = "{rate_rps: 40, duration_s: 4, max_in_flight: 2, max_lag_s: 30}"
    done = tokenswarm("run", write_plan(tmp_path / "plan.yaml", stage, provider))
    run_dir = tmp_path / done.stdout.splitlines()[-1]
    (result,) = json.loads((run_dir / "summary.json").read_text())["results"]
    assert result["response_s"]["p95"] > 3 * result["e2e_s"]["p50"]
    assert result["lag_s"]["max"] > 0.5, "arrivals waited while all of max_in_flight were stalled"


def test_arrivals_that_are_too_late_are_dropped_samples_and_count(tokenswarm: Command, tmp_path: Path) -> None:
    stage = "{rate_rps: 50, duration_s: 3, max_in_flight: 1, max_lag_s: 0.2}"
    provider = "{name: p, dialects: [openai-chat], ttft: 0.3, itl: 0.01}"
    done = tokenswarm("run", write_plan(tmp_path / "plan.yaml", stage, provider))
    run_dir = tmp_path / done.stdout.splitlines()[-1]
    samples = [sample for _, sample in samples_of(run_dir)]
    assert len(samples) == 150
    late = [sample for sample in samples if sample.outcome is Outcome.DROPPED]
    assert len(late) > 100
    assert all(sample.start_ns is None and sample.due_ns is not None for sample in late)
    summary: Any = json.loads((run_dir / "summary.json").read_text())
    assert summary["results"][0]["outcomes"]["dropped"] == len(late)
    assert summary["results"][0]["offered_rps"] == pytest.approx(50, rel=0.02)


def test_a_closed_ramp_and_an_open_stage_may_follow_one_another(tokenswarm: Command, tmp_path: Path) -> None:
    stages = "{concurrency: 1, end_concurrency: 6, duration_s: 4}, {rate_rps: 20, end_rate_rps: 60, duration_s: 3}"
    done = tokenswarm("run", write_plan(tmp_path / "plan.yaml", stages))
    assert done.returncode in FINISHED, done.stderr
    samples = [sample for _, sample in samples_of(tmp_path / done.stdout.splitlines()[-1])]
    closed = [sample for sample in samples if sample.stage == 0]
    rising = [sample for sample in samples if sample.stage == 1]
    assert len(rising) == pytest.approx(120, abs=2), "the mean of both rates for three seconds"
    half = min(sample.end_ns for sample in closed) + 2_000_000_000
    assert sum(sample.end_ns > half for sample in closed) > 1.3 * sum(sample.end_ns <= half for sample in closed)


def test_a_handshake_that_an_arrival_has_to_wait_for_lies_in_its_attempt_and_not_in_its_lag(
    tokenswarm: Command, tmp_path: Path
) -> None:
    provider = "{name: p, dialects: [openai-chat], ttft: 1.5, itl: 0.01}"
    plan = write_plan(tmp_path / "plan.yaml", "{rate_rps: 10, duration_s: 2}", provider)
    done = tokenswarm("run", plan)  # ten connections are made ahead, and fifteen are wanted
    samples = [sample for _, sample in samples_of(tmp_path / done.stdout.splitlines()[-1])]
    assert len(samples) == 20
    fresh = [sample for sample in samples if not sample.reused]
    assert len(fresh) >= 3
    assert all((sample.connect_ns is None) == sample.reused for sample in samples)
