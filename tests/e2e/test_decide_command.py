"""`rank` and `recommend` of a run on disk through the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Command

from benchmarks.markets import draw_market, play_market
from benchmarks.planted import run_offline


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a market of simulated providers, measured in virtual time."""
    market = draw_market(1, "real_time_chat")
    return play_market(market, tmp_path_factory.mktemp("market"), 4.0).root


def test_rank_prints_a_leaderboard_its_formula_and_json(run: Path, tokenswarm: Command) -> None:
    shown = tokenswarm("rank", run, "--weights", "latency=2,cost=1", "--workload", "chat")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Leaderboard" in shown.stdout and "Matrix" in shown.stdout
    assert "weights: latency 66.7 %, cost 33.3 %" in shown.stdout
    assert "formula: burden x" in shown.stdout
    told = tokenswarm("rank", run, "--json")
    rankings = json.loads(told.stdout)["rankings"]
    assert [each["workload"] for each in rankings] == ["chat", "asked"]
    assert [each["rank"] for each in rankings[0]["places"]] == list(range(1, len(rankings[0]["places"]) + 1))
    assert rankings[0]["formula"][-1].startswith("total = the product")


def test_recommend_gives_reasons_and_a_page(run: Path, tokenswarm: Command, tmp_path: Path) -> None:
    case = tmp_path / "mine.yaml"
    case.write_text("weights: {latency: 1, cost: 2}\nlimits: ['ttft_s.p95 < 30']\nrequests_per_month: 1000000\n")
    shown = tokenswarm("recommend", run, "--use-case", case, "--workload", "chat", "--html", "page.html")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Reasons:" in shown.stdout and "Risks:" in shown.stdout and "a month" in shown.stdout
    page = (tmp_path / "page.html").read_text()
    assert "<h1>mine</h1>" in page and "results[0].ttft_s.p50" in page


def test_recommend_as_json_is_one_document(run: Path, tokenswarm: Command) -> None:
    done = tokenswarm("recommend", run, "--use-case", "batch_processing", "--workload", "chat", "--json")
    found = json.loads(done.stdout)
    assert found["primary"] in [each["target"] for each in found["choices"]]
    assert all(reason["quotes"] for reason in found["reasons"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rank", "--weights", "latency=1,speed=2"), "error: --weights: 'speed': no such category"),
        (("rank", "--stage", "9"), "error: --stage 9: not run"),
        (("recommend", "--use-case", "poetry"), "error: --use-case poetry: no such use case"),
        (("recommend", "--use-case", "gone.yaml"), "error: gone.yaml: cannot be read"),
        (("recommend", "--use-case", "embedding_generation"), "wants a workload of kind embeddings"),
    ],
)
def test_wrong_usage_is_two_lines(run: Path, tokenswarm: Command, arguments: tuple[str, ...], message: str) -> None:
    done = tokenswarm(*arguments, run)
    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert message in first and second.startswith("hint: ")


def test_one_target_alone_is_said_to_be(tokenswarm: Command, tmp_path: Path) -> None:
    alone, _ = run_offline(tmp_path, {}, loads=(2,), duration_s=4.0)
    shown = tokenswarm("rank", alone.root)
    assert shown.returncode == 0 and "apart: sim: a total compares" in shown.stdout
    answer = tokenswarm("recommend", alone.root, "--use-case", "batch_processing")
    assert answer.returncode == 0 and "cannot tell: sim is the only one to choose from" in answer.stdout
