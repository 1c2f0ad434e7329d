"""Runs as notebooks see them: the frames hold what summary.json holds, and the figures what the frames hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_on_disk import MS, header, sample, steady, write_journal, write_plan

import analysis
from analysis import Run, compare, figures, gate, load_run
from analysis.summarise import summary_json
from harness.errors import ErrorKind, UsageFault
from harness.rundir import RunDir
from harness.sample import Outcome, Sample

REPEATS = 5


def _of(target: str, first_seq: int, repeat: int, slower: float) -> list[Sample]:
    """Requests whose times are `slower` times those of `steady`, drifting a little from repeat to repeat."""
    worker, factor = f"r{repeat}-w0", slower * (1 + (repeat if first_seq else -repeat) / 1000)
    found = []
    for each in steady(target=target, repeat=repeat, worker=worker):
        at = each.start_ns or 0
        events = tuple(at + int((event - at) * factor) for event in each.event_ns)
        changes = {"event_ns": events, "first_text_ns": events[0], "end_ns": at + int((each.end_ns - at) * factor)}
        found.append(sample(first_seq + each.seq, at, target=target, repeat=repeat, worker=worker, **changes))
    return found


def _write(folder: Path, targets: dict[str, float]) -> RunDir:
    told = [{"name": name, "dialect": "openai-chat", "base_url": "http://h/v1", "model": "m"} for name in targets]
    run_dir = write_plan(folder, targets=told, repeats=REPEATS)
    for repeat in range(1, REPEATS + 1):
        told_of = enumerate(targets.items())
        samples = [each for k, (name, slower) in told_of for each in _of(name, 1000 * k, repeat, slower)]
        write_journal(run_dir, samples, head=header(f"r{repeat}-w0", repeat))
    return run_dir


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("api")
    return load_run(_write(folder / "run", {"quick": 1.0, "slow": 1.5}).root)


def _at(document: Any, path: str) -> Any:
    for part in path.split("."):
        document = document[part]
    return document


def test_every_number_of_a_result_is_a_column_named_by_its_path(run: Run) -> None:
    told = json.loads(summary_json(run.summary))["results"]
    frame = run.results
    assert list(frame["target"]) == ["quick", "slow"]
    for path in ("ttft_s.p50", "itl_s.mean", "goodput_rps", "outcomes.ok", "load.concurrency", "request.output_tokens"):
        assert list(frame[path]) == [_at(result, path) for result in told]
    assert [list(ends) for ends in frame[["ttft_s.p50.low", "ttft_s.p50.high"]].to_numpy()] == [
        result["ttft_s"]["ci95"]["p50"] for result in told
    ]
    ratio = told[0]["reliability"]["success_ratio"]
    assert frame["reliability.success_ratio"][0] == ratio["value"]
    assert frame["reliability.success_ratio.low"][0] == ratio["ci95"][0]


def test_repeats_and_requests_are_rows(run: Run) -> None:
    assert len(run.repeats) == 2 * REPEATS
    assert run.repeats.loc[0, "ttft_s.p50"] == pytest.approx(0.0999)
    requests = run.requests
    assert len(requests) == 110 * 2 * REPEATS
    inside = requests[requests["measured"] & (requests["target"] == "slow") & (requests["outcome"] == "ok")]
    assert inside["ttft_s"].median() == pytest.approx(run.results.set_index("target").loc["slow", "ttft_s.p50"])
    assert requests["start_s"].min() == 0
    assert requests["lag_s"].isna().all()  # a closed stage has no due times


def test_failed_attempts_have_rows_too(tmp_path: Path) -> None:
    run_dir = write_plan(tmp_path / "run")
    broken = sample(
        0, 2000 * MS, outcome=Outcome.FAILED, error=ErrorKind.SERVER_ERROR, status=500, event_ns=(), first_text_ns=None
    )
    write_journal(run_dir, [broken, *steady()[20:]])
    requests = load_run(run_dir.root).requests
    first = requests.sort_values("start_s").iloc[0]
    assert (first["outcome"], first["status"]) == ("failed", 500)
    assert np.isnan(first["ttft_s"])


def test_compare_gives_what_the_summary_says(run: Run) -> None:
    frame = compare(run, metrics=["ttft_s.p50"])
    (row,) = frame.to_dict("records")
    assert (row["a"], row["b"], row["verdict"]) == ("quick", "slow", "better")
    assert row["ratio"] == pytest.approx(1 / 1.5, rel=0.01)
    assert row["ratio.low"] <= row["ratio"] <= row["ratio.high"]
    assert compare(run, targets=["nobody"]).empty
    assert compare(run, metrics="ttft.p50", targets="quick").equals(frame)
    with pytest.raises(UsageFault, match=r"'ttft_s\.p51': no such metric"):
        compare(run, metrics=["ttft_s.p51"])


def test_runs_are_compared_with_the_first(run: Run, tmp_path: Path) -> None:
    later = load_run(_write(tmp_path / "later", {"quick": 1.2, "slow": 1.5}).root)
    frame = compare(run, later, metrics=["ttft_s.p50"]).set_index("a")
    assert frame.loc["quick", "verdict"] == "worse"
    assert frame.loc["slow", "verdict"] == "no difference"


def test_gates_of_a_run_are_rows(run: Run) -> None:
    frame = gate(["ttft.p95:+10%"], run)
    assert list(frame["a"]) == ["slow"]
    assert gate("ttft.p95:+10%", run).equals(frame)
    with pytest.raises(UsageFault, match="no such metric"):
        gate(["nothing:+1%"], run)


def test_a_run_without_samples_says_so() -> None:
    csv = Path(__file__).parents[2] / "wire"
    with pytest.raises(UsageFault):
        load_run(csv / "nothing-there")


def test_figures_show_what_was_measured(run: Run) -> None:
    ratios = [x for trace in figures.differences(compare(run)).data for x in trace.x]
    assert any(x == pytest.approx(1 / 1.5, rel=0.01) for x in ratios)
    bars = figures.metric_bars(run, "ttft_s.p95").data
    assert {bar.name: bar.y[0] for bar in bars} == pytest.approx(dict(run.results.set_index("target")["ttft_s.p95"]))
    assert {line.name for line in figures.latencies(run, "ttft_s").data} == {"quick", "slow"}
    assert figures.timeline(run).data
    with pytest.raises(UsageFault, match="no several loads"):
        figures.load_curve(run)
    with pytest.raises(UsageFault, match="no distribution"):
        figures.latencies(run, "lag_s")
    with pytest.raises(UsageFault, match="no such number"):
        figures.metric_bars(run, "target")
    with pytest.raises(UsageFault, match="'nobody': no such target"):
        figures.metric_bars(run, "ttft_s.p95", ["nobody"])


def test_what_is_exported_is_there_and_is_loaded_late() -> None:
    assert all(callable(getattr(analysis, name)) for name in analysis.__all__)
    code = "import analysis, sys; assert 'pandas' not in sys.modules; from analysis import compare; compare.__call__"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError):
        _ = analysis.nothing
