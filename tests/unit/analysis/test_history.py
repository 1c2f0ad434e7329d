"""A folder of run directories as the history of their figures, with and without its index."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.histories.history import load_history, table_of
from analysis.histories.history_index import NAME
from analysis.histories.history_metrics import METRICS, metrics_named
from analysis.histories.wording_history import claims
from analysis.pages.history_page import render_history
from analysis.records.history_record import Series, Trends
from analysis.summary import Summary
from analysis.trends import trend
from benchmarks.synthetic_history import Planned, write_runs
from harness.errors import UsageFault

RUNS = 40
STEP_AT = 25


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty runs of two targets, the first of which is 30 % slower from the 26th on."""
    root = tmp_path_factory.mktemp("history")
    assert len(list(write_runs(root, Planned("chat", RUNS, 2, (4,), 86_400.0, 1.3, STEP_AT), 5))) == RUNS
    return root


@pytest.fixture
def runs(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "runs"))


def summaries(root: Path) -> list[Path]:
    return sorted(root.glob("*/*/summary.json"))


def rewrite(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | changes))


def series_of(found: Trends, metric: str = "ttft_s.p50", target: str = "target-0") -> list[Series]:
    return [each for each in found.series if (each.metric, each.target) == (metric, target)]


def without_notes(found: Trends) -> Trends:
    return Trends(**{name: getattr(found, name) for name in Trends.__struct_fields__} | {"notes": ()})


def test_a_step_is_told_with_its_run_and_its_size(runs: Path) -> None:
    (series,) = series_of(trend(runs))
    (step,) = series.changes
    names = [path.parent.name for path in summaries(runs)]
    assert (step.run, step.after_run) == (f"chat/{names[STEP_AT]}", f"chat/{names[STEP_AT - 1]}")
    assert step.utc == "2025-01-26T00:00:00Z"
    assert step.verdict == "worse"
    assert step.change.ci95 is not None
    assert step.change.ci95[0] is not None and step.change.ci95[1] is not None
    assert step.change.ci95[0] < 1.3 < step.change.ci95[1]
    assert series.slope.since_utc == step.utc
    assert series_of(trend(runs), target="target-1")[0].changes == ()
    assert any("TTFT p50 became worse by +" in line for line in claims(trend(runs).series))


def test_values_are_those_of_the_summaries_with_their_intervals(runs: Path) -> None:
    (series,) = series_of(trend(runs, metrics=["ttft_s.p50"]), "ttft_s.p50")
    documents = [json.loads(path.read_text())["results"][0]["ttft_s"] for path in summaries(runs)]
    assert series.points.value == pytest.approx([each["p50"] for each in documents], rel=1e-5)
    assert series.points.low == pytest.approx([each["ci95"]["p50"][0] for each in documents], rel=1e-5)
    (rates,) = series_of(trend(runs), "completed_rps")
    result = json.loads(summaries(runs)[0].read_text())["results"][0]
    values = [each["values"]["completed_rps"] for each in result["repeat_values"]]
    assert rates.points.low[0] is not None and rates.points.high[0] is not None
    assert rates.points.low[0] < np.mean(values) < rates.points.high[0]


def test_every_metric_is_a_path_of_the_summary(written: Path) -> None:
    result = json.loads(summaries(written)[0].read_text())["results"][0]
    for metric in METRICS:
        head, _, part = metric.path.partition(".")
        assert head in result
        if part and isinstance(result[head], dict):
            assert part in result[head]


def test_only_the_latest_values_are_given_where_that_is_asked(runs: Path) -> None:
    (series,) = series_of(trend(runs, last=3))
    assert (len(series.points.value), series.points.left_out, series.runs) == (3, RUNS - 3, RUNS)


def test_an_invalid_run_is_marked_and_in_no_figure(runs: Path) -> None:
    path = summaries(runs)[-1]
    document = json.loads(path.read_text())
    for result in document["results"]:
        result["ttft_s"]["p50"] = 99.0
    path.write_text(json.dumps(document | {"validity": {"verdict": "invalid", "findings": []}}))
    found = trend(runs)
    (series,) = series_of(found)
    assert found.invalid_runs == (document["run"],)
    assert (series.runs, series.invalid_runs, series.latest.value) != (RUNS - 1, 1, 99.0)
    assert (series.points.value[-1], series.points.valid[-1]) == (99.0, False)
    assert series.latest.value < 1


def test_a_plan_that_asks_for_something_else_begins_a_new_series(runs: Path) -> None:
    for path in summaries(runs)[:15]:
        document = json.loads(path.read_text())
        document["results"][0]["request"]["input_tokens"] = 64
        path.write_text(json.dumps(document))
    found = trend(runs)
    old, new = sorted(series_of(found), key=lambda each: each.first_utc)
    assert (old.runs, old.current, new.runs, new.current) == (15, False, RUNS - 15, True)
    (told,) = found.breaks
    assert (told.target, told.utc) == ("target-0", new.first_utc)
    assert told.differs == "input_tokens 64 -> 256"


