"""Chat batches through the real command: every job against the simulator's truth, and its figures in what is shown."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Command
from test_reliability_suite import finished, samples_of

from harness.sample import Outcome
from harness.simulator.truth import read_truth

PROVIDERS = ("openai", "anthropic", "google")


def plan(**more: Any) -> dict[str, Any]:
    quick = {"ttft": 0.05, "itl": 0.002, "batch_workers": 8}
    targets = [
        {
            "name": f"{name}-jobs",
            "dialect": f"{name}-batches",
            "base_url": f"sim://{name}-sim",
            "model": "m",
            "price": {"input": 1.0, "output": 2.0},
            "polling": {"first_s": 0.02},
        }
        for name in PROVIDERS
    ]
    workloads: list[dict[str, Any]] = [
        {"name": f"jobs_{size}", "kind": "batch", "batch": size, "input_tokens": 30, "output_tokens": 6}
        for size in (1, 20)
    ]
    workloads[1]["goals"] = ["batch.versus_sequential > 4", "batch.efficiency < 0.6"]
    return {
        "name": "jobs",
        "repeats": 1,
        "warmup_s": 0,
        "targets": targets,
        "workloads": workloads,
        "stages": [{"concurrency": 2, "duration_s": 2, "goals": ["achieved_rps > 1"]}],
        "simulator": {"providers": {f"{name}-sim": dict(quick) for name in PROVIDERS}},
    } | more


def test_jobs_of_three_providers_agree_with_the_truth(tokenswarm: Command, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan()))
    run_dir, summary, said = finished(tokenswarm, tmp_path, "plan.yaml")
    truths = {truth.id: truth for truth in read_truth(run_dir / "truth.jsonl")}
    samples = list(samples_of(run_dir))
    assert {sample.request_id for _, sample in samples} == truths.keys()
    assert len(samples) == len(truths) > 60, "one line of truth for each job, none for what asks for it"
    for header, sample in samples:
        truth = truths[sample.request_id or ""]
        assert sample.outcome is Outcome.OK, sample.error_detail
        assert sample.usage is not None and sample.start_ns is not None
        assert (sample.items, truth.outcome) == (int(sample.workload.removeprefix("jobs_")), "complete")
        assert (sample.items, sample.usage.input_tokens, sample.usage.output_tokens) == (
            truth.items, truth.input_tokens, truth.output_tokens,
        )  # fmt: skip
        assert header.mono_ns + sample.start_ns < truth.received_ns < truth.end_ns < header.mono_ns + sample.end_ns
    assert all(row["agree"] for row in summary["reconciliation"])
    for result in summary["results"]:
        size = result["batch"]["size"]
        assert result["ttft_s"] is None
        assert result["output_tokens"]["mean"] == 6 * size
        assert result["cost"]["usd_per_request"] == pytest.approx(size * (30 + 2 * 6) / 1e6)
        assert [goal["met"] for goal in result["goals"]] == ([True] if size == 1 else [True, True, True])
        assert result["batch"]["items_per_s"] == pytest.approx(result["completed_rps"] * size, rel=0.3)
    assert "against 1 at a time" in said
    assert "Batch efficiency" in (run_dir / "report.html").read_text()


def test_a_job_with_errored_prompts_is_a_failure_and_what_was_answered_is_paid(
    tokenswarm: Command, tmp_path: Path
) -> None:
    document = plan(stages=[{"concurrency": 1, "duration_s": 1.5}])
    for provider in document["simulator"]["providers"].values():
        provider["faults"] = [{"kind": "status_529", "probability": 0.1}]
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(document))
    run_dir, _, _ = finished(tokenswarm, tmp_path, "plan.yaml")
    truths = {truth.id: truth for truth in read_truth(run_dir / "truth.jsonl")}
    partly = Counter[str]()
    for _, sample in samples_of(run_dir):
        truth = truths[sample.request_id or ""]
        assert (sample.outcome is Outcome.OK) == (truth.outcome == "complete")
        if sample.outcome is not Outcome.OK and sample.items is not None:
            assert (sample.error, sample.items) == ("overloaded", truth.items), sample.error_detail
            assert (sample.usage.output_tokens if sample.usage else 0) == truth.output_tokens
            partly[sample.target] += 1
    assert len(partly) == 3, "of each provider, jobs of 20 prompts of which one in ten fails"


def test_check_counts_the_tokens_of_all_prompts_of_a_job(tokenswarm: Command, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan()))
    done = tokenswarm("check", "plan.yaml", "--json")
    found = json.loads(done.stdout)["estimate"]
    jobs = 2 * 3 * 2 * 2 / (0.5 + 0.02 * 6)  # sizes, providers, users, seconds
    assert found["requests"] == round(jobs)
    assert found["output_tokens"] == pytest.approx(jobs / 2 * 6 * (1 + 20), abs=1)
    assert found["input_tokens"] == pytest.approx(jobs / 2 * 30 * (1 + 20), abs=1)
