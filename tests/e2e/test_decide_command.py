"""`rank` and `recommend` of a run on disk through the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Command

from benchmarks.planted import run_offline
from harness.cli import tokenswarm as command
from harness.errors import UsageFault


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of two targets of one simulated provider at two prices, measured in virtual time."""
    target = {"dialect": "openai-chat", "base_url": "sim://sim", "model": "m"}
    targets = [target | {"name": name, "price": {"input": usd}} for name, usd in (("dear", 3), ("cheap", 1))]
    found, _ = run_offline(tmp_path_factory.mktemp("two"), {}, loads=(2, 4), duration_s=3.0, targets=targets)
    return found.root


def _called(*arguments: object) -> int:
    """The exit code of the command, within this process: another would take seconds to load."""
    return int(command.main([*map(str, arguments)], standalone_mode=False) or 0)


def test_rank_prints_a_leaderboard_its_formula_and_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _called("rank", run, "--weights", "latency=2,cost=1") == 0
    shown, err = capsys.readouterr()
    assert err == ""
    assert "Leaderboard" in shown and "Matrix" in shown
    assert "weights: latency 66.7 %, cost 33.3 %" in shown
    assert "formula: burden x" in shown
    assert _called("rank", run, "--json") == 0
    rankings = json.loads(capsys.readouterr().out)["rankings"]
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


def test_recommend_as_json_is_one_document(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _called("recommend", run, "--use-case", "batch_processing", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["answer"], found["primary"], found["stage"]) == ("recommended", "cheap", 1)
    assert all(reason["quotes"] for reason in found["reasons"])


def test_wrong_usage_is_two_lines(run: Path, tokenswarm: Command) -> None:
    done = tokenswarm("rank", run, "--weights", "latency=1,speed=2")
    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("error: --weights: 'speed': no such category") and second.startswith("hint: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("recommend", "--use-case", "poetry"), "--use-case poetry: no such use case"),
        (("recommend", "--use-case", "embedding_generation"), "wants a workload of kind embeddings"),
        (("rank", "--workload", "nobody"), "--workload nobody: not run"),
        (("rank", "--stage", "9"), "--stage 9: not run"),
    ],
)
def test_what_is_not_there_is_a_fault_of_usage(run: Path, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageFault) as found:
        _called(arguments[0], run, *arguments[1:])
    assert said in found.value.message and found.value.hint


@pytest.mark.parametrize("arguments", [("rank",), ("recommend", "--use-case", "batch_processing"), ("report",)])
def test_a_run_is_not_held_against_itself(run: Path, arguments: tuple[str, ...], tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.symlink_to(run)
    with pytest.raises(UsageFault) as found:
        _called(arguments[0], run, again, *arguments[1:])
    assert f"{again}: is {run}, which is named already" in found.value.message


def test_one_target_alone_is_said_to_be(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    alone, _ = run_offline(tmp_path, {}, loads=(2,), duration_s=4.0)
    assert _called("recommend", alone.root, "--use-case", "batch_processing") == 0
    assert "cannot tell: sim is the only one to choose from" in capsys.readouterr().out
