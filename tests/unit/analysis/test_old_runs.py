"""Runs of every earlier version are read, and give the numbers that they gave then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from analysis.histories.history_reading import read_runs
from analysis.summarise import read_source, summary_json
from harness.commands.cli_numbers import analyze
from harness.sample import OLDEST_READ, SCHEMA

OLD = Path(__file__).parents[2] / "old_runs"
EVERY = range(OLDEST_READ, SCHEMA + 1)
SAME = ("attempted", "achieved_rps", "goodput_rps", "output_tokens_per_s", "in_flight_mean")


def old(schema: int, into: Path) -> Path:
    return Path(shutil.copytree(OLD / f"schema-{schema}", into / "run"))


def numbers(result: dict[str, Any]) -> dict[str, Any]:
    times = ("ttft_s", "itl_s", "tpot_s", "e2e_s")
    return {name: result[name] for name in SAME} | {name: result[name]["p50"] for name in times}


@pytest.mark.parametrize("schema", EVERY)
def test_journals_of_every_version_give_the_numbers_that_they_gave(schema: int, tmp_path: Path) -> None:
    run = old(schema, tmp_path)
    assert f'"schema":{schema}' in next((run / "journal").glob("*.jsonl")).read_text().splitlines()[0].replace(" ", "")
    then = json.loads((run / "summary.json").read_bytes())
    summary, samples = read_source(run)
    now = json.loads(summary_json(summary))
    assert samples is not None and len(samples.table) > 0
    for before, after in zip(then["results"], now["results"], strict=True):
        assert (after["outcomes"], after["errors"]) == (before["outcomes"], before["errors"])
        assert numbers(after) == pytest.approx(numbers(before), rel=1e-9)


@pytest.mark.parametrize("schema", EVERY)
def test_the_command_reads_them(schema: int, tmp_path: Path) -> None:
    done = CliRunner().invoke(analyze, [str(old(schema, tmp_path)), "--json"])
    assert done.exit_code in (0, 3)
    assert json.loads(done.stdout)["plan"] == "old"


@pytest.mark.parametrize("schema", EVERY)
def test_history_reads_their_summaries(schema: int, tmp_path: Path) -> None:
    old(schema, tmp_path)
    (read,) = read_runs(tmp_path, ["run/summary.json"])
    assert read.entry.reason == "" and len(read.keys) == 2


def test_a_later_version_is_refused_by_name(tmp_path: Path) -> None:
    run = old(SCHEMA, tmp_path)
    for journal in (run / "journal").glob("*.jsonl"):
        journal.write_text(journal.read_text().replace(f'"schema":{SCHEMA}', f'"schema":{SCHEMA + 1}', 1))
    done = CliRunner().invoke(analyze, [str(run)])
    assert done.exit_code != 0 and f"schema {SCHEMA + 1}" in str(done.exception)
