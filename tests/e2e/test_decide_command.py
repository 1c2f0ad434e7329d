"""`rank` and `recommend` of a run on disk through the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Command

from benchmarks.planted import run_offline


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of two targets of one simulated provider at two prices, measured in virtual time."""
    target = {"dialect": "openai-chat", "base_url": "sim://sim", "model": "m"}
    targets = [target | {"name": name, "price": {"input": usd}} for name, usd in (("dear", 3), ("cheap", 1))]
    found, _ = run_offline(tmp_path_factory.mktemp("two"), {}, loads=(2, 4), duration_s=3.0, targets=targets)
    return found.root


def test_rank_prints_a_leaderboard_its_formula_and_json(run: Path, tokenswarm: Command) -> None:
    shown = tokenswarm("rank", run, "--weights", "latency=2,cost=1")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Leaderboard" in shown.stdout and "Matrix" in shown.stdout
    assert "weights: latency 66.7 %, cost 33.3 %" in shown.stdout
    assert "formula: burden x" in shown.stdout
    told = tokenswarm("rank", run, "--json")
    rankings = json.loads(told.stdout)["rankings"]
    assert [each["stage"] for each in rankings] == [0, 1]
    assert [each["target"] for each in rankings[1]["places"]] == ["cheap", "dear"]
    assert rankings[0]["formula"][-1].startswith("total = the product")


def test_recommend_gives_reasons_and_a_page(run: Path, tokenswarm: Command, tmp_path: Path) -> None:
    case = tmp_path / "mine.yaml"
    case.write_text("weights: {latency: 1, cost: 2}\nlimits: ['ttft_s.p95 < 30']\nrequests_per_month: 1000000\n")
    shown = tokenswarm("recommend", run, "--use-case", case, "--html", "page.html")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Reasons:" in shown.stdout and "Risks:" in shown.stdout and "a month" in shown.stdout
    page = (tmp_path / "page.html").read_text()
    assert "<h1>mine</h1>" in page and ".ttft_s.p50</code>" in page


def test_recommend_as_json_is_one_document(run: Path, tokenswarm: Command) -> None:
    done = tokenswarm("recommend", run, "--use-case", "batch_processing", "--json")
    found = json.loads(done.stdout)
    assert (found["answer"], found["primary"], found["stage"]) == ("recommended", "cheap", 1)
    assert all(reason["quotes"] for reason in found["reasons"])


def test_wrong_usage_is_two_lines(run: Path, tokenswarm: Command) -> None:
    done = tokenswarm("rank", run, "--weights", "latency=1,speed=2")
    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("error: --weights: 'speed': no such category") and second.startswith("hint: ")
    unknown = tokenswarm("recommend", run, "--use-case", "poetry")
    assert unknown.returncode == 2 and "--use-case poetry: no such use case" in unknown.stderr


def test_one_target_alone_is_said_to_be(tokenswarm: Command, tmp_path: Path) -> None:
    alone, _ = run_offline(tmp_path, {}, loads=(2,), duration_s=4.0)
    answer = tokenswarm("recommend", alone.root, "--use-case", "batch_processing")
    assert answer.returncode == 0 and "cannot tell: sim is the only one to choose from" in answer.stdout
