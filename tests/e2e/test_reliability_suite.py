"""The suite `reliability`: recovery as it truly was, replies shown to be their requests', and a proof that can fail."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import FINISHED, Command
from test_fault_kinds import simulated

from analysis.cells.recovery import K
from harness.sample import Header, Sample, decode
from harness.simulator.truth import Truth, read_truth

SIMULATED = {"dialect": "openai-chat", "model": "sim-1"}
STRESS = "workloads.stress.stages=[{name: rising, rate_rps: 5, end_rate_rps: 40, duration_s: 150}]"


def finished(tokenswarm: Command, folder: Path, *words: object) -> tuple[Path, dict[str, Any], str]:
    """The run directory, the summary and what the terminal said."""
    done = tokenswarm("run", *words)
    assert done.returncode in FINISHED, done.stderr
    assert "Traceback" not in done.stderr
    run_dir = folder / done.stdout.splitlines()[-1]
    return run_dir, json.loads((run_dir / "summary.json").read_text()), done.stderr


def samples_of(run_dir: Path) -> Iterator[tuple[Header, Sample]]:
    for path in run_dir.glob("journal/*.jsonl"):
        header, *lines = map(decode, path.read_bytes().splitlines(keepends=True))
        assert isinstance(header, Header)
        yield from ((header, line) for line in lines if isinstance(line, Sample))


def true_recovery_s(samples: list[tuple[Header, Sample]], truths: dict[str, Truth]) -> float:
    """By the provider's own account: from the repair to the last byte of the first of K whole replies in a row."""
    header, first = samples[0]
    assert first.repair_ns is not None
    repair_ns = header.mono_ns + first.repair_ns
    later = [truths[sample.request_id or ""] for _, sample in samples if (sample.start_ns or 0) >= first.repair_ns]
    later.sort(key=lambda truth: truth.received_ns)
    whole = [truth.outcome == "complete" for truth in later]
    begin = next(place for place in range(len(later)) if all(whole[place : place + K]))
    return (later[begin].end_ns - repair_ns) / 1e9


def test_the_suite_measures_recovery_and_proves_that_replies_belong(tokenswarm: Command, tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text(yaml.safe_dump([SIMULATED | {"name": "o", "base_url": "sim://openai-sim"}]))
    words = ["suite:reliability", "--targets", "targets.yaml", "--set", "scale=0.02", "--set", "timeouts.read_s=1"]
    run_dir, summary, said = finished(tokenswarm, tmp_path, *words, "--set", STRESS)
    stress, *scenarios = summary["results"]
    assert stress["workload"] == "stress"
    assert [goal["met"] for goal in stress["goals"]] == [True]
    assert [result["recovery"]["scenario"] for result in scenarios] == ["timeout", "rate_limit", "auth_failure"]
    truths = {truth.id: truth for truth in read_truth(run_dir / "truth.jsonl")}
    for result, error in zip(scenarios, ("read_timeout", "rate_limit", "auth"), strict=True):
        found = result["recovery"]
        assert found["made_by"] == "provider"
        assert found["errors"] == {error: found["injected"]}
        assert found["injected"] >= 5
        mine = [each for each in samples_of(run_dir) if each[1].stage == result["stage"] and each[1].repair_ns]
        assert found["times_s"] == [pytest.approx(true_recovery_s(mine, truths), abs=0.05)]
        integrity = found["integrity"]
        assert integrity["own"] == integrity["replies"] >= K
        assert (integrity["other"], integrity["missing"]) == (0, 0)
        assert [goal["met"] for goal in result["goals"]] == [True, True]
        assert result["reliability"]["provider_failures"] == 0  # what was made to fail is not held against it
    assert "error_recovery, rate_limit" in said
    assert said.count("100.00 % (") == 3
    assert '<section id="recovery-0">' in (run_dir / "report.html").read_text()


def test_crossed_replies_are_caught_and_a_client_makes_what_a_real_provider_will_not(
    tokenswarm: Command, tmp_path: Path
) -> None:
    inject = {"start_s": 0.4, "duration_s": 0.6}
    kinds = ("timeout", "rate_limit", "auth_failure")
    provider = {"dialects": ["openai-chat"], "ttft": 0.05, "faults": [{"kind": "swapped", "probability": 0.1}]}
    document = {
        "name": "crossed",
        "repeats": 1,
        "warmup_s": 0,
        "workload": {"output_tokens": 8, "echo": True, "goals": ["integrity >= 1"]},
        "stages": [
            {"name": kind, "rate_rps": 20, "duration_s": 2, "inject": {"kind": kind, **inject}} for kind in kinds
        ],
        "timeouts": {"read_s": 1},
    }
    with simulated(tmp_path, {"providers": {"p": provider}}) as simulator:  # of which the run knows nothing
        target = SIMULATED | {"name": "real", "base_url": f"{simulator.url}/p/v1", "key_env": "TOKENSWARM_TEST_KEY"}
        (tmp_path / "plan.yaml").write_text(yaml.safe_dump(document | {"targets": [target]}))
        run_dir, summary, said = finished(tokenswarm, tmp_path, "plan.yaml")
        swapped = Counter(truth.id for truth in read_truth(simulator.truth) if truth.fault == "swapped")
    results = {result["stage_label"]: result for result in summary["results"]}
    assert results.keys() == {"timeout", "auth_failure"}  # only the provider itself can be at its limit
    findings = {finding["code"]: finding["saw"] for finding in summary["validity"]["findings"]}
    assert "rate_limit" in findings["not-applicable"]
    for label, kinds_seen in (("auth_failure", {"auth"}), ("timeout", {"read_timeout", "total_timeout"})):
        found = results[label]["recovery"]
        assert found["errors"].keys() <= kinds_seen
        assert found["failed"] == found["injected"] >= 10
        assert found["made_by"] == "client"
        assert 0 < found["worst_s"] < 1
    caught = Counter(sample.request_id or "" for _, sample in samples_of(run_dir) if sample.error == "mismatched")
    answered = Counter(sample.request_id or "" for _, sample in samples_of(run_dir) if sample.echo)
    assert caught
    assert caught == swapped & answered  # each of them, and none besides
    assert sum(result["integrity"]["other"] for result in results.values()) == len(caught)
    assert any(goal["met"] is False for result in results.values() for goal in result["goals"])
    assert "to other requests" in said
    assert "mismatched" in findings
