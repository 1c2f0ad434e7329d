"""What a run cost, against what the simulator says it really did, priced by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import FINISHED, Command

from harness.simulator.truth import Truth, read_truth

PRICE = {"input": 2.0, "input_cached": 0.5, "output": 8.0, "reasoning": 10.0, "per_request_usd": 0.0002}
PROVIDER = {"ttft": 0.02, "itl": 0.002, "cached_share": 0.5, "reasoning_tokens": 3}
DIALECTS = ("openai-chat", "openai-responses", "anthropic-messages", "google-generate", "jina-embeddings")


def write_plan(folder: Path, **changes: Any) -> Path:
    names = [dialect.partition("-")[0] + dialect[-3:] for dialect in DIALECTS]
    document = {
        "name": "cost",
        "repeats": 1,
        "warmup_s": 0,
        "targets": [
            {"name": name, "dialect": dialect, "base_url": f"sim://{name}", "model": "m", "price": dict(PRICE)}
            for name, dialect in zip(names, DIALECTS, strict=True)
        ],
        "workloads": [
            {"name": "chat", "input_tokens": 40, "output_tokens": 16},
            {"name": "vectors", "kind": "embeddings", "input_tokens": 10, "batch": 4},
        ],
        "stages": [{"concurrency": 2, "duration_s": 1}],
        "simulator": {
            "providers": [
                {"name": name, "dialects": [dialect], **PROVIDER} for name, dialect in zip(names, DIALECTS, strict=True)
            ]
        },
    } | changes
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def by_hand(truth: Truth) -> float:
    """USD of one request, from what the simulator did."""
    cached, thought = truth.cached_tokens or 0, truth.reasoning_tokens or 0
    tokens_in, visible = truth.input_tokens or 0, (truth.output_tokens or 0) - thought
    return ((tokens_in - cached) * 2 + cached * 0.5 + visible * 8 + thought * 10) / 1e6 + 0.0002


def test_every_dialect_costs_what_the_simulator_says_it_did(tokenswarm: Command, tmp_path: Path) -> None:
    done = tokenswarm("run", write_plan(tmp_path))
    assert done.returncode in FINISHED, done.stderr
    run_dir = tmp_path / done.stdout.splitlines()[-1]
    truth = [each for each in read_truth(run_dir / "truth.jsonl") if each.outcome == "complete"]
    summary = json.loads((run_dir / "summary.json").read_text())
    assert len(summary["results"]) == len(DIALECTS)
    for result in summary["results"]:
        costs = [by_hand(each) for each in truth if each.provider == result["target"]]
        assert len(costs) == result["attempted"] + result["warmup_attempts"]
        assert max(costs) == min(costs)  # every request has the same lengths
        assert result["cost"]["usd_per_request"] == pytest.approx(costs[0], rel=1e-9)
        assert result["cost"]["usd"] == pytest.approx(result["cost"]["requests"] * costs[0], rel=1e-9)
        assert result["cost"]["price"]["source"] == "plan"
        assert result["resource_utilization"]["bytes_received_per_1k"] > 0
        if result["kind"] == "chat":
            tokens = result["tokens"]
            assert tokens["reasoning"] * 13 == tokens["visible"] * 3  # 3 of 16 were thought
            assert tokens["tokens_per_event"] == 1
    codes = {finding["code"] for finding in summary["validity"]["findings"]}
    assert not codes & {"token-counts", "no-price", "cost-incomplete"}
    assert "jinangs: USD per 1M tokens: in 2, cached 0.5, out 8, reasoning 10, 0.0002 a request (plan)" in " ".join(
        done.stderr.split()
    )


@pytest.mark.parametrize("concurrency", [8])
def test_a_budget_in_usd_is_kept_by_what_was_really_generated(
    tokenswarm: Command, tmp_path: Path, concurrency: int
) -> None:
    """Two workers, eight users, three repeats: all that the simulator generated, priced by hand, is within the budget,
    and no further below it than what can be set aside for the requests under way."""
    whole = yaml.safe_load(write_plan(tmp_path).read_text())
    only = {"targets": whole["targets"][:1], "workloads": whole["workloads"][:1], "repeats": 3}
    stages = [{"concurrency": concurrency, "duration_s": 3}]
    path = write_plan(tmp_path, **only, stages=stages, budget={"usd": 0.08})
    done = tokenswarm("run", path, "--workers", 2)
    assert done.returncode in FINISHED, done.stderr
    run_dir = tmp_path / done.stdout.splitlines()[-1]
    assert "budget was used up" in (run_dir / "run.json").read_text()
    spent = sum(by_hand(each) for each in read_truth(run_dir / "truth.jsonl"))
    # A prompt of 40 words has no more than 400 characters: 100 tokens are set aside for it at most.
    most_set_aside = (100 * 2 + 16 * 10) / 1e6 + 0.0002
    assert 0.08 - (concurrency + 1) * most_set_aside <= spent <= 0.08
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["results"][0]["cost"]["usd"] <= spent * (1 + 1e-9)


def test_check_tells_the_price_and_where_it_is_from(tokenswarm: Command, tmp_path: Path) -> None:
    real = {"name": "openai", "dialect": "openai-chat", "base_url": "https://api.openai.com/v1"}
    real["model"] = "gpt-4.1-mini"
    alien = real | {"name": "alien", "model": "unheard-of"}
    sim = real | {"name": "sim", "base_url": "sim://openai-sim"}
    whole = yaml.safe_load(write_plan(tmp_path).read_text())
    path = write_plan(tmp_path, targets=[real, alien, sim], workloads=whole["workloads"][:1])
    done = tokenswarm("check", path)
    assert done.returncode == 0, done.stderr
    listed = "USD per 1M tokens: in 0.4, cached 0.1, out 1.6 (shipped table, openai: https"
    assert f"# price of openai: {listed}" in done.stdout
    assert "check before use" in done.stdout
    assert "# price of alien: unknown" in done.stdout
    assert "# price of sim: none: it is simulated" in done.stdout
    assert "# usd: unknown" in done.stdout
    assert "note: price of alien: unknown" in done.stderr
    table = tmp_path / "mine.yaml"
    table.write_text("- {provider: me, as_of: 2026-05-06, source: bill, models: {'*': {input: 7}}}")
    done = tokenswarm("check", path, "--prices", table, "--json")
    document = json.loads(done.stdout)
    prices = [target["price"] for target in document["plan"]["targets"]]
    assert [price and (price["input"], price["as_of"]) for price in prices] == [*[(7, "2026-05-06")] * 2, None]
    table.write_text("nonsense")
    done = tokenswarm("check", path, "--prices", table)
    assert done.returncode == 2
    assert "mine.yaml: not a table of prices" in done.stderr