def test_another_slo_makes_another_goodput_and_another_cost_of_it(runs: Path) -> None:
    for number, path in enumerate(summaries(runs)):
        document = json.loads(path.read_text())
        for result in document["results"]:
            result["cost"] = {"usd_per_request": 0.001, "usd_per_1k_good": 1.0 + (number < 10)}
        path.write_text(json.dumps(document | ({"slo": {"ttft_s": 0.1}} if number < 10 else {})))
    found = trend(runs)
    assert series_of(found, "goodput_rps")[0].runs == RUNS - 10
    assert series_of(found, "cost.usd_per_1k_good")[0].runs == RUNS - 10
    assert series_of(found, "cost.usd_per_request")[0].runs == RUNS
    assert series_of(found)[0].runs == RUNS
    assert any("SLO" in note for note in found.notes)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"{", "is not a whole summary"),
        (b"[1]", "is not a whole summary"),
        (b'{"schema": 1}', "is not a whole summary"),
        (b"\xff\xfe", "is not a whole summary"),
        (b"[" * 100_000, "is not a whole summary"),
        (b'{"schema": 99, "run": "r", "validity": {"verdict": "valid"}, "results": []}', "has schema 99"),
        (b'{"schema": 1, "run": "r", "validity": {"verdict": "good"}, "results": []}', "has a verdict"),
        (
            (
                b'{"schema": 1, "run": "r", "validity": {"verdict": "valid"}, "results": [],'
                b' "started_utc": "9999-12-31T00:00:00Z"}'
            ),
            "says that its run began in the year 9999",
        ),
    ],
)
def test_a_file_that_is_no_summary_is_skipped_with_its_reason(runs: Path, content: bytes, reason: str) -> None:
    path = summaries(runs)[7]
    path.write_bytes(content)
    for found in (trend(runs), trend(runs)):  # the second by the index
        (skipped,) = found.skipped
        assert skipped.path == str(path.relative_to(runs))
        assert skipped.reason.startswith(reason)
        assert found.runs == RUNS - 1


def test_figures_that_no_run_can_have_are_not_measured(runs: Path) -> None:
    path = summaries(runs)[7]
    document = json.loads(path.read_text())
    document["results"][0]["ttft_s"]["p50"] = 1e300
    document["results"][0]["tpot_s"]["p50"] = -1.0
    path.write_text(json.dumps(document))
    found = trend(runs)
    assert (series_of(found)[0].runs, series_of(found, "tpot_s.p50")[0].runs) == (RUNS - 1, RUNS)


def test_a_run_without_a_summary_or_a_time_is_told_and_other_folders_are_not(runs: Path) -> None:
    (runs / "chat" / "20250301T000000Z-dead").mkdir()
    (runs / "chat" / "20250301T000000Z-dead" / "run.json").write_text("{}")
    (runs / "chat" / "notes").mkdir()
    odd = runs / "chat" / "odd"
    summaries(runs)[0].parent.rename(odd)
    rewrite(odd / "summary.json", started_utc=None)
    reasons = {each.path: each.reason for each in trend(runs).skipped}
    assert set(reasons) == {"chat/20250301T000000Z-dead", "chat/odd/summary.json"}
    assert "tokenswarm analyze" in reasons["chat/20250301T000000Z-dead"]
    assert "when its run began" in reasons["chat/odd/summary.json"]


def test_the_name_of_a_folder_tells_the_time_where_the_summary_does_not(runs: Path) -> None:
    for path in summaries(runs):
        rewrite(path, started_utc=None)
    assert trend(runs).first_utc == "2025-01-01T00:00:00Z"


def test_the_folder_of_one_plan_is_a_history_too(runs: Path) -> None:
    assert trend(runs / "chat").runs == RUNS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
@given(data=st.data())
def test_whatever_became_of_the_index_the_answer_is_the_same(runs: Path, data: st.DataObject) -> None:
    index = runs / NAME
    index.unlink(missing_ok=True)
    truth = without_notes(trend(runs))
    whole = index.read_bytes()
    assert without_notes(trend(runs)) == truth
    how = data.draw(st.sampled_from(["torn", "flipped", "longer", "other", "gone"]))
    place = data.draw(st.integers(0, len(whole) - 1))
    made = {
        "torn": whole[:place],
        "flipped": whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
        "longer": whole + b"x",
        "other": b"SQLite format 3\0",
    }
    index.unlink() if how == "gone" else index.write_bytes(made[how])
    assert without_notes(trend(runs)) == truth
    assert index.read_bytes() == whole


