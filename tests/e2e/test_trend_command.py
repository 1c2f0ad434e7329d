"""`tokenswarm trend` as it is called: text, JSON, a page, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Command

from benchmarks.synthetic_history import Planned, write_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("history")
    list(write_runs(root, Planned("chat", 36, 2, (4,), 86_400.0, 1.3, 20), 5))
    return root


def test_text_says_what_changed_when_by_how_much(tokenswarm: Command, runs: Path) -> None:
    done = tokenswarm("trend", runs)
    assert done.returncode == 0, done.stderr
    assert "target-0, w, 4 users: TTFT p50 became worse by +" in done.stdout
    assert "from 2025-01-21 00:00 on" in done.stdout
    assert done.stderr == ""


def test_a_single_run_is_not_said_to_be_as_those_before(tokenswarm: Command, tmp_path: Path) -> None:
    list(write_runs(tmp_path, Planned("chat", 1, 1, (4,), 86_400.0, 1.0, 20), 5))
    assert "Too few runs to say what changes" in tokenswarm("trend", tmp_path).stdout


def test_json_is_one_document_with_the_series_asked_for(tokenswarm: Command, runs: Path) -> None:
    done = tokenswarm("trend", runs, "--json", "--metric", "ttft.p50", "--target", "target-0", "--last", 5)
    found = json.loads(done.stdout)
    (series,) = found["series"]
    assert (series["metric"], series["target"], len(series["points"]["value"])) == ("ttft_s.p50", "target-0", 5)
    assert series["changes"][0]["utc"] == "2025-01-21T00:00:00Z"


def test_a_page_is_written_and_named(tokenswarm: Command, runs: Path, tmp_path: Path) -> None:
    done = tokenswarm("trend", runs, "--html", tmp_path / "trend.html")
    assert done.stdout.strip() == str(tmp_path / "trend.html")
    text = (tmp_path / "trend.html").read_text()
    assert "TTFT p50 became worse" in text
    assert "//" not in text.partition("<script>")[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--metric", "beauty"), "--metric: 'beauty': no such metric"),
        (("--target", "nobody"), "--target: 'nobody': is in no run"),
        (("--plan", "none"), "--plan: 'none': is in no run"),
    ],
)
def test_what_is_not_there_is_a_fault_of_two_lines(
    tokenswarm: Command, runs: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = tokenswarm("trend", runs, *arguments)
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first == f"error: {said}"
    assert second.startswith("hint: ")


def test_a_folder_without_runs_is_a_fault(tokenswarm: Command, tmp_path: Path) -> None:
    done = tokenswarm("trend", tmp_path)
    assert done.returncode == 2
    assert "holds no run directory" in done.stderr