def test_an_index_of_another_version_is_made_anew(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = trend(runs)
    monkeypatch.setattr("analysis.histories.history_index._FORMAT", 0)
    before = (runs / NAME).read_bytes()
    assert trend(runs) == truth
    assert (runs / NAME).read_bytes() != before


def test_runs_that_came_changed_or_went_are_noticed(runs: Path) -> None:
    trend(runs)
    paths = summaries(runs)
    shutil.rmtree(paths[0].parent)
    shutil.copytree(paths[-1].parent, runs / "chat" / "20250301T000000Z-ffff")
    rewrite(
        runs / "chat" / "20250301T000000Z-ffff" / "summary.json", started_utc="2025-03-01T00:00:00Z", run="chat/new"
    )
    document = json.loads(paths[20].read_text())
    document["results"][0]["ttft_s"]["p50"] = 7.0
    paths[20].write_text(json.dumps(document))
    indexed = trend(runs)
    (runs / NAME).unlink()
    assert trend(runs) == indexed
    (series,) = series_of(indexed)
    assert (series.runs, series.latest.run, series.points.value[19]) == (RUNS, "chat/new", 7.0)


def test_a_run_that_was_put_aside_as_a_baseline_counts_once(runs: Path) -> None:
    truth = series_of(trend(runs))
    shutil.copytree(summaries(runs)[-1].parent, runs / "baseline")
    first = trend(runs)
    assert series_of(first) == truth
    (skipped,) = first.skipped
    assert skipped.path.startswith("chat/") and skipped.reason == "is the run of baseline/summary.json once more"
    stamp = (runs / NAME).stat().st_mtime_ns
    assert trend(runs) == first
    assert (runs / NAME).stat().st_mtime_ns == stamp  # the index knows the copy, and need not be written again


def test_an_index_that_cannot_be_written_is_told_and_harms_nothing(runs: Path) -> None:
    truth = trend(runs)
    (runs / NAME).unlink()
    (runs / NAME).mkdir()  # as root, no permission would keep it from being written
    found = trend(runs)
    assert without_notes(found) == without_notes(truth)
    assert any("index was not written" in note for note in found.notes)
    assert not list(runs.glob("*.tmp")) and not list(runs.glob(".*.tmp"))


def test_two_processes_at_once_agree_and_leave_a_whole_index(runs: Path) -> None:
    command = [sys.executable, "-m", "harness", "trend", str(runs), "--json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    told = [process.communicate(timeout=100)[0] for process in both]
    assert told[0] == told[1] == msgspec.json.encode(trend(runs)) + b"\n"
    assert not load_history(runs).fresh
    assert not list(runs.glob("*.tmp")) and not list(runs.glob(".*.tmp"))


def test_nothing_is_written_where_nothing_is_new(runs: Path) -> None:
    trend(runs)
    before = (runs / NAME).stat().st_mtime_ns
    trend(runs, metrics=["ttft_s.p50"])
    assert (runs / NAME).stat().st_mtime_ns == before


def test_a_folder_without_runs_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="holds no run directory"):
        trend(tmp_path)
    with pytest.raises(UsageFault, match="No such file"):
        trend(tmp_path / "none")


def test_the_history_is_a_table_for_notebooks(runs: Path) -> None:
    table = table_of(load_history(runs))
    mine = table[(table["metric"] == "ttft_s.p50") & (table["target"] == "target-0")]
    (series,) = series_of(trend(runs))
    assert mine["value"].to_numpy() == pytest.approx(series.points.value, rel=1e-5)
    assert mine["run"].tolist() == list(series.points.run)
    assert mine["started_utc"].is_monotonic_increasing
    assert {"plan", "workload", "stage", "model", "validity", "low", "high"} <= set(table.columns)


def test_what_is_chosen_changes_nothing_of_what_is_said(runs: Path) -> None:
    whole, chosen = trend(runs), trend(runs, metrics=["ttft_s.p50"], targets=["target-0"], plans=["chat"])
    assert list(chosen.series) == series_of(whole)


@pytest.mark.parametrize(
    ("word", "paths"),
    [
        ("ttft_s.p50", ["ttft_s.p50"]),
        ("ttft.p95", ["ttft_s.p95"]),
        ("ttft", ["ttft_s.p50", "ttft_s.p95", "ttft_s.p99"]),
        ("goodput", ["goodput_rps"]),
        ("success_ratio", ["reliability.success_ratio"]),
        ("accuracy", ["quality.accuracy"]),
        ("none", []),
    ],
)
def test_a_metric_may_be_named_in_short(word: str, paths: list[str]) -> None:
    assert [metric.path for metric in metrics_named(word)] == paths


def test_hostile_names_are_text_on_the_page(runs: Path) -> None:
    evil = "<script>alert(1)</script>"
    for path in summaries(runs):
        document = json.loads(path.read_text())
        document["results"][0]["target"] = evil
        path.write_text(json.dumps(document | {"plan": evil}))
    page = render_history(trend(runs))
    assert evil not in page.replace("\\u003c", "<<")
    assert "&lt;script&gt;alert(1)" in page


def test_the_summary_and_what_is_read_of_it_have_the_same_fields() -> None:
    """What is read is a part of the real record: a field that is renamed there must be renamed here."""
    from analysis.histories import history_reading  # noqa: PLC0415
    from analysis.summary import Result  # noqa: PLC0415

    assert set(history_reading._Summary.__struct_fields__) <= set(Summary.__struct_fields__)
    assert set(history_reading._Result.__struct_fields__) <= set(Result.__struct_fields__)
